/* src/proc/lease.c -- one of several nodes that share a store: its heartbeats, what it does after
 * the others have given it up, and deletions that wait for another node to stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/supervisor_impl.h"

enum {
    BEATS_IN_A_LEASE = 3,
    CLOCK_WRONG_MS = 5000,
    RETRY_MS = 200,     /* after a heartbeat that did not reach the store */
    LOOK_MS = 100,      /* before the second look for a release that nothing was heard of, … */
    LOOK_MAX_MS = 5000, /* … and between later ones */
};

static struct log_trouble beat_trouble = LOG_TROUBLE("node.heartbeat");

static int64_t lease_ms(const struct supervisor *supervisor)
{
    return supervisor->spec.config->lease.number;
}

static void take_node_name(struct lease *lease)
{
    struct guid id = guid_new();

    guid_format(&id, lease->node);
    lease->begun = false;
}

static void on_due(struct loop_timer *timer);
static void on_end(struct loop_timer *timer);
static void on_look_due(struct loop_timer *timer);

void lease_init(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;
    char host[64] = "";

    supervisor->shared = store_is_shared(supervisor->spec.store);
    lease->due.run = on_due;
    lease->end.run = on_end;
    lease->look_due.run = on_look_due;
    if (!supervisor->shared)
        return;
    gethostname(host, sizeof(host) - 1);
    snprintf(lease->host, sizeof(lease->host), "%s:%d", host, (int)getpid());
    take_node_name(lease);
    loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms());
}

/* After a time in which this thread hung, on_end() may still be to run. */
bool lease_holds(const struct supervisor *supervisor)
{
    const struct loop_timer *end = &supervisor->lease.end;

    return !supervisor->shared || (loop_timer_is_set(end) && clock_mono_ms() < end->due_ms);
}

const char *lease_node(const struct supervisor *supervisor)
{
    return supervisor->shared ? supervisor->lease.node : supervisor->spec.node;
}

/* ---- running reports that are no longer ours ---- */

static void log_given_up(const struct report *report, enum log_level level, const char *reason)
{
    char reference[GUID_TEXT];

    guid_format(&report->id, reference);
    log_event(level, "report.given_up", "reference=%s user=%s attempt=%d reason=%s", reference,
              report->user_name, report->attempt, reason);
}

/* Others may run what was claimed under a lease that is over, or have deleted it. What they have
 * not taken goes back into the queue, by let_go_of_unknown(), or by a heartbeat if this node has
 * been given up. */
bool lease_covers(const struct supervisor *supervisor, const struct report *report,
                  const char *node)
{
    loop_check(supervisor->loop);
    if (lease_holds(supervisor) && str_eq(node, lease_node(supervisor)))
        return true;
    log_given_up(report, LOG_WARN, "the lease that it was claimed under has run out");
    return false;
}

/* Stop the report. The store ignores its end, unless a deletion waits for it. `level`: INFO if this
 * was requested. */
static void abandon(struct job *job, enum log_level level, const char *reason)
{
    if (job->phase != JOB_RUNNING)
        return;
    log_given_up(&job->report, level, reason);
    job_requeue(job);
}

static void abandon_all(struct supervisor *supervisor, const char *reason)
{
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next)
        abandon(job, LOG_WARN, reason);
}

static bool is_confirmed(const struct store_heartbeat *beat, const struct job *job)
{
    for (size_t i = 0; i < beat->count; i++) {
        if (guid_eq(&beat->running[i].id, &job->report.id) &&
            beat->running[i].attempt == job->report.attempt && !beat->running[i].deleted)
            return true;
    }
    return false;
}

/* A job that the store did not name was deleted, ended or taken over, and the notification was lost
 * or is still on its way. A job that started after the heartbeat was sent could not be named. */
static void abandon_unnamed(struct supervisor *supervisor, const struct store_heartbeat *beat)
{
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next) {
        if (job->since_beat != supervisor->lease.beats && !is_confirmed(beat, job))
            abandon(job, LOG_INFO, "it was ended, deleted or taken over");
    }
}

static void on_let_go(struct store_op *op)
{
    free(op); /* if it failed, the next heartbeat names it again */
}

/* Requeue what the store assigns to this node but does not run here: after a deletion that stopped
 * it and then failed, or a claim or an end that this node does not know of. While it stays
 * assigned, no other node runs it or finishes its deletion. Nothing is done during a claim, which
 * may be of such a report; one whose claim is in doubt is requeued only if it is deleted, since the
 * repeated claim returns it. */
static void let_go_of_unknown(struct supervisor *supervisor, const struct store_heartbeat *beat)
{
    bool doubt = false;

    for (size_t i = 0; i < supervisor->worker_count; i++) {
        if (supervisor->claims[i].call.asking)
            return;
        doubt |= supervisor->claims[i].doubt;
    }
    for (size_t i = 0; i < beat->count; i++) {
        const struct store_ref *ref = &beat->running[i];
        struct store_op *op = NULL;

        if ((ref->deleted || !doubt) && job_find(supervisor, &ref->id) == NULL)
            op = calloc(1, sizeof(*op));
        if (op == NULL)
            continue;
        *op = (struct store_op){.verb = STORE_REQUEUE, .done = on_let_go};
        op->requeue = (struct store_requeue){.id = ref->id, .attempt = ref->attempt};
        store_post(supervisor->spec.store, op);
    }
}

/* ---- deletions that wait ---- */

static void on_held_answer(struct loop_call *call);

/* The looks may have failed, or come before a release that nobody tells of: whoever releases does
 * only if it has seen the tombstone, whose commit may have come in between. */
static void look_later(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    if (lease->parked == NULL || loop_timer_is_set(&lease->look_due))
        return;
    loop_timer_set(supervisor->loop, &lease->look_due, clock_mono_ms() + lease->look_ms);
    lease->look_ms = 2 * lease->look_ms < LOOK_MAX_MS ? 2 * lease->look_ms : LOOK_MAX_MS;
}

/* Ask about the next one that was not asked about since the last heartbeat, or the last time that
 * look_later() had set. */
static void check_parked(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;
    struct supervisor_stop *stop = lease->parked;

    while (stop != NULL && stop->looked == lease->beats)
        stop = stop->next;
    if (lease->look.asking)
        return;
    if (stop == NULL) {
        look_later(supervisor);
        return;
    }
    stop->looked = lease->beats;
    lease->looked_up = stop->id;
    lease->look.op = (struct store_op){.verb = STORE_HELD};
    lease->look.op.held.id = stop->id;
    loop_ask(supervisor->loop, supervisor->spec.store, &lease->look, on_held_answer);
}

/* Remove one that waits for this report from the list; NULL: there is none. */
static struct supervisor_stop *unpark(struct lease *lease, const struct guid *id)
{
    struct supervisor_stop **link = &lease->parked;
    struct supervisor_stop *stop;

    while (*link != NULL && !guid_eq(&(*link)->id, id))
        link = &(*link)->next;
    stop = *link;
    if (stop != NULL)
        *link = stop->next;
    return stop;
}

/* No node has the report any more. */
static void on_free(struct supervisor *supervisor, const struct guid *id)
{
    struct supervisor_stop *stop;

    while ((stop = unpark(&supervisor->lease, id)) != NULL) {
        if (stop->began_us != 0)
            histogram_add(&supervisor->cancels, clock_mono_us() - stop->began_us);
        stop->done(stop);
    }
}

/* Otherwise they, and a stop of the server, would wait without limit until the store answers. */
static void fail_parked(struct lease *lease)
{
    struct supervisor_stop *stop = lease->parked, *next;

    lease->parked = NULL;
    for (; stop != NULL; stop = next) {
        next = stop->next;
        stop->rc = -E_STORE;
        stop->done(stop);
    }
}

/* One node has released it; another one may still have it. */
static void on_released(struct supervisor *supervisor, const struct guid *id)
{
    for (struct supervisor_stop *stop = supervisor->lease.parked; stop != NULL; stop = stop->next) {
        if (guid_eq(&stop->id, id))
            stop->looked = supervisor->lease.beats - 1;
    }
    check_parked(supervisor);
}

static void on_held_answer(struct loop_call *call)
{
    struct supervisor *supervisor = container_of(call, struct supervisor, lease.look);
    bool released = call->op.rc == 0 && !call->op.held.held;

    store_op_done(&call->op);
    if (released)
        on_free(supervisor, &supervisor->lease.looked_up);
    check_parked(supervisor);
}

static void on_look_due(struct loop_timer *timer)
{
    struct lease *lease = container_of(timer, struct lease, look_due);

    for (struct supervisor_stop *stop = lease->parked; stop != NULL; stop = stop->next)
        stop->looked = lease->beats - 1;
    check_parked(container_of(lease, struct supervisor, lease));
}

void lease_park(struct supervisor *supervisor, struct supervisor_stop *stop)
{
    struct lease *lease = &supervisor->lease;

    loop_check(supervisor->loop);
    stop->next = lease->parked;
    stop->looked = lease->beats - 1; /* at once: it may have been released before it was parked */
    lease->parked = stop;
    lease->look_ms = LOOK_MS;
    loop_timer_cancel(&lease->look_due);
    check_parked(supervisor);
}

void lease_started(struct supervisor *supervisor, struct job *job)
{
    struct supervisor_stop *stop;

    loop_check(supervisor->loop);
    while ((stop = unpark(&supervisor->lease, &job->report.id)) != NULL)
        job_stop(job, stop);
}

/* ---- heartbeats ---- */

/* Nothing in the server depends on this clock, but logs and the functions of databases do. */
static void watch_clock(struct supervisor *supervisor)
{
    int64_t ahead_ms = store_clock_ahead_ms(supervisor->spec.store);
    int64_t told_ms = supervisor->lease.clock_ahead_ms;
    bool wrong = llabs(ahead_ms) > CLOCK_WRONG_MS;

    if (wrong ? llabs(ahead_ms - told_ms) <= CLOCK_WRONG_MS : told_ms == 0)
        return;
    supervisor->lease.clock_ahead_ms = wrong ? ahead_ms : 0;
    if (wrong)
        log_warn("node.clock", "ahead_ms=%ld problem=%s", (long)ahead_ms,
                 "this clock differs from the database's, which is used for all reports: set it");
    else
        log_info("node.clock", "ahead_ms=%ld", (long)ahead_ms);
}

static void on_alive(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    abandon_unnamed(supervisor, &lease->beat.op.heartbeat);
    if (!supervisor->shared)
        return;
    lease->begun = true;
    transfers_name(supervisor->spec.transfers, lease->node);
    loop_timer_set(supervisor->loop, &lease->end, lease->sent_ms + lease_ms(supervisor));
    loop_timer_set(supervisor->loop, &lease->due,
                   lease->sent_ms + lease_ms(supervisor) / BEATS_IN_A_LEASE);
    let_go_of_unknown(supervisor, &lease->beat.op.heartbeat);
    watch_clock(supervisor);
    supervisor->work = WORK_ANY; /* the notification of new work may have been lost */
    check_parked(supervisor);
}

/* The other nodes have taken our reports: start again under a new name. */
static void on_dead(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    log_error("node.given_up", "node=%s", lease->node);
    abandon_all(supervisor, "the other nodes have taken it over");
    transfers_name(supervisor->spec.transfers, NULL);
    memcpy(lease->was, lease->node, sizeof(lease->was));
    take_node_name(lease);
    loop_timer_cancel(&lease->end);
    loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms());
}

/* From then on a deletion that waits reports that its outcome is unknown. */
static void on_unheard(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms() + RETRY_MS);
    if (!lease_holds(supervisor))
        fail_parked(lease);
}

static void on_beaten(struct loop_call *call)
{
    struct supervisor *supervisor = container_of(call, struct supervisor, lease.beat);
    struct lease *lease = &supervisor->lease;
    const struct store_heartbeat *heartbeat = &call->op.heartbeat;

    if (call->op.rc < 0)
        log_trouble(&beat_trouble, &call->op.err);
    else
        log_trouble_over(&beat_trouble);
    if (call->op.rc < 0)
        on_unheard(supervisor);
    else if (heartbeat->alive)
        on_alive(supervisor);
    else
        on_dead(supervisor);
    if (call->op.rc == 0 && heartbeat->requeued > 0)
        log_warn("node.took_over", "reports=%ld", (long)heartbeat->requeued);
    store_op_done(&call->op);
    if (lease->again)
        loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms());
    lease->again = false;
}

static void on_due(struct loop_timer *timer)
{
    struct lease *lease = container_of(timer, struct lease, due);
    struct supervisor *supervisor = container_of(lease, struct supervisor, lease);

    SEAM_STEP("node", "beat", "due");
    free(lease->offer);
    lease->offer = supervisor->shared ? catalog_offer(supervisor->spec.catalog) : NULL;
    if (supervisor->shared && lease->offer == NULL) {
        loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms() + RETRY_MS);
        return;
    }
    lease->beats++;
    lease->sent_ms = clock_mono_ms(); /* taken before the store counts from its own clock */
    lease->beat.op = (struct store_op){.verb = STORE_HEARTBEAT};
    lease->beat.op.heartbeat =
        (struct store_heartbeat){.node = lease->node,
                                 .host = lease->host,
                                 .offer = lease->offer,
                                 .begin = !lease->begun,
                                 .was = *lease->was != '\0' ? lease->was : NULL,
                                 .lease_ms = lease_ms(supervisor),
                                 .running = lease->running};
    loop_ask(supervisor->loop, supervisor->spec.store, &lease->beat, on_beaten);
}

/* From now on others may run our reports, so a deletion must not wait for us in vain. */
static void on_end(struct loop_timer *timer)
{
    struct supervisor *supervisor = container_of(timer, struct supervisor, lease.end);

    abandon_all(supervisor, "the lease has run out, the store does not answer");
    transfers_name(supervisor->spec.transfers, NULL);
}

/* ---- changes by other nodes ---- */

struct news {
    struct supervisor *supervisor;
    struct loop_message message;
    bool everything;
    struct store_change change;
};

static void on_everything(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    supervisor->work = WORK_ANY;
    lease->again = lease->beat.asking;
    if (!lease->beat.asking)
        loop_timer_set(supervisor->loop, &lease->due, clock_mono_ms());
}

/* A report whose claim is in progress is not among the jobs yet, so changes of it may have been
 * missed. */
void lease_catch_up(struct supervisor *supervisor, unsigned news)
{
    if (news != supervisor->lease.news)
        on_everything(supervisor);
}

static void on_over(struct supervisor *supervisor, const struct store_change *change)
{
    const char *reason =
        change->state == REPORT_DELETING ? "it is being deleted" : "it was ended in error";

    for (struct job *job = supervisor->jobs; job != NULL; job = job->next) {
        if (guid_eq(&job->report.id, &change->id) && job->stops == NULL)
            abandon(job, LOG_INFO, reason);
    }
}

static void on_store_news(struct loop_message *message)
{
    struct news *news = container_of(message, struct news, message);
    struct supervisor *supervisor = news->supervisor;

    if (!news->change.released)
        supervisor->lease.news++;
    if (news->everything)
        on_everything(supervisor);
    else if (news->change.released)
        on_released(supervisor, &news->change.id);
    else
        on_over(supervisor, &news->change);
    free(news);
}

void supervisor_on_change(struct supervisor *supervisor, const struct store_change *change)
{
    struct news *news;

    if (supervisor->deaf)
        return;
    if (change != NULL && change->state != REPORT_DELETING && change->state != REPORT_ERROR)
        return;
    if (change != NULL && !change->heard && !change->released)
        return;
    news = calloc(1, sizeof(*news));
    if (news == NULL)
        return; /* the next heartbeat makes up for it */
    news->supervisor = supervisor;
    news->message.run = on_store_news;
    news->everything = change == NULL;
    if (change != NULL)
        news->change = *change;
    loop_post(supervisor->loop, &news->message);
}

/* ---- the end ---- */

/* Free messages that were posted after the thread has ended. */
static void drop_news(struct supervisor *supervisor)
{
    struct loop_message *message = loop_take_messages(supervisor->loop), *next;

    for (; message != NULL; message = next) {
        next = message->next;
        if (message->run == on_store_news)
            free(container_of(message, struct news, message));
    }
}

void lease_done(struct supervisor *supervisor)
{
    struct store_op op = {.verb = STORE_HEARTBEAT};

    supervisor->deaf = true;
    drop_news(supervisor);
    if (!supervisor->shared)
        return;
    free(supervisor->lease.offer);
    op.heartbeat = (struct store_heartbeat){.node = supervisor->lease.node,
                                            .host = supervisor->lease.host,
                                            .running = supervisor->lease.running};
    store_run(supervisor->spec.store, &op);
    store_op_done(&op);
}
