/* tests/unit/conditional_test.c -- conditional and range headers are read as RFC 9110 says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/headers.h"

static void an_etag_is_found_anywhere_in_a_list(void **state)
{
    (void)state;
    assert_true(etag_listed("\"a\"", "\"a\""));
    assert_true(etag_listed("\"b\", \"a\"", "\"a\""));
    assert_true(etag_listed("\"b,\\\" ,\"a\"", "\"a\""));
    assert_true(etag_listed("*", "\"a\""));
}

static void an_etag_compares_weakly(void **state)
{
    (void)state;
    assert_true(etag_listed("W/\"a\"", "\"a\""));
    assert_true(etag_listed("\"b\",W/\"a\"", "W/\"a\""));
    assert_true(etag_listed("\"a\"", "W/\"a\""));
}

static void another_etag_is_not_found(void **state)
{
    (void)state;
    assert_false(etag_listed(NULL, "\"a\""));
    assert_false(etag_listed("", "\"a\""));
    assert_false(etag_listed("\"ab\"", "\"a\""));
    assert_false(etag_listed("\"", "\"a\""));
    assert_false(etag_listed("a", "\"a\""));
}

static void if_range_holds_for_the_strong_tag_or_the_date(void **state)
{
    const char *date = "Tue, 02 Jan 2024 03:04:05 GMT";

    (void)state;
    assert_true(if_range_holds(NULL, "\"a\"", date));
    assert_true(if_range_holds("\"a\"", "\"a\"", date));
    assert_true(if_range_holds(date, "\"a\"", date));
    assert_false(if_range_holds("W/\"a\"", "\"a\"", date));
    assert_false(if_range_holds("Tue, 02 Jan 2024 03:04:06 GMT", "\"a\"", date));
}

static void a_range_is_cut_out_of_the_whole(void **state)
{
    static const struct {
        const char *header;
        int64_t first, length;
    } cases[] = {
        {"bytes=0-0", 0, 1},  {"bytes=2-4", 2, 3},
        {"bytes=5-", 5, 5},   {"bytes=9-9", 9, 1},
        {"bytes=-3", 7, 3},   {"bytes=-99", 0, 10},
        {"bytes=4-99", 4, 6}, {"Bytes=1-2", 1, 2},
        {"bytes=-10", 0, 10}, {"bytes=0-99999999999999999999", 0, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t first = -1, length = -1;

        assert_int_equal(range_read(cases[i].header, 10, &first, &length), RANGE_PART);
        assert_int_equal(first, cases[i].first);
        assert_int_equal(length, cases[i].length);
    }
}

static void what_is_no_single_range_is_ignored(void **state)
{
    static const char *const headers[] = {
        NULL,        "",           "bytes",         "bytes=",   "bytes=-",
        "bytes=a-b", "bytes=5-2",  "bytes=1-2,4-5", "rows=0-1", "bytes=1-2x",
        "bytes=--1", "bytes= 1-2", "bytes=+1-2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        int64_t first = -1, length = -1;

        assert_int_equal(range_read(headers[i], 10, &first, &length), RANGE_WHOLE);
        assert_int_equal(first, -1);
        assert_int_equal(length, -1);
    }
}

static void a_range_behind_the_end_is_unsatisfiable(void **state)
{
    int64_t first = -1, length = -1;

    (void)state;
    assert_int_equal(range_read("bytes=10-", 10, &first, &length), RANGE_NONE);
    assert_int_equal(range_read("bytes=10-12", 10, &first, &length), RANGE_NONE);
    assert_int_equal(range_read("bytes=-0", 10, &first, &length), RANGE_NONE);
    assert_int_equal(range_read("bytes=0-", 0, &first, &length), RANGE_NONE);
    assert_int_equal(range_read("bytes=-1", 0, &first, &length), RANGE_NONE);
    assert_int_equal(first, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_etag_is_found_anywhere_in_a_list),
        cmocka_unit_test(an_etag_compares_weakly),
        cmocka_unit_test(another_etag_is_not_found),
        cmocka_unit_test(if_range_holds_for_the_strong_tag_or_the_date),
        cmocka_unit_test(a_range_is_cut_out_of_the_whole),
        cmocka_unit_test(what_is_no_single_range_is_ignored),
        cmocka_unit_test(a_range_behind_the_end_is_unsatisfiable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
