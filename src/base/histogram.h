/* src/base/histogram.h -- how long something takes: counts by duration, from any thread. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Upper bounds in microseconds, 1 ms to an hour; what takes longer is in one more bucket. */
enum { HISTOGRAM_BOUNDS = 18 };
extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS];

struct histogram {
    atomic_llong counts[HISTOGRAM_BOUNDS + 1];
    atomic_llong sum_us;
};

/* `upto[i]` took histogram_bounds_us[i] at most; the last one is all there were. */
struct histogram_counts {
    int64_t upto[HISTOGRAM_BOUNDS + 1];
    int64_t sum_us;
};

/* One more, that took `us` microseconds. A zeroed histogram is an empty one. */
void histogram_add(struct histogram *histogram, int64_t us);
/* The counts so far; while others add, the sum may be a little ahead of them. */
void histogram_read(struct histogram *histogram, struct histogram_counts *ret);
