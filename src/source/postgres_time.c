/* src/source/postgres_time.c -- timestamps with a zone, in whatever zone the session writes them, →
 * RFC 3339 in UTC. */
#include <string.h>

#include "source/postgres_impl.h"

enum { DAY_S = 86400, ERA_DAYS = 146097, YEAR_DIGITS_MAX = 7 };

/* "2024-01-12 14:04:05.5+11", as ISO style writes it; years before 1 end in " BC". */
struct zoned {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
    int64_t seconds;      /* of the day, west of UTC or east of it still to be taken off */
    const char *fraction; /* with its point */
    size_t fraction_len;
};

/* Days since 0000-03-01 of the proleptic Gregorian calendar, and back
 * (https://howardhinnant.github.io/date_algorithms.html). */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * ERA_DAYS + yoe * 365 + yoe / 4 - yoe / 100 + doy;
}

static void date_of(int64_t days, struct zoned *ret)
{
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t doe = days - era * ERA_DAYS;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    ret->year = yoe + era * 400 + (ret->month <= 2);
}

/* Digits, `least` to `most` of them; false: other than that. */
static bool take_number(const char **at, int least, int most, int64_t *ret)
{
    int count = 0;

    for (*ret = 0; count < most && **at >= '0' && **at <= '9'; count++)
        *ret = *ret * 10 + *(*at)++ - '0';
    return count >= least && (**at < '0' || **at > '9');
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static bool take_date(const char **at, struct zoned *ret)
{
    int64_t month, day;

    if (!take_number(at, 4, YEAR_DIGITS_MAX, &ret->year) || !take(at, '-') ||
        !take_number(at, 2, 2, &month) || !take(at, '-') || !take_number(at, 2, 2, &day) ||
        !take(at, ' '))
        return false;
    ret->month = (int)month;
    ret->day = (int)day;
    return month >= 1 && month <= 12 && day >= 1;
}

/* HH[:MM[:SS]] as seconds. */
static bool take_clock(const char **at, bool whole, int64_t *ret)
{
    int64_t part;

    if (!take_number(at, 2, 2, ret))
        return false;
    *ret *= 3600;
    for (int64_t unit = 60; unit > 0; unit /= 60) {
        if (**at != ':')
            return !whole;
        ++*at;
        if (!take_number(at, 2, 2, &part))
            return false;
        *ret += part * unit;
    }
    return true;
}

/* A timestamp at *at, which goes behind it; false: there is none, and *at is anywhere. */
static bool take_zoned(const char **at, struct zoned *ret)
{
    int64_t offset;
    bool east;

    if (!take_date(at, ret) || !take_clock(at, true, &ret->seconds))
        return false;
    ret->fraction = *at;
    if (take(at, '.'))
        *at += strspn(*at, "0123456789");
    ret->fraction_len = (size_t)(*at - ret->fraction);
    east = **at == '+';
    if ((!take(at, '+') && !take(at, '-')) || !take_clock(at, false, &offset))
        return false;
    ret->seconds -= east ? offset : -offset;
    if (strncmp(*at, " BC", 3) == 0) {
        *at += 3;
        ret->year = 1 - ret->year;
    }
    return true;
}

static void add_utc(struct buf *out, struct zoned *t)
{
    int64_t days = days_of(t->year, t->month, t->day);
    bool before;

    if (t->seconds < 0 || t->seconds >= DAY_S) {
        int64_t over = t->seconds < 0 ? -1 : 1;

        days += over;
        t->seconds -= over * DAY_S;
    }
    date_of(days, t);
    before = t->year < 1;
    buf_add_format(out, "%04lld-%02d-%02dT%02d:%02d:%02d",
                   (long long)(before ? 1 - t->year : t->year), t->month, t->day,
                   (int)(t->seconds / 3600), (int)(t->seconds / 60 % 60), (int)(t->seconds % 60));
    buf_add(out, t->fraction, t->fraction_len);
    buf_add_str(out, before ? "Z BC" : "Z");
}

const char *pg_read_zoned(struct pg_column *column, const char *text, size_t len,
                          struct source_value *ret)
{
    struct buf *out = &column->text;
    const char *from = text, *end = text + len;

    buf_reset(out);
    while (from < end) {
        const char *at = from;
        struct zoned zoned;

        if (take_zoned(&at, &zoned)) {
            add_utc(out, &zoned);
            from = at;
        } else {
            buf_add_char(out, *from++);
        }
    }
    ret->kind = SOURCE_TEXT;
    ret->text.data = buf_str(out);
    ret->text.len = out->len;
    return buf_failed(out) ? "holds a value that is too large" : NULL;
}
