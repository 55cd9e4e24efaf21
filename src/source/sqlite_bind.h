/* src/source/sqlite_bind.h -- the values of a report's parameters for SQLite; a list is bound as
 * one JSON array, read by json_each(). */
#pragma once

#include <sqlite3.h>
#include <stddef.h>

#include "base/buf.h"
#include "core/param_check.h"

/* Append `sql` with every IN (:Name) of a list reading the list's values, on the same lines. A
 * value keeps what it means in IN (1, 2): the affinity of the left side holds. In a list that was
 * not given stands one NULL, so that IN and NOT IN are NULL, while in an empty one nothing is. */
void sqlite_bind_rewrite(struct buf *out, const char *sql, const struct param_value *values,
                         size_t count);

/* Bind each :Name of `stmt` to its value, and :session_user to `user_name`. *to_real: NULL at
 * first, a statement of ours that is compiled when it is needed; sqlite3_finalize() it in the end.
 * A code of SQLite; if it is not SQLITE_OK, *ret_name is the name of the parameter, NULL if it has
 * none; SQLITE_NOTFOUND: there is no value for it. */
int sqlite_bind(sqlite3_stmt *stmt, sqlite3_stmt **to_real, const struct param_value *values,
                size_t count, const char *user_name, const char **ret_name);
