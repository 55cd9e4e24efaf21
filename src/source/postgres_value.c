/* src/source/postgres_value.c -- values from the text that PostgreSQL writes for them. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "source/postgres_impl.h"

/* The readers take what the settings of postgres.c make the server write. Text because, measured,
 * binary is at most a fifth faster, and numeric and dates would have to be made text here. */

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

/* NaN and Infinity too: whether they can be shown is not for us to say. */
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

/* Of a database whose encoding is SQL_ASCII nobody has looked at the bytes. */
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

/* "2024-01-12 03:04:05.5" → "2024-01-12T03:04:05.5". What has no time of day, "infinity", stays. */
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
static const char *read_bytes(struct pg_column *column, const char *text, size_t len,
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

/* By pg_type.h's numbers, which never change. BLOB: no number, boolean, text or JSON. */
static const struct {
    Oid type;
    pg_read_fn *read;
    enum source_kind kind;
} readers[] = {
    {16, read_boolean, SOURCE_BOOLEAN},   /* bool */
    {17, read_bytes, SOURCE_BLOB},        /* bytea */
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
    {1184, pg_read_zoned, SOURCE_BLOB},   /* timestamptz */
    {1186, pg_read_text, SOURCE_BLOB},    /* interval */
    {1700, read_numeric, SOURCE_NUMERIC}, /* numeric */
    {2950, pg_read_text, SOURCE_BLOB},    /* uuid */
    {3802, read_json, SOURCE_JSON},       /* jsonb */
    {3910, pg_read_zoned, SOURCE_BLOB},   /* tstzrange */
    {4534, pg_read_zoned, SOURCE_BLOB},   /* tstzmultirange */
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
