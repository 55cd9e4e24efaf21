/* src/store/embedded.c -- the embedded kind: one thread writes, in transactions of many verbs, and
 * tries again with more room on the disk. */
#include "base/seam.h"
#include "store/engine_impl.h"

int embedded_run_verb(struct store_conn *conn, struct store_op *op)
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

/* Run every verb of the batch; -E_STORE as soon as one says so. */
static int run_verbs(struct store_conn *conn, struct work_item *batch, struct err *err)
{
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = store_op_of(item);

        op->rc = embedded_run_verb(conn, op);
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

/* The readers may see what was committed by now: count what it has changed, so that nothing older
 * is remembered, and only then say that it was ours. */
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
        else if (op->verb == STORE_USER_CHANGE || op->verb == STORE_SWEEP ||
                 op->verb == STORE_SESSIONS_END)
            versions_touch(versions, NULL);
    }
    versions_settle(versions, true);
}

/* One transaction over the batch. Unless it is committed, `err` says why and nothing happened. */
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

/* A batch of one has failed: can it be tried again with more room on the disk? */
static bool make_room(struct store_conn *conn, struct work_item *batch, int tries)
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

        if (fate == BATCH_COMMITTED || !make_room(conn, batch, tries))
            return fate;
        store_forget_changes(conn);
        store_op_done(store_op_of(batch));
    }
}

/* On the writing thread, whose one connection is idle between batches. */
static int64_t store_maintain(void *context)
{
    struct store *store = context;
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
    (void)connections; /* one, and those of readers.c */
    versions_watch(&store->versions, store->ops->watch, store->first);
    return pool_open(store, &store->writing,
                     (struct work_queue_spec){.name = "store",
                                              .threads = 1,
                                              .gather = true, /* one fsync for all */
                                              .run = store_run_writes,
                                              .maintain = store_maintain},
                     err);
}
