/* tests/unit/zone_test.c -- time zones agree with libc's own, moments are read as they are written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/timestamp.h"

static const char folder[] = "/usr/share/zoneinfo/";
static int zones, compared;
static uint64_t seed = 42;

static uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* What libc says, which has one zone per process: TZ. */
static int64_t libc_offset(int64_t s)
{
    time_t seconds = (time_t)s;
    struct tm tm;

    assert_non_null(localtime_r(&seconds, &tm));
    return tm.tm_gmtoff;
}

static void compare_at(const char *name, const struct zone *zone, int64_t s)
{
    int64_t got = zone_offset(zone, s), want = libc_offset(s), first;

    if (got != want)
        fail_msg("%s at %lld: %lld, not %lld", name, (long long)s, (long long)got, (long long)want);
    /* The local time of a moment is found, and the moment from it unless it exists twice. */
    switch (zone_moments(zone, s + got, &first)) {
    case 1:
        assert_int_equal(first, s);
        break;
    case 2:
        assert_true(first <= s);
        break;
    default:
        fail_msg("%s at %lld: its local time is not found", name, (long long)s);
    }
    compared++;
}

static int compare_zone(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    const char *name = path + strlen(folder);
    struct zone *zone;
    struct err err;

    (void)st;
    (void)place;
    if (kind != FTW_F || strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0 ||
        zone_open(name, &zone, &err) != 0)
        return 0;
    zones++;
    setenv("TZ", name, 1);
    tzset();
    for (int i = 0; i < 50; i++) {
        /* 1850 to 2600, and near the change of a year */
        compare_at(name, zone,
                   (int64_t)(random_bits() % UINT64_C(23668200000)) - INT64_C(3786825600));
        compare_at(name, zone,
                   (1900 + (int64_t)(random_bits() % 300)) * 31556952 - INT64_C(62167219200) +
                       (int64_t)(random_bits() % 172800) - 86400);
    }
    /* Twice a day of two years, one of them behind the file's last change. */
    for (int64_t s = 1704067200; s < 1704067200 + 366 * 86400;
         s += 21600 + (int64_t)(random_bits() % 43200)) {
        compare_at(name, zone, s);
        compare_at(name, zone, s + INT64_C(4733510400));
    }
    zone_free(zone);
    return 0;
}

static void every_zone_is_as_libc_has_it(void **state)
{
    (void)state;
    assert_int_equal(nftw(folder, compare_zone, 16, FTW_PHYS), 0);
    unsetenv("TZ");
    tzset();
    assert_true(zones > 300); /* of about 350 that are no links */
    assert_true(compared > 300000);
}

static void what_is_no_zone_is_refused(void **state)
{
    static const char *const names[] = {
        "",         "Mars/Olympus", "../zoneinfo/UTC",  "/usr/share/zoneinfo/UTC",
        "Europe",   "UTC/",         "Australia/sydney", "tzdata.zi",
        "zone.tab", "right/UTC",    "+11:00",           "Europe/Ber\nlin",
    };
    struct zone *zone = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (zone_open(names[i], &zone, &err) != -E_INVALID)
            fail_msg("%s is a zone", names[i]);
        assert_null(zone);
        assert_non_null(strstr(err.text, "is not a time zone"));
    }
}

static void check_read(const char *text, const struct zone *zone, const char *want)
{
    static const char *const faults[] = {[TIMESTAMP_UNREADABLE] = "unreadable",
                                         [TIMESTAMP_SKIPPED] = "skipped",
                                         [TIMESTAMP_TWICE] = "twice"};
    char out[TIMESTAMP_TEXT] = "";
    enum timestamp_reading rc = timestamp_read(text, zone, out);
    const char *got = rc == TIMESTAMP_GOOD ? out : faults[rc];

    if (strcmp(got, want) != 0)
        fail_msg("'%s' is %s, not %s", text, got, want);
}

static void a_moment_is_read_as_it_is_written(void **state)
{
    static const char *const cases[][2] = {
        {"2024-01-12T03:04:05Z", "2024-01-12T03:04:05Z"},
        {"2024-01-12t03:04:05z", "2024-01-12T03:04:05Z"},
        {"2024-01-12 03:04:05.500+11:00", "2024-01-11T16:04:05.5Z"},
        {"2024-02-29T23:59:59.000001-00:30", "2024-03-01T00:29:59.000001Z"},
        {"2024-01-12T03:04:05.0000000Z", "2024-01-12T03:04:05Z"},
        {"2024-01-12T03:04:05.123456000Z", "2024-01-12T03:04:05.123456Z"},
        {"2024-01-12T03:04:05.1234567Z", "unreadable"},
        {"2024-01-12T03:04", "2024-01-12T03:04:00Z"},
        {"2024-01-12 03:04Z", "2024-01-12T03:04:00Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"0001-01-01T00:00:00+00:01", "unreadable"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
        {"9999-12-31T23:59:59-00:01", "unreadable"},
        {"2024-01-12", "unreadable"},
        {"2024-01-12T", "unreadable"},
        {"2024-01-12T03", "unreadable"},
        {"2024-01-12T3:04:05Z", "unreadable"},
        {"2024-01-12T24:00:00Z", "unreadable"},
        {"2024-01-12T23:60:00Z", "unreadable"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"}, /* a leap second */
        {"2015-07-01T01:59:60.5+02:00", "2015-07-01T00:00:00.5Z"},
        {"2016-12-31T23:58:60Z", "unreadable"},
        {"2016-12-31T22:59:60Z", "unreadable"},
        {"2016-12-30T23:59:60Z", "unreadable"},
        {"2016-03-31T23:59:60Z", "unreadable"},
        {"2016-12-31T23:59:61Z", "unreadable"},
        {"9999-12-31T23:59:60Z", "unreadable"},
        {"2023-02-29T00:00:00Z", "unreadable"},
        {"2024-01-12T03:04:05.Z", "unreadable"},
        {"2024-01-12T03:04:05+1100", "unreadable"},
        {"2024-01-12T03:04:05+24:00", "unreadable"},
        {"2024-01-12T03:04:05+11", "unreadable"},
        {"2024-01-12T03:04:05Z ", "unreadable"},
        {" 2024-01-12T03:04:05Z", "unreadable"},
        {"", "unreadable"},
        {"now", "unreadable"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_read(cases[i][0], NULL, cases[i][1]);
}

static void a_local_time_is_of_its_zone_if_it_exists_once(void **state)
{
    static const char *const cases[][2] = {
        {"2024-01-12 14:04", "2024-01-12T03:04:00Z"},    /* summer */
        {"2024-07-12 14:04", "2024-07-12T04:04:00Z"},    /* winter */
        {"2124-01-12 14:04", "2124-01-12T03:04:00Z"},    /* by the rule */
        {"2024-10-06T01:59:59", "2024-10-05T15:59:59Z"}, /* clocks go from 2:00 to 3:00 */
        {"2024-10-06T02:00:00", "skipped"},
        {"2024-10-06T02:59:59.9", "skipped"},
        {"2024-10-06T03:00:00", "2024-10-05T16:00:00Z"},
        {"2024-04-07T01:59:59", "2024-04-06T14:59:59Z"}, /* and from 3:00 back to 2:00 */
        {"2024-04-07T02:00:00", "twice"},
        {"2024-04-07T02:59:59", "twice"},
        {"2024-04-07T03:00:00", "2024-04-06T17:00:00Z"},
        {"2024-04-07T02:30:00+11:00", "2024-04-06T15:30:00Z"},
        {"2024-04-07T02:30:00+10:00", "2024-04-06T16:30:00Z"},
    };
    struct zone *zone;

    (void)state;
    assert_int_equal(zone_open("Australia/Sydney", &zone, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_read(cases[i][0], zone, cases[i][1]);
    zone_free(zone);
    /* A whole day that was left out, and half an hour of daylight saving. */
    assert_int_equal(zone_open("Pacific/Apia", &zone, NULL), 0);
    check_read("2011-12-30 12:00", zone, "skipped");
    check_read("2011-12-31 12:00", zone, "2011-12-30T22:00:00Z");
    zone_free(zone);
    assert_int_equal(zone_open("Australia/Lord_Howe", &zone, NULL), 0);
    check_read("2024-04-07 01:45", zone, "twice");
    check_read("2024-10-06 02:15", zone, "skipped");
    zone_free(zone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_zone_is_as_libc_has_it),
        cmocka_unit_test(what_is_no_zone_is_refused),
        cmocka_unit_test(a_moment_is_read_as_it_is_written),
        cmocka_unit_test(a_local_time_is_of_its_zone_if_it_exists_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
