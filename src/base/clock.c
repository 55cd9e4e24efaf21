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

/* All of `text`, of `len` characters, by strptime(): not 31 April, and no leap second. */
static bool read_all(const char *text, size_t len, const char *format, struct tm *ret)
{
    bool exact = strlen(text) == len && strchr(text, ' ') == NULL; /* digits are not padded */
    const char *end = exact ? strptime(text, format, ret) : NULL;
    struct tm written = *ret;

    timegm(ret);
    return end != NULL && *end == '\0' && ret->tm_mday == written.tm_mday &&
           ret->tm_sec == written.tm_sec && ret->tm_year + 1900 >= 1;
}

bool clock_is_date(const char *text)
{
    struct tm tm = {0};

    return read_all(text, CLOCK_DATE_TEXT - 1, "%Y-%m-%d", &tm);
}

bool clock_parse(const char *text, int64_t *ret_ms)
{
    struct tm day = {0}, second = {0};
    bool is_day = read_all(text, CLOCK_DATE_TEXT - 1, "%Y-%m-%d", &day);
    struct tm *tm = is_day ? &day : &second;

    if ((!is_day && !read_all(text, CLOCK_TEXT - 1, "%Y-%m-%dT%H:%M:%SZ", tm)) || tm->tm_year < 70)
        return false;
    *ret_ms = (int64_t)timegm(tm) * 1000;
    return true;
}
