/* src/cli/try_rows.c -- a stored result, read back as the server's forms are: CSV, or a table. */
#include "cli/try_rows.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_text.h"
#include "base/table.h"
#include "render/form_rows.h"

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
    struct buf line;
    struct form_rows *rows;
    const struct footer_part *part;
    size_t most;
    size_t *widths; /* of the part's columns */
};

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

static bool is_last(const struct table *table, size_t column)
{
    return column + 1 == table->part->column_count;
}

static void add_to_line(struct table *table, size_t column, const char *text, size_t len)
{
    const struct table_cell cell = {.width = is_last(table, column) ? 0 : table->widths[column],
                                    .most = CELL_WIDTH_MAX};

    table_add(&table->line, text, len, &cell);
    buf_add_str(&table->line, is_last(table, column) ? "\n" : "  ");
}

static void put_line(struct table *table)
{
    fwrite(buf_str(&table->line), 1, table->line.len, table->out);
    buf_reset(&table->line);
}

static void measure_cell(struct table *table, size_t column, const char *text, size_t len)
{
    size_t width = table_width(text, len);

    width = width < CELL_WIDTH_MAX ? width : CELL_WIDTH_MAX;
    if (width > table->widths[column])
        table->widths[column] = width;
}

/* Only measured, or printed. */
static void put_row(struct table *table, const struct form_value *values, bool print)
{
    struct buf cell;

    buf_init(&cell, CELL_MAX_BYTES);
    for (size_t i = 0; i < table->part->column_count; i++) {
        buf_reset(&cell);
        add_cell(&cell, &values[i]);
        if (print)
            add_to_line(table, i, buf_str(&cell), cell.len);
        else
            measure_cell(table, i, buf_str(&cell), cell.len);
    }
    put_line(table);
    buf_done(&cell);
}

static int put_rows(struct table *table, bool print, struct err *err)
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

static void put_head(struct table *table)
{
    const struct footer_part *part = table->part;

    for (size_t i = 0; i < part->column_count; i++)
        add_to_line(table, i, part->columns[i].name, strlen(part->columns[i].name));
    put_line(table);
    for (size_t i = 0; i < part->column_count; i++) {
        for (size_t k = 0; k < table->widths[i]; k++)
            buf_add_char(&table->line, '-');
        buf_add_str(&table->line, is_last(table, i) ? "\n" : "  ");
    }
    put_line(table);
}

static int put_table(struct table *table, struct err *err)
{
    const struct footer_part *part = table->part;
    int rc;

    table->widths = calloc(part->column_count + 1, sizeof(*table->widths));
    if (table->widths == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; i < part->column_count; i++)
        measure_cell(table, i, part->columns[i].name, strlen(part->columns[i].name));
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

    buf_init(&table.line, CELL_MAX_BYTES);
    for (size_t i = 0; rc == 0 && i < last; i++) {
        table.part = &spec->footer->parts[i];
        rc = put_table(&table, err);
    }
    if (rc == 0)
        rc = put_summary(out, spec, &spec->footer->parts[last], err);
    buf_done(&table.line);
    form_rows_free(table.rows);
    return rc;
}
