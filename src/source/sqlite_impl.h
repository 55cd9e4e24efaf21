/* src/source/sqlite_impl.h -- the parts of the SQLite backend, for one another. */
#pragma once

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/param_check.h"

/* ---- sqlite_bind.c: the values of a report's parameters; a list is bound as one JSON array, read
 * by json_each() ---- */

/* Append `sql` with every IN (:Name) of a list reading the list's values, on the same lines. A
 * value keeps the meaning that it has in IN (1, 2): the affinity of the left side applies. A list
 * that was not given contains one NULL, so that IN and NOT IN are NULL, while an empty one contains
 * nothing. */
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

/* ---- sqlite_file.c: which file a source is at the moment, and how it may be opened without
 * disturbing others (https://www.sqlite.org/wal.html, 5) ---- */

enum { SQLITE_FILE_URI_MAX = PATH_MAX * 3 + 32 }; /* bytes */

struct sqlite_file {
    char path[PATH_MAX]; /* as it was given */
    char real[PATH_MAX]; /* without symbolic links: its -wal is next to this one */
    struct stat stat;    /* when it was looked at */
    bool wal;            /* in WAL mode: others may make its -wal at any time */
    bool foreign;   /* of another user, whom a -wal or -shm made from here could lock out, or none
                     * can be made */
    bool immutable; /* it is opened without locks, since that makes no -wal and no -shm */
};

/* Look at the file; false: `path` is too long, or errno says why it cannot be read. */
bool sqlite_file_identify(struct sqlite_file *file, const char *path);

/* Append a URI for sqlite3_open_v2() with SQLITE_OPEN_URI. */
void sqlite_file_uri(const struct sqlite_file *file, struct buf *out);

/* Is the path's file still the one that was looked at, unchanged (device, inode, size, times), and
 * still to be opened in the same way? */
bool sqlite_file_is_same(const struct sqlite_file *file);

/* ---- sqlite_temp.c: temporary files, counted: what a sort spills has a limit ---- */

/* Of the whole process, which runs one report at a time on one connection. */

/* The name of the VFS to open databases with: SQLite's default one, except that temporary files
 * are counted. -E_NOMEM. */
int sqlite_temp_vfs(const char **ret_name, struct err *err);

/* Where they are from now on (NULL: as before): set before the first connection, and again only
 * when it changes. -E_NOMEM. */
int sqlite_temp_folder(const char *folder, struct err *err);

/* All temporary files together may be `limit` bytes long from now on; 0: no limit. Beyond it a
 * write fails with SQLITE_FULL, as on a full disk. */
void sqlite_temp_limit(int64_t limit);

/* Why the last SQLITE_FULL was: -E_SOURCE, with a message for the user. */
int sqlite_temp_why_full(struct err *err);
