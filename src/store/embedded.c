/* src/store/embedded.c -- the embedded kind: one thread writes, in transactions of many verbs, and
 * retries with more room on the disk. Readers read on their own thread, with a connection of its
 * own, or use a cached value. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/seam.h"
#include "store/engine_impl.h"

/* Run one verb; its result becomes op->rc. */
static int run_op(struct store_conn *conn, struct store_op *op)
{
    THREAD_CHECK(&conn->user);
    op->err = (struct err){0};
    switch (op->verb) {
#define X(name, member, kind)                                                                      \
    case STORE_##name:                                                                             \
        return conn->ops->member(conn, &op->member, &op->err);
        STORE_VERBS(X)
#undef X
    case STORE_VERB_COUNT:
        break;
    }
    return err_set(&op->err, -E_INTERNAL, "The store has no such verb.");
}

/* ---- reading ---- */

enum { CHECK_EVERY_MS = 100 };

/* A thread's connection for reading, in the store's list so that store_free() finds it. */
struct reader {
    struct store_conn *conn;
    struct store *store;
    struct reader *next, **link;
};

/* For reads only: checked rarely while all is well, since a check takes three system calls. */
static bool files_are_in_place(struct store *store, struct err *err)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms < atomic_load(&store->check_ms))
        return true;
    if (store->ops->check(store->first, err) < 0)
        return false;
    atomic_store(&store->check_ms, now_ms + CHECK_EVERY_MS);
    return true;
}

uint64_t store_version(struct store *store, const struct guid *id)
{
    if (store->ops->watch == NULL || !files_are_in_place(store, NULL))
        return 0;
    return versions_of(&store->versions, id);
}

/* ---- a connection per thread ---- */

static void reader_free(struct reader *reader)
{
    store_close_conn(reader->conn);
    free(reader);
}

/* A thread that has read is ending. */
static void reader_thread_ends(void *value)
{
    struct reader *reader = value;
    struct store *store = reader->store;

    lock_take(&store->lock);
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    reader_free(reader);
    lock_release(&store->lock);
}

int readers_init(struct store *store)
{
    return pthread_key_create(&store->reader_key, reader_thread_ends) == 0 ? 0 : -1;
}

void readers_done(struct store *store)
{
    pthread_key_delete(store->reader_key);
    for (struct reader *reader = store->readers, *next; reader != NULL; reader = next) {
        next = reader->next;
        reader_free(reader);
    }
}

/* This thread's connection, opened at its first read, unless a file is missing, since opening the
 * store would make a new one. NULL: `err` says why. */
static struct store_conn *reader_conn(struct store *store, struct err *err)
{
    struct reader *reader = pthread_getspecific(store->reader_key);

    if (reader != NULL)
        return reader->conn;
    if (store->ops->check(store->first, err) < 0)
        return NULL;
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL || pthread_setspecific(store->reader_key, reader) != 0) {
        free(reader);
        err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
        return NULL;
    }
    if (store->ops->open_another(store->first, &reader->conn, err) < 0) {
        pthread_setspecific(store->reader_key, NULL);
        free(reader);
        return NULL;
    }
    thread_own(&reader->conn->user);
    reader->store = store;
    reader->conn->store = store;
    lock_take(&store->lock);
    reader->next = store->readers;
    reader->link = &store->readers;
    if (reader->next != NULL)
        reader->next->link = &reader->next;
    store->readers = reader;
    lock_release(&store->lock);
    return reader->conn;
}

void embedded_read(struct store *store, struct store_op *op)
{
    struct store_conn *conn = reader_conn(store, &op->err);

    op->rc = conn != NULL && files_are_in_place(store, &op->err) ? run_op(conn, op) : -E_STORE;
}

/* ---- writing ---- */

/* Run every verb of the batch; -E_STORE as soon as one of them fails with it. */
static int run_verbs(struct store_conn *conn, struct work_item *batch, struct err *err)
{
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = store_op_of(item);

        op->rc = run_op(conn, op);
        if (op->rc == -E_STORE) {
            *err = op->err;
            return -E_STORE;
        }
    }
    if (conn->changes_lost)
        return err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
    return 0;
}

static int commit_in_place(struct store_conn *conn, struct err *err)
{
    if (conn->ops->check(conn, err) < 0)
        return -E_STORE;
    if (SEAM_FAILS("store.commit"))
        return err_errno(err, -E_STORE, "cannot commit");
    return conn->ops->commit(conn, err);
}

/* Readers may already see what was committed: count what it has changed, so that nothing older
 * stays cached, and only then record that the commit was ours. */
static void count_changes(struct store_conn *conn, struct work_item *batch)
{
    struct versions *versions = &conn->store->versions;

    for (size_t i = 0; i < conn->change_count; i++)
        versions_touch(versions, &conn->changes[i].id);
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = store_op_of(item);

        if (op->verb == STORE_ROTATE)
            versions_touch(versions, &op->rotate.session);
        else if (op->verb == STORE_LOGOUT)
            versions_touch(versions, &op->logout.session);
        else if (op->verb == STORE_USER_CHANGE || op->verb == STORE_GROUP_CHANGE ||
                 (op->verb == STORE_ENROL && op->enrol.regrouped) || op->verb == STORE_SWEEP ||
                 op->verb == STORE_SESSIONS_END || op->verb == STORE_API_KEY_REMOVE)
            versions_touch(versions, NULL);
    }
    versions_settle(versions, true);
}

/* One transaction for the batch. Unless it is committed, `err` says why and nothing has
 * happened. */
static enum batch_fate try_transaction(struct store_conn *conn, struct work_item *batch,
                                       enum store_kind kind, struct err *err)
{
    if (conn->ops->begin(conn, kind == STORE_DURABLE, err) < 0)
        return BATCH_NOT_BEGUN;
    versions_begin(&conn->store->versions);
    if (run_verbs(conn, batch, err) == 0) {
        store_pass_step(batch, "written");
        if (commit_in_place(conn, err) == 0) {
            count_changes(conn, batch);
            return BATCH_COMMITTED;
        }
    }
    conn->ops->rollback(conn);
    versions_settle(&conn->store->versions, false);
    return BATCH_ROLLED_BACK;
}

/* A batch of one has failed: can it be retried with more room on the disk? */
static bool free_disk_space(struct store_conn *conn, struct work_item *batch, int tries)
{
    bool made;

    if (batch->next != NULL)
        return false;
    versions_begin(&conn->store->versions);
    made = conn->ops->make_room(conn, store_op_of(batch), tries);
    versions_settle(&conn->store->versions, false);
    return made;
}

enum batch_fate embedded_transact(struct store_conn *conn, struct work_item *batch,
                                  enum store_kind kind, struct err *err)
{
    for (int tries = 1;; tries++) {
        enum batch_fate fate = try_transaction(conn, batch, kind, err);

        if (fate == BATCH_COMMITTED || !free_disk_space(conn, batch, tries))
            return fate;
        store_forget_changes(conn);
        store_op_done(store_op_of(batch));
    }
}

/* Called on the writing thread, whose one connection is idle between batches. */
static int64_t store_maintain(void *context)
{
    struct store *store = ((struct pool *)context)->store;
    int64_t wait_ms;

    thread_own(&store->first->user);
    versions_begin(&store->versions);
    wait_ms = store->ops->maintain(store->first);
    versions_settle(&store->versions, false);
    thread_disown(&store->first->user);
    return wait_ms;
}

int embedded_start(struct store *store, int connections, struct err *err)
{
    (void)connections; /* one, and one per thread that reads */
    versions_watch(&store->versions, store->ops->watch, store->first);
    return pool_open(&store->writing,
                     (struct work_queue_spec){.name = "store",
                                              .threads = 1,
                                              .gather = true, /* one fsync for all */
                                              .maintain = store_maintain},
                     err);
}
