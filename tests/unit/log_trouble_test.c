/* tests/unit/log_trouble_test.c -- a failure that lasts is written at once, then ever less often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log_trouble.h"

enum { START_MS = 1000000 };

static void a_failure_is_written_at_once_and_then_at_growing_intervals(void **state)
{
    struct log_trouble trouble = LOG_TROUBLE("test.trouble");
    static const int64_t due_s[] = {0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811};
    size_t lines = 0;
    long told = 0;

    (void)state;
    for (int64_t ms = 0; ms <= 811 * 1000; ms += 500) {
        long left_out = -1;

        if (!log_trouble_due(&trouble, START_MS + ms, &left_out))
            continue;
        assert_true(lines < sizeof(due_s) / sizeof(due_s[0]));
        assert_int_equal(ms, due_s[lines] * 1000);
        lines++;
        told += left_out + 1;
    }
    assert_int_equal(lines, sizeof(due_s) / sizeof(due_s[0]));
    assert_int_equal(told, 811 * 2 + 1);
}

static void the_end_is_written_once_with_what_was_left_out(void **state)
{
    struct log_trouble trouble = LOG_TROUBLE("test.trouble");
    int64_t lasted_ms;
    long left_out;

    (void)state;
    assert_false(log_trouble_ends(&trouble, START_MS, &lasted_ms, &left_out));
    assert_true(log_trouble_due(&trouble, START_MS, &left_out));
    assert_false(log_trouble_due(&trouble, START_MS + 500, &left_out));
    assert_false(log_trouble_due(&trouble, START_MS + 600, &left_out));
    assert_true(log_trouble_ends(&trouble, START_MS + 700, &lasted_ms, &left_out));
    assert_int_equal(lasted_ms, 700);
    assert_int_equal(left_out, 2);
    assert_false(log_trouble_ends(&trouble, START_MS + 800, &lasted_ms, &left_out));
}

static void what_fails_and_works_by_turns_does_not_fill_the_log(void **state)
{
    struct log_trouble trouble = LOG_TROUBLE("test.trouble");
    int lines = 0;
    long told = 0;

    (void)state;
    for (int64_t ms = 0; ms <= 60 * 1000; ms += 10) {
        int64_t lasted_ms;
        long left_out;

        if (log_trouble_due(&trouble, START_MS + ms, &left_out)) {
            lines++;
            told += left_out + 1;
        }
        log_trouble_ends(&trouble, START_MS + ms, &lasted_ms, &left_out);
    }
    assert_int_equal(lines, 7);
    assert_int_equal(told, 6001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_written_at_once_and_then_at_growing_intervals),
        cmocka_unit_test(the_end_is_written_once_with_what_was_left_out),
        cmocka_unit_test(what_fails_and_works_by_turns_does_not_fill_the_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
