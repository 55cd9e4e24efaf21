/* src/proc/lease.c -- one node of several that share a store: its heartbeats, what it does when it
 * was given up, and deletions that wait for another node to stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seam.h"
#include "proc/supervisor_impl.h"

enum {
    BEATS_IN_A_LEASE = 3,
    RETRY_MS = 200, /* after a heartbeat that did not reach the store */
};

static int64_t lease_ms(const struct supervisor *supervisor)
{
    return supervisor->spec.config->lease.number;
}

static void take_name(struct lease *lease)
{
    struct guid id = guid_new();

    guid_format(&id, lease->node);
    lease->begun = false;
}

void lease_init(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;
    char host[64] = "";

    supervisor->shared = store_is_shared(supervisor->spec.store);
    if (!supervisor->shared)
        return;
    gethostname(host, sizeof(host) - 1);
    snprintf(lease->host, sizeof(lease->host), "%s:%d", host, (int)getpid());
    take_name(lease);
    lease->beat_ms = clock_mono_ms();
}

bool lease_holds(const struct supervisor *supervisor)
{
    return !supervisor->shared || supervisor->lease.until_ms != 0;
}

const char *lease_node(const struct supervisor *supervisor)
{
    return supervisor->shared ? supervisor->lease.node : supervisor->spec.node;
}

bool lease_is_busy(const struct supervisor *supervisor)
{
    return supervisor->lease.beating || supervisor->lease.looking;
}

/* ---- running reports that are not ours any more ---- */

/* Stop it; what it says at its end the store ignores, but for a deletion that waits for it. */
static void give_up(struct job *job, const char *reason)
{
    char reference[GUID_TEXT];

    if (job->ending || job->put_back)
        return;
    guid_format(&job->report.id, reference);
    log_warn("report.given_up", "reference=%s attempt=%d reason=%s", reference, job->report.attempt,
             reason);
    job_put_back(job);
}

static void give_up_all(struct supervisor *supervisor, const char *reason)
{
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next)
        give_up(job, reason);
}

static bool is_running(const struct store_heartbeat *beat, const struct job *job)
{
    for (size_t i = 0; i < beat->count; i++) {
        if (guid_eq(&beat->running[i].id, &job->report.id) &&
            beat->running[i].attempt == job->report.attempt)
            return true;
    }
    return false;
}

/* What the store did not name was deleted, or taken over, and the news of it got lost. A job that
 * started after the heartbeat was sent could not be named. */
static void give_up_unnamed(struct supervisor *supervisor, const struct store_heartbeat *beat)
{
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next) {
        if (job->since_beat != supervisor->lease.beats && !is_running(beat, job))
            give_up(job, "the store says that it is not ours");
    }
}

/* ---- deletions that wait ---- */

static void on_looked(struct supervisor *supervisor, struct supervisor_mail *mail);

static void look_answered(struct store_op *op)
{
    struct supervisor *supervisor = op->owner;

    supervisor_deliver(supervisor, &supervisor->lease.look_mail);
}

/* Look at the next one that was not looked at since the last heartbeat. */
static void look(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;
    struct supervisor_stop *stop = lease->parked;

    while (stop != NULL && stop->looked == lease->beats)
        stop = stop->next;
    if (stop == NULL || lease->looking)
        return;
    stop->looked = lease->beats;
    lease->looking = true;
    lease->looked_up = stop->id;
    lease->look_mail.deliver = on_looked;
    lease->look = (struct store_op){.verb = STORE_HELD, .done = look_answered, .owner = supervisor};
    lease->look.held.id = stop->id;
    store_post(supervisor->spec.store, &lease->look);
}

/* Take one that waits for this report out of the list; NULL: there is none. */
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

static void on_released(struct supervisor *supervisor, const struct guid *id)
{
    struct supervisor_stop *stop;

    while ((stop = unpark(&supervisor->lease, id)) != NULL) {
        histogram_add(&supervisor->cancels, clock_mono_us() - stop->began_us);
        stop->done(stop);
    }
}

static void on_looked(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct lease *lease = &supervisor->lease;
    bool released = lease->look.rc == 0 && !lease->look.held.held;

    (void)mail;
    lease->looking = false;
    store_op_done(&lease->look);
    if (released)
        on_released(supervisor, &lease->looked_up);
    look(supervisor);
}

void lease_park(struct supervisor *supervisor, struct supervisor_stop *stop)
{
    struct lease *lease = &supervisor->lease;

    stop->next = lease->parked;
    stop->looked = lease->beats - 1; /* at once: it may have been released before it was parked */
    lease->parked = stop;
    look(supervisor);
}

void lease_started(struct supervisor *supervisor, struct job *job)
{
    struct supervisor_stop *stop;

    while ((stop = unpark(&supervisor->lease, &job->report.id)) != NULL)
        job_stop(job, stop);
}

/* ---- heartbeats ---- */

static void beat(struct supervisor *supervisor);

static void on_alive(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    lease->begun = true;
    lease->until_ms = lease->sent_ms + lease_ms(supervisor);
    lease->beat_ms = lease->sent_ms + lease_ms(supervisor) / BEATS_IN_A_LEASE;
    give_up_unnamed(supervisor, &lease->beat.heartbeat);
    supervisor->work = true; /* the news of it may have got lost */
    look(supervisor);
}

/* The others have our reports: begin anew, as somebody else. */
static void on_dead(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    log_error("node.given_up", "node=%s", lease->node);
    give_up_all(supervisor, "the other nodes have taken it over");
    take_name(lease);
    lease->until_ms = 0;
    lease->beat_ms = clock_mono_ms();
}

static void on_beaten(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct lease *lease = &supervisor->lease;

    (void)mail;
    lease->beating = false;
    if (lease->beat.rc < 0)
        lease->beat_ms = clock_mono_ms() + RETRY_MS;
    else if (lease->beat.heartbeat.alive)
        on_alive(supervisor);
    else
        on_dead(supervisor);
    if (lease->beat.rc == 0 && lease->beat.heartbeat.requeued > 0)
        log_warn("node.took_over", "reports=%ld", (long)lease->beat.heartbeat.requeued);
    store_op_done(&lease->beat);
    if (lease->again)
        lease->beat_ms = clock_mono_ms();
    lease->again = false;
}

static void beat_answered(struct store_op *op)
{
    struct supervisor *supervisor = op->owner;

    supervisor_deliver(supervisor, &supervisor->lease.beat_mail);
}

static void beat(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    SEAM_STEP("node", "beat", "due");
    lease->beating = true;
    lease->beat_ms = 0;
    lease->beats++;
    lease->sent_ms = clock_mono_ms(); /* before the store counts from its own now */
    lease->beat_mail.deliver = on_beaten;
    lease->beat =
        (struct store_op){.verb = STORE_HEARTBEAT, .done = beat_answered, .owner = supervisor};
    lease->beat.heartbeat = (struct store_heartbeat){.node = lease->node,
                                                     .host = lease->host,
                                                     .begin = !lease->begun,
                                                     .lease_ms = lease_ms(supervisor)};
    store_post(supervisor->spec.store, &lease->beat);
}

int64_t lease_deadline(const struct supervisor *supervisor)
{
    const struct lease *lease = &supervisor->lease;

    if (lease->beat_ms == 0 || (lease->until_ms != 0 && lease->until_ms < lease->beat_ms))
        return lease->until_ms;
    return lease->beat_ms;
}

void lease_on_time(struct supervisor *supervisor, int64_t now_ms)
{
    struct lease *lease = &supervisor->lease;

    if (!supervisor->shared)
        return;
    /* From now on others may run them: whoever deletes one must not wait for us in vain. */
    if (lease->until_ms != 0 && lease->until_ms <= now_ms) {
        lease->until_ms = 0;
        give_up_all(supervisor, "the lease has run out, the store does not answer");
    }
    if (lease->beat_ms != 0 && lease->beat_ms <= now_ms)
        beat(supervisor);
}

/* ---- news ---- */

struct news {
    struct supervisor_mail mail;
    bool everything;
    struct store_change change;
};

static void on_everything(struct supervisor *supervisor)
{
    struct lease *lease = &supervisor->lease;

    supervisor->work = true;
    lease->again = lease->beating;
    if (!lease->beating)
        lease->beat_ms = clock_mono_ms();
}

static void on_deleting(struct supervisor *supervisor, const struct guid *id)
{
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next) {
        if (guid_eq(&job->report.id, id) && job->stops == NULL)
            give_up(job, "it is being deleted");
    }
}

static void on_news(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct news *news = container_of(mail, struct news, mail);

    if (news->everything)
        on_everything(supervisor);
    else if (news->change.released)
        on_released(supervisor, &news->change.id);
    else
        on_deleting(supervisor, &news->change.id);
    free(news);
}

void supervisor_hear(struct supervisor *supervisor, const struct store_change *change)
{
    struct news *news;

    if (!supervisor->shared || (change != NULL && change->state != REPORT_DELETING) ||
        (change != NULL && !change->heard && !change->released))
        return;
    news = calloc(1, sizeof(*news));
    if (news == NULL)
        return; /* the next heartbeat tells */
    news->mail.deliver = on_news;
    news->everything = change == NULL;
    if (change != NULL)
        news->change = *change;
    supervisor_deliver(supervisor, &news->mail);
}

/* ---- the end ---- */

/* What was delivered after the thread has ended. */
static void drop_news(struct supervisor *supervisor)
{
    struct supervisor_mail *mail = supervisor->first, *next;

    for (; mail != NULL; mail = next) {
        next = mail->next;
        if (mail->deliver == on_news)
            free(container_of(mail, struct news, mail));
    }
    supervisor->first = NULL;
}

void lease_done(struct supervisor *supervisor)
{
    struct store_op op = {.verb = STORE_HEARTBEAT};

    if (!supervisor->shared)
        return;
    supervisor->shared = false; /* hears no more */
    drop_news(supervisor);
    op.heartbeat =
        (struct store_heartbeat){.node = supervisor->lease.node, .host = supervisor->lease.host};
    store_run(supervisor->spec.store, &op);
    store_op_done(&op);
}
