/* src/source/sqlite_list.h -- lists for SQLite: bound as one JSON array, read by json_each(). */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "core/param_check.h"

/* Append `sql` with every IN (:Name) of a list reading the list's values, on the same lines. A
 * value keeps what it means in IN (1, 2): the affinity of the left side holds. In a list that was
 * not given stands one NULL, so that IN and NOT IN are NULL, while in an empty one nothing is. */
void sqlite_list_rewrite(struct buf *out, const char *sql, const struct param_value *values,
                         size_t count);

/* Append the list as a JSON array whose values SQLite reads as it does the scalar ones. */
void sqlite_list_add(struct buf *out, const struct param_value *list);
