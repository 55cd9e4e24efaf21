/* src/store/batch.c -- runs a batch of a work queue in one transaction, notifies of its changes,
 * and answers its operations. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/seam.h"
#include "store/engine_impl.h"

static const enum store_kind kinds[STORE_VERB_COUNT] = {
#define X(name, member, kind) [STORE_##name] = (kind),
    STORE_VERBS(X)
#undef X
};

/* Used in the names of seams. */
static const char *const verb_names[STORE_VERB_COUNT] = {
#define X(name, member, kind) [STORE_##name] = #member,
    STORE_VERBS(X)
#undef X
};

enum store_kind store_kind_of(const struct store_op *op)
{
    CHECK(op->verb < STORE_VERB_COUNT);
    return op->verb == STORE_SUBMIT && op->submit.waits ? STORE_VISIBLE : kinds[op->verb];
}

/* The kind that the most demanding operation of the batch needs. */
static enum store_kind kind_of_batch(struct work_item *batch)
{
    enum store_kind kind = STORE_READ;

    for (struct work_item *item = batch; item != NULL; item = item->next) {
        if (store_kind_of(store_op_of(item)) > kind)
            kind = store_kind_of(store_op_of(item));
    }
    return kind;
}

void store_pass_step(struct work_item *batch, const char *step)
{
    for (struct work_item *item = batch; item != NULL; item = item->next)
        SEAM_STEP("store", verb_names[store_op_of(item)->verb], step);
}

/* ---- connections ---- */

void pool_add(struct pool *pool, struct store_conn *conn)
{
    lock_take(&pool->store->lock);
    conn->next = NULL;
    *pool->last = conn;
    pool->last = &conn->next;
    lock_release(&pool->store->lock);
}

/* There are as many connections as threads, so one is free. */
static struct store_conn *take_conn(struct pool *pool)
{
    struct store_conn *conn;

    lock_take(&pool->store->lock);
    conn = pool->idle;
    CHECK(conn != NULL);
    pool->idle = conn->next;
    if (pool->idle == NULL)
        pool->last = &pool->idle;
    lock_release(&pool->store->lock);
    thread_own(&conn->user);
    return conn;
}

static void give_conn(struct pool *pool, struct store_conn *conn)
{
    thread_disown(&conn->user);
    pool_add(pool, conn);
}

/* ---- changes ---- */

void store_changed(struct store_conn *conn, const struct store_change *change)
{
    THREAD_CHECK(&conn->user);
    if (array_grow(&conn->changes, conn->change_count, &conn->change_cap, sizeof(*change)))
        conn->changes[conn->change_count++] = *change;
    else
        conn->changes_lost = true;
}

void store_sessions_ended(struct store_conn *conn, int64_t user_id)
{
    store_changed(conn, &(struct store_change){.user_id = user_id, .sessions = true});
}

void store_forget_changes(struct store_conn *conn)
{
    THREAD_CHECK(&conn->user);
    conn->change_count = 0;
    conn->changes_lost = false;
}

void store_notify(struct store *store, const struct store_change *change)
{
    pthread_rwlock_rdlock(&store->listening);
    if (store->listen != NULL)
        store->listen(store->listen_context, change);
    pthread_rwlock_unlock(&store->listening);
}

static void tell_changes(struct store_conn *conn)
{
    if (conn->ops->publish != NULL && conn->change_count > 0)
        conn->ops->publish(conn);
    for (size_t i = 0; i < conn->change_count; i++)
        store_notify(conn->store, &conn->changes[i]);
    store_forget_changes(conn);
}

/* ---- batches ---- */

void store_answer(struct store_op *op)
{
    CHECK(op->posted);
    op->posted = false; /* from here on it belongs to its owner */
    op->done(op);
}

static enum batch_fate run_transaction(struct store_conn *conn, struct work_item *batch,
                                       struct err *err)
{
    enum batch_fate fate;

    CHECK(conn->change_count == 0 && !conn->changes_lost);
    store_pass_step(batch, "taken");
    fate = conn->ops->transact(conn, batch, kind_of_batch(batch), err);
    if (fate == BATCH_COMMITTED)
        store_pass_step(batch, "committed");
    else
        store_forget_changes(conn);
    return fate;
}

int store_doubt(struct err *err)
{
    err_set(err, -E_DOUBT,
            "The connection to the store's database was lost, and it is not known whether the "
            "request was carried out: check, and try again.");
    return -E_STORE;
}

static void fail_op(struct store_op *op, const struct err *failure)
{
    store_op_done(op); /* what the attempt that was rolled back had found */
    op->rc = -E_STORE;
    op->err = *failure;
    if (!op->again)
        return;
    store_doubt(&op->err);
    err_detail(&op->err, "%s", failure->detail);
}

static void finish_batch(struct store_conn *conn, struct work_item *batch,
                         const struct err *failure)
{
    struct work_item *next;

    tell_changes(conn);
    for (struct work_item *item = batch; item != NULL; item = next) {
        struct store_op *op = store_op_of(item);
        enum store_verb verb = op->verb; /* after `done`, `op` belongs to its owner */

        next = item->next;
        if (failure != NULL)
            fail_op(op, failure);
        else
            op->again = false;
        store_answer(op);
        SEAM_STEP("store", verb_names[verb], "answered");
    }
}

static enum batch_fate run_and_finish(struct store_conn *conn, struct work_item *batch)
{
    struct err err = {0};
    enum batch_fate fate = run_transaction(conn, batch, &err);

    finish_batch(conn, batch, fate == BATCH_COMMITTED ? NULL : &err);
    return fate;
}

/* One bad operation must not fail the others: each gets a transaction of its own. */
static void run_one_by_one(struct store_conn *conn, struct work_item *batch)
{
    struct work_item *next = NULL;

    for (struct work_item *item = batch; item != NULL; item = item->next)
        store_op_done(store_op_of(item)); /* what the attempt that was rolled back had found */
    for (struct work_item *item = batch; item != NULL; item = next) {
        next = item->next;
        item->next = NULL;
        if (run_and_finish(conn, item) == BATCH_NOT_BEGUN)
            break; /* the store is gone, not the operation bad: do not wait for each one */
    }
    if (next != NULL)
        run_and_finish(conn, next);
}

void store_run_batch(void *context, struct work_item *batch)
{
    struct pool *pool = context;
    struct store_conn *conn = take_conn(pool);
    struct err err = {0};
    enum batch_fate fate;

    CHECK((kind_of_batch(batch) == STORE_READ) == (pool == &pool->store->reading));
    fate = run_transaction(conn, batch, &err);
    if (fate == BATCH_ROLLED_BACK && batch->next != NULL)
        run_one_by_one(conn, batch);
    else
        finish_batch(conn, batch, fate == BATCH_COMMITTED ? NULL : &err);
    give_conn(pool, conn);
}
