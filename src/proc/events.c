/* src/proc/events.c -- the table of modules that are notified of each change. */
#include "proc/events.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

struct events {
    struct store *store;
    struct waiters *waiters;
    struct transfers *transfers;
    struct streams *streams;
    _Atomic(struct supervisor *) supervisor; /* NULL: it has not started yet */
    _Atomic(struct purger *) purger;
};

static void tell_supervisor(struct events *events, const struct store_change *change)
{
    static const struct guid none; /* that a source is no longer paused is not of a report */
    struct supervisor *supervisor = events->supervisor;

    if (supervisor == NULL)
        return;
    supervisor_on_change(supervisor, change);
    if (change != NULL && change->state == REPORT_QUEUED && guid_eq(&change->id, &none))
        supervisor_wake(supervisor);
    else if (change != NULL && change->state == REPORT_QUEUED)
        supervisor_queued(supervisor);
    else if (change == NULL || change->state != REPORT_PROCESSING)
        supervisor_released(supervisor);
}

/* Logged by the node that made the change. */
static void log_report_state(struct events *events, const struct store_change *change)
{
    char reference[GUID_TEXT];

    (void)events;
    if (change == NULL || change->heard || change->released)
        return;
    guid_format(&change->id, reference);
    log_info("report.state", "reference=%s user=%s state=%s", reference, change->user,
             report_state_name(change->state));
}

static void end_transfers(struct events *events, const struct store_change *change)
{
    static const struct guid none;

    if (change == NULL)
        transfers_check(events->transfers);
    else if (change->state == REPORT_DELETING)
        transfers_end(events->transfers, &change->id);
    if (change != NULL && !guid_eq(&change->transfer, &none))
        transfers_settle(events->transfers, &change->id, &change->transfer);
}

static void tell_streams(struct events *events, const struct store_change *change)
{
    streams_on_change(events->streams, change);
}

/* Another node may have finished reports and died. */
static void tell_purger(struct events *events, const struct store_change *change)
{
    if (change == NULL)
        events_report_finished(events, store_now_ms(events->store));
}

/* They wait for the report to end. */
static void wake_waiters(struct events *events, const struct store_change *change)
{
    if (change == NULL)
        waiters_notify_all(events->waiters);
    else if (!report_is_active(change->state))
        waiters_notify(events->waiters, &change->id, change->state);
}

/* Each is called for every change, in this order, on a thread of the store: none may block. Without
 * a change (NULL) anything may have changed. The caches of http are not notified: they compare
 * versions (store_version()). */
static void (*const subscribers[])(struct events *events, const struct store_change *change) = {
    tell_supervisor,                 /* a claim; a query to stop */
    log_report_state, end_transfers, /* before a waiting request sees that the report is deleted */
    tell_streams,     tell_purger,   wake_waiters,
};

/* A source was resumed, or a user is being removed. */
static bool is_of_no_report(const struct store_change *change)
{
    static const struct guid none;

    return change != NULL && guid_eq(&change->id, &none);
}

static void on_change(void *context, const struct store_change *change)
{
    if (change != NULL && change->sessions) {
        struct events *events = context;

        tell_streams(events, change);
        waiters_notify_user(events->waiters, change->user_id);
        return;
    }
    if (is_of_no_report(change)) {
        if (change->state == REPORT_QUEUED)
            tell_supervisor(context, change);
        else
            tell_purger(context, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof(subscribers) / sizeof(subscribers[0]); i++)
        subscribers[i](context, change);
}

void events_report_finished(void *context, int64_t expires_ms)
{
    struct events *events = context;
    struct purger *purger = events->purger;

    if (purger != NULL)
        purger_expect(purger, expires_ms);
}

void events_add_supervisor(struct events *events, struct supervisor *supervisor)
{
    CHECK(events->supervisor == NULL);
    events->supervisor = supervisor;
}

void events_add_purger(struct events *events, struct purger *purger)
{
    CHECK(events->purger == NULL);
    events->purger = purger;
}

struct events *events_new(struct store *store, struct waiters *waiters, struct transfers *transfers,
                          struct streams *streams)
{
    struct events *events = calloc(1, sizeof(*events));

    if (events == NULL)
        return NULL;
    events->store = store;
    events->waiters = waiters;
    events->transfers = transfers;
    events->streams = streams;
    store_listen(store, on_change, events);
    return events;
}

void events_free(struct events *events)
{
    free(events);
}
