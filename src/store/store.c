/* src/store/store.c -- the engine over every backend: a writing work queue that commits in groups;
 * reads on the caller's thread, or, over a network, in a work queue of their own. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/latch.h"
#include "base/seam.h"
#include "base/thread.h"
#include "store/store.h"
#include "store/store_impl.h"
#include "store/versions.h"

static const struct store_ops *const backends[] = {&store_sqlite, &store_postgres};

enum {
    BACKEND_COUNT = sizeof(backends) / sizeof(backends[0]),
    DEFAULT_CONNECTIONS = 4,
    NETWORK_BATCH_MAX = 64, /* so that the other connections get work, too */
    CHECK_EVERY_MS = 100,
};

static const enum store_kind kinds[STORE_VERB_COUNT] = {
#define X(name, member, kind) [STORE_##name] = (kind),
    STORE_VERBS(X)
#undef X
};

/* In the names of the seams. */
static const char *const verb_names[STORE_VERB_COUNT] = {
#define X(name, member, kind) [STORE_##name] = #member,
    STORE_VERBS(X)
#undef X
};

/* One thread's connection for reading, in the store's list so that store_free() finds it. */
struct reader {
    struct store_conn *conn;
    struct store *store;
    struct reader *next, **link;
};

/* The connections that a work queue's threads share: each batch takes one. */
struct pool {
    struct work_queue *work_queue;
    struct store_conn *idle, **last; /* in the order in which they were given back */
    int count;
};

struct store {
    const struct store_ops *ops;
    struct store_conn *first;     /* what `ops->open` has opened; in the pool of the writers */
    struct pool writing, reading; /* reading: over a network only */
    pthread_key_t reader_key;     /* embedded: this thread's struct reader */
    struct lock lock;             /* guards `readers` and the pools */
    struct reader *readers;
    struct versions versions;   /* of what the embedded kind answers */
    atomic_llong check_ms;      /* embedded: when reads look again whether the files are in place */
    pthread_rwlock_t listening; /* held for writing while the listener changes */
    store_listen_fn *listen;
    void *listen_context;
};

static int run_verb(struct store_conn *conn, struct store_op *op)
{
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

/* ---- connections ---- */

/* There are as many connections as threads, so there is one. */
static struct store_conn *take_conn(struct store *store, struct pool *pool)
{
    struct store_conn *conn;

    lock_take(&store->lock);
    conn = pool->idle;
    pool->idle = conn->next;
    if (pool->idle == NULL)
        pool->last = &pool->idle;
    lock_release(&store->lock);
    return conn;
}

/* Behind the others: so all of them are used, however little there is to do. */
static void give_conn(struct store *store, struct pool *pool, struct store_conn *conn)
{
    lock_take(&store->lock);
    conn->next = NULL;
    *pool->last = conn;
    pool->last = &conn->next;
    lock_release(&store->lock);
}

static void close_conn(struct store_conn *conn)
{
    free(conn->changes);
    conn->ops->close(conn);
}

/* ---- changes ---- */

void store_changed(struct store_conn *conn, const struct store_change *change)
{
    if (conn->change_count == conn->change_cap) {
        size_t cap = conn->change_cap == 0 ? 64 : conn->change_cap * 2;
        struct store_change *grown = realloc(conn->changes, cap * sizeof(*grown));

        if (grown == NULL) {
            conn->changes_lost = true;
            return;
        }
        conn->changes = grown;
        conn->change_cap = cap;
    }
    conn->changes[conn->change_count++] = *change;
}

void store_forget_changes(struct store_conn *conn)
{
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

/* ---- the writing work queue ---- */

static void pass_step(struct work_item *batch, const char *step)
{
    for (struct work_item *item = batch; item != NULL; item = item->next)
        SEAM_STEP("store", verb_names[store_op_of(item)->verb], step);
}

/* What the most demanding operation of a batch needs. */
static enum store_kind kind_of(struct work_item *batch)
{
    enum store_kind kind = STORE_READ;

    for (struct work_item *item = batch; item != NULL; item = item->next) {
        if (kinds[store_op_of(item)->verb] > kind)
            kind = kinds[store_op_of(item)->verb];
    }
    return kind;
}

/* Run every verb of the batch; -E_STORE as soon as one says so. */
static int run_verbs(struct store_conn *conn, struct work_item *batch, struct err *err)
{
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = store_op_of(item);

        op->rc = run_verb(conn, op);
        if (op->rc == -E_STORE) {
            *err = op->err;
            return -E_STORE;
        }
    }
    if (conn->changes_lost)
        return err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
    return 0;
}

static int commit(struct store_conn *conn, struct err *err)
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
        stamps_touch(versions, &conn->changes[i].id);
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = store_op_of(item);

        if (op->verb == STORE_ROTATE)
            stamps_touch(versions, &op->rotate.session);
        else if (op->verb == STORE_USER_CHANGE || op->verb == STORE_SWEEP ||
                 op->verb == STORE_SESSIONS_END)
            stamps_touch(versions, NULL);
    }
    versions_settle(versions, true);
}

/* One transaction over the batch. Unless it is committed, `err` says why and nothing happened. */
static enum batch_fate try_transaction(struct store_conn *conn, struct work_item *batch,
                                       struct err *err)
{
    const struct store_ops *ops = conn->ops;

    if (ops->begin(conn, kind_of(batch) == STORE_DURABLE, err) < 0)
        return BATCH_NOT_BEGUN;
    stamps_begin(&conn->store->versions);
    if (run_verbs(conn, batch, err) == 0) {
        pass_step(batch, "written");
        if (commit(conn, err) == 0) {
            count_changes(conn, batch);
            return BATCH_COMMITTED;
        }
    }
    ops->rollback(conn);
    versions_settle(&conn->store->versions, false);
    return BATCH_ROLLED_BACK;
}

/* A batch of one has failed: can it be tried again with more room on the disk? */
static bool make_room(struct store_conn *conn, struct work_item *batch, int tries)
{
    bool made;

    if (batch->next != NULL)
        return false;
    stamps_begin(&conn->store->versions);
    made = conn->ops->make_room(conn, store_op_of(batch), tries);
    versions_settle(&conn->store->versions, false);
    return made;
}

static enum batch_fate run_transaction(struct store_conn *conn, struct work_item *batch,
                                       struct err *err)
{
    for (int tries = 1;; tries++) {
        enum batch_fate fate = try_transaction(conn, batch, err);

        if (fate == BATCH_COMMITTED || !make_room(conn, batch, tries))
            return fate;
        store_forget_changes(conn);
        store_op_done(store_op_of(batch));
    }
}

static enum batch_fate transact(struct store_conn *conn, struct work_item *batch, struct err *err)
{
    enum batch_fate fate;

    pass_step(batch, "taken");
    if (conn->ops->transact != NULL)
        fate = conn->ops->transact(conn, batch, kind_of(batch), err);
    else
        fate = run_transaction(conn, batch, err);
    if (fate == BATCH_COMMITTED)
        pass_step(batch, "committed");
    else
        store_forget_changes(conn);
    return fate;
}

static void finish_batch(struct store_conn *conn, struct work_item *batch,
                         const struct err *failure)
{
    struct work_item *next;

    tell_changes(conn);
    for (struct work_item *item = batch; item != NULL; item = next) {
        struct store_op *op = store_op_of(item);
        enum store_verb verb = op->verb; /* `op` is its owner's again after done */

        next = item->next;
        if (failure != NULL) {
            store_op_done(op); /* what the attempt that was rolled back has found */
            op->rc = -E_STORE;
            op->err = *failure;
        }
        op->done(op);
        SEAM_STEP("store", verb_names[verb], "answered");
    }
}

static enum batch_fate run_and_finish(struct store_conn *conn, struct work_item *batch)
{
    struct err err = {0};
    enum batch_fate fate = transact(conn, batch, &err);

    finish_batch(conn, batch, fate == BATCH_COMMITTED ? NULL : &err);
    return fate;
}

/* One bad operation must not fail its neighbours: each gets a transaction of its own. */
static void run_one_by_one(struct store_conn *conn, struct work_item *batch)
{
    struct work_item *next = NULL;

    for (struct work_item *item = batch; item != NULL; item = item->next)
        store_op_done(store_op_of(item)); /* what the attempt that was rolled back has found */
    for (struct work_item *item = batch; item != NULL; item = next) {
        next = item->next;
        item->next = NULL;
        if (run_and_finish(conn, item) == BATCH_NOT_BEGUN)
            break; /* the store is gone, not the operation bad: do not wait for each */
    }
    if (next != NULL)
        run_and_finish(conn, next);
}

static void run_batch(struct store *store, struct pool *pool, struct work_item *batch)
{
    struct store_conn *conn = take_conn(store, pool);
    struct err err = {0};
    enum batch_fate fate = transact(conn, batch, &err);

    if (fate == BATCH_ROLLED_BACK && batch->next != NULL)
        run_one_by_one(conn, batch);
    else
        finish_batch(conn, batch, fate == BATCH_COMMITTED ? NULL : &err);
    give_conn(store, pool, conn);
}

static void run_writes(void *context, struct work_item *batch)
{
    struct store *store = context;

    run_batch(store, &store->writing, batch);
}

static void run_reads(void *context, struct work_item *batch)
{
    struct store *store = context;

    run_batch(store, &store->reading, batch);
}

/* Embedded only: its one thread has its one connection. */
static int64_t maintain(void *context)
{
    struct store *store = context;

    int64_t wait_ms;

    stamps_begin(&store->versions);
    wait_ms = store->ops->maintain(store->first);
    versions_settle(&store->versions, false);
    return wait_ms;
}

/* ---- what may be remembered ---- */

/* For what only reads: seldom looked at while all is well, since a look is three system calls. */
static bool is_in_place(struct store *store, struct err *err)
{
    int64_t now_ms = clock_mono_ms();

    if (store->ops->check == NULL || now_ms < atomic_load(&store->check_ms))
        return true;
    if (store->ops->check(store->first, err) < 0)
        return false;
    atomic_store(&store->check_ms, now_ms + CHECK_EVERY_MS);
    return true;
}

uint64_t store_version(struct store *store, const struct guid *id)
{
    if (!is_in_place(store, NULL))
        return 0;
    return versions_of(&store->versions, id);
}

/* ---- reading ---- */

static void reader_free(struct reader *reader)
{
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    close_conn(reader->conn);
    free(reader);
}

/* A thread that has read ends. */
static void reader_thread_ends(void *value)
{
    struct reader *reader = value;
    struct store *store = reader->store;

    lock_take(&store->lock);
    reader_free(reader);
    lock_release(&store->lock);
}

/* This thread's connection, opened at its first read, unless a file is missing, since to open the
 * store would make another. NULL: `err` says why. */
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

static void run_read(struct store *store, struct store_op *op)
{
    struct store_conn *conn = reader_conn(store, &op->err);

    op->rc = conn != NULL && is_in_place(store, &op->err) ? run_verb(conn, op) : -E_STORE;
}

/* ---- what callers see ---- */

/* The backend of the URL and where its path starts; a name without a known form is a path. */
static int parse_url(const char *url, const struct store_ops **ret_ops, const char **ret_path,
                     struct err *err)
{
    size_t len = strspn(url, "abcdefghijklmnopqrstuvwxyz");

    if (url[len] != ':' || len == 0) {
        *ret_ops = &store_sqlite;
        *ret_path = url;
        return 0;
    }
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        if (strlen(backends[i]->scheme) == len && strncmp(backends[i]->scheme, url, len) == 0) {
            *ret_ops = backends[i];
            *ret_path = url + len + 1;
            return 0;
        }
    }
    return err_set(err, -E_STORE,
                   "There is no store of kind '%.*s'; write a path, sqlite:PATH or postgresql://…",
                   (int)len, url);
}

static struct store *store_alloc(const struct store_ops *ops)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return NULL;
    if (pthread_key_create(&store->reader_key, reader_thread_ends) != 0) {
        free(store);
        return NULL;
    }
    store->ops = ops;
    store->writing.last = &store->writing.idle;
    store->reading.last = &store->reading.idle;
    lock_init(&store->lock);
    pthread_rwlock_init(&store->listening, NULL);
    versions_init(&store->versions);
    return store;
}

/* Fill the pool up to `count` connections, of which `have` are there, and start its work queue. */
static int open_pool(struct store *store, struct pool *pool, struct work_queue_spec spec,
                     const struct pool *like, struct err *err)
{
    int have = pool == like ? 1 : 0;

    for (; have < spec.threads; have++) {
        struct store_conn *conn = NULL;
        int rc = store->ops->open_another(store->first, &conn, err);

        if (rc < 0)
            return rc;
        conn->store = store;
        give_conn(store, pool, conn);
    }
    pool->count = have;
    spec.context = store;
    pool->work_queue = work_queue_new(&spec);
    if (pool->work_queue == NULL)
        return err_set(err, -E_STORE, "Cannot open the store: no thread for it.");
    return 0;
}

static int open_pools(struct store *store, int connections, struct err *err)
{
    struct work_queue_spec writes = {.name = "store", .threads = 1, .run = run_writes};
    struct work_queue_spec reads = {.name = "store-read", .run = run_reads};
    int rc;

    if (store->ops->transact == NULL) {
        writes.maintain = maintain;
        writes.gather = true; /* one fsync for all */
        return open_pool(store, &store->writing, writes, &store->writing, err);
    }
    if (connections == 0)
        connections = DEFAULT_CONNECTIONS;
    reads.threads = connections / 2;
    writes.threads = connections - reads.threads;
    reads.batch_max = writes.batch_max = NETWORK_BATCH_MAX;
    rc = open_pool(store, &store->writing, writes, &store->writing, err);
    if (rc == 0)
        rc = open_pool(store, &store->reading, reads, &store->writing, err);
    return rc;
}

int store_open(const struct store_spec *spec, struct store **ret, struct err *err)
{
    const struct store_ops *ops;
    const char *path;
    struct store *store;
    int rc = parse_url(spec->url, &ops, &path, err);

    if (rc < 0)
        return rc;
    store = store_alloc(ops);
    if (store == NULL)
        return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
    rc = ops->open(spec, path, &store->first, err);
    if (rc == 0) {
        store->first->store = store;
        if (ops == &store_sqlite)
            versions_watch(&store->versions, &version_sqlite, store->first);
        give_conn(store, &store->writing, store->first);
        rc = open_pools(store, spec->connections, err);
    }
    if (rc < 0) {
        store_free(store);
        return rc;
    }
    *ret = store;
    return 0;
}

static void close_pool(struct store *store, struct pool *pool)
{
    work_queue_free(pool->work_queue);
    while (pool->idle != NULL) {
        struct store_conn *conn = pool->idle;

        pool->idle = conn->next;
        if (conn != store->first)
            close_conn(conn);
    }
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    store_unsubscribe(store);
    work_queue_free(store->writing.work_queue); /* its `done` may still post reads */
    store->writing.work_queue = NULL;
    close_pool(store, &store->reading);
    close_pool(store, &store->writing);
    pthread_key_delete(store->reader_key);
    for (struct reader *reader = store->readers, *next; reader != NULL; reader = next) {
        next = reader->next;
        close_conn(reader->conn);
        free(reader);
    }
    if (store->first != NULL)
        close_conn(store->first);
    versions_done(&store->versions);
    pthread_rwlock_destroy(&store->listening);
    lock_done(&store->lock);
    free(store);
}

int64_t store_now_ms(const struct store *store)
{
    return store->ops->now_ms != NULL ? store->ops->now_ms(store->first) : clock_now_ms();
}

int64_t store_clock_ahead_ms(const struct store *store)
{
    return store->ops->now_ms != NULL ? clock_now_ms() - store->ops->now_ms(store->first) : 0;
}

bool store_is_shared(const struct store *store)
{
    return store->ops->shared;
}

int store_connections(const struct store *store)
{
    const int writing = store->writing.count, reading = store->reading.count;

    return writing > reading ? writing : reading;
}

int store_subscribe(struct store *store, struct err *err)
{
    return store->ops->subscribe != NULL ? store->ops->subscribe(store->first, err) : 0;
}

void store_unsubscribe(struct store *store)
{
    if (store->ops->unsubscribe != NULL && store->first != NULL)
        store->ops->unsubscribe(store->first);
}

int store_check_key(struct store *store, const struct store_key_file *file, struct err *err)
{
    return store->ops->check_key != NULL ? store->ops->check_key(store->first, file, err) : 0;
}

void store_listen(struct store *store, store_listen_fn *fn, void *context)
{
    pthread_rwlock_wrlock(&store->listening);
    store->listen = fn;
    store->listen_context = context;
    pthread_rwlock_unlock(&store->listening);
}

void store_post(struct store *store, struct store_op *op)
{
    bool reads = kinds[op->verb] == STORE_READ;

    CHECK(op->verb < STORE_VERB_COUNT && op->done != NULL);
    if (store->reading.work_queue == NULL && (reads || kinds[op->verb] == STORE_VOLATILE)) {
        run_read(store, op);
        op->done(op);
        return;
    }
    SEAM_STEP("store", verb_names[op->verb], "posted");
    /* The work queues have no queue_max, so they take all. */
    work_queue_push(reads ? store->reading.work_queue : store->writing.work_queue, &op->item);
}

static void op_done(struct store_op *op)
{
    latch_count_down(op->owner);
}

int store_run_all(struct store *store, struct store_op *ops, size_t count)
{
    struct latch latch = LATCH_OF(count);
    int rc = 0;

    for (size_t i = 0; i < count; i++) {
        ops[i].done = op_done;
        ops[i].owner = &latch;
        store_post(store, &ops[i]);
    }
    latch_wait(&latch);
    for (size_t i = 0; i < count; i++) {
        ops[i].done = NULL;
        ops[i].owner = NULL;
        if (rc == 0)
            rc = ops[i].rc;
    }
    return rc;
}

int store_run(struct store *store, struct store_op *op)
{
    return store_run_all(store, op, 1);
}

int store_backup(struct store *store, const char *path, const struct store_backup_watch *watch,
                 struct err *err)
{
    struct store_conn *conn;
    int rc;

    if (store->ops->backup == NULL)
        return err_set(err, -E_STORE, "This store is backed up with PostgreSQL's own tools.");
    rc = store->ops->open_another(store->first, &conn, err);
    if (rc < 0)
        return rc;
    rc = store->ops->backup(conn, path, watch, err);
    close_conn(conn);
    return rc;
}

static void reports_free(struct report **reports, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        report_done(&(*reports)[i]);
    free(*reports);
    *reports = NULL;
    *count = 0;
}

static void users_free(struct user **users, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        user_done(&(*users)[i]);
    free(*users);
    *users = NULL;
    *count = 0;
}

void store_op_done(struct store_op *op)
{
    switch (op->verb) {
    case STORE_SUBMIT:
        reports_free(&op->submit.active, &op->submit.active_count);
        break;
    case STORE_CLAIM:
        report_done(&op->claim.report);
        break;
    case STORE_FIND:
        report_done(&op->find.report);
        free(op->find.result);
        op->find.result = NULL;
        break;
    case STORE_MATCH:
        free(op->match.ids);
        op->match.ids = NULL;
        break;
    case STORE_LIST:
        reports_free(&op->list.reports, &op->list.count);
        break;
    case STORE_LEDGERS:
        free(op->ledgers.items);
        op->ledgers.items = NULL;
        break;
    case STORE_USER_FIND:
        user_done(&op->user_find.user);
        break;
    case STORE_USER_LIST:
        users_free(&op->user_list.users, &op->user_list.count);
        break;
    case STORE_SESSION:
        user_done(&op->session.user);
        break;
    case STORE_ROTATE:
        user_done(&op->rotate.user);
        break;
    default: /* the others own nothing */
        break;
    }
}
