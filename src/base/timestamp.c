/* src/base/timestamp.c -- timestamps as people write them, in UTC. */
#include "base/timestamp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum { DATE_BYTES = CLOCK_DATE_TEXT - 1, FRACTION_MAX = 6 };

static const int64_t first_s = INT64_C(-62135596800); /* 0001-01-01T00:00:00Z */
static const int64_t last_s = INT64_C(253402300799);  /* 9999-12-31T23:59:59Z */

/* Read two digits, of a value of at most `most`. */
static bool take_two(const char **at, int most, int *ret)
{
    for (int i = 0; i < 2; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9')
            return false;
    }
    *ret = ((*at)[0] - '0') * 10 + (*at)[1] - '0';
    *at += 2;
    return *ret <= most;
}

static bool take_date(const char **at, struct tm *ret)
{
    char date[CLOCK_DATE_TEXT] = "";

    strncpy(date, *at, DATE_BYTES);
    if (!clock_is_date(date) ||
        sscanf(date, "%4d-%2d-%2d", &ret->tm_year, &ret->tm_mon, &ret->tm_mday) != 3)
        return false;
    ret->tm_year -= 1900;
    ret->tm_mon -= 1;
    *at += DATE_BYTES;
    return true;
}

/* HH:MM[:SS[.fraction]]; `fraction` contains its point and no trailing zeros. */
static bool take_clock(const char **at, struct tm *ret, char fraction[FRACTION_MAX + 2])
{
    size_t digits;

    fraction[0] = '\0';
    if (!take_two(at, 23, &ret->tm_hour) || *(*at)++ != ':' || !take_two(at, 59, &ret->tm_min))
        return false;
    if (**at != ':')
        return true;
    ++*at;
    if (!take_two(at, 60, &ret->tm_sec))
        return false;
    if (**at != '.')
        return true;
    digits = strspn(*at + 1, "0123456789");
    if (digits == 0)
        return false;
    for (const char *end = *at + 1 + digits; digits > 0 && end[-1] == '0'; end--)
        digits--;
    if (digits > FRACTION_MAX)
        return false;
    if (digits > 0)
        snprintf(fraction, FRACTION_MAX + 2, "%.*s", (int)digits + 1, *at);
    *at += 1 + strspn(*at + 1, "0123456789");
    return true;
}

/* Z or ±HH:MM, then the end of the text: 1; the end at once, which means local time: 0; else -1. */
static int take_offset(const char *at, int64_t *ret)
{
    int hours, minutes, sign = *at == '-' ? -1 : 1;

    *ret = 0;
    if (*at == '\0')
        return 0;
    if (*at == 'Z' || *at == 'z')
        return at[1] == '\0' ? 1 : -1;
    if (*at != '+' && *at != '-')
        return -1;
    at++;
    if (!take_two(&at, 23, &hours) || *at++ != ':' || !take_two(&at, 59, &minutes) || *at != '\0')
        return -1;
    *ret = (int64_t)sign * (hours * 3600 + minutes * 60);
    return 1;
}

static enum timestamp_reading write_utc(int64_t s, const char *fraction, char out[TIMESTAMP_TEXT])
{
    time_t seconds = (time_t)s;
    struct tm tm = {0};

    if (s < first_s || s > last_s)
        return TIMESTAMP_UNREADABLE;
    gmtime_r(&seconds, &tm);
    snprintf(out, TIMESTAMP_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u%.7sZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, fraction);
    return TIMESTAMP_GOOD;
}

/* Is it the moment after a leap second? RFC 3339 (appendix D) has those at the end of June and
 * December. */
static bool ends_half_year(int64_t s)
{
    time_t seconds = (time_t)s;
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    return tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0 && tm.tm_mday == 1 &&
           tm.tm_mon % 6 == 0;
}

enum timestamp_reading timestamp_read(const char *text, const struct zone *zone,
                                      char out[TIMESTAMP_TEXT])
{
    char fraction[FRACTION_MAX + 2];
    struct tm tm = {0};
    int64_t s, offset;
    int has_offset, moments;
    bool leap;

    if (!take_date(&text, &tm) || *text == '\0' || strchr("Tt ", *text) == NULL)
        return TIMESTAMP_UNREADABLE;
    text++;
    if (!take_clock(&text, &tm, fraction))
        return TIMESTAMP_UNREADABLE;
    has_offset = take_offset(text, &offset);
    if (has_offset < 0)
        return TIMESTAMP_UNREADABLE;
    leap = tm.tm_sec == 60;
    s = (int64_t)timegm(&tm) - offset;
    moments = has_offset ? 1 : zone_moments(zone, s, &s);
    if (moments != 1)
        return moments == 0 ? TIMESTAMP_SKIPPED : TIMESTAMP_TWICE;
    if (leap && !ends_half_year(s))
        return TIMESTAMP_UNREADABLE;
    return write_utc(s, fraction, out);
}

void timestamp_for_sqlite(const char *utc, char out[TIMESTAMP_TEXT])
{
    const char *fraction = utc + strlen("2024-01-12T03:04:05");
    size_t digits = *fraction == '.' ? strspn(fraction + 1, "0123456789") : 0;
    char *end;

    snprintf(out, TIMESTAMP_TEXT, "%.*s", (int)(fraction - utc + (digits > 0) + (long)digits), utc);
    out[strlen("2024-01-12")] = ' ';
    end = out + strlen(out);
    for (; digits % 3 != 0; digits++)
        *end++ = '0';
    *end = '\0';
}
