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

static void if_match_compares_strongly(void **state)
{
    (void)state;
    assert_true(etag_listed_strongly("\"b\", \"a\"", "\"a\""));
    assert_true(etag_listed_strongly("W/\"a\", \"a\"", "\"a\""));
    assert_true(etag_listed_strongly("*", "\"a\""));
    assert_false(etag_listed_strongly("W/\"a\"", "\"a\""));
    assert_false(etag_listed_strongly("W/\"a\"", "W/\"a\""));
    assert_false(etag_listed_strongly("\"a\"", "W/\"a\""));
    assert_false(etag_listed_strongly("", "\"a\""));
    assert_false(etag_listed_strongly("a", "\"a\""));
    assert_false(etag_listed_strongly(NULL, "\"a\""));
}

/* 2024-01-02T03:04:05.678Z, which is told by the second. */
static const struct validators here = {.etag = "W/\"a-csv\"",
                                       .stored = {"\"a\"", "\"a-json-zstd\""},
                                       .modified_ms = INT64_C(1704164645678),
                                       .now_ms = INT64_C(1767225600000)},
                               none = {.now_ms = INT64_C(1767225600000)};
#define DATE(day, second) day ", 02 Jan 2024 03:04:" second " GMT"

static enum conditions_outcome outcome(const struct validators *validators, bool reads,
                                       const char *match, const char *unmodified_since,
                                       const char *none_match, const char *modified_since)
{
    struct conditions conditions = {match, unmodified_since, none_match, modified_since};

    return conditions_check(&conditions, validators, reads);
}

static void if_match_names_what_is_stored_and_nothing_else(void **state)
{
    static const char *const good[] = {"\"a\"", "*", "\"x\", \"a\"", "\"a-json-zstd\""};
    static const char *const bad[] = {"\"x\"", "W/\"a\"", "W/\"a-csv\"", "\"a-csv\"", "a", ""};

    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
            assert_int_equal(outcome(&here, reads, good[i], NULL, NULL, NULL), CONDITIONS_HOLD);
            assert_int_equal(outcome(&none, reads, good[i], NULL, NULL, NULL), CONDITIONS_FAIL);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
            assert_int_equal(outcome(&here, reads, bad[i], NULL, NULL, NULL), CONDITIONS_FAIL);
    }
}

static void dates_compare_by_the_second(void **state)
{
    static const struct {
        const char *date;
        enum conditions_outcome unmodified, modified; /* of a GET */
    } cases[] = {
        {DATE("Tue", "05"), CONDITIONS_HOLD, CONDITIONS_CACHED},
        {DATE("Tue", "06"), CONDITIONS_HOLD, CONDITIONS_CACHED},
        {DATE("Tue", "04"), CONDITIONS_FAIL, CONDITIONS_HOLD},
        {"Tuesday, 02-Jan-24 03:04:05 GMT", CONDITIONS_HOLD, CONDITIONS_CACHED},
        {"Tuesday, 02-Jan-24 03:04:04 GMT", CONDITIONS_FAIL, CONDITIONS_HOLD},
        {"Tue Jan  2 03:04:05 2024", CONDITIONS_HOLD, CONDITIONS_CACHED},
        {"Tue Jan  2 03:04:04 2024", CONDITIONS_FAIL, CONDITIONS_HOLD},
        {"yesterday", CONDITIONS_HOLD, CONDITIONS_HOLD}, /* ignored */
        {"", CONDITIONS_HOLD, CONDITIONS_HOLD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *date = cases[i].date;

        for (int reads = 0; reads < 2; reads++)
            assert_int_equal(outcome(&here, reads, NULL, date, NULL, NULL), cases[i].unmodified);
        assert_int_equal(outcome(&here, true, NULL, NULL, NULL, date), cases[i].modified);
        assert_int_equal(outcome(&here, false, NULL, NULL, NULL, date), CONDITIONS_HOLD);
    }
    assert_int_equal(outcome(&none, false, NULL, DATE("Tue", "05"), NULL, NULL), CONDITIONS_FAIL);
    assert_int_equal(outcome(&none, true, NULL, NULL, NULL, DATE("Tue", "05")), CONDITIONS_HOLD);
}

static void conditions_are_asked_in_their_order(void **state)
{
    const char *before = DATE("Tue", "04"), *after = DATE("Tue", "06");

    (void)state;
    /* If-Match takes the place of If-Unmodified-Since, … */
    assert_int_equal(outcome(&here, true, "\"a\"", before, NULL, NULL), CONDITIONS_HOLD);
    assert_int_equal(outcome(&here, true, "\"x\"", after, NULL, NULL), CONDITIONS_FAIL);
    /* … both come before If-None-Match, … */
    assert_int_equal(outcome(&here, true, "\"x\"", NULL, "*", NULL), CONDITIONS_FAIL);
    assert_int_equal(outcome(&here, true, NULL, before, "*", NULL), CONDITIONS_FAIL);
    assert_int_equal(outcome(&here, true, "*", NULL, "\"a-csv\"", NULL), CONDITIONS_CACHED);
    assert_int_equal(outcome(&here, false, "*", NULL, "\"a-csv\"", NULL), CONDITIONS_FAIL);
    /* … which takes the place of If-Modified-Since. */
    assert_int_equal(outcome(&here, true, NULL, NULL, "\"x\"", after), CONDITIONS_HOLD);
    assert_int_equal(outcome(&here, true, NULL, NULL, "*", before), CONDITIONS_CACHED);
    assert_int_equal(outcome(&none, false, NULL, NULL, "*", NULL), CONDITIONS_HOLD);
    assert_int_equal(outcome(&here, true, NULL, NULL, NULL, NULL), CONDITIONS_HOLD);
}

static void if_range_holds_for_the_strong_tag_or_the_date(void **state)
{
    struct validators json = here;

    (void)state;
    json.etag = "\"a\"";
    assert_true(if_range_holds(NULL, &json));
    assert_true(if_range_holds("\"a\"", &json));
    assert_true(if_range_holds(DATE("Tue", "05"), &json));
    assert_true(if_range_holds("Tuesday, 02-Jan-24 03:04:05 GMT", &json));
    assert_true(if_range_holds("Tue Jan  2 03:04:05 2024", &json));
    assert_false(if_range_holds("W/\"a\"", &json));
    assert_false(if_range_holds("*", &json));
    assert_false(if_range_holds("\"a\", \"b\"", &json));
    assert_false(if_range_holds(DATE("Tue", "06"), &json));
    assert_false(if_range_holds(DATE("Tue", "04"), &json));
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
        cmocka_unit_test(if_match_compares_strongly),
        cmocka_unit_test(if_match_names_what_is_stored_and_nothing_else),
        cmocka_unit_test(dates_compare_by_the_second),
        cmocka_unit_test(conditions_are_asked_in_their_order),
        cmocka_unit_test(if_range_holds_for_the_strong_tag_or_the_date),
        cmocka_unit_test(a_range_is_cut_out_of_the_whole),
        cmocka_unit_test(what_is_no_single_range_is_ignored),
        cmocka_unit_test(a_range_behind_the_end_is_unsatisfiable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
