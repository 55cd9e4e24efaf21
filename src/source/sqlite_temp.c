/* src/source/sqlite_temp.c -- a VFS on top of SQLite's default one, to which it passes everything
 * except temporary files (https://www.sqlite.org/vfs.html). */
#include "source/sqlite_impl.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/seam.h"
#include "base/str.h"

enum { TEMPORARY = SQLITE_OPEN_DELETEONCLOSE };

/* A temporary file; the default VFS's own struct follows it in memory. */
struct temp_file {
    sqlite3_file base;
    int64_t size;
};

static sqlite3_vfs vfs; /* its pAppData is the default VFS */
static int64_t used, most;
static bool over; /* a write has exceeded the limit */

static sqlite3_vfs *default_vfs(void)
{
    return vfs.pAppData;
}

static sqlite3_file *real(sqlite3_file *file)
{
    return (sqlite3_file *)((struct temp_file *)file + 1);
}

/* May the file grow to `size` bytes? If so, they are counted. */
static bool may_grow(sqlite3_file *file, int64_t size)
{
    struct temp_file *temp = (struct temp_file *)file;

    if (size <= temp->size)
        return true;
    if (most > 0 && size - temp->size > most - used) {
        over = true;
        return false;
    }
    used += size - temp->size;
    temp->size = size;
    return true;
}

static void shrink(sqlite3_file *file, int64_t size)
{
    struct temp_file *temp = (struct temp_file *)file;

    if (size >= temp->size)
        return;
    used -= temp->size - size;
    temp->size = size;
}

static int temp_close(sqlite3_file *file)
{
    shrink(file, 0);
    return real(file)->pMethods->xClose(real(file));
}

static int temp_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
    return real(file)->pMethods->xRead(real(file), out, len, at);
}

static int temp_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int code;

    if (!may_grow(file, at + len))
        return SQLITE_FULL;
    code = SEAM_FAILS("source.temp_write")
               ? SQLITE_IOERR_WRITE
               : real(file)->pMethods->xWrite(real(file), data, len, at);
    /* SQLite treats an exceeded quota of the file system as a broken disk. */
    return code == SQLITE_IOERR_WRITE && (errno == EDQUOT || errno == ENOSPC) ? SQLITE_FULL : code;
}

static int temp_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = real(file)->pMethods->xTruncate(real(file), size);

    if (code == SQLITE_OK)
        shrink(file, size);
    return code;
}

static int temp_sync(sqlite3_file *file, int flags)
{
    return real(file)->pMethods->xSync(real(file), flags);
}

static int temp_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return real(file)->pMethods->xFileSize(real(file), ret);
}

static int temp_lock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xLock(real(file), level);
}

static int temp_unlock(sqlite3_file *file, int level)
{
    return real(file)->pMethods->xUnlock(real(file), level);
}

static int temp_is_reserved(sqlite3_file *file, int *ret)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), ret);
}

/* A size hint makes the file that long. */
static int temp_control(sqlite3_file *file, int verb, void *argument)
{
    if (verb == SQLITE_FCNTL_SIZE_HINT && !may_grow(file, *(sqlite3_int64 *)argument))
        return SQLITE_FULL;
    return real(file)->pMethods->xFileControl(real(file), verb, argument);
}

static int temp_sector(sqlite3_file *file)
{
    return real(file)->pMethods->xSectorSize(real(file));
}

static int temp_traits(sqlite3_file *file)
{
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int temp_fetch(sqlite3_file *file, sqlite3_int64 at, int len, void **ret)
{
    return real(file)->pMethods->xFetch(real(file), at, len, ret);
}

static int temp_unfetch(sqlite3_file *file, sqlite3_int64 at, void *page)
{
    return real(file)->pMethods->xUnfetch(real(file), at, page);
}

/* Version 3, for xFetch; the shared-memory methods (2) are never called for a temporary file. */
static const sqlite3_io_methods methods = {.iVersion = 3,
                                           .xClose = temp_close,
                                           .xRead = temp_read,
                                           .xWrite = temp_write,
                                           .xTruncate = temp_truncate,
                                           .xSync = temp_sync,
                                           .xFileSize = temp_size,
                                           .xLock = temp_lock,
                                           .xUnlock = temp_unlock,
                                           .xCheckReservedLock = temp_is_reserved,
                                           .xFileControl = temp_control,
                                           .xSectorSize = temp_sector,
                                           .xDeviceCharacteristics = temp_traits,
                                           .xFetch = temp_fetch,
                                           .xUnfetch = temp_unfetch};

static int open_temp_file(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags,
                          int *ret_flags)
{
    struct temp_file *temp = (struct temp_file *)file;
    int code;

    (void)self;
    if ((flags & TEMPORARY) == 0)
        return default_vfs()->xOpen(default_vfs(), name, file, flags, ret_flags);
    *temp = (struct temp_file){0};
    code = default_vfs()->xOpen(default_vfs(), name, real(file), flags, ret_flags);
    if (code == SQLITE_OK)
        temp->base.pMethods = &methods;
    return code;
}

void sqlite_temp_limit(int64_t limit)
{
    most = limit;
    over = false;
}

int sqlite_temp_why_full(struct err *err)
{
    char size[32];

    if (!over)
        return err_set(err, -E_SOURCE,
                       "The server's disk for temporary files is full. Try again later.");
    str_size(size, sizeof(size), most);
    return err_set(err, -E_SOURCE,
                   "The report sorts or collects more than the %s that it may keep in temporary "
                   "files (temp_limit), and was stopped. Narrow it down by its parameters, or ask "
                   "the operator for a higher limit or a query that sorts less.",
                   size);
}

/* The other methods are copied with the struct of the default VFS: only its xOpen uses the struct,
 * and gets the original. */
int sqlite_temp_vfs(const char **ret_name, struct err *err)
{
    static const char name[] = "reportd";
    static bool registered;

    if (!registered) {
        sqlite3_vfs *below = sqlite3_vfs_find(NULL);

        if (below == NULL)
            return err_set(err, -E_NOMEM, "Out of memory.");
        vfs = *below;
        vfs.pNext = NULL;
        vfs.pAppData = below;
        vfs.zName = name;
        vfs.szOsFile += (int)sizeof(struct temp_file);
        vfs.xOpen = open_temp_file;
        if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
            return err_set(err, -E_NOMEM, "Out of memory.");
        registered = true;
    }
    *ret_name = name;
    return 0;
}

/* SQLite reads this variable without a lock. */
int sqlite_temp_folder(const char *folder, struct err *err)
{
    char *copy;

    if (folder == NULL || str_eq(sqlite3_temp_directory, folder))
        return 0;
    copy = sqlite3_mprintf("%s", folder);
    if (copy == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    sqlite3_free(sqlite3_temp_directory);
    sqlite3_temp_directory = copy;
    return 0;
}
