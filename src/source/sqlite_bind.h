/* src/source/sqlite_bind.h -- the values of a report's parameters for SQLite; a list is bound as
 * one JSON array, read by json_each(). */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
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

enum { SQLITE_SQL_MAX = 16 << 20 /* bytes of a statement in which lists are read */ };

/* Compile the first statement of `sql`; *ret_more: there is more than one. A view of the database
 * may have "text" for 'text', as SQLite lets it. The definition may not, since that would hide a
 * typing error: there, "text" is a name and nothing else. A code of SQLite; on SQLITE_OK *ret is
 * yours: sqlite3_finalize(); NULL if there is no statement. */
int sqlite_compile(sqlite3 *db, const char *sql, sqlite3_stmt **ret, bool *ret_more);
