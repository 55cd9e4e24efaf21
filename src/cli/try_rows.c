/* src/cli/try_rows.c -- a stored result, read back as the server's forms are: CSV, or a table. */
#include "cli/try_rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "render/form_rows.h"
#include "render/json_text.h"

enum {
    CELL_MAX_BYTES = 128 << 20,
    CELL_WIDTH_MAX = 40, /* characters of a cell in a table */
};

int try_rows_csv(FILE *out, const struct form_spec *spec, struct err *err)
{
    struct form_writer *writer;
    struct buf block;
    int rc = form_new(spec, &writer, err), more = 1;

    if (rc < 0)
        return rc;
    buf_init(&block, SIZE_MAX);
    for (; more == 1; buf_reset(&block)) {
        more = form_more(writer, &block, err);
        fwrite(block.data, 1, block.len, out);
    }
    buf_done(&block);
    form_free(writer);
    return more;
}

/* ---- a table ---- */

struct table {
    FILE *out;
    struct form_rows *rows;
    const struct footer_part *part;
    size_t most;
    size_t *widths; /* of the part's columns */
};

/* Characters that a cell takes: a code point each. */
static size_t width_of(const char *text, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width < CELL_WIDTH_MAX ? width : CELL_WIDTH_MAX;
}

/* Print a cell, cut, without what a terminal could take for an order of its own. */
static void put_cell(FILE *out, const char *text, size_t len, size_t width, bool last)
{
    size_t shown = 0, i = 0;

    for (; i < len; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80 && ++shown > CELL_WIDTH_MAX)
            break;
        putc((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i], out);
    }
    for (size_t k = shown > CELL_WIDTH_MAX ? CELL_WIDTH_MAX : shown; !last && k < width; k++)
        putc(' ', out);
    fputs(last ? "\n" : "  ", out);
}

/* A text without its escapes; anything else as it is; null is empty. */
static void add_cell(struct buf *out, const struct form_value *value)
{
    switch (value->kind) {
    case FORM_NULL:
        break;
    case FORM_TRUE:
    case FORM_FALSE:
        buf_add_str(out, value->kind == FORM_TRUE ? "true" : "false");
        break;
    case FORM_TEXT:
        json_text_decode(out, value->at, value->len);
        break;
    default:
        buf_add(out, value->at, value->len);
    }
}

/* Only measured, or printed. */
static void put_row(const struct table *table, const struct form_value *values, bool print)
{
    struct buf cell;

    buf_init(&cell, CELL_MAX_BYTES);
    for (size_t i = 0; i < table->part->column_count; i++) {
        size_t width;

        buf_reset(&cell);
        add_cell(&cell, &values[i]);
        width = width_of(buf_str(&cell), cell.len);
        if (print)
            put_cell(table->out, buf_str(&cell), cell.len, table->widths[i],
                     i + 1 == table->part->column_count);
        else if (width > table->widths[i])
            table->widths[i] = width;
    }
    buf_done(&cell);
}

static int put_rows(const struct table *table, bool print, struct err *err)
{
    const struct form_value *values;
    int rc = form_rows_begin(table->rows, table->part, err);

    for (size_t seen = 0; rc == 0; seen++) {
        rc = form_rows_next(table->rows, &values, err);
        if (rc <= 0)
            return rc;
        rc = 0;
        if (seen == table->most) {
            if (print)
                fprintf(table->out, "… the first %zu rows\n", table->most);
            return 0;
        }
        put_row(table, values, print);
    }
    return rc;
}

static void put_head(const struct table *table)
{
    const struct footer_part *part = table->part;

    for (size_t i = 0; i < part->column_count; i++)
        put_cell(table->out, part->columns[i].name, strlen(part->columns[i].name), table->widths[i],
                 i + 1 == part->column_count);
    for (size_t i = 0; i < part->column_count; i++) {
        for (size_t k = 0; k < table->widths[i]; k++)
            putc('-', table->out);
        fputs(i + 1 == part->column_count ? "\n" : "  ", table->out);
    }
}

static int put_table(struct table *table, struct err *err)
{
    const struct footer_part *part = table->part;
    int rc;

    table->widths = calloc(part->column_count + 1, sizeof(*table->widths));
    if (table->widths == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; i < part->column_count; i++)
        table->widths[i] = width_of(part->columns[i].name, strlen(part->columns[i].name));
    fprintf(table->out, "%s:\n", part->name);
    rc = put_rows(table, false, err);
    if (rc == 0) {
        put_head(table);
        rc = put_rows(table, true, err);
    }
    putc('\n', table->out);
    free(table->widths);
    return rc;
}

/* As it is: one object. */
static int put_summary(FILE *out, const struct form_spec *spec, const struct footer_part *part,
                       struct err *err)
{
    size_t len = (size_t)(part->end - part->at);
    char *text = malloc(len + 1);
    int rc = text == NULL ? err_set(err, -E_NOMEM, "out of memory")
                          : spec->read(spec->context, part->at, text, len, err);

    if (rc == 0)
        fprintf(out, "summary: %.*s\n", (int)len, text);
    free(text);
    return rc;
}

int try_rows_table(FILE *out, const struct form_spec *spec, size_t most, struct err *err)
{
    struct table table = {.out = out, .most = most};
    size_t last = spec->footer->part_count - 1; /* the summary */
    int rc = form_rows_new(spec, &table.rows, err);

    for (size_t i = 0; rc == 0 && i < last; i++) {
        table.part = &spec->footer->parts[i];
        rc = put_table(&table, err);
    }
    if (rc == 0)
        rc = put_summary(out, spec, &spec->footer->parts[last], err);
    form_rows_free(table.rows);
    return rc;
}
