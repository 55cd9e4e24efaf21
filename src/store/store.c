/* src/store/store.c -- the interface: opens the store of a URL, and passes its operations to the
 * work queues of the backend's kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"
#include "store/engine_impl.h"

static const struct store_ops *const backends[] = {&store_sqlite, &store_postgres};

enum { BACKEND_COUNT = sizeof(backends) / sizeof(backends[0]), DEFAULT_CONNECTIONS = 4 };

/* ---- open and close ---- */

/* The backend of the URL and where its path begins; a name without a known scheme is a path. */
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

static void pool_init(struct store *store, struct pool *pool)
{
    pool->store = store;
    pool->last = &pool->idle;
}

static struct store *store_alloc(const struct store_ops *ops)
{
    struct store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return NULL;
    if (readers_init(store) < 0) {
        free(store);
        return NULL;
    }
    store->ops = ops;
    pool_init(store, &store->writing);
    pool_init(store, &store->reading);
    pool_init(store, &store->beating);
    lock_init(&store->lock);
    pthread_rwlock_init(&store->listening, NULL);
    versions_init(&store->versions);
    return store;
}

int pool_open(struct pool *pool, struct work_queue_spec spec, struct err *err)
{
    for (; pool->count < spec.threads; pool->count++) {
        struct store_conn *conn = NULL;
        int rc = pool->store->ops->open_another(pool->store->first, &conn, err);

        if (rc < 0)
            return rc;
        conn->store = pool->store;
        pool_add(pool, conn);
    }
    spec.run = store_run_batch;
    spec.context = pool;
    pool->work_queue = work_queue_new(&spec);
    if (pool->work_queue == NULL)
        return err_set(err, -E_STORE, "Cannot open the store: no thread for it.");
    return 0;
}

int network_start(struct store *store, int connections, struct err *err)
{
    /* One writes: what waits meanwhile shares the next transaction, and its round trips. A second
     * one would only make the batches smaller. */
    struct work_queue_spec writes = {
        .name = "store", .threads = 1, .batch_max = NETWORK_BATCH_MAX, .gather = true};
    struct work_queue_spec reads = {.name = "store-read", .batch_max = NETWORK_BATCH_MAX};
    /* What is written may wait for another session's lock as long as a short lease. */
    struct work_queue_spec beats = {
        .name = "store-beat", .threads = 1, .batch_max = NETWORK_BATCH_MAX};

    if (connections == 0)
        connections = DEFAULT_CONNECTIONS;
    reads.threads = connections - writes.threads;
    return pool_open(&store->writing, writes, err)
               ?: pool_open(&store->reading, reads, err)
               ?: pool_open(&store->beating, beats, err);
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
        pool_add(&store->writing, store->first);
        store->writing.count = 1;
        rc = ops->start(store, spec->connections, err);
    }
    if (rc < 0) {
        store_free(store);
        return rc;
    }
    *ret = store;
    return 0;
}

void store_close_conn(struct store_conn *conn)
{
    free(conn->changes);
    conn->ops->close(conn);
}

static void close_pool(struct pool *pool)
{
    work_queue_free(pool->work_queue);
    while (pool->idle != NULL) {
        struct store_conn *conn = pool->idle;

        pool->idle = conn->next;
        if (conn != pool->store->first)
            store_close_conn(conn);
    }
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    store_unsubscribe(store);
    work_queue_free(store->writing.work_queue); /* its `done` may still post reads */
    store->writing.work_queue = NULL;
    close_pool(&store->reading);
    close_pool(&store->beating);
    close_pool(&store->writing);
    readers_done(store);
    if (store->first != NULL)
        store_close_conn(store->first);
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

static struct pool *pool_for(struct store *store, const struct store_op *op)
{
    if (op->verb == STORE_HEARTBEAT && store->beating.work_queue != NULL)
        return &store->beating;
    return store_kind_of(op) == STORE_READ ? &store->reading : &store->writing;
}

void store_post(struct store *store, struct store_op *op)
{
    enum store_kind kind = store_kind_of(op);

    CHECK(op->done != NULL && !op->posted);
    op->posted = true;
    op->item.next = NULL;
    if (store->ops->read != NULL && (kind == STORE_READ || kind == STORE_VOLATILE)) {
        store->ops->read(store, op);
        store_answer(op);
        return;
    }
    store_pass_step(&op->item, "posted");
    /* The work queues have no queue_max, so they accept everything. */
    work_queue_push(pool_for(store, op)->work_queue, &op->item);
}

static void store_has_run(struct store_op *op)
{
    latch_count_down(op->owner);
}

int store_run_all(struct store *store, struct store_op *ops, size_t count)
{
    struct latch latch = LATCH_OF(count);
    int rc = 0;

    for (size_t i = 0; i < count; i++) {
        ops[i].done = store_has_run;
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

int store_ask(struct store *store, struct store_op *op, struct err *err)
{
    int rc = store_run(store, op);

    if (rc < 0)
        *err = op->err;
    return rc;
}

int store_scan_pages(struct store *store, store_page_fn *each, void *context, struct err *err)
{
    struct store_scanned reports[STORE_SCAN_MAX] = {0};
    struct guid after = {0};
    struct store_op op;
    int rc;

    do {
        op = (struct store_op){.verb = STORE_SCAN, .scan = {.after = after, .reports = reports}};
        rc = store_ask(store, &op, err);
        if (rc == 0 && op.scan.count > 0) {
            after = reports[op.scan.count - 1].id;
            rc = each(context, reports, op.scan.count, err);
        }
    } while (rc == 0 && op.scan.count == STORE_SCAN_MAX);
    return rc;
}

int store_count_reports(struct store *store, int64_t *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_STATS};

    if (store_ask(store, &op, err) < 0)
        return err->code;
    *ret = 0;
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        *ret += op.stats.by_state[i];
    return 0;
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
    store_close_conn(conn);
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

static void groups_free(struct store_group_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->groups[i].name);
        free(list->groups[i].grants);
    }
    free(list->groups);
    *list = (struct store_group_list){0};
}

static void users_free(struct user **users, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        user_done(&(*users)[i]);
    free(*users);
    *users = NULL;
    *count = 0;
}

static void api_keys_free(struct store_api_key_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->keys[i].name);
        free(list->keys[i].user);
        free(list->keys[i].grants);
        free(list->keys[i].allow);
    }
    free(list->keys);
    list->keys = NULL;
    list->count = 0;
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
    case STORE_PAUSED:
        free(op->paused.sources);
        op->paused.sources = NULL;
        break;
    case STORE_OVERVIEW:
        free(op->overview.nodes);
        free(op->overview.sources);
        free(op->overview.users);
        free(op->overview.paused.sources);
        op->overview.nodes = NULL;
        op->overview.sources = NULL;
        op->overview.users = NULL;
        op->overview.paused.sources = NULL;
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
    case STORE_GROUP_LIST:
        groups_free(&op->group_list);
        break;
    case STORE_SESSIONS:
        for (size_t i = 0; i < op->sessions.count; i++)
            free(op->sessions.items[i].address);
        free(op->sessions.items);
        op->sessions.items = NULL;
        op->sessions.count = 0;
        break;
    case STORE_SESSION:
        user_done(&op->session.user);
        break;
    case STORE_ROTATE:
        user_done(&op->rotate.user);
        break;
    case STORE_API_KEY_LIST:
        api_keys_free(&op->api_key_list);
        break;
    default: /* the other verbs own nothing */
        break;
    }
}

void store_offered_source(const struct store_claim *claim, const char *name,
                          char ret[STORE_SOURCE_TEXT])
{
    const char *types = claim->offer, *sources = claim->sources, *type, *source;
    size_t len = strlen(name), type_len, source_len;

    ret[0] = '\0';
    while ((type = str_line(&types, &type_len)) != NULL &&
           (source = str_line(&sources, &source_len)) != NULL) {
        if (type_len == len && memcmp(type, name, len) == 0) {
            snprintf(ret, STORE_SOURCE_TEXT, "%.*s", (int)source_len, source);
            return;
        }
    }
}
