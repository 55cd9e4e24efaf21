/* src/render/form_csv.c -- a table as CSV (RFC 4180): UTF-8, CRLF, a header row. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "render/form.h"

enum { TEXT_MAX = 256 << 20 }; /* more than any text contains */

struct csv {
    struct form_options options;
    const struct footer_part *part; /* borrowed */
    struct buf decoded;             /* a text without its escapes */
};

static int csv_begin(void *table, struct buf *out, struct err *err)
{
    const struct csv *csv = table;

    (void)err;
    if (csv->options.bom)
        buf_add_str(out, "\xef\xbb\xbf");
    return 0;
}

/* Append text with its quotes doubled. */
static void add_doubled(struct buf *out, const char *text, size_t len)
{
    const char *quote;

    while (len > 0 && (quote = memchr(text, '"', len)) != NULL) {
        size_t n = (size_t)(quote - text) + 1;

        buf_add(out, text, n);
        buf_add_char(out, '"');
        text += n;
        len -= n;
    }
    buf_add(out, text, len);
}

static bool has_char(const char *text, char c, size_t len)
{
    return len > 0 && memchr(text, c, len) != NULL;
}

static bool is_formula(const struct csv *csv, const char *text, size_t len)
{
    return csv->options.formulas_text && len > 0 &&
           (*text == '=' || *text == '+' || *text == '-' || *text == '@');
}

static void add_csv_field(const struct csv *csv, struct buf *out, const char *text, size_t len,
                          bool quoted)
{
    if (quoted)
        buf_add_char(out, '"');
    if (is_formula(csv, text, len))
        buf_add_char(out, '\'');
    if (quoted)
        add_doubled(out, text, len);
    else
        buf_add(out, text, len);
    if (quoted)
        buf_add_char(out, '"');
}

/* Append a text without escapes: a name, or a JSON text. */
static void add_text_field(const struct csv *csv, struct buf *out, const char *text, size_t len)
{
    add_csv_field(csv, out, text, len,
                  len == 0 || has_char(text, csv->options.delimiter, len) ||
                      has_char(text, '"', len) || has_char(text, '\n', len) ||
                      has_char(text, '\r', len));
}

static void add_decoded(struct csv *csv, struct buf *out, const struct form_value *value)
{
    if (has_char(value->at, '\\', value->len)) {
        buf_reset(&csv->decoded);
        json_text_decode(&csv->decoded, value->at, value->len);
        out->failed = out->failed || buf_failed(&csv->decoded);
        add_text_field(csv, out, csv->decoded.data, csv->decoded.len);
    } else { /* it contains no quotes and no line breaks */
        add_csv_field(csv, out, value->at, value->len,
                      value->len == 0 || has_char(value->at, csv->options.delimiter, value->len));
    }
}

static void add_csv_value(struct csv *csv, struct buf *out, size_t i,
                          const struct form_value *value)
{
    switch (value->kind) {
    case FORM_NULL:
        break;
    case FORM_TRUE:
        buf_add(out, "true", 4);
        break;
    case FORM_FALSE:
        buf_add(out, "false", 5);
        break;
    case FORM_NUMBER:
        buf_add(out, value->at, value->len);
        break;
    case FORM_VALUE:
        add_text_field(csv, out, value->at, value->len);
        break;
    case FORM_TEXT:
        if (csv->part->columns[i].type != FOOTER_JSON) {
            add_decoded(csv, out, value);
            break;
        }
        buf_add(out, "\"\"\"", 3); /* a JSON text with its own quotes */
        add_doubled(out, value->at, value->len);
        buf_add(out, "\"\"\"", 3);
    }
}

static void end_field(const struct csv *csv, struct buf *out, size_t i)
{
    if (i + 1 < csv->part->column_count)
        buf_add_char(out, csv->options.delimiter);
    else
        buf_add(out, "\r\n", 2);
}

static int csv_begin_part(void *table, const struct footer_part *part, struct buf *out,
                          struct err *err)
{
    struct csv *csv = table;

    (void)err;
    csv->part = part;
    for (size_t i = 0; i < part->column_count; i++) {
        const struct footer_column *column = &part->columns[i];
        const char *name =
            csv->options.labels && column->label != NULL ? column->label : column->name;

        add_text_field(csv, out, name, strlen(name));
        end_field(csv, out, i);
    }
    return 0;
}

static int row(void *table, const struct form_value *values, struct buf *out, struct err *err)
{
    struct csv *csv = table;

    (void)err;
    for (size_t i = 0; i < csv->part->column_count; i++) {
        add_csv_value(csv, out, i, &values[i]);
        end_field(csv, out, i);
    }
    return 0;
}

static int csv_nothing(void *table, struct buf *out, struct err *err)
{
    (void)table;
    (void)out;
    (void)err;
    return 0;
}

static void csv_free(void *table)
{
    struct csv *csv = table;

    buf_done(&csv->decoded);
    free(csv);
}

const struct form_table form_csv_table = {
    .begin = csv_begin,
    .begin_part = csv_begin_part,
    .row = row,
    .end_part = csv_nothing,
    .end = csv_nothing,
    .free = csv_free,
};

int form_csv_new(const struct form_spec *spec, void **ret, struct err *err)
{
    struct csv *csv = calloc(1, sizeof(*csv));

    if (csv == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    csv->options = spec->options;
    buf_init(&csv->decoded, TEXT_MAX);
    *ret = csv;
    return 0;
}
