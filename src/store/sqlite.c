/* src/store/sqlite.c -- the SQLite backend's table of verbs, and its transactions. */
#include "base/clock.h"
#include "store/sqlite_impl.h"

enum {
    CHECKPOINT_EVERY_MS = 1000,  /* at most so often, and so soon after the last deletion */
    CHECKPOINT_PATIENCE_MS = 50, /* how long one may wait for readers of old pages */
};

static int sqlite_begin(struct store_conn *conn, bool durable, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = SQLITE_OK;

    /* In WAL mode FULL fsyncs the log at commit, and with it all commits before. It cannot be
     * changed inside a transaction. */
    if (durable != c->synchronous_full) {
        rc = sqlite_exec(c, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        if (rc == SQLITE_OK)
            c->synchronous_full = durable;
    }
    if (rc == SQLITE_OK)
        rc = sqlite_exec(c, "BEGIN IMMEDIATE");
    return rc == SQLITE_OK ? 0 : sqlite_trouble(c, rc, err);
}

static int sqlite_commit(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = sqlite_exec(c, "COMMIT");

    return rc == SQLITE_OK ? 0 : sqlite_trouble(c, rc, err);
}

static void sqlite_rollback(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    if (sqlite3_get_autocommit(c->db) == 0) /* a full disk has rolled it back already */
        sqlite_exec(c, "ROLLBACK");
}

/* The log still holds the pages as they were before a deletion: move it into the database, where
 * secure_delete has overwritten them, and cut it to nothing. */
static bool empty_log(struct sqlite_conn *c)
{
    int rc;

    sqlite3_busy_timeout(c->db, CHECKPOINT_PATIENCE_MS);
    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(c->db, SQLITE_BUSY_MS);
    return rc == SQLITE_OK;
}

static int64_t sqlite_tend(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int64_t now = clock_mono_ms();
    int64_t wait = c->checkpoint_ms + CHECKPOINT_EVERY_MS - now;

    if (!c->dropped)
        return 0;
    if (wait > 0)
        return wait;
    c->checkpoint_ms = now;
    c->dropped = !empty_log(c);
    return c->dropped ? CHECKPOINT_EVERY_MS : 0;
}

const struct store_ops store_sqlite = {.scheme = "sqlite",
                                       .open = sqlite_open,
                                       .open_another = sqlite_open_reader,
                                       .close = sqlite_close,
                                       .begin = sqlite_begin,
                                       .commit = sqlite_commit,
                                       .rollback = sqlite_rollback,
                                       .tend = sqlite_tend,
#define X(name, member, kind) .member = sqlite_##member,
                                       STORE_VERBS(X)
#undef X
};
