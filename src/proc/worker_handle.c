/* src/proc/worker_handle.c -- one worker process: it is started, given work, cancelled, killed and
 * replaced here. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/supervisor_impl.h"

enum {
    YOUNG_MS = 1000, /* a worker that dies sooner delays the start of the next one */
    RESPAWN_FIRST_MS = 100,
    RESPAWN_DOUBLINGS = 6,
    /* A killed process that has not ended by then waits for a disk or a file server that does not
     * answer. It executes no more code of its own, so its job need not wait for it. */
    DEATH_PATIENCE_MS = 2000,
    LAST_PATIENCE_MS = 2000, /* at the server's end, for all of them */
};

static struct log_trouble spawn_trouble = LOG_TROUBLE("worker.spawn");

/* The only function that writes worker->state. The timer belongs to the state that is left. */
static void worker_enter(struct worker_handle *worker, enum worker_state state)
{
    struct supervisor *supervisor = worker->supervisor;

    worker_check_move(worker->state, state);
    log_debug("worker.state", "pid=%d from=%s to=%s", (int)worker->child.pid,
              worker_state_name(worker->state), worker_state_name(state));
    atomic_fetch_sub(&supervisor->in_state[worker->state], 1);
    atomic_fetch_add(&supervisor->in_state[state], 1);
    loop_timer_cancel(&worker->timer);
    worker->state = state;
    if (state == WORKER_DYING)
        loop_timer_set(supervisor->loop, &worker->timer, clock_mono_ms() + DEATH_PATIENCE_MS);
}

struct worker_handle *worker_find_idle(struct supervisor *supervisor, const char *source_url)
{
    struct worker_handle *best = NULL;

    for (size_t i = 0; i < supervisor->worker_count; i++) {
        struct worker_handle *worker = &supervisor->workers[i];

        if (worker->state != WORKER_IDLE)
            continue;
        if (source_url != NULL && str_eq(worker->source_url, source_url))
            return worker;
        if (best == NULL || worker->source_url == NULL)
            best = worker;
    }
    return best;
}

/* --- messages from the worker ----------------------------------------------------------------- */

static void on_progressed(struct loop_call *call)
{
    store_op_done(&call->op);
}

/* Progress may be lost: while one write is in progress, further ones are skipped. */
static void take_progress(struct worker_handle *worker, const struct wire_answer *answer)
{
    struct supervisor *supervisor = worker->supervisor;

    if (worker->progress.asking)
        return;
    worker->progress.op = (struct store_op){.verb = STORE_PROGRESS};
    worker->progress.op.progress = (struct store_progress){.id = answer->head.id,
                                                           .attempt = answer->head.attempt,
                                                           .rows = answer->rows,
                                                           .bytes = answer->bytes};
    loop_ask(supervisor->loop, supervisor->spec.store, &worker->progress, on_progressed);
}

static struct job *leave_job(struct worker_handle *worker)
{
    struct job *job = worker->job;

    worker->job = NULL;
    if (job != NULL)
        job->worker = NULL;
    return job;
}

/* Its process ends by itself; the timer of DYING is for one that does not. */
static void take_done(struct worker_handle *worker, const struct wire_answer *answer)
{
    struct job *job;

    worker->young_deaths = 0;
    worker->spent = answer->spent != 0;
    if (worker->state == WORKER_BUSY)
        worker_enter(worker, worker->spent ? WORKER_DYING : WORKER_IDLE);
    if (answer->outcome == WIRE_AGAIN) {
        worker->job->runs = answer->runs;
        return;
    }
    job = leave_job(worker);
    job_answered(job, answer);
}

/* Also from a dying worker: it may have finished a report just before. */
static void on_worker_answer(struct channel *channel, const struct wire_answer *answer)
{
    struct worker_handle *worker = container_of(channel, struct worker_handle, channel);
    const struct report *report = worker->job != NULL ? &worker->job->report : NULL;

    if (report == NULL || !guid_eq(&report->id, &answer->head.id) ||
        report->attempt != answer->head.attempt)
        return;
    if (answer->head.type == WIRE_PROGRESS)
        take_progress(worker, answer);
    else
        take_done(worker, answer);
}

static void on_channel_end(struct channel *channel, const struct err *why)
{
    struct worker_handle *worker = container_of(channel, struct worker_handle, channel);

    if (why->code < 0)
        log_warn("worker.wire", "pid=%d error=%s", (int)worker->child.pid, why->text);
    channel_close(channel);
    if (worker->state == WORKER_IDLE || worker->state == WORKER_BUSY) {
        worker_enter(worker, WORKER_DYING);
        child_kill(&worker->child);
    }
}

/* --- start and end of the process ------------------------------------------------------------- */

/* Start it again, at once or, if it keeps dying, after a pause. */
static void start_again(struct worker_handle *worker)
{
    int64_t now_ms = clock_mono_ms();

    if (worker->supervisor->phase != SUPERVISOR_OPEN)
        return;
    if (now_ms - worker->spawned_ms >= YOUNG_MS) {
        worker->young_deaths = 0;
        worker_start(worker);
        return;
    }
    if (worker->young_deaths < RESPAWN_DOUBLINGS)
        worker->young_deaths++;
    loop_timer_set(worker->supervisor->loop, &worker->timer,
                   now_ms + (RESPAWN_FIRST_MS << (worker->young_deaths - 1)));
}

/* From now on there is another process, also for the job that the previous one could not run. */
static void replace_spent(struct worker_handle *worker, struct job *job)
{
    worker->spent = false;
    if (job != NULL || worker->supervisor->phase == SUPERVISOR_OPEN)
        worker_start(worker);
    if (job != NULL)
        job_run_again(job, worker);
}

static void on_exit_event(struct loop_watch *watch)
{
    struct worker_handle *worker = container_of(watch, struct worker_handle, exit_watch);
    struct supervisor *supervisor = worker->supervisor;
    int pid = (int)worker->child.pid;
    struct child_end end;
    struct job *job;

    channel_drain(&worker->channel); /* it may have finished a report just before it died */
    channel_close(&worker->channel);
    loop_unwatch(supervisor->loop, watch);
    if (!child_reap(&worker->child, 0, &end))
        end = (struct child_end){.message = "no status"};
    worker_enter(worker, WORKER_ABSENT);
    free(worker->source_url);
    worker->source_url = NULL;
    job = leave_job(worker);
    if (worker->spent && (job == NULL || job->phase == JOB_RUNNING)) {
        replace_spent(worker, job);
        return;
    }
    atomic_fetch_add(&supervisor->died, 1);
    log_warn("worker.died", "pid=%d how=%s busy=%s", pid, end.message, job != NULL ? "yes" : "no");
    worker->spent = false;
    if (job != NULL)
        job_worker_died(job, &end);
    start_again(worker);
}

/* It was killed, or has announced its end, but does not end. */
static void on_immortal(struct worker_handle *worker)
{
    const struct child_end end = {.message = "a process that cannot be killed"};
    struct job *job = leave_job(worker);

    if (worker->spent)
        child_kill(&worker->child);
    log_error("worker.unkillable", "pid=%d reason=%s", (int)worker->child.pid,
              "it waits for a disk or a file server that does not answer");
    if (job != NULL)
        job_worker_died(job, &end);
}

static void on_worker_timer(struct loop_timer *timer)
{
    struct worker_handle *worker = container_of(timer, struct worker_handle, timer);

    if (worker->state == WORKER_DYING)
        on_immortal(worker);
    else
        worker_start(worker);
}

void worker_init(struct worker_handle *worker, struct supervisor *supervisor)
{
    worker->supervisor = supervisor;
    worker->state = WORKER_ABSENT;
    worker->child = (struct child){.pidfd = -1};
    worker->channel =
        (struct channel){.fd = -1, .heard = on_worker_answer, .ended = on_channel_end};
    worker->timer.run = on_worker_timer;
    worker->exit_watch.ready = on_exit_event;
    atomic_fetch_add(&supervisor->in_state[WORKER_ABSENT], 1);
}

void worker_start(struct worker_handle *worker)
{
    struct supervisor *supervisor = worker->supervisor;
    struct err err = {0};
    int socket;

    CHECK(worker->state == WORKER_ABSENT && worker->job == NULL);
    worker->spawned_ms = clock_mono_ms();
    if (child_spawn("worker", &worker->child, &socket, &err) < 0) {
        log_trouble(&spawn_trouble, &err);
        start_again(worker);
        return;
    }
    log_trouble_over(&spawn_trouble);
    worker_enter(worker, WORKER_IDLE);
    atomic_fetch_add(&supervisor->spawned, 1);
    if (channel_open(&worker->channel, supervisor->loop, socket, &err) < 0 ||
        loop_watch(supervisor->loop, &worker->exit_watch, worker->child.pidfd, EPOLLIN, &err) < 0)
        worker_kill(worker, err.text);
}

void worker_run(struct worker_handle *worker, struct job *job, const struct wire_order *order)
{
    struct err err = {0};

    loop_check(worker->supervisor->loop);
    CHECK(worker->state == WORKER_IDLE && worker->job == NULL && job->worker == NULL);
    if (worker->source_url == NULL)
        worker->source_url = strdup(order->texts.source_url); /* NULL: any source will do */
    worker->job = job;
    job->worker = worker;
    worker_enter(worker, WORKER_BUSY);
    if (channel_send(&worker->channel, order, &err) < 0)
        worker_kill(worker, err.text); /* the report is requeued when it has exited */
}

void worker_cancel(struct worker_handle *worker)
{
    struct wire_order cancel = {.run.head.type = WIRE_CANCEL, .fd = -1, .texts_fd = -1};
    struct err err = {0};

    loop_check(worker->supervisor->loop);
    if (worker->state != WORKER_BUSY)
        return; /* it is dying */
    CHECK(worker->job != NULL);
    cancel.run.head.id = worker->job->report.id;
    cancel.run.head.attempt = worker->job->report.attempt;
    if (channel_send(&worker->channel, &cancel, &err) < 0)
        worker_kill(worker, err.text);
}

void worker_kill(struct worker_handle *worker, const char *reason)
{
    loop_check(worker->supervisor->loop);
    if (worker->state == WORKER_DYING || worker->state == WORKER_ABSENT)
        return;
    log_warn("worker.killed", "pid=%d reason=%s", (int)worker->child.pid, reason);
    atomic_fetch_add(&worker->supervisor->killed, 1);
    worker_enter(worker, WORKER_DYING);
    child_kill(&worker->child);
}

void worker_dismiss(struct worker_handle *worker)
{
    channel_close(&worker->channel);
    /* An idle worker holds nothing that needs an orderly end. */
    child_kill(&worker->child);
}

void worker_done(struct worker_handle *worker)
{
    struct child_end end;

    free(worker->source_url);
    if (worker->child.pid > 0 && !child_reap(&worker->child, LAST_PATIENCE_MS, &end))
        log_error("worker.unkillable", "pid=%d reason=%s", (int)worker->child.pid,
                  "left behind at the end of the server");
}
