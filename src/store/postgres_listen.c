/* src/store/postgres_listen.c -- LISTEN and NOTIFY: what a node has changed is told to the others.
 */
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
        10000, /* a notification may get lost with its sender: so listeners look now and then */
    PAYLOAD_MAX = 7900, /* the server takes less than 8000 bytes */
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 1000,
};

struct postgres_ear {
    struct postgres_shared *shared;
    struct store *store;
    pthread_t thread;
    int stop; /* an eventfd */
    PGconn *pg;
};

/* ---- telling ----
 *
 * A payload is the origin, then " ID,USER,STATE,RELEASED" for each change. It is sent after the
 * commit, in a transaction that writes nothing: the lock that orders notifications is held for the
 * whole of a commit, and so would make all nodes wait for each other's fsyncs. */

static void send_payload(struct postgres_conn *c, struct buf *payload)
{
    struct call call = call_start(c, PG_NOTIFY);

    call_text(&call, buf_str(payload));
    call_send(&call);
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
            continue; /* it is another node's */
        if (payload.len == 0)
            buf_add_str(&payload, c->shared->origin);
        guid_format(&change->id, id);
        buf_add_format(&payload, " %s,%" PRId64 ",%d,%d", id, change->user_id, (int)change->state,
                       change->released);
        if (payload.len > PAYLOAD_MAX - 128)
            send_payload(c, &payload);
    }
    if (payload.len > 0)
        send_payload(c, &payload);
    buf_done(&payload);
}

/* ---- hearing ---- */

static void hear_one(struct postgres_ear *ear, const char *text)
{
    struct store_change change = {0};
    char id[GUID_TEXT];
    int64_t user_id;
    int state, released;

    if (sscanf(text, "%36[0-9a-f-],%" SCNd64 ",%d,%d", id, &user_id, &state, &released) != 4 ||
        !guid_parse(id, &change.id) || state < 0 || state >= REPORT_STATE_COUNT)
        return;
    change.user_id = user_id;
    change.state = (enum report_state)state;
    change.released = released != 0;
    change.heard = true;
    store_heard(ear->store, &change);
}

static void hear_payload(struct postgres_ear *ear, const char *payload)
{
    const char *next = strchr(payload, ' ');

    if (strncmp(payload, ear->shared->origin, strlen(ear->shared->origin)) == 0)
        return; /* this process was told without the detour */
    while (next != NULL) {
        hear_one(ear, next + 1);
        next = strchr(next + 1, ' ');
    }
}

/* False: the connection is lost. */
static bool hear_all(struct postgres_ear *ear)
{
    PGnotify *notify;

    if (PQconsumeInput(ear->pg) == 0)
        return false;
    while ((notify = PQnotifies(ear->pg)) != NULL) {
        hear_payload(ear, notify->extra);
        PQfreemem(notify);
    }
    return !pg_is_lost(ear->pg);
}

static bool connect_ear(struct postgres_ear *ear, struct err *err)
{
    PGresult *result = NULL;

    ear->pg = postgres_connect_plain(ear->shared, err);
    if (ear->pg != NULL)
        result = postgres_exec(ear->pg, "LISTEN reportd", err);
    PQclear(result);
    if (result != NULL)
        return true;
    PQfinish(ear->pg);
    ear->pg = NULL;
    return false;
}

/* Sleep until there is news or `wait_ms` has passed; false: it is to end. */
static bool wait_for_news(const struct postgres_ear *ear, int64_t wait_ms)
{
    return pg_sleep(ear->pg, POLLIN, clock_mono_ms() + wait_ms, ear->stop) != PG_WOKEN;
}

static void *ear_thread(void *arg)
{
    struct postgres_ear *ear = arg;
    int64_t retry_ms = RETRY_FIRST_MS, look_ms = clock_mono_ms() + LOOK_MS;

    while (wait_for_news(ear, ear->pg != NULL ? LOOK_MS : retry_ms)) {
        struct err ignored; /* whoever needs the database notices, too */

        if (clock_mono_ms() >= look_ms) {
            look_ms = clock_mono_ms() + LOOK_MS;
            store_heard(ear->store, NULL);
        }
        if (ear->pg != NULL && hear_all(ear)) {
            retry_ms = RETRY_FIRST_MS;
        } else if (ear->pg != NULL) {
            PQfinish(ear->pg);
            ear->pg = NULL;
        } else if (connect_ear(ear, &ignored)) {
            store_heard(ear->store, NULL);
        } else {
            retry_ms = retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS;
        }
    }
    return NULL;
}

static void ear_free(struct postgres_ear *ear)
{
    PQfinish(ear->pg);
    if (ear->stop >= 0)
        close(ear->stop);
    free(ear);
}

int postgres_hear(struct store_conn *conn, struct err *err)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct postgres_ear *ear = calloc(1, sizeof(*ear));
    int rc = 0;

    if (ear == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    ear->shared = c->shared;
    ear->store = conn->store;
    ear->stop = eventfd(0, EFD_CLOEXEC);
    if (ear->stop < 0)
        rc = err_errno(err, -E_INTERNAL, "cannot listen to the store");
    else if (!connect_ear(ear, err))
        rc = -E_STORE;
    else if (thread_start(&ear->thread, "store-listen", ear_thread, ear) != 0)
        rc = err_set(err, -E_NOMEM, "no thread to listen to the store");
    if (rc < 0)
        ear_free(ear);
    else
        c->shared->ear = ear;
    return rc < 0 ? rc : postgres_rotation_start(c->shared, err);
}

void postgres_deafen(struct store_conn *conn)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct postgres_ear *ear = c->shared->ear;
    const uint64_t one = 1;

    postgres_rotation_stop(c->shared);
    if (ear == NULL)
        return;
    if (write(ear->stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(ear->thread, NULL);
    c->shared->ear = NULL;
    ear_free(ear);
}
