/* src/store/postgres_listen.c -- LISTEN and NOTIFY: each node tells the others its changes. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/thread.h"
#include "store/postgres_impl.h"

enum {
    LOOK_MS =
        10000, /* a notification may be lost with its sender, so listeners also read the store */
    PAYLOAD_MAX = 7900, /* the server takes fewer than 8000 bytes */
};

struct postgres_listener {
    struct postgres_shared *shared;
    struct store *store;
    pthread_t thread;
    struct thread_owner owner; /* the listening thread */
    int stop;                  /* an eventfd */
    PGconn *pg;
};

/* ---- publishing ----
 *
 * A payload is the origin, then " ID,USER,STATE,RELEASED" for each change, or " sessions,USER"; a
 * node skips words that it does not know. It is sent after the commit, in a transaction that writes
 * nothing: the lock that orders notifications is held until the commit ends, so sending it earlier
 * would make all nodes wait for each other's fsyncs. */

static void send_payload(struct postgres_conn *c, struct buf *payload)
{
    call_run(c, PG_NOTIFY, value_text(buf_str(payload)));
    call_sync(c);
    c->owed++;
    buf_reset(payload);
}

void postgres_publish(struct store_conn *conn)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct buf payload;

    buf_init(&payload, PAYLOAD_MAX);
    for (size_t i = 0; i < conn->change_count; i++) {
        const struct store_change *change = &conn->changes[i];
        char id[GUID_TEXT];

        if (change->heard)
            continue; /* it came from another node */
        if (payload.len == 0)
            buf_add_str(&payload, c->shared->origin);
        guid_format(&change->id, id);
        if (change->sessions)
            buf_add_format(&payload, " sessions,%" PRId64, change->user_id);
        else
            buf_add_format(&payload, " %s,%" PRId64 ",%d,%d", id, change->user_id,
                           (int)change->state, change->released);
        if (payload.len > PAYLOAD_MAX - 128)
            send_payload(c, &payload);
    }
    if (payload.len > 0)
        send_payload(c, &payload);
    buf_done(&payload);
}

/* ---- receiving ---- */

static void handle_change(struct postgres_listener *listener, const char *text)
{
    struct store_change change = {0};
    char id[GUID_TEXT];
    int64_t user_id;
    int state, released;

    if (sscanf(text, "sessions,%" SCNd64, &user_id) == 1) {
        change = (struct store_change){.user_id = user_id, .sessions = true, .heard = true};
        store_notify(listener->store, &change);
        return;
    }
    if (sscanf(text, "%36[0-9a-f-],%" SCNd64 ",%d,%d", id, &user_id, &state, &released) != 4 ||
        !guid_parse(id, &change.id) || state < 0 || state >= REPORT_STATE_COUNT)
        return;
    change.user_id = user_id;
    change.state = (enum report_state)state;
    change.released = released != 0;
    change.heard = true;
    store_notify(listener->store, &change);
}

static void handle_payload(struct postgres_listener *listener, const char *payload)
{
    const char *next = strchr(payload, ' ');

    if (strncmp(payload, listener->shared->origin, strlen(listener->shared->origin)) == 0)
        return; /* this process was already notified directly */
    while (next != NULL) {
        handle_change(listener, next + 1);
        next = strchr(next + 1, ' ');
    }
}

/* False: the connection is lost. */
static bool handle_notifications(struct postgres_listener *listener)
{
    PGnotify *notify;

    THREAD_CHECK(&listener->owner);
    if (!pg_is_there(listener->pg))
        return false;
    while ((notify = PQnotifies(listener->pg)) != NULL) {
        handle_payload(listener, notify->extra);
        PQfreemem(notify);
    }
    return !pg_is_lost(listener->pg);
}

static bool connect_listener(struct postgres_listener *listener, struct err *err)
{
    PGresult *result = NULL;

    THREAD_CHECK(&listener->owner);
    CHECK(listener->pg == NULL);
    listener->pg = postgres_connect_plain(listener->shared, err);
    if (listener->pg != NULL)
        result = postgres_exec(listener->pg, "LISTEN reportd", err);
    PQclear(result);
    if (result != NULL)
        return true;
    PQfinish(listener->pg);
    listener->pg = NULL;
    return false;
}

/* Sleep until a notification arrives or `wait_ms` has passed; false: the thread has to end. */
static bool wait_for_news(const struct postgres_listener *listener, int64_t wait_ms)
{
    return pg_sleep(listener->pg, POLLIN, clock_mono_ms() + wait_ms, listener->stop) != PG_WOKEN;
}

static void *listen_thread(void *arg)
{
    struct postgres_listener *listener = arg;
    int64_t retry_ms = pg_backoff_ms(0), look_ms = clock_mono_ms() + LOOK_MS;

    thread_own(&listener->owner);
    while (wait_for_news(listener, listener->pg != NULL ? LOOK_MS : retry_ms)) {
        struct err ignored; /* threads that need the database report it */

        if (clock_mono_ms() >= look_ms) {
            look_ms = clock_mono_ms() + LOOK_MS;
            store_notify(listener->store, NULL);
        }
        if (listener->pg != NULL && handle_notifications(listener)) {
            retry_ms = pg_backoff_ms(0);
        } else if (listener->pg != NULL) {
            PQfinish(listener->pg);
            listener->pg = NULL;
        } else if (connect_listener(listener, &ignored)) {
            store_notify(listener->store, NULL);
        } else {
            retry_ms = pg_backoff_ms(retry_ms);
        }
    }
    return NULL;
}

static void free_listener(struct postgres_listener *listener)
{
    PQfinish(listener->pg);
    if (listener->stop >= 0)
        close(listener->stop);
    free(listener);
}

int postgres_subscribe(struct store_conn *conn, struct err *err)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct postgres_listener *listener = calloc(1, sizeof(*listener));
    int rc = 0;

    CHECK(c->shared->listener == NULL);
    if (listener == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    listener->shared = c->shared;
    listener->store = conn->store;
    listener->stop = eventfd(0, EFD_CLOEXEC);
    if (listener->stop < 0)
        rc = err_errno(err, -E_INTERNAL, "cannot listen to the store");
    else if (!connect_listener(listener, err))
        rc = -E_STORE;
    else if (thread_start(&listener->thread, "store-listen", listen_thread, listener) != 0)
        rc = err_set(err, -E_NOMEM, "no thread to listen to the store");
    if (rc < 0)
        free_listener(listener);
    else
        c->shared->listener = listener;
    return rc < 0 ? rc : postgres_rotation_start(c->shared, err);
}

void postgres_unsubscribe(struct store_conn *conn)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct postgres_listener *listener = c->shared->listener;

    postgres_rotation_stop(c->shared);
    if (listener == NULL)
        return;
    eventfd_write(listener->stop, 1);
    pthread_join(listener->thread, NULL);
    c->shared->listener = NULL;
    free_listener(listener);
}
