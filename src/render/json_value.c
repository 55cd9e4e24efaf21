/* src/render/json_value.c -- one value → JSON: exact numbers, checked text, nothing invalid. */
#include "render/json_value.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/decimal.h"
#include "base/json.h"

enum { REAL_TEXT_MAX = 32 }; /* bytes of the shortest text of a double */

static const char NOT_FINITE[] = "is not a finite number, which JSON cannot express";

/* A printer appends the value and returns NULL, or says what is wrong with it. */
typedef const char *print_fn(struct buf *out, const struct source_value *value, int scale);

static void add_decimal(struct buf *out, int64_t value, int scale)
{
    char *place = buf_reserve(out, DECIMAL_TEXT);

    if (place != NULL)
        out->len += decimal_format(place, value, scale);
}

static const char *print_integer(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    add_decimal(out, value->integer, 0);
    return NULL;
}

static const char *print_null(struct buf *out, const struct source_value *value, int scale)
{
    (void)value;
    (void)scale;
    buf_add(out, "null", 4);
    return NULL;
}

static const char *print_truth(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    buf_add_str(out, value->integer != 0 ? "true" : "false");
    return NULL;
}

/* Most reals in a report have few decimals. If n / 10^k, with n and 10^k exact in a double, gives
 * the same double, then the text "n / 10^k" reads back as that double (IEEE 754 division rounds
 * correctly), and the smallest such k gives the shortest text. */
static bool add_short_real(struct buf *out, double value)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};

    if (value == 0 && signbit(value))
        return false;
    for (int k = 1; k < (int)(sizeof(powers) / sizeof(powers[0])); k++) {
        double scaled = value * powers[k];

        if (fabs(scaled) >= 1e15)
            return false;
        scaled = nearbyint(scaled);
        if (scaled / powers[k] == value) {
            add_decimal(out, (int64_t)scaled, k);
            return true;
        }
    }
    return false;
}

/* The shortest decimal text that reads back as the same double. */
static const char *print_real(struct buf *out, const struct source_value *value, int scale)
{
    char text[32];

    (void)scale;
    if (!isfinite(value->real))
        return NOT_FINITE;
    if (add_short_real(out, value->real))
        return NULL;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value->real);
        if (strtod(text, NULL) == value->real)
            break;
    }
    buf_add_str(out, text);
    return NULL;
}

static const char *print_text(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    return json_add_text(out, value->text.data, value->text.len) ? NULL
                                                                 : "holds text that is not UTF-8";
}

static const char *print_blob(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    base64_add(out, value->text.data, value->text.len);
    return NULL;
}

static const char *print_numeric(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    if (!decimal_is_plain(value->text.data, value->text.len))
        return NOT_FINITE;
    buf_add(out, value->text.data, value->text.len);
    return NULL;
}

static const char *print_verbatim(struct buf *out, const struct source_value *value, int scale)
{
    (void)scale;
    buf_add(out, value->text.data, value->text.len);
    return NULL;
}

/* Checked as a whole, then written byte for byte: numbers keep their digits. */
static const char *print_checked_json(struct buf *out, const struct source_value *value, int scale)
{
    json_error_t error;
    json_t *json = json_loadb(value->text.data, value->text.len,
                              JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);

    if (json == NULL)
        return "is declared json and holds text that is not JSON";
    json_decref(json);
    return print_verbatim(out, value, scale);
}

static const char *print_scaled(struct buf *out, const struct source_value *value, int scale)
{
    add_decimal(out, value->integer, scale);
    return NULL;
}

static const char *print_scaled_numeric(struct buf *out, const struct source_value *value,
                                        int scale)
{
    if (!decimal_is_plain(value->text.data, value->text.len))
        return NOT_FINITE;
    return decimal_add_scaled(out, value->text.data, value->text.len, scale)
               ? NULL
               : "is declared scaled and holds a number with a fraction; declare it decimal(N)";
}

static const char *print_rounded_integer(struct buf *out, const struct source_value *value,
                                         int scale)
{
    static const char zeros[] = ".000000000000000000";

    add_decimal(out, value->integer, 0);
    if (scale > 0)
        buf_add(out, zeros, (size_t)scale + 1);
    return NULL;
}

static const char *print_rounded_real(struct buf *out, const struct source_value *value, int scale)
{
    struct buf text;
    const char *why;

    buf_init(&text, REAL_TEXT_MAX);
    why = print_real(&text, value, 0);
    if (why == NULL)
        decimal_add_rounded(out, buf_str(&text), text.len, scale);
    buf_done(&text);
    return why;
}

static const char *print_rounded_numeric(struct buf *out, const struct source_value *value,
                                         int scale)
{
    return decimal_add_rounded(out, value->text.data, value->text.len, scale) ? NULL : NOT_FINITE;
}

static const char *print_rounded_text(struct buf *out, const struct source_value *value, int scale)
{
    return decimal_add_rounded(out, value->text.data, value->text.len, scale)
               ? NULL
               : "is declared decimal and holds text that is not a decimal number";
}

static const char *print_declared_truth(struct buf *out, const struct source_value *value,
                                        int scale)
{
    if (value->integer != 0 && value->integer != 1)
        return "is declared boolean and holds an integer other than 0 and 1";
    return print_truth(out, value, scale);
}

static const char *print_quoted_number(struct buf *out, const struct source_value *value, int scale)
{
    print_fn *print = value->kind == SOURCE_REAL ? print_real : print_integer;
    const char *why;

    buf_add_char(out, '"');
    why = print(out, value, scale);
    buf_add_char(out, '"');
    return why;
}

static const char *print_quoted_truth(struct buf *out, const struct source_value *value, int scale)
{
    buf_add_char(out, '"');
    print_truth(out, value, scale);
    buf_add_char(out, '"');
    return NULL;
}

enum { KINDS = SOURCE_JSON + 1 };

/* The printer of each kind of value in a column without a declaration … */
static print_fn *const natural[KINDS] = {
    [SOURCE_NULL] = print_null,       [SOURCE_INTEGER] = print_integer, [SOURCE_REAL] = print_real,
    [SOURCE_BOOLEAN] = print_truth,   [SOURCE_TEXT] = print_text,       [SOURCE_BLOB] = print_blob,
    [SOURCE_NUMERIC] = print_numeric, [SOURCE_JSON] = print_verbatim,
};

/* … and in a declared one. A value without a printer does not fit; `takes` names what does. */
static const struct {
    print_fn *print[KINDS];
    const char *takes;
} declared[] = {
    [COLUMN_DECIMAL] = {{[SOURCE_NULL] = print_null,
                         [SOURCE_INTEGER] = print_rounded_integer,
                         [SOURCE_REAL] = print_rounded_real,
                         [SOURCE_TEXT] = print_rounded_text,
                         [SOURCE_NUMERIC] = print_rounded_numeric},
                        "is declared decimal and takes numbers; the query gives"},
    [COLUMN_SCALED] = {{[SOURCE_NULL] = print_null,
                        [SOURCE_INTEGER] = print_scaled,
                        [SOURCE_NUMERIC] = print_scaled_numeric},
                       "is declared scaled and takes integers; the query gives"},
    [COLUMN_JSON] = {{[SOURCE_NULL] = print_null,
                      [SOURCE_INTEGER] = print_integer,
                      [SOURCE_REAL] = print_real,
                      [SOURCE_BOOLEAN] = print_truth,
                      [SOURCE_TEXT] = print_checked_json,
                      [SOURCE_NUMERIC] = print_numeric,
                      [SOURCE_JSON] = print_verbatim},
                     "is declared json; the query gives"},
    [COLUMN_BOOLEAN] = {{[SOURCE_NULL] = print_null,
                         [SOURCE_INTEGER] = print_declared_truth,
                         [SOURCE_BOOLEAN] = print_truth},
                        "is declared boolean and takes 0 and 1; the query gives"},
    [COLUMN_STRING] = {{[SOURCE_NULL] = print_null,
                        [SOURCE_INTEGER] = print_quoted_number,
                        [SOURCE_REAL] = print_quoted_number,
                        [SOURCE_BOOLEAN] = print_quoted_truth,
                        [SOURCE_TEXT] = print_text,
                        [SOURCE_BLOB] = print_blob,
                        [SOURCE_NUMERIC] = print_text,
                        [SOURCE_JSON] = print_text},
                       "is declared string; the query gives"},
};

static const char *const kind_names[KINDS] = {
    [SOURCE_NULL] = "NULL",         [SOURCE_INTEGER] = "an integer", [SOURCE_REAL] = "a real",
    [SOURCE_BOOLEAN] = "a boolean", [SOURCE_TEXT] = "a text",        [SOURCE_BLOB] = "a blob",
    [SOURCE_NUMERIC] = "a numeric", [SOURCE_JSON] = "JSON",
};

int json_value_add(struct buf *out, const struct source_value *value, const char *name,
                   const struct column *column, struct err *err)
{
    print_fn *print = natural[value->kind];
    const char *why;

    if (column != NULL) {
        print = declared[column->type].print[value->kind];
        if (print == NULL)
            return err_set(err, -E_SOURCE, "The column '%.128s' %s %s.", name,
                           declared[column->type].takes, kind_names[value->kind]);
    }
    if (value->kind >= SOURCE_TEXT && value->text.len > JSON_VALUE_MAX)
        return err_set(err, -E_SOURCE, "The column '%.128s' holds a value larger than %d MiB.",
                       name, JSON_VALUE_MAX >> 20);
    why = print(out, value, column != NULL ? column->scale : 0);
    if (why != NULL)
        return err_set(err, -E_SOURCE, "The column '%.128s' %s.", name, why);
    return 0;
}

int json_value_suits(const struct column *column, enum source_kind kind, const char *type,
                     struct err *err)
{
    if (column->type == COLUMN_ANY || kind == SOURCE_NULL ||
        declared[column->type].print[kind] != NULL)
        return 0;
    return err_set(err, -E_SOURCE, "the column '%s' %s %s; %s", column->name,
                   declared[column->type].takes, type,
                   column->type == COLUMN_SCALED && kind == SOURCE_REAL
                       ? "declare it decimal(N)"
                       : "change the declaration, or CAST it in the SQL");
}
