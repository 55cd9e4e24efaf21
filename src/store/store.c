/* src/store/store.c -- the engine over every backend: one writing lane that commits in groups,
 * reads on the caller's thread. */
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/seam.h"
#include "store/store_impl.h"

static const struct store_ops *const backends[] = {&store_sqlite};

enum { BACKEND_COUNT = sizeof(backends) / sizeof(backends[0]) };

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

struct store {
    struct store_conn *writer; /* used by the lane's thread alone */
    struct lane *lane;
    pthread_key_t reader_key; /* this thread's struct reader */
    pthread_mutex_t mutex;    /* guards `readers` */
    struct reader *readers;
    store_listen_fn *listen;
    void *listen_context;
    /* What the batch under way has changed. */
    struct store_change *changes;
    size_t change_count, change_cap;
    bool changes_lost; /* no memory to note one */
};

static struct store_op *op_of(struct lane_item *item)
{
    return (struct store_op *)((char *)item - offsetof(struct store_op, item));
}

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

/* ---- changes ---- */

void store_changed(struct store_conn *conn, const struct guid *id, int64_t user_id,
                   enum report_state state)
{
    struct store *store = conn->store;

    if (store->change_count == store->change_cap) {
        size_t cap = store->change_cap == 0 ? 64 : store->change_cap * 2;
        struct store_change *grown = realloc(store->changes, cap * sizeof(*grown));

        if (grown == NULL) {
            store->changes_lost = true;
            return;
        }
        store->changes = grown;
        store->change_cap = cap;
    }
    store->changes[store->change_count++] =
        (struct store_change){.id = *id, .user_id = user_id, .state = state};
}

static void forget_changes(struct store *store)
{
    store->change_count = 0;
    store->changes_lost = false;
}

static void tell_changes(struct store *store)
{
    for (size_t i = 0; store->listen != NULL && i < store->change_count; i++)
        store->listen(store->listen_context, &store->changes[i]);
    forget_changes(store);
}

/* ---- the writing lane ---- */

enum batch_fate { BATCH_COMMITTED, BATCH_ROLLED_BACK, BATCH_NOT_BEGUN };

static void pass_step(struct lane_item *batch, const char *step)
{
    for (struct lane_item *item = batch; item != NULL; item = item->next)
        SEAM_STEP("store", verb_names[op_of(item)->verb], step);
}

static bool is_durable(struct lane_item *batch)
{
    for (struct lane_item *item = batch; item != NULL; item = item->next) {
        if (kinds[op_of(item)->verb] == STORE_DURABLE)
            return true;
    }
    return false;
}

/* Run every verb of the batch; -E_STORE as soon as one says so. */
static int run_verbs(struct store *store, struct lane_item *batch, struct err *err)
{
    for (struct lane_item *item = batch; item != NULL; item = item->next) {
        struct store_op *op = op_of(item);

        op->rc = run_verb(store->writer, op);
        if (op->rc == -E_STORE) {
            *err = op->err;
            return -E_STORE;
        }
    }
    if (store->changes_lost)
        return err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
    return 0;
}

static int commit(struct store_conn *conn, struct err *err)
{
    if (SEAM_FAILS("store.commit"))
        return err_errno(err, -E_STORE, "cannot commit");
    return conn->ops->commit(conn, err);
}

/* One transaction over the batch. Unless it is committed, `err` says why and nothing happened. */
static enum batch_fate run_transaction(struct store *store, struct lane_item *batch,
                                       struct err *err)
{
    const struct store_ops *ops = store->writer->ops;

    pass_step(batch, "taken");
    if (ops->begin(store->writer, is_durable(batch), err) < 0)
        return BATCH_NOT_BEGUN;
    if (run_verbs(store, batch, err) == 0) {
        pass_step(batch, "written");
        if (commit(store->writer, err) == 0) {
            pass_step(batch, "committed");
            return BATCH_COMMITTED;
        }
    }
    ops->rollback(store->writer);
    forget_changes(store);
    return BATCH_ROLLED_BACK;
}

static void finish_batch(struct store *store, struct lane_item *batch, const struct err *failure)
{
    struct lane_item *next;

    tell_changes(store);
    for (struct lane_item *item = batch; item != NULL; item = next) {
        struct store_op *op = op_of(item);
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

static enum batch_fate run_and_finish(struct store *store, struct lane_item *batch)
{
    struct err err = {0};
    enum batch_fate fate = run_transaction(store, batch, &err);

    finish_batch(store, batch, fate == BATCH_COMMITTED ? NULL : &err);
    return fate;
}

/* One bad operation must not fail its neighbours: each gets a transaction of its own. */
static void run_one_by_one(struct store *store, struct lane_item *batch)
{
    struct lane_item *next = NULL;

    for (struct lane_item *item = batch; item != NULL; item = item->next)
        store_op_done(op_of(item)); /* what the attempt that was rolled back has found */
    for (struct lane_item *item = batch; item != NULL; item = next) {
        next = item->next;
        item->next = NULL;
        if (run_and_finish(store, item) == BATCH_NOT_BEGUN)
            break; /* the store is gone, not the operation bad: do not wait for each */
    }
    if (next != NULL)
        run_and_finish(store, next);
}

static void run_batch(void *context, struct lane_item *batch)
{
    struct store *store = context;
    struct err err = {0};
    enum batch_fate fate = run_transaction(store, batch, &err);

    if (fate == BATCH_ROLLED_BACK && batch->next != NULL)
        run_one_by_one(store, batch);
    else
        finish_batch(store, batch, fate == BATCH_COMMITTED ? NULL : &err);
}

static int64_t tend(void *context)
{
    struct store *store = context;

    return store->writer->ops->tend(store->writer);
}

/* ---- reading ---- */

static void reader_free(struct reader *reader)
{
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    reader->conn->ops->close(reader->conn);
    free(reader);
}

/* A thread that has read ends. */
static void reader_thread_ends(void *value)
{
    struct reader *reader = value;
    struct store *store = reader->store;

    pthread_mutex_lock(&store->mutex);
    reader_free(reader);
    pthread_mutex_unlock(&store->mutex);
}

/* This thread's connection, opened at its first read. NULL: `err` says why. */
static struct store_conn *reader_conn(struct store *store, struct err *err)
{
    struct reader *reader = pthread_getspecific(store->reader_key);

    if (reader != NULL)
        return reader->conn;
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL || pthread_setspecific(store->reader_key, reader) != 0) {
        free(reader);
        err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
        return NULL;
    }
    if (store->writer->ops->open_reader(store->writer, &reader->conn, err) < 0) {
        pthread_setspecific(store->reader_key, NULL);
        free(reader);
        return NULL;
    }
    reader->store = store;
    reader->conn->store = store;
    pthread_mutex_lock(&store->mutex);
    reader->next = store->readers;
    reader->link = &store->readers;
    if (reader->next != NULL)
        reader->next->link = &reader->next;
    store->readers = reader;
    pthread_mutex_unlock(&store->mutex);
    return reader->conn;
}

static void run_read(struct store *store, struct store_op *op)
{
    struct store_conn *conn = reader_conn(store, &op->err);

    op->rc = conn != NULL ? run_verb(conn, op) : -E_STORE;
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
    return err_set(err, -E_STORE, "There is no store of kind '%.*s'; write a path or sqlite:PATH.",
                   (int)len, url);
}

static struct store *store_alloc(void)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return NULL;
    if (pthread_key_create(&store->reader_key, reader_thread_ends) != 0) {
        free(store);
        return NULL;
    }
    pthread_mutex_init(&store->mutex, NULL);
    return store;
}

int store_open(const struct store_spec *spec, struct store **ret, struct err *err)
{
    const struct store_ops *ops;
    const char *path;
    struct store *store;
    int rc = parse_url(spec->url, &ops, &path, err);

    if (rc < 0)
        return rc;
    store = store_alloc();
    if (store == NULL)
        return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
    rc = ops->open(spec, path, &store->writer, err);
    if (rc == 0) {
        store->writer->store = store;
        store->lane = lane_new(&(struct lane_spec){
            .name = "store", .threads = 1, .run = run_batch, .tend = tend, .context = store});
        if (store->lane == NULL)
            rc = err_set(err, -E_STORE, "Cannot open the store: no thread for it.");
    }
    if (rc < 0) {
        store_free(store);
        return rc;
    }
    *ret = store;
    return 0;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    lane_free(store->lane);
    pthread_key_delete(store->reader_key);
    while (store->readers != NULL)
        reader_free(store->readers);
    if (store->writer != NULL)
        store->writer->ops->close(store->writer);
    pthread_mutex_destroy(&store->mutex);
    free(store->changes);
    free(store);
}

void store_listen(struct store *store, store_listen_fn *fn, void *context)
{
    store->listen = fn;
    store->listen_context = context;
}

void store_post(struct store *store, struct store_op *op)
{
    if (kinds[op->verb] == STORE_READ || kinds[op->verb] == STORE_TOLD) {
        run_read(store, op);
        op->done(op);
        return;
    }
    SEAM_STEP("store", verb_names[op->verb], "posted");
    lane_push(store->lane, &op->item); /* no queue_max: cannot fail */
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool done;
};

static void wake_waiter(struct store_op *op)
{
    struct waiter *waiter = op->owner;

    pthread_mutex_lock(&waiter->mutex);
    waiter->done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->mutex);
}

int store_run(struct store *store, struct store_op *op)
{
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

    op->done = wake_waiter;
    op->owner = &waiter;
    store_post(store, op);
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.done)
        pthread_cond_wait(&waiter.wake, &waiter.mutex);
    pthread_mutex_unlock(&waiter.mutex);
    op->done = NULL;
    op->owner = NULL;
    return op->rc;
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
        break;
    case STORE_LIST:
        reports_free(&op->list.reports, &op->list.count);
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
