/* src/base/histogram.c -- how long something takes: counts by duration. */
#include "base/histogram.h"

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
    1000,    2000,    5000,    10000,    20000,    50000,    100000,    200000,    500000,
    1000000, 2000000, 5000000, 10000000, 30000000, 60000000, 300000000, 900000000, 3600000000,
};

void histogram_add(struct histogram *histogram, int64_t us)
{
    int i = 0;

    while (i < HISTOGRAM_BOUNDS && us > histogram_bounds_us[i])
        i++;
    atomic_fetch_add(&histogram->sum_us, us);
    atomic_fetch_add(&histogram->counts[i], 1);
}

void histogram_read(struct histogram *histogram, struct histogram_counts *ret)
{
    int64_t upto = 0;

    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        upto += atomic_load(&histogram->counts[i]);
        ret->upto[i] = upto;
    }
    ret->sum_us = atomic_load(&histogram->sum_us);
}
