/* src/source/sqlite_file.h -- which file an SQLite source is at the moment, and how it may be
 * opened so that nobody else is disturbed (https://www.sqlite.org/wal.html, 5). Only sqlite.c
 * includes this. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"

enum { SQLITE_FILE_URI_MAX = PATH_MAX * 3 + 32 }; /* bytes */

struct sqlite_file {
    char path[PATH_MAX]; /* as it was given */
    char real[PATH_MAX]; /* without symbolic links: its -wal is beside this one */
    struct stat stat;    /* when it was looked at */
    bool wal;            /* in WAL mode: others may make its -wal at any time */
    bool foreign;   /* of another user, whom a -wal or -shm made from here could lock out, or none
                     * can be made */
    bool immutable; /* it is opened without locks, since that makes no -wal and no -shm */
};

/* Look at the file; false: `path` is too long, or errno says why it cannot be read. */
bool sqlite_file_look(struct sqlite_file *file, const char *path);

/* Append a URI for sqlite3_open_v2() with SQLITE_OPEN_URI. */
void sqlite_file_uri(const struct sqlite_file *file, struct buf *out);

/* Is the path's file still the one that was looked at, unchanged (device, inode, size, times), and
 * still to be opened in the same way? */
bool sqlite_file_is_same(const struct sqlite_file *file);
