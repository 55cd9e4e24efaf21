/* src/render/form_rows.h -- the rows of a stored part, read one after the other through a window.
 */
#pragma once

#include "base/buf.h"
#include "render/form_spec.h"

/* Keys come in the order of the query's columns, so the text between two values is known, and
 * compared: any other byte is -E_INTERNAL. The memory is that of the largest object. */
struct form_rows;

/* `spec` is borrowed. *ret is yours: form_rows_free(). */
int form_rows_new(const struct form_spec *spec, struct form_rows **ret, struct err *err);
void form_rows_free(struct form_rows *rows); /* NULL is fine */

/* Begin with the first row of a part; borrowed. */
int form_rows_begin(struct form_rows *rows, const struct footer_part *part, struct err *err);
/* The next row: 1, and *ret has a value for each column, borrowed until the next call; 0: that was
 * the last one. An object without elements in its array is one row, as is each element. */
int form_rows_next(struct form_rows *rows, const struct form_value **ret, struct err *err);
/* Instead of all calls of form_rows_next(): append the next elements of the part as they are
 * stored, each on its own line, until there are at least `least` bytes or, 0, that was the last
 * one. 1: there is more. */
int form_rows_lines(struct form_rows *rows, size_t least, struct buf *out, struct err *err);

/* Instead of these: append elements number `from` (counted from 0) to `from` + `count` - 1 of
 * results, as they are stored, with their commas, and at most `most` bytes. *ret_count: how many; 0
 * beyond the end, or if one alone is larger. The time does not depend on `from`. */
struct form_window {
    int64_t from, count;
    size_t most;
};
int form_rows_window(struct form_rows *rows, const struct footer *footer,
                     const struct form_window *window, struct buf *out, int64_t *ret_count,
                     struct err *err);
