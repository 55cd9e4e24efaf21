/* src/base/clock.c -- the time. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/seam.h"

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_now_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000 + SEAM_CLOCK_MS() + SEAM_SKEW_MS();
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_cpu_ms(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID) / 1000;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_steady_ms(void)
{
    return clock_mono_ms() + SEAM_CLOCK_MS();
}

static struct tm to_utc(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    return tm;
}

void clock_format(int64_t ms, char text[CLOCK_TEXT])
{
    struct tm tm = to_utc(ms);

    if (strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        text[0] = '\0';
}

void clock_format_date(int64_t ms, char text[CLOCK_DATE_TEXT])
{
    struct tm tm = to_utc(ms);

    if (strftime(text, CLOCK_DATE_TEXT, "%Y-%m-%d", &tm) == 0)
        text[0] = '\0';
}

/* The program never calls setlocale(), so the names are the English ones that the RFC requires. */
#define IMF_FIXDATE "%a, %d %b %Y %H:%M:%S GMT"
#define RFC_850 "%A, %d-%b-%y %H:%M:%S GMT"
#define ASCTIME "%a %b %e %H:%M:%S %Y"

void clock_format_http(int64_t ms, char out[CLOCK_HTTP_TEXT])
{
    struct tm tm = to_utc(ms);

    if (strftime(out, CLOCK_HTTP_TEXT, IMF_FIXDATE, &tm) == 0)
        out[0] = '\0';
}

/* strptime() accepts more than the three forms: other blanks, digits and days. So the time that it
 * has read is printed again; the text must be the same, except for the name of the day. */
static bool is_written_time(const char *text, const struct tm *tm)
{
    enum { MONTH = 4, YEAR = 10, TIME = 12 }; /* in " 06 Nov 1994 08:49:37 GMT" */
    char imf[64] = "", rfc[64], asc[64] = "";
    const char *rest = text + strcspn(text, " ");

    if (strftime(imf, sizeof(imf), &IMF_FIXDATE[3], tm) != TIME + strlen(" 08:49:37 GMT") ||
        strftime(asc, sizeof(asc), &ASCTIME[2], tm) == 0)
        return false;
    snprintf(rfc, sizeof(rfc), "%.3s-%.3s-%.2s%s", imf, imf + MONTH, imf + YEAR, imf + TIME);
    return strcmp(rest, imf) == 0 || strcmp(rest, rfc) == 0 || strcmp(rest, asc) == 0;
}

bool clock_parse_http(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    int year = to_utc(now_ms).tm_year;
    struct tm tm = {0};
    int64_t ms;

    if (strptime(text, RFC_850, &tm) != NULL) {
        tm.tm_year = year - year % 100 + tm.tm_year % 100;
        if (tm.tm_year > year + 50)
            tm.tm_year -= 100;
    } else if (strptime(text, IMF_FIXDATE, &tm) == NULL && strptime(text, ASCTIME, &tm) == NULL) {
        return false;
    }
    ms = (int64_t)timegm(&tm) * 1000;
    if (!is_written_time(text, &tm))
        return false;
    *ret_ms = ms;
    return true;
}

/* Read all of `text`, of `len` characters, with strptime(); 31 April and leap seconds are
 * refused. */
static bool parse_exact(const char *text, size_t len, const char *format, struct tm *ret)
{
    bool exact = strlen(text) == len && strchr(text, ' ') == NULL; /* digits are not padded */
    const char *end = exact ? strptime(text, format, ret) : NULL;
    struct tm written = *ret;

    timegm(ret);
    return end != NULL && *end == '\0' && ret->tm_mday == written.tm_mday &&
           ret->tm_sec == written.tm_sec && ret->tm_year + 1900 >= 1;
}

static bool digits_to_number(const char *text, int digits, int *ret)
{
    *ret = 0;
    for (int i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *ret = *ret * 10 + (text[i] - '0');
    }
    return true;
}

static int days_in(int year, int month)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Calculated without libc, because every row of a result may contain one. */
bool clock_day(const char *text, size_t len, int64_t *ret)
{
    enum { TO_1970 = 719468 }; /* days from 0000-03-01 */
    int year, month, day, from_march;

    if (len != CLOCK_DATE_TEXT - 1 || text[4] != '-' || text[7] != '-' ||
        !digits_to_number(text, 4, &year) || !digits_to_number(text + 5, 2, &month) ||
        !digits_to_number(text + 8, 2, &day) || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_in(year, month))
        return false;
    /* In years that begin in March, the leap day is the last day. */
    from_march = (month + 9) % 12;
    year -= month <= 2;
    *ret = (int64_t)365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 +
           day - 1 - TO_1970;
    return true;
}

bool clock_is_date(const char *text)
{
    int64_t day;

    return clock_day(text, strlen(text), &day);
}

bool clock_parse(const char *text, int64_t *ret_ms)
{
    struct tm day = {0}, second = {0};
    bool is_day = parse_exact(text, CLOCK_DATE_TEXT - 1, "%Y-%m-%d", &day);
    struct tm *tm = is_day ? &day : &second;

    if ((!is_day && !parse_exact(text, CLOCK_TEXT - 1, "%Y-%m-%dT%H:%M:%SZ", tm)) ||
        tm->tm_year < 70)
        return false;
    *ret_ms = (int64_t)timegm(tm) * 1000;
    return true;
}
