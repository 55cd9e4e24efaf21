/* src/store/sqlite.c -- the SQLite backend's table of verbs, and its transactions. */
#include <string.h>

#include "base/clock.h"
#include "base/seam.h"
#include "store/sqlite_impl.h"
#include "store/versions.h"

enum {
    CHECKPOINT_EVERY_MS = 1000,  /* at most this often, and this long after the last deletion */
    CHECKPOINT_PATIENCE_MS = 50, /* how long a checkpoint may wait for readers of old pages */
};

static void sqlite_rollback(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    if (sqlite3_get_autocommit(c->db) == 0) /* a full disk may have rolled it back already */
        sqlite_exec(c, "ROLLBACK");
    memset(c->counts, 0, sizeof(c->counts));
    c->holders_stale = true;
}

/* The log still contains the pages as they were before a deletion: move it into the database, where
 * secure_delete has overwritten them, and truncate it. */
static int try_to_empty_log(struct sqlite_conn *c)
{
    int rc;

    sqlite3_busy_timeout(c->db, CHECKPOINT_PATIENCE_MS);
    rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(c->db, SQLITE_BUSY_MS);
    if (rc != SQLITE_OK)
        SEAM_STEP("store", "log", "kept");
    return rc;
}

/* The database grows before the log's room is free, so the reserve is used if necessary. */
static bool empty_log(struct sqlite_conn *c)
{
    int rc = try_to_empty_log(c);

    while (rc != SQLITE_OK && sqlite_is_full(c, rc) &&
           sqlite_reserve_take(c->shared, SQLITE_RESERVE_FILES)) {
        c->whole = false;
        rc = try_to_empty_log(c);
    }
    if (!c->whole)
        c->whole = sqlite_reserve_make(c->shared);
    c->torn = c->torn && rc != SQLITE_OK;
    return rc == SQLITE_OK;
}

static int sqlite_begin(struct store_conn *conn, bool durable, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    CHECK(c->writes);
    if (c->torn && !empty_log(c))
        return err_set(err, -E_STORE,
                       "The store is unavailable: its log could not be written, try again.");
    if (sql_do(conn, err, SQL_BEGIN) < 0)
        return -E_STORE;
    if (sqlite_active_begin(conn, err) < 0) {
        sqlite_rollback(conn);
        return -E_STORE;
    }
    c->durable = durable;
    return 0;
}

/* A durable commit syncs the log, and so all commits before it, even if it has written nothing. */
static int sqlite_commit(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = sqlite_counts_write(conn, err);

    c->pages_then = c->pages;
    if (rc == 0)
        rc = sql_do(conn, err, SQL_COMMIT);
    c->ending = false; /* still set if a commit fails before its sync */
    if (rc == 0 && c->durable)
        rc = sqlite_log_sync(c, err);
    if (rc < 0)
        return rc;
    c->pages = c->pages_then;
    sqlite_active_commit(conn);
    return 0;
}

static int64_t sqlite_maintain(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int64_t now = clock_mono_ms();
    int64_t wait = c->checkpoint_ms + CHECKPOINT_EVERY_MS - now;

    if (!c->dropped && c->whole && !c->torn)
        return 0;
    if (wait > 0 && !c->taken)
        return wait;
    c->checkpoint_ms = now;
    c->dropped = !empty_log(c);
    c->taken = false;
    return c->dropped || !c->whole ? CHECKPOINT_EVERY_MS : 0;
}

/* First empty the log, which takes room that it does not need once it is in the database. Only if
 * that is not enough, use the reserve, which is restored right after the operation. */
static bool sqlite_make_room(struct store_conn *conn, const struct store_op *op, int tries)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    if (!c->full)
        return false;
    c->full = false;
    if (tries == 1) {
        empty_log(c);
        return true;
    }
    if (!sqlite_reserve_take(c->shared, sqlite_reserve_for(op)))
        return false;
    c->whole = false;
    c->taken = true;
    return true;
}

static int sqlite_check(const struct store_conn *conn, struct err *err)
{
    return sqlite_place_check(((const struct sqlite_conn *)conn)->shared, err);
}

const struct store_ops store_sqlite = {.scheme = "sqlite",
                                       .open = sqlite_open,
                                       .open_another = sqlite_open_reader,
                                       .close = sqlite_close,
                                       .start = embedded_start,
                                       .transact = embedded_transact,
                                       .read = embedded_read,
                                       .subscribe = sqlite_subscribe,
                                       .unsubscribe = sqlite_unsubscribe,
                                       .watch = &version_sqlite,
                                       .begin = sqlite_begin,
                                       .commit = sqlite_commit,
                                       .rollback = sqlite_rollback,
                                       .make_room = sqlite_make_room,
                                       .check = sqlite_check,
                                       .maintain = sqlite_maintain,
                                       .backup = sqlite_backup,
#define X(name, member, kind) .member = sqlite_##member,
                                       STORE_VERBS(X)
#undef X
};
