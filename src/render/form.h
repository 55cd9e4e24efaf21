/* src/render/form.h -- a stored result as it is, or in another form, made a block at a time. */
#pragma once

#include "base/buf.h"
#include "render/form_spec.h"

struct form_writer; /* of one download */

/* *ret is yours: form_free(). -E_PARAM: the result cannot take this form, with a message that says
 * why (a text too long for a cell). */
int form_new(const struct form_spec *spec, struct form_writer **ret, struct err *err);
/* Append the next bytes, about FORM_BLOCK of them, or FORM_LINES_BLOCK of NDJSON, which is made
 * fast: 1; 0: they were the last, if there were any; else a negative code: -E_INTERNAL, the stored
 * result is not what was written. A result of 10,000 rows must fill two blocks of a conversion even
 * if it is sent at once, so that memory does not depend on the rows. */
enum { FORM_BLOCK = 128 << 10, FORM_LINES_BLOCK = 3 * FORM_BLOCK };
int form_more(struct form_writer *writer, struct buf *out, struct err *err);
void form_free(struct form_writer *writer); /* NULL is fine */

/* ---- tables: CSV, XLSX ---- */

/* A table is written as: begin, then for every part begin_part, its rows, end_part; then end. The
 * output is appended to `out`. Each returns 0 or a negative code. */
struct form_table {
    int (*begin)(void *table, struct buf *out, struct err *err);
    int (*begin_part)(void *table, const struct footer_part *part, struct buf *out,
                      struct err *err);
    /* One line: `values` has one for each column of the part; arrays give one line per element with
     * the values around it repeated. */
    int (*row)(void *table, const struct form_value *values, struct buf *out, struct err *err);
    int (*end_part)(void *table, struct buf *out, struct err *err);
    int (*end)(void *table, struct buf *out, struct err *err);
    void (*free)(void *table);
    bool all_parts; /* also the sets and the summary */
};

/* CSV. *ret is form_csv_table's. */
extern const struct form_table form_csv_table;
int form_csv_new(const struct form_spec *spec, void **ret, struct err *err);

/* XLSX (ECMA-376): a sheet for each part, and one about the report, for which the JSON before the
 * results is read here. *ret is form_xlsx_table's. -E_PARAM: a text or a part is too large for a
 * sheet. */
extern const struct form_table form_xlsx_table;
int form_xlsx_new(const struct form_spec *spec, void **ret, struct err *err);
