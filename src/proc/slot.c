/* src/proc/slot.c -- a place for one worker process: started, given work, cancelled, killed,
 * replaced. */
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/supervisor_impl.h"

enum {
    YOUNG_MS = 1000, /* a worker that dies sooner, without work, makes the next one wait */
    RESPAWN_FIRST_MS = 100,
    RESPAWN_DOUBLINGS = 6,
};

bool slot_is_idle(const struct slot *slot)
{
    return slot->child.pid > 0 && slot->child.socket >= 0 && slot->job == NULL;
}

/* --- what the worker says --------------------------------------------------------------------- */

static void on_progressed(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct slot *slot = container_of(mail, struct slot, progress_mail);

    (void)supervisor;
    slot->progressing = false;
    store_op_done(&slot->progress);
}

static void progress_answered(struct store_op *op)
{
    struct slot *slot = op->owner;

    supervisor_deliver(slot->supervisor, &slot->progress_mail);
}

/* Progress is news, not truth: while one is being written the next is skipped. */
static void take_progress(struct slot *slot, const struct wire_message *m)
{
    if (slot->progressing)
        return;
    slot->progressing = true;
    slot->progress_mail.deliver = on_progressed;
    slot->progress =
        (struct store_op){.verb = STORE_PROGRESS, .done = progress_answered, .owner = slot};
    slot->progress.progress = (struct store_progress){
        .id = m->id, .attempt = m->attempt, .rows = m->rows, .bytes = m->bytes};
    store_post(slot->supervisor->spec.store, &slot->progress);
}

static struct job *leave_job(struct slot *slot)
{
    struct job *job = slot->job;

    slot->job = NULL;
    slot->kill_ms = 0;
    if (job != NULL) {
        job->slot = NULL;
        atomic_fetch_sub(&slot->supervisor->busy, 1);
    }
    return job;
}

static void take_message(struct slot *slot, const struct wire_message *m)
{
    const struct report *report = slot->job != NULL ? &slot->job->report : NULL;

    if (report == NULL || !guid_eq(&report->id, &m->id) || report->attempt != m->attempt)
        return;
    if (m->type == WIRE_PROGRESS)
        take_progress(slot, m);
    if (m->type == WIRE_DONE) {
        slot->young_deaths = 0;
        job_answered(leave_job(slot), m);
    }
}

/* One frame; false at the end of the socket or when it can't be understood. */
static bool receive(struct slot *slot)
{
    struct wire_message m = {.fd = -1};
    struct err err = {0};
    int rc = wire_receive(slot->child.socket, &m, &err);

    if (rc < 0)
        log_warn("worker.wire", "pid=%d error=%s", (int)slot->child.pid, err.text);
    if (rc <= 0)
        return false;
    take_message(slot, &m);
    wire_message_done(&m);
    return true;
}

static void on_socket(struct watch *watch)
{
    struct slot *slot = watch->owner;

    /* The exit may have been handled earlier in the same round of events. */
    if (slot->child.socket < 0 || receive(slot))
        return;
    child_kill(&slot->child);
    child_close_socket(&slot->child);
}

/* --- its life --------------------------------------------------------------------------------- */

static void respawn(struct slot *slot)
{
    int64_t now_ms = clock_mono_ms();

    if (slot->supervisor->draining)
        return;
    if (now_ms - slot->spawned_ms >= YOUNG_MS) {
        slot->young_deaths = 0;
        slot_start(slot);
        return;
    }
    if (slot->young_deaths < RESPAWN_DOUBLINGS)
        slot->young_deaths++;
    slot->respawn_ms = now_ms + (RESPAWN_FIRST_MS << (slot->young_deaths - 1));
}

static void on_exit_event(struct watch *watch)
{
    struct slot *slot = watch->owner;
    int pid = (int)slot->child.pid;
    struct job *job;
    char words[32];

    if (pid == 0)
        return;
    /* It may have finished a report just before it died. */
    while (slot->child.socket >= 0 && receive(slot))
        ;
    child_reap(&slot->child, words);
    atomic_fetch_sub(&slot->supervisor->alive, 1);
    atomic_fetch_add(&slot->supervisor->died, 1);
    log_warn("worker.died", "pid=%d how=%s busy=%s", pid, words, slot->job != NULL ? "yes" : "no");
    job = leave_job(slot);
    if (job != NULL)
        job_orphaned(job, words);
    respawn(slot);
}

void slot_start(struct slot *slot)
{
    struct supervisor *supervisor = slot->supervisor;
    struct err err = {0};

    slot->respawn_ms = 0;
    slot->spawned_ms = clock_mono_ms();
    slot->socket_watch = (struct watch){on_socket, slot};
    slot->exit_watch = (struct watch){on_exit_event, slot};
    if (child_spawn(&slot->child, &err) < 0) {
        log_error("worker.spawn", "error=%s", err.text);
        respawn(slot);
        return;
    }
    if (supervisor_watch(supervisor, slot->child.pidfd, &slot->exit_watch) < 0 ||
        supervisor_watch(supervisor, slot->child.socket, &slot->socket_watch) < 0) {
        log_error("worker.spawn", "error=%s", "can't watch it");
        child_kill(&slot->child);
    }
    atomic_fetch_add(&supervisor->spawned, 1);
    atomic_fetch_add(&supervisor->alive, 1);
    log_debug("worker.started", "pid=%d", (int)slot->child.pid);
}

void slot_run(struct slot *slot, struct job *job, const struct wire_message *m)
{
    struct err err = {0};

    slot->job = job;
    job->slot = slot;
    atomic_fetch_add(&slot->supervisor->busy, 1);
    if (wire_send(slot->child.socket, m, &err) < 0) {
        /* It hangs or is gone; its exit hands the report back. */
        log_warn("worker.wire", "pid=%d error=%s", (int)slot->child.pid, err.text);
        child_kill(&slot->child);
    }
}

void slot_cancel(struct slot *slot)
{
    struct wire_message m = {.type = WIRE_CANCEL, .fd = -1};
    int64_t grace_ms = slot->supervisor->spec.config->cancel_grace.number;

    if (slot->kill_ms != 0)
        return;
    m.id = slot->job->report.id;
    m.attempt = slot->job->report.attempt;
    slot->kill_ms = clock_mono_ms() + grace_ms;
    if (slot->child.socket < 0 || wire_send(slot->child.socket, &m, NULL) < 0)
        child_kill(&slot->child);
}

int64_t slot_deadline(const struct slot *slot)
{
    return slot->kill_ms != 0 ? slot->kill_ms : slot->respawn_ms;
}

void slot_on_time(struct slot *slot, int64_t now_ms)
{
    if (slot->kill_ms != 0 && slot->kill_ms <= now_ms) {
        log_warn("worker.killed", "pid=%d reason=%s", (int)slot->child.pid,
                 "its query did not stop in time");
        atomic_fetch_add(&slot->supervisor->killed, 1);
        child_kill(&slot->child);
        /* Not cleared, so that it is cancelled once; moved, so that this is not repeated at once.
         */
        slot->kill_ms = now_ms + 1000;
    }
    if (slot->respawn_ms != 0 && slot->respawn_ms <= now_ms)
        slot_start(slot);
}
