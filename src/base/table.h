/* src/base/table.h -- cells of a table, for people: so wide, cut, in columns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Columns of a terminal that text (UTF-8) takes, as wcwidth(3) has them. */
size_t table_width(const char *text, size_t len);

struct table_cell {
    size_t width; /* at least: filled up with blanks; 0 for the last one of a line */
    size_t most;  /* what is wider ends with an ellipsis; 0: no limit */
    bool right;   /* to the right of its blanks */
};
/* Append the cell. Control characters become blanks, since a terminal could obey them; invalid
 * UTF-8 becomes '?'. */
void table_add(struct buf *line, const char *text, size_t len, const struct table_cell *cell);
