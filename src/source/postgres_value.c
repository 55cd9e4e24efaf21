/* src/source/postgres_value.c -- values read from the text that PostgreSQL writes. */
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/str.h"
#include "source/postgres_impl.h"

/* ---- timestamps with a zone, in whatever zone the session writes them → RFC 3339 in UTC ---- */

enum { DAY_S = 86400, ERA_DAYS = 146097, YEAR_DIGITS_MAX = 7 };

/* "2024-01-12 14:04:05.5+11", in ISO style; years before 1 end with " BC". */
struct zoned {
    int64_t year; /* astronomical: 0 is 1 BC */
    int month, day;
    int64_t seconds;      /* of the day; the offset from UTC is not yet subtracted */
    const char *fraction; /* including its point */
    size_t fraction_len;
};

/* Days since 0000-03-01 in the proleptic Gregorian calendar, and back
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

/* Read `least` to `most` digits; false: there is something else. */
static bool take_digits(const char **at, int least, int most, int64_t *ret)
{
    int count = 0;

    for (*ret = 0; count < most && **at >= '0' && **at <= '9'; count++)
        *ret = *ret * 10 + *(*at)++ - '0';
    return count >= least && (**at < '0' || **at > '9');
}

static bool take_zoned_date(const char **at, struct zoned *ret)
{
    int64_t month, day;

    if (!take_digits(at, 4, YEAR_DIGITS_MAX, &ret->year) || !str_take(at, '-') ||
        !take_digits(at, 2, 2, &month) || !str_take(at, '-') || !take_digits(at, 2, 2, &day) ||
        !str_take(at, ' '))
        return false;
    ret->month = (int)month;
    ret->day = (int)day;
    return month >= 1 && month <= 12 && day >= 1;
}

/* Read HH[:MM[:SS]] as seconds. */
static bool take_hours(const char **at, bool whole, int64_t *ret)
{
    int64_t part;

    if (!take_digits(at, 2, 2, ret))
        return false;
    *ret *= 3600;
    for (int64_t unit = 60; unit > 0; unit /= 60) {
        if (**at != ':')
            return !whole;
        ++*at;
        if (!take_digits(at, 2, 2, &part))
            return false;
        *ret += part * unit;
    }
    return true;
}

/* Read a timestamp at *at, which moves past it; false: there is none, and *at is undefined. */
static bool take_zoned(const char **at, struct zoned *ret)
{
    int64_t offset;
    bool east;

    if (!take_zoned_date(at, ret) || !take_hours(at, true, &ret->seconds))
        return false;
    ret->fraction = *at;
    if (str_take(at, '.'))
        *at += strspn(*at, "0123456789");
    ret->fraction_len = (size_t)(*at - ret->fraction);
    east = **at == '+';
    if ((!str_take(at, '+') && !str_take(at, '-')) || !take_hours(at, false, &offset))
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

/* Reads timestamptz and its ranges. */
static const char *read_zoned(struct pg_column *column, const char *text, size_t len,
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

/* ---- an array → JSON ---- */

static const char too_large[] = "holds a value that is too large";

/* These functions append an element and return NULL, or what is wrong with it. `text` is the
 * server's text, `value` what its reader made of it. */

static const char *add_base64(struct buf *out, const struct source_value *value)
{
    return base64_add(out, value->text.data, value->text.len) ? NULL : too_large;
}

/* A finite number as the server writes it is valid JSON already. */
static const char *add_value_number(struct buf *out, const struct source_value *value,
                                    const struct buf *text)
{
    bool finite = value->kind == SOURCE_REAL      ? isfinite(value->real)
                  : value->kind == SOURCE_NUMERIC ? decimal_is_plain(text->data, text->len)
                                                  : true;

    if (!finite)
        return "is not a finite number, which JSON cannot express";
    buf_add(out, text->data, text->len);
    return NULL;
}

static const char *add_array_element(struct buf *out, const struct source_value *value,
                                     const struct buf *text)
{
    switch (value->kind) {
    case SOURCE_BOOLEAN:
        buf_add_str(out, value->integer != 0 ? "true" : "false");
        return NULL;
    case SOURCE_BLOB:
        return add_base64(out, value);
    case SOURCE_JSON:
        buf_add(out, value->text.data, value->text.len);
        return NULL;
    case SOURCE_TEXT:
        return json_add_text(out, value->text.data, value->text.len)
                   ? NULL
                   : "holds text that is not UTF-8";
    default:
        return add_value_number(out, value, text);
    }
}

/* Read "…" with backslashes, or a bare element; *at moves past it. Returns whether it was bare. */
static bool take_element(struct buf *element, char delimiter, const char **at)
{
    const char *c = *at;
    bool bare = *c != '"';

    buf_reset(element);
    if (bare) {
        size_t len = strcspn(c, (char[]){delimiter, '}', '\0'});

        buf_add(element, c, len);
        *at = c + len;
        return true;
    }
    for (c++; *c != '"' && *c != '\0'; c++) {
        if (*c == '\\' && c[1] != '\0')
            c++;
        buf_add_char(element, *c);
    }
    *at = *c == '"' ? c + 1 : c;
    return false;
}

static const char *add_element(struct pg_column *column, const char **at)
{
    bool bare = take_element(&column->element, column->delimiter, at);
    struct source_value value;
    const char *text, *why;

    if (buf_failed(&column->element))
        return too_large;
    text = buf_str(&column->element);
    if (bare && str_eq(text, "NULL")) {
        buf_add_str(&column->array, "null");
        return NULL;
    }
    why = column->read_element(column, text, column->element.len, &value);
    return why != NULL ? why : add_array_element(&column->array, &value, &column->element);
}

/* {1,2,NULL}, {{a,"b c"},{d,e}}; [0:1]={1,2} if the first index is not 1. */
const char *pg_read_array(struct pg_column *column, const char *text, size_t len,
                          struct source_value *ret)
{
    const char *end = text + len, *at = memchr(text, '{', len), *why = NULL;
    struct buf *out = &column->array;

    buf_reset(out);
    while (why == NULL && at != NULL && at < end) {
        if (*at == column->delimiter)
            buf_add_char(out, ',');
        else if (*at == '{' || *at == '}')
            buf_add_char(out, *at == '{' ? '[' : ']');
        else {
            why = add_element(column, &at);
            continue;
        }
        at++;
    }
    ret->kind = SOURCE_JSON;
    ret->text.data = buf_str(out);
    ret->text.len = out->len;
    return why == NULL && buf_failed(out) ? too_large : why;
}

/* ---- the readers ---- */

/* The readers take what the server writes with the settings of postgres.c. Text, because binary was
 * measured to be at most a fifth faster, and numeric and dates would have to be converted to text
 * here. */

static void give(struct source_value *ret, enum source_kind kind, const char *text, size_t len)
{
    ret->kind = kind;
    ret->text.data = text;
    ret->text.len = len;
}

const char *pg_read_text(struct pg_column *column, const char *text, size_t len,
                         struct source_value *ret)
{
    (void)column;
    give(ret, SOURCE_TEXT, text, len);
    return NULL;
}

static const char *read_integer(struct pg_column *column, const char *text, size_t len,
                                struct source_value *ret)
{
    (void)column;
    (void)len;
    ret->kind = SOURCE_INTEGER;
    return str_to_int64(text, &ret->integer) ? NULL : "holds an integer that cannot be read";
}

/* NaN and Infinity, too: the caller decides whether they can be shown. */
static const char *read_real(struct pg_column *column, const char *text, size_t len,
                             struct source_value *ret)
{
    (void)column;
    (void)len;
    ret->kind = SOURCE_REAL;
    ret->real = strtod(text, NULL);
    return NULL;
}

static const char *read_numeric(struct pg_column *column, const char *text, size_t len,
                                struct source_value *ret)
{
    (void)column;
    give(ret, SOURCE_NUMERIC, text, len);
    return NULL;
}

static const char *read_boolean(struct pg_column *column, const char *text, size_t len,
                                struct source_value *ret)
{
    (void)column;
    (void)len;
    ret->kind = SOURCE_BOOLEAN;
    ret->integer = *text == 't';
    return NULL;
}

/* In a database with the encoding SQL_ASCII, the bytes have not been checked. */
static const char *read_json(struct pg_column *column, const char *text, size_t len,
                             struct source_value *ret)
{
    (void)column;
    for (size_t at = 0, step; at < len; at += step) {
        step = str_utf8_length(text + at, len - at);
        if (step == 0)
            return "holds text that is not UTF-8";
    }
    give(ret, SOURCE_JSON, text, len);
    return NULL;
}

/* "2024-01-12 03:04:05.5" → "2024-01-12T03:04:05.5". A text without a time of day, such as
 * "infinity", stays. */
static const char *read_timestamp(struct pg_column *column, const char *text, size_t len,
                                  struct source_value *ret)
{
    const char *blank = memchr(text, ' ', len);
    struct buf *out = &column->text;

    buf_reset(out);
    buf_add(out, text, len);
    if (blank != NULL && !buf_failed(out))
        out->data[blank - text] = 'T';
    give(ret, SOURCE_TEXT, buf_str(out), out->len);
    return buf_failed(out) ? "holds a value that is too large" : NULL;
}

/* "\x00ff" → two bytes. */
static const char *read_bytea(struct pg_column *column, const char *text, size_t len,
                              struct source_value *ret)
{
    struct buf *out = &column->text;
    char *place;

    buf_reset(out);
    place = buf_reserve(out, len / 2);
    if (place == NULL)
        return "holds a value that is too large";
    if (len < 2 || sodium_hex2bin((unsigned char *)place, len / 2, text + 2, len - 2, NULL,
                                  &out->len, NULL) != 0)
        return "holds bytes that cannot be read";
    give(ret, SOURCE_BLOB, place, out->len);
    return NULL;
}

/* By the numbers in pg_type.h, which never change. BLOB: not a number, boolean, text or JSON. */
static const struct {
    Oid type;
    pg_read_fn *read;
    enum source_kind kind;
} readers[] = {
    {16, read_boolean, SOURCE_BOOLEAN},   /* bool */
    {17, read_bytea, SOURCE_BLOB},        /* bytea */
    {18, pg_read_text, SOURCE_TEXT},      /* "char" */
    {19, pg_read_text, SOURCE_TEXT},      /* name */
    {20, read_integer, SOURCE_INTEGER},   /* int8 */
    {21, read_integer, SOURCE_INTEGER},   /* int2 */
    {23, read_integer, SOURCE_INTEGER},   /* int4 */
    {25, pg_read_text, SOURCE_TEXT},      /* text */
    {26, read_integer, SOURCE_INTEGER},   /* oid */
    {114, read_json, SOURCE_JSON},        /* json */
    {700, read_real, SOURCE_REAL},        /* float4 */
    {701, read_real, SOURCE_REAL},        /* float8 */
    {705, pg_read_text, SOURCE_TEXT},     /* unknown */
    {790, pg_read_text, SOURCE_BLOB},     /* money */
    {1042, pg_read_text, SOURCE_TEXT},    /* char(n) */
    {1043, pg_read_text, SOURCE_TEXT},    /* varchar */
    {1082, pg_read_text, SOURCE_BLOB},    /* date */
    {1083, pg_read_text, SOURCE_BLOB},    /* time */
    {1114, read_timestamp, SOURCE_BLOB},  /* timestamp */
    {1184, read_zoned, SOURCE_BLOB},      /* timestamptz */
    {1186, pg_read_text, SOURCE_BLOB},    /* interval */
    {1700, read_numeric, SOURCE_NUMERIC}, /* numeric */
    {2950, pg_read_text, SOURCE_BLOB},    /* uuid */
    {3802, read_json, SOURCE_JSON},       /* jsonb */
    {3910, read_zoned, SOURCE_BLOB},      /* tstzrange */
    {4534, read_zoned, SOURCE_BLOB},      /* tstzmultirange */
};

enum source_kind pg_type_kind(Oid type)
{
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (readers[i].type == type)
            return readers[i].kind;
    }
    return SOURCE_NULL;
}

pg_read_fn *pg_type_reader(Oid type)
{
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (readers[i].type == type)
            return readers[i].read;
    }
    return NULL;
}
