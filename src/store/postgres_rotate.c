/* src/store/postgres_rotate.c -- the thread that makes the next key when it is due, has every row
 * wrapped with it, and retires the one before. Any node may do this; one at a time does. */
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/thread.h"
#include "store/postgres_impl.h"

enum {
    TICKS = 8, /* checks during the life of a key … */
    TICK_LEAST_MS = 50,
    TICK_MOST_MS = 30000,     /* … but not more rarely: a node keeps a retired key for as long */
    STAY_CONNECTED_MS = 5000, /* between checks that are closer together than this */
    ANSWER_MS = 10000,
    REWRAP_MAX = 256, /* rows per transaction, for which FINISH and TOMBSTONE of these rows wait */
};

static struct log_trouble look_trouble = LOG_TROUBLE("erase.failed");

struct postgres_rotation {
    struct postgres_shared *shared;
    struct postgres_conn *c;
    pthread_t thread;
    int stop; /* an eventfd */
    int64_t tick_ms;
    size_t unopened;         /* rows of the last round whose wrapped keys no key opens, … */
    struct guid unopened_id; /* … the report of one of them, … */
    bool stuck;              /* … and whether they were logged */
};

/* ---- transactions ---- */

static void begin_change(struct postgres_conn *c)
{
    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    call_run(c, PG_BEGIN);
}

/* Returns what the statement after `begin` has changed, once everything is committed; or an
 * error. */
static int64_t commit_change(struct postgres_conn *c, int statements, struct err *err)
{
    int64_t changed = 0;

    call_run(c, PG_COMMIT);
    call_sync(c);
    for (int i = 0; i < statements && results_take(c); i++)
        changed = results_changed(c);
    results_drain(c);
    return c->trouble == PG_GOOD ? changed : results_trouble(c, err);
}

/* Ask one question and read its answer. */
static int ask_one_answer(struct postgres_conn *c, enum postgres_statement which,
                          const struct store_value *values, bool *ret, struct err *err)
{
    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    call_values(c, which, values);
    call_sync(c);
    *ret = results_take(c) && results_next(c) && get_bool(c, 0);
    results_drain(c);
    return c->trouble == PG_GOOD ? 0 : results_trouble(c, err);
}

/* ---- the next key ---- */

/* No node has the key, not even this one, before it is read back from the database: so a crash at
 * any point leaves a key that all nodes find, or none. */
static int publish_key(struct postgres_conn *c, const struct erase_key *newest, struct err *err)
{
    uint8_t next[ERASE_KEY_BYTES], wrapped[KEYRING_WRAPPED_BYTES], print[KEYRING_PRINT_BYTES];
    int64_t added;

    randombytes_buf(next, sizeof(next));
    keyring_wrap_next(newest, next, wrapped);
    keyring_print(next, sizeof(next), print);
    sodium_memzero(next, sizeof(next));
    begin_change(c);
    call_run(c, PG_KEYS_PATIENCE);
    call_run(c, PG_KEYS_HOLD_ALONE);
    call_run(c, PG_KEYS_ADD, value_int(newest->number + 1), value_blob(wrapped, sizeof(wrapped)),
             value_blob(print, sizeof(print)));
    added = commit_change(c, 4, err);
    SEAM_STEP("erase", "rotate", "published");
    if (added > 0)
        log_info("erase.rotated", "key=%lld", (long long)newest->number + 1);
    return added < 0 ? (int)added : 0;
}

static int publish_if_due(struct postgres_rotation *r, struct err *err)
{
    struct erase_keys keys = keyring_keys(r->shared->ring);
    bool is_due = false;
    int rc;

    rc = ask_one_answer(r->c, PG_KEYS_DUE,
                        VALUES(value_int(keys.key[0].number), value_int(r->shared->erase_after_ms)),
                        &is_due, err);
    if (rc == 0 && is_due)
        rc = publish_key(r->c, &keys.key[0], err);
    sodium_memzero(&keys, sizeof(keys));
    return rc;
}

/* ---- rows that the previous key wraps ---- */

struct old_row {
    int64_t seq;
    uint8_t wrapped[KEYRING_WRAPPED_BYTES];
};

/* Wrap the keys of the statement's rows again, except those that do not open. */
static size_t wrap_anew(struct postgres_rotation *r, const struct erase_key *newest,
                        struct old_row rows[REWRAP_MAX], int64_t *ret_last)
{
    struct postgres_conn *c = r->c;
    size_t count = 0;

    while (results_next(c) && count < REWRAP_MAX) {
        struct guid id = get_guid(c, 1);
        uint8_t key[REPORT_KEY_BYTES], wrapped[KEYRING_WRAPPED_BYTES];

        *ret_last = get_int(c, 0);
        get_blob(c, 3, wrapped, sizeof(wrapped));
        if (keyring_unwrap(c->shared->ring, get_int(c, 2), &id, wrapped, key) != KEYRING_OPENED) {
            r->unopened++;
            r->unopened_id = id;
            continue;
        }
        rows[count].seq = *ret_last;
        keyring_wrap(newest, &id, key, rows[count++].wrapped);
        sodium_memzero(key, sizeof(key));
    }
    return count;
}

/* Rewrap a page of rows after *last, which becomes the last of them; *ret_more: the page was
 * full. */
static int rewrap_page(struct postgres_rotation *r, const struct erase_key *newest, int64_t *last,
                       bool *ret_more, struct err *err)
{
    struct postgres_conn *c = r->c;
    struct old_row rows[REWRAP_MAX];
    size_t count = 0;
    int64_t rc;

    begin_change(c);
    call_run(c, PG_KEYS_OLD, value_int(*last), value_int(newest->number), value_int(REWRAP_MAX));
    call_sync(c);
    *ret_more = false;
    if (results_take(c) && results_take(c)) {
        *ret_more = results_rows(c) == REWRAP_MAX;
        count = wrap_anew(r, newest, rows, last);
    }
    results_drain(c);
    for (size_t i = 0; i < count; i++) {

        call_run(c, PG_KEYS_REWRAP, value_int(rows[i].seq), value_int(newest->number),
                 value_blob(rows[i].wrapped, KEYRING_WRAPPED_BYTES));
    }
    rc = commit_change(c, (int)count, err);
    SEAM_STEP("erase", "rotate", "rewrapped");
    return rc < 0 ? (int)rc : 0;
}

static bool wait_stop(const struct postgres_rotation *r, int64_t wait_ms)
{
    struct pollfd fd = {.fd = r->stop, .events = POLLIN};

    return poll(&fd, 1, (int)wait_ms) > 0;
}

/* It pauses half of the time, so that others make progress. */
static int rewrap_all(struct postgres_rotation *r, const struct erase_key *newest, struct err *err)
{
    int64_t last = 0;
    bool more = true;
    int rc = 0;

    r->unopened = 0;
    while (rc == 0 && more) {
        int64_t began_ms = clock_mono_ms();

        rc = rewrap_page(r, newest, &last, &more, err);
        if (rc == 0 && more && wait_stop(r, clock_mono_ms() - began_ms))
            return err_set(err, -E_CANCELLED, "the server stops");
    }
    return rc;
}

/* Unless a row still needs it: one that was locked, or that no key opens. */
static int retire(struct postgres_conn *c, int64_t newest, struct err *err)
{
    int64_t retired;

    begin_change(c);
    call_run(c, PG_KEYS_RETIRE, value_int(newest));
    retired = commit_change(c, 2, err);
    SEAM_STEP("erase", "rotate", "retired");
    if (retired > 0)
        log_info("erase.retired", "before=%lld", (long long)newest);
    return retired < 0 ? (int)retired : 0;
}

/* A damaged row keeps the old key alive, and so everything that was deleted under it. */
static void log_stuck(struct postgres_rotation *r)
{
    char reference[GUID_TEXT];

    guid_format(&r->unopened_id, reference);
    if (r->unopened > 0 && !r->stuck)
        log_error("erase.failed",
                  "error=%zu reports cannot be opened with any key and keep the old one from being "
                  "retired: see doc/cluster.md reference=%s",
                  r->unopened, reference);
    r->stuck = r->unopened > 0;
}

static int leave_old_keys(struct postgres_rotation *r, struct err *err)
{
    struct erase_keys keys = keyring_keys(r->shared->ring);
    int rc = rewrap_all(r, &keys.key[0], err);

    log_stuck(r);
    if (rc == 0)
        rc = retire(r->c, keys.key[0].number, err);
    sodium_memzero(&keys, sizeof(keys));
    return rc;
}

/* ---- the thread ---- */

/* Called with the lock that excludes other nodes. */
static int rotate_keys(struct postgres_rotation *r, struct err *err)
{
    bool pending = false;
    int rc = postgres_keys_refresh(r->c, &pending, err);

    if (rc == 0 && !pending)
        rc = publish_if_due(r, err);
    if (rc == 0)
        rc = postgres_keys_refresh(r->c, &pending, err);
    if (rc == 0 && pending)
        rc = leave_old_keys(r, err);
    if (rc == 0 && pending)
        rc = postgres_keys_refresh(r->c, &pending, err);
    return rc;
}

static int check_rotation(struct postgres_rotation *r, struct err *err)
{
    bool is_ours = false, was_ours;
    int rc = postgres_connect(r->c, err)
                 ?: ask_one_answer(r->c, PG_KEYS_ROTATOR, VALUES(), &is_ours, err)
                 ?: (is_ours ? rotate_keys(r, err) : postgres_keys_refresh(r->c, NULL, err));

    if (rc == 0 && is_ours)
        rc = ask_one_answer(r->c, PG_KEYS_ROTATOR_DONE, VALUES(), &was_ours, err);
    return rc == 0 ? postgres_keys_save(r->shared, err) : rc;
}

/* While this fails, a deleted report can be opened with the old key: the operator has to know. */
static void log_check(int rc, const struct err *err)
{
    if (rc >= 0)
        log_trouble_over(&look_trouble);
    else if (rc != -E_CANCELLED)
        log_trouble(&look_trouble, err);
}

static void *rotation_thread(void *arg)
{
    struct postgres_rotation *r = arg;

    thread_own(&r->c->base.user);
    while (!wait_stop(r, r->tick_ms)) {
        struct err err = {0};
        int rc = check_rotation(r, &err);

        log_check(rc, &err);
        if (rc < 0 || r->tick_ms > STAY_CONNECTED_MS)
            postgres_disconnect(r->c);
    }
    return NULL;
}

static void rotation_free(struct postgres_rotation *r)
{
    if (r->c != NULL)
        postgres_close(&r->c->base);
    if (r->stop >= 0)
        close(r->stop);
    free(r);
}

int postgres_rotation_start(struct postgres_shared *shared, struct err *err)
{
    struct postgres_rotation *r = calloc(1, sizeof(*r));
    int64_t tick_ms = shared->erase_after_ms / TICKS;

    if (r == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    r->shared = shared;
    r->tick_ms = tick_ms < TICK_LEAST_MS ? TICK_LEAST_MS : tick_ms;
    r->tick_ms = r->tick_ms > TICK_MOST_MS ? TICK_MOST_MS : r->tick_ms;
    r->stop = eventfd(0, EFD_CLOEXEC);
    r->c = postgres_conn_new(shared);
    if (r->stop < 0 || r->c == NULL ||
        thread_start(&r->thread, "store-keys", rotation_thread, r) != 0) {
        rotation_free(r);
        return err_set(err, -E_NOMEM, "no thread for the keys of the store");
    }
    shared->rotation = r;
    return 0;
}

void postgres_rotation_stop(struct postgres_shared *shared)
{
    struct postgres_rotation *r = shared->rotation;

    if (r == NULL)
        return;
    eventfd_write(r->stop, 1);
    pthread_join(r->thread, NULL);
    shared->rotation = NULL;
    rotation_free(r);
}
