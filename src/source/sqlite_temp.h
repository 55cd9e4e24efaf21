/* src/source/sqlite_temp.h -- the temporary files of SQLite, counted: what a sort spills has a
 * limit.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

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
