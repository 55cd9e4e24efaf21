/* src/store/sqlite_log.c -- what a commit does to the disk besides its pages: it allocates blocks
 * for a database that grows, and syncs the log only if the commit has to be durable.
 *
 * Pragmas could do both, but SQLite compiles them at each use. A commit's last frame contains the
 * number of pages that the database then has (https://sqlite.org/fileformat2.html, 4.1), and with
 * synchronous = FULL the next sync of the log is the commit's. */
#include <errno.h>
#include <fcntl.h>

#include "base/seam.h"
#include "store/sqlite_impl.h"

enum { FRAME_HEADER = 24, FRAME_PAGES_AT = 4 };

static struct sqlite_conn *conn_of(const sqlite3_file *log)
{
    return container_of(log->pMethods, struct sqlite_conn, log_methods);
}

/* The log may have many pages that are not in the file yet. Without blocks in the file for them,
 * the log could not be emptied on a full disk. A file system without this call needs none, if there
 * is room. */
static int give_blocks(struct sqlite_conn *c, int64_t pages)
{
    if (pages <= c->pages)
        return SQLITE_OK;
    if ((SEAM_FAILS("store.grow") ||
         fallocate(c->shared->fd, FALLOC_FL_KEEP_SIZE, c->pages * SQLITE_PAGE,
                   (pages - c->pages) * SQLITE_PAGE) < 0) &&
        (errno == ENOSPC || errno == EDQUOT))
        return SQLITE_FULL;
    c->pages_then = pages;
    return SQLITE_OK;
}

static int log_write(sqlite3_file *log, const void *data, int len, sqlite3_int64 offset)
{
    const unsigned char *at = (const unsigned char *)data + FRAME_PAGES_AT;
    struct sqlite_conn *c = conn_of(log);
    int64_t pages = 0;

    for (int i = 0; len == FRAME_HEADER && i < 4; i++)
        pages = pages << 8 | at[i];
    if (pages > 0) { /* 0: more frames follow */
        c->ending = true;
        if (give_blocks(c, pages) != SQLITE_OK)
            return SQLITE_FULL;
    }
    return c->log_real->xWrite(log, data, len, offset);
}

/* All other syncs have to happen: that of the log's header, and those before pages go into the
 * database. */
static int log_sync(sqlite3_file *log, int flags)
{
    struct sqlite_conn *c = conn_of(log);
    bool needed = c->durable || !c->ending;
    int rc = SQLITE_OK;

    if (needed)
        rc = SEAM_FAILS("store.sync") ? SQLITE_IOERR_FSYNC : c->log_real->xSync(log, flags);
    c->ending = false;
    c->unsynced = !needed || rc != SQLITE_OK;
    /* The kernel reports an error once, and no longer tries to write what it was about: the next
     * sync succeeds, and a recovery of the log would stop there. */
    c->torn = c->torn || rc != SQLITE_OK;
    return rc;
}

int sqlite_log_sync(struct sqlite_conn *c, struct err *err)
{
    sqlite3_file *log = NULL;
    int rc;

    if (!c->unsynced)
        return 0;
    rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log)
             ?: log_sync(log, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? 0 : sqlite_trouble(c, rc, err);
}

int sqlite_log_watch(struct sqlite_conn *c)
{
    sqlite3_file *log = NULL;
    int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (rc != SQLITE_OK)
        return rc;
    c->durable = true;
    c->log_real = log->pMethods;
    c->log_methods = *log->pMethods;
    c->log_methods.xWrite = log_write;
    c->log_methods.xSync = log_sync;
    log->pMethods = &c->log_methods;
    return SQLITE_OK;
}
