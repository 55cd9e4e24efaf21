/* src/core/day.c -- days that a definition names by how they stand to today. */
#include "core/day.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

enum { DAYS_DIGITS_MAX = 5 };

static bool write_day(struct tm *tm, char out[CLOCK_DATE_TEXT])
{
    int year;

    timegm(tm); /* 31 April becomes 1 May, day 0 the last of the month before */
    year = tm->tm_year + 1900;
    if (year < 1 || year > 9999)
        return false;
    snprintf(out, CLOCK_DATE_TEXT, "%04u-%02u-%02u", (unsigned)year % 10000,
             (unsigned)(tm->tm_mon + 1) % 100, (unsigned)tm->tm_mday % 100);
    return true;
}

/* today, today-Nd or today+Nd: how many days from today. */
static bool read_distance(const char *word, int *ret)
{
    static const char today[] = "today";
    const char *at = word + strlen(today);
    size_t digits;

    if (!str_starts(word, today))
        return false;
    *ret = 0;
    if (*at == '\0')
        return true;
    digits = strspn(at + 1, "0123456789");
    if ((*at != '-' && *at != '+') || digits < 1 || digits > DAYS_DIGITS_MAX ||
        !str_eq(at + 1 + digits, "d"))
        return false;
    for (size_t i = 1; i <= digits; i++)
        *ret = *ret * 10 + at[i] - '0';
    if (*at == '-')
        *ret = -*ret;
    return true;
}

bool day_of_word(const char *word, int64_t now_ms, const struct zone *zone,
                 char out[CLOCK_DATE_TEXT])
{
    static const struct {
        const char *word;
        int months; /* from this one; a day of 0 is the last one of the month before */
        int day;
    } words[] = {
        {"month-start", 0, 1},
        {"month-end", 1, 0},
        {"last-month-start", -1, 1},
        {"last-month-end", 0, 0},
    };
    time_t local = (time_t)(now_ms / 1000 + zone_offset(zone, now_ms / 1000));
    struct tm tm = {0};
    int days;

    gmtime_r(&local, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    if (read_distance(word, &days)) {
        tm.tm_mday += days;
        return write_day(&tm, out);
    }
    if (str_eq(word, "year-start")) {
        tm.tm_mon = 0;
        tm.tm_mday = 1;
        return write_day(&tm, out);
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!str_eq(word, words[i].word))
            continue;
        tm.tm_mon += words[i].months;
        tm.tm_mday = words[i].day;
        return write_day(&tm, out);
    }
    return false;
}
