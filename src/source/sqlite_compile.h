/* src/source/sqlite_compile.h -- a definition's statement, compiled by SQLite. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

enum { SQLITE_SQL_MAX = 16 << 20 /* bytes of a statement in which lists are read */ };

/* Compile the first statement of `sql`; *ret_more: there is more than one. A view of the database
 * may have "text" for 'text', as SQLite lets it. The definition may not, since that would hide a
 * typing error: there, "text" is a name and nothing else. A code of SQLite; on SQLITE_OK *ret is
 * yours: sqlite3_finalize(); NULL if there is no statement. */
int sqlite_compile(sqlite3 *db, const char *sql, sqlite3_stmt **ret, bool *ret_more);
