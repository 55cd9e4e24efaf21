/* tests/contract/store_fixture.h -- the backends that the store's tests run on, and a store made
 * anew for each test. Included by one test program each. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "contract/postgres_server.h"
#include "store/store.h"

#define MAYBE __attribute__((unused)) static

enum { NOW = 1700000000 };
#define NOW_MS (INT64_C(1000) * NOW)
#define DAY_MS (INT64_C(86400) * 1000)
#define PATIENCE_MS 60000 /* for what has to happen at last */

struct fixture;

/* One backend: how to name a fresh store in f->url and how to remove it. */
struct backend {
    const char *name;
    void (*make)(struct fixture *f);
    void (*remove)(struct fixture *f);
    /* Is that anywhere in its files? NULL: they cannot be looked at. */
    bool (*holds_bytes)(struct fixture *f, const void *bytes, size_t len);
};

struct fixture {
    const struct backend *backend;
    char dir[64];
    char url[256];
    int connections; /* of the stores opened from now on; 0: as few as can be, so that there is one
                      * work queue of writes, as in SQLite */
    struct store *store;
    int64_t ann, bob; /* two users */
};

/* ---- SQLite ---- */

static void sqlite_make(struct fixture *f)
{
    strcpy(f->dir, "/tmp/reportd-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->url, sizeof(f->url), "sqlite:%s/store.db", f->dir);
}

static void sqlite_remove(struct fixture *f)
{
    DIR *dir = opendir(f->dir);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    assert_int_equal(rmdir(f->dir), 0);
}

static bool file_holds(const char *path, const void *bytes, size_t bytes_len)
{
    FILE *file = fopen(path, "r");
    char *data = NULL;
    size_t len = 0;
    bool holds;

    if (file == NULL)
        return false;
    while (!feof(file)) {
        data = realloc(data, len + 65536);
        assert_non_null(data);
        len += fread(data + len, 1, 65536, file);
    }
    fclose(file);
    holds = memmem(data, len, bytes, bytes_len) != NULL;
    free(data);
    return holds;
}

static bool sqlite_holds_bytes(struct fixture *f, const void *bytes, size_t len)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[160];

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(path, sizeof(path), "%s/store.db%s", f->dir, ends[i]);
        if (file_holds(path, bytes, len))
            return true;
    }
    return false;
}

/* Wait for what the store does in its own time. */
MAYBE void await_without(struct fixture *f, const char *text)
{
    int64_t deadline = clock_mono_ms() + PATIENCE_MS;

    while (f->backend->holds_bytes(f, text, strlen(text))) {
        assert_true(clock_mono_ms() < deadline);
        poll(NULL, 0, 20);
    }
}

/* ---- PostgreSQL ---- */

/* One server for the program; a store is a schema in it. */
static void postgres_make(struct fixture *f)
{
    postgres_server_url(f->url, sizeof(f->url));
    postgres_server_exec("DROP SCHEMA IF EXISTS reportd CASCADE");
}

static void postgres_remove(struct fixture *f)
{
    (void)f;
}

static const struct backend backends[] = {
    {"sqlite", sqlite_make, sqlite_remove, sqlite_holds_bytes},
    {"postgresql", postgres_make, postgres_remove, NULL},
};

/* ---- a store for each test ---- */

MAYBE int run(struct store *store, struct store_op *op)
{
    int rc = store_run(store, op);

    if (rc != 0)
        print_message("store: %s (%s)\n", op->err.text, op->err.detail);
    return rc;
}

MAYBE struct store *open_store(struct fixture *f)
{
    struct store *store = NULL;
    struct err err = {0};

    struct store_spec spec = {
        .url = f->url, .create = true, .connections = 2, .erase_key = postgres_server.erase_key};

    if (f->connections != 0)
        spec.connections = f->connections;
    if (store_open(&spec, &store, &err) < 0)
        fail_msg("%s (%s)", err.text, err.detail);
    return store;
}

MAYBE void reopen_store(struct fixture *f)
{
    store_free(f->store);
    f->store = open_store(f);
}

MAYBE int64_t add_user(struct fixture *f, const char *name)
{
    struct store_op op = {.verb = STORE_USER_ADD};

    op.user_add =
        (struct store_user_add){.name = name, .password_hash = "hash", .allow = "", .grants = "*"};
    assert_int_equal(run(f->store, &op), 0);
    return op.user_add.id;
}

MAYBE int set_up(void **state)
{
    struct fixture *f = *state;

    f->backend->make(f);
    f->store = open_store(f);
    f->ann = add_user(f, "Ann");
    f->bob = add_user(f, "Bob");
    return 0;
}

MAYBE int tear_down(void **state)
{
    struct fixture *f = *state;

    store_free(f->store);
    f->store = NULL;
    f->connections = 0;
    f->backend->remove(f);
    return 0;
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Run the tests on the backends of that name (NULL: all); returns the exit status. */
#define RUN_ON_BACKEND(only, tests)                                                                \
    ({                                                                                             \
        const char *only_ = (only);                                                                \
        int failed_ = 0;                                                                           \
                                                                                                   \
        for (size_t i_ = 0; i_ < sizeof(backends) / sizeof(backends[0]); i_++) {                   \
            struct fixture fixture_ = {.backend = &backends[i_]};                                  \
                                                                                                   \
            if (only_ != NULL && strcmp(only_, backends[i_].name) != 0)                            \
                continue;                                                                          \
            for (size_t t_ = 0; t_ < sizeof(tests) / sizeof((tests)[0]); t_++)                     \
                (tests)[t_].initial_state = &fixture_;                                             \
            failed_ += cmocka_run_group_tests_name(backends[i_].name, tests, NULL, NULL);          \
        }                                                                                          \
        failed_ != 0;                                                                              \
    })
#define RUN_ON_EVERY_BACKEND(tests) RUN_ON_BACKEND(NULL, tests)

/* ---- a report's life in one line each ---- */

MAYBE struct store_op submit_op(int64_t user_id)
{
    struct store_op op = {.verb = STORE_SUBMIT};

    op.submit = (struct store_submit){.id = guid_new(),
                                      .user_id = user_id,
                                      .name = "Balance",
                                      .parameters = "{\"ProductID\":\"1\"}",
                                      .now_ms = NOW_MS,
                                      .key_expires_ms = NOW_MS + DAY_MS,
                                      .active_limit = 10};
    return op;
}

MAYBE struct guid submit(struct fixture *f, int64_t user_id)
{
    struct store_op op = submit_op(user_id);

    op.submit.active_limit = 1000000;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
    return op.submit.id;
}

/* May the report be lost? */
MAYBE bool settle(struct fixture *f, const struct store_submit *submit)
{
    struct store_op op = {.verb = STORE_SETTLE,
                          .settle = {.id = submit->id, .connection = submit->connection}};

    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&op);
    return op.settle.lost;
}

/* Of the user ann, in this version of its definition, or, if it is "", in any. */
MAYBE struct guid submit_named(struct fixture *f, const char *name, const char *version)
{
    struct store_op op = submit_op(f->ann);

    op.submit.active_limit = 1000000;
    op.submit.name = name;
    snprintf(op.submit.version, sizeof(op.submit.version), "%s", version);
    assert_int_equal(run(f->store, &op), 0);
    return op.submit.id;
}

MAYBE bool claim(struct fixture *f, struct store_ref *ret)
{
    struct store_op op = {.verb = STORE_CLAIM};

    op.claim = (struct store_claim){.node = "here", .now_ms = NOW_MS + 1};
    assert_int_equal(run(f->store, &op), 0);
    if (op.claim.found)
        *ret = (struct store_ref){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    return op.claim.found;
}

MAYBE bool finish(struct fixture *f, struct store_ref ref, enum report_state state)
{
    struct store_op op = {.verb = STORE_FINISH}, look = {.verb = STORE_FIND};

    look.find.id = ref.id; /* for the key that CLAIM gave */
    assert_int_equal(run(f->store, &look), 0);
    op.finish = (struct store_finish){.id = ref.id,
                                      .attempt = ref.attempt,
                                      .key = look.find.report.key,
                                      .state = state,
                                      .rows = 7,
                                      .bytes = 70,
                                      .footer = 30,
                                      .digest = {1, 2, 3},
                                      .message = "It did not work.",
                                      .now_ms = NOW_MS + 2,
                                      .expires_ms = NOW_MS + DAY_MS};
    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&look);
    return op.finish.moved;
}

MAYBE bool requeue(struct fixture *f, struct store_ref ref, bool failed)
{
    struct store_op op = {.verb = STORE_REQUEUE};

    op.requeue = (struct store_requeue){.id = ref.id, .attempt = ref.attempt, .failed = failed};
    assert_int_equal(run(f->store, &op), 0);
    return op.requeue.moved;
}

MAYBE struct store_tombstone tombstone(struct fixture *f, struct guid id, int64_t user_id)
{
    struct store_op op = {.verb = STORE_TOMBSTONE};

    op.tombstone = (struct store_tombstone){.id = id, .user_id = user_id};
    assert_int_equal(run(f->store, &op), 0);
    return op.tombstone;
}

MAYBE void delete_row(struct fixture *f, struct guid id)
{
    struct store_op op = {.verb = STORE_DELETE_ROW, .delete_row = {.id = id}};

    assert_int_equal(run(f->store, &op), 0);
}

/* Found or not; store_op_done() it. */
MAYBE struct store_op find(struct fixture *f, struct guid id, int64_t user_id)
{
    struct store_op op = {.verb = STORE_FIND};

    op.find = (struct store_find){.id = id, .user_id = user_id, .want_parameters = true};
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

/* The state of a report, or -1: there is none. */
MAYBE int state_of(struct fixture *f, struct guid id, int64_t user_id)
{
    struct store_op op = find(f, id, user_id);
    int state = op.find.found ? (int)op.find.report.state : -1;

    store_op_done(&op);
    return state;
}

MAYBE struct store_op claim_op(const char *node, struct guid token)
{
    struct store_op op = {.verb = STORE_CLAIM};

    op.claim = (struct store_claim){.node = node, .token = token, .now_ms = NOW_MS + 1};
    return op;
}

/* A report of ann's that this node runs; the queue must be empty. */
MAYBE struct store_ref running_on(struct fixture *f, const char *node)
{
    struct store_op op = claim_op(node, guid_new());
    struct store_ref ref;

    submit(f, f->ann);
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.claim.found);
    ref = (struct store_ref){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    return ref;
}

/* Submit a report and bring it into a state (not DELETING); the queue must be empty. */
MAYBE struct store_ref report_in(struct fixture *f, int64_t user_id, enum report_state state)
{
    struct store_ref ref = {.id = submit(f, user_id)};

    if (state != REPORT_QUEUED)
        assert_true(claim(f, &ref));
    if (state == REPORT_COMPLETE || state == REPORT_ERROR)
        assert_true(finish(f, ref, state));
    return ref;
}

/* ---- many at once ---- */

/* Counts down; latch_await() returns at 0. */
struct countdown {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int left;
};

MAYBE void latch_down(struct countdown *latch)
{
    pthread_mutex_lock(&latch->mutex);
    latch->left--;
    pthread_cond_broadcast(&latch->wake);
    pthread_mutex_unlock(&latch->mutex);
}

MAYBE void latch_await(struct countdown *latch)
{
    pthread_mutex_lock(&latch->mutex);
    while (latch->left > 0)
        pthread_cond_wait(&latch->wake, &latch->mutex);
    pthread_mutex_unlock(&latch->mutex);
}

#define LATCH(n)                                                                                   \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, n                                     \
    }

/* An operation's `done`; its owner is a latch. */
MAYBE void done_latch(struct store_op *op)
{
    latch_down(op->owner);
}

/* What holds the work queue in run_as_one_batch(). */
struct hold {
    struct countdown held, gate;
};

MAYBE void done_holds(struct store_op *op)
{
    struct hold *hold = op->owner;

    latch_down(&hold->held);
    latch_await(&hold->gate);
}

/* Post operations so that they make one batch: the work queue is held while they are posted. */
MAYBE void run_as_one_batch(struct fixture *f, struct store_op *ops, int count)
{
    struct hold hold = {LATCH(1), LATCH(1)};
    struct countdown all = LATCH(count);
    struct store_op holder = {.verb = STORE_SWEEP, .done = done_holds, .owner = &hold};

    store_post(f->store, &holder);
    latch_await(&hold.held); /* else it might take some of them along */
    for (int i = 0; i < count; i++) {
        ops[i].done = done_latch;
        ops[i].owner = &all;
        store_post(f->store, &ops[i]);
    }
    latch_down(&hold.gate);
    latch_await(&all);
}
