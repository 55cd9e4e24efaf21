/* tests/unit/histogram_test.c -- a histogram counts durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/histogram.h"

static void an_empty_histogram_counts_nothing(void **state)
{
    struct histogram h = {0};
    struct histogram_counts counts;

    (void)state;
    histogram_read(&h, &counts);
    assert_int_equal(counts.upto[HISTOGRAM_BOUNDS], 0);
    assert_int_equal(counts.sum_us, 0);
}

static void a_duration_counts_in_its_bucket_and_all_above(void **state)
{
    struct histogram h = {0};
    struct histogram_counts counts;

    (void)state;
    histogram_add(&h, histogram_bounds_us[2]);
    histogram_read(&h, &counts);
    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
        assert_int_equal(counts.upto[i], i >= 2);
}

static void a_bound_belongs_to_its_own_bucket(void **state)
{
    struct histogram h = {0};
    struct histogram_counts counts;

    (void)state;
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++)
        histogram_add(&h, histogram_bounds_us[i] + 1);
    histogram_read(&h, &counts);
    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
        assert_int_equal(counts.upto[i], i);
}

static void the_sum_is_of_all_durations(void **state)
{
    struct histogram h = {0};
    struct histogram_counts counts;

    (void)state;
    histogram_add(&h, 0);
    histogram_add(&h, 300);
    histogram_add(&h, INT64_C(3600000000));
    histogram_read(&h, &counts);
    assert_int_equal(counts.sum_us, INT64_C(3600000300));
    assert_int_equal(counts.upto[HISTOGRAM_BOUNDS], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_counts_nothing),
        cmocka_unit_test(a_duration_counts_in_its_bucket_and_all_above),
        cmocka_unit_test(a_bound_belongs_to_its_own_bucket),
        cmocka_unit_test(the_sum_is_of_all_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
