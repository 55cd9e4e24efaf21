/* src/base/clock.c -- the time. */
#include "base/clock.h"

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

void clock_format_http(int64_t ms, char out[CLOCK_HTTP_TEXT])
{
    struct tm tm = to_utc(ms);

    /* The program never calls setlocale(), so the names are the English ones the RFC wants. */
    if (strftime(out, CLOCK_HTTP_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        out[0] = '\0';
}

static int digits_at(const char *text, int n)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

bool clock_is_date(const char *text)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, last;

    if (strlen(text) != CLOCK_DATE_TEXT - 1 || text[4] != '-' || text[7] != '-')
        return false;
    year = digits_at(text, 4);
    month = digits_at(text + 5, 2);
    day = digits_at(text + 8, 2);
    if (year < 1 || month < 1 || month > 12)
        return false;
    last = month_days[month - 1];
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        last = 29;
    return day >= 1 && day <= last;
}

/* THH:MM:SSZ */
static bool read_time(const char *text, struct tm *tm)
{
    tm->tm_hour = digits_at(text + 1, 2);
    tm->tm_min = digits_at(text + 4, 2);
    tm->tm_sec = digits_at(text + 7, 2);
    return text[0] == 'T' && text[3] == ':' && text[6] == ':' && text[9] == 'Z' &&
           tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 &&
           tm->tm_sec >= 0 && tm->tm_sec < 60;
}

bool clock_parse(const char *text, int64_t *ret_ms)
{
    size_t len = strlen(text);
    struct tm tm = {0};
    char date[CLOCK_DATE_TEXT];

    if (len != CLOCK_DATE_TEXT - 1 && len != CLOCK_TEXT - 1)
        return false;
    memcpy(date, text, CLOCK_DATE_TEXT - 1);
    date[CLOCK_DATE_TEXT - 1] = '\0';
    if (!clock_is_date(date) || digits_at(text, 4) < 1970)
        return false;
    tm.tm_year = digits_at(text, 4) - 1900;
    tm.tm_mon = digits_at(text + 5, 2) - 1;
    tm.tm_mday = digits_at(text + 8, 2);
    if (len == CLOCK_TEXT - 1 && !read_time(text + CLOCK_DATE_TEXT - 1, &tm))
        return false;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return true;
}
