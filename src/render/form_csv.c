/* src/render/form_csv.c -- a table as CSV (RFC 4180): UTF-8, CRLF, a header row. */
#include <stdlib.h>
#include <string.h>

#include "render/form.h"

struct csv {
    struct form_options options;
    const struct footer_part *part; /* borrowed */
};

static int no_memory(struct err *err)
{
    return err_set(err, -E_NOMEM, "Out of memory.");
}

static int begin(void *table, struct buf *out, struct err *err)
{
    const struct csv *csv = table;

    (void)err;
    if (csv->options.bom)
        buf_add_str(out, "\xef\xbb\xbf");
    return 0;
}

/* With its quotes doubled. */
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

static bool has(const char *text, char c, size_t len)
{
    return len > 0 && memchr(text, c, len) != NULL;
}

static bool is_formula(const struct csv *csv, const char *text, size_t len)
{
    return csv->options.formulas_text && len > 0 &&
           (*text == '=' || *text == '+' || *text == '-' || *text == '@');
}

/* A text that is not escaped: a name, or a JSON text. */
static void add_plain(const struct csv *csv, struct buf *out, const char *text, size_t len)
{
    bool quoted = len == 0 || has(text, csv->options.delimiter, len) || has(text, '"', len) ||
                  has(text, '\n', len) || has(text, '\r', len);

    if (quoted)
        buf_add_char(out, '"');
    if (is_formula(csv, text, len))
        buf_add_char(out, '\'');
    add_doubled(out, text, len);
    if (quoted)
        buf_add_char(out, '"');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the escape at `text` stands for, and its length; 0: results have no such one. */
static size_t read_escape(const char *text, size_t len, char *ret)
{
    static const char shorts[] = "\"\"\\\\b\bf\fn\nr\rt\t";

    for (const char *s = shorts; *s != '\0' && len > 1; s += 2) {
        if (*s == text[1]) {
            *ret = s[1];
            return 2;
        }
    }
    if (len < 6 || memcmp(text, "\\u00", 4) != 0 || hex_digit(text[4]) < 0 ||
        hex_digit(text[5]) < 0)
        return 0;
    *ret = (char)(hex_digit(text[4]) << 4 | hex_digit(text[5]));
    return 6;
}

/* Some of its characters are escaped: quoted, whatever these are. */
static int add_escaped(struct buf *out, const char *text, size_t len, struct err *err)
{
    const char *end = text + len, *escape;

    while (text < end && (escape = memchr(text, '\\', (size_t)(end - text))) != NULL) {
        char c = '\0';
        size_t n = read_escape(escape, (size_t)(end - escape), &c);

        if (n == 0)
            return err_set(err, -E_INTERNAL, "the stored result is not what was written");
        buf_add(out, text, (size_t)(escape - text));
        add_doubled(out, &c, 1);
        text = escape + n;
    }
    buf_add(out, text, (size_t)(end - text));
    return 0;
}

static int add_text(const struct csv *csv, struct buf *out, const struct form_value *value,
                    struct err *err)
{
    bool escaped = has(value->at, '\\', value->len);
    bool quoted = escaped || value->len == 0 || has(value->at, csv->options.delimiter, value->len);
    int rc = 0;

    if (quoted)
        buf_add_char(out, '"');
    if (is_formula(csv, value->at, value->len))
        buf_add_char(out, '\'');
    if (escaped)
        rc = add_escaped(out, value->at, value->len, err);
    else
        buf_add(out, value->at, value->len);
    if (quoted)
        buf_add_char(out, '"');
    return rc;
}

static int add_value(const struct csv *csv, struct buf *out, size_t i,
                     const struct form_value *value, struct err *err)
{
    switch (value->kind) {
    case FORM_NULL:
        return 0;
    case FORM_TRUE:
        buf_add(out, "true", 4);
        return 0;
    case FORM_FALSE:
        buf_add(out, "false", 5);
        return 0;
    case FORM_NUMBER:
        buf_add(out, value->at, value->len);
        return 0;
    case FORM_VALUE:
        add_plain(csv, out, value->at, value->len);
        return 0;
    case FORM_TEXT:
        break;
    }
    if (csv->part->columns[i].type != FOOTER_JSON)
        return add_text(csv, out, value, err);
    buf_add(out, "\"\"\"", 3); /* a JSON text with its own quotes */
    add_doubled(out, value->at, value->len);
    buf_add(out, "\"\"\"", 3);
    return 0;
}

static void end_field(const struct csv *csv, struct buf *out, size_t i)
{
    if (i + 1 < csv->part->column_count)
        buf_add_char(out, csv->options.delimiter);
    else
        buf_add(out, "\r\n", 2);
}

static int begin_part(void *table, const struct footer_part *part, struct buf *out, struct err *err)
{
    struct csv *csv = table;

    (void)err;
    csv->part = part;
    for (size_t i = 0; i < part->column_count; i++) {
        const struct footer_column *column = &part->columns[i];
        const char *name =
            csv->options.labels && column->label != NULL ? column->label : column->name;

        add_plain(csv, out, name, strlen(name));
        end_field(csv, out, i);
    }
    return 0;
}

static int row(void *table, const struct form_value *values, struct buf *out, struct err *err)
{
    const struct csv *csv = table;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < csv->part->column_count; i++) {
        rc = add_value(csv, out, i, &values[i], err);
        end_field(csv, out, i);
    }
    return rc;
}

static int nothing(void *table, struct buf *out, struct err *err)
{
    (void)table;
    (void)out;
    (void)err;
    return 0;
}

const struct form_table form_csv_table = {
    .begin = begin,
    .begin_part = begin_part,
    .row = row,
    .end_part = nothing,
    .end = nothing,
    .free = free,
};

int form_csv_new(const struct form_spec *spec, void **ret, struct err *err)
{
    struct csv *csv = calloc(1, sizeof(*csv));

    if (csv == NULL)
        return no_memory(err);
    csv->options = spec->options;
    *ret = csv;
    return 0;
}
