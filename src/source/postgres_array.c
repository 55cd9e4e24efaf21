/* src/source/postgres_array.c -- an array, as PostgreSQL writes it, → JSON. */
#include <math.h>
#include <sodium.h>
#include <string.h>

#include "base/decimal.h"
#include "base/json.h"
#include "base/str.h"
#include "source/postgres_impl.h"

static const char too_large[] = "holds a value that is too large";

/* Those below append an element and return NULL, or what is wrong with it. `text` is what the
 * server wrote, `value` what its reader made of it. */

static const char *add_bytes(struct buf *out, const struct source_value *value)
{
    size_t room = sodium_base64_ENCODED_LEN(value->text.len, sodium_base64_VARIANT_ORIGINAL);
    char *place;

    buf_add_char(out, '"');
    place = buf_reserve(out, room);
    if (place == NULL)
        return too_large;
    sodium_bin2base64(place, room, (const unsigned char *)value->text.data, value->text.len,
                      sodium_base64_VARIANT_ORIGINAL);
    out->len += room - 1; /* without the NUL */
    buf_add_char(out, '"');
    return NULL;
}

/* A number that is finite is JSON already, as the server writes it. */
static const char *add_number(struct buf *out, const struct source_value *value,
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

static const char *add_value(struct buf *out, const struct source_value *value,
                             const struct buf *text)
{
    switch (value->kind) {
    case SOURCE_BOOLEAN:
        buf_add_str(out, value->integer != 0 ? "true" : "false");
        return NULL;
    case SOURCE_BLOB:
        return add_bytes(out, value);
    case SOURCE_JSON:
        buf_add(out, value->text.data, value->text.len);
        return NULL;
    case SOURCE_TEXT:
        return json_add_text(out, value->text.data, value->text.len)
                   ? NULL
                   : "holds text that is not UTF-8";
    default:
        return add_number(out, value, text);
    }
}

/* "…" with backslashes, or bare; *at goes behind it. Returns whether it was bare. */
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
    return why != NULL ? why : add_value(&column->array, &value, &column->element);
}

/* {1,2,NULL}, {{a,"b c"},{d,e}}; [0:1]={1,2} if the first element is not number 1. */
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
