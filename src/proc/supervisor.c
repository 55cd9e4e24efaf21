/* src/proc/supervisor.c -- the supervisor's thread: its rounds, its start and its end. */
#include "proc/supervisor.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "proc/supervisor_impl.h"

/* While all workers are busy it takes no switch of threads for each report that is submitted: the
 * wakes are seen when a worker becomes idle. */
void supervisor_wake(struct supervisor *supervisor)
{
    atomic_fetch_add(&supervisor->wakes, 1);
    if (atomic_exchange(&supervisor->idle, false))
        loop_wake(supervisor->loop);
}

/* --- stopping one report ---------------------------------------------------------------------- */

static void on_stop(struct loop_message *message)
{
    struct supervisor_stop *stop = container_of(message, struct supervisor_stop, message);
    struct supervisor *supervisor = stop->supervisor;
    struct job *job = job_find(supervisor, &stop->id);

    if (job != NULL)
        job_stop(job, stop);
    else if (stop->held)
        lease_park(supervisor, stop);
    else
        stop->done(stop);
}

void supervisor_stop(struct supervisor *supervisor, struct supervisor_stop *stop)
{
    stop->supervisor = supervisor;
    stop->message.run = on_stop;
    loop_post(supervisor->loop, &stop->message);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Draining is over when no report runs, and the store and the spool have answered. */
static bool is_finished(const struct supervisor *supervisor)
{
    return supervisor->phase != SUPERVISOR_OPEN && supervisor->jobs == NULL &&
           loop_asking(supervisor->loop) == 0;
}

static void *supervisor_thread(void *arg)
{
    struct supervisor *supervisor = arg;

    loop_enter(supervisor->loop);
    while (!is_finished(supervisor)) {
        claim_all(supervisor);
        loop_round(supervisor->loop);
    }
    loop_leave(supervisor->loop);
    return NULL;
}

/* --- start ------------------------------------------------------------------------------------ */

static void on_claims_again(struct loop_timer *timer)
{
    (void)timer; /* that it is not set any more is what counts: the next round claims */
}

/* What runs goes back into the queue; at once, if somebody is in a hurry. */
static void end_drain(struct supervisor *supervisor)
{
    struct job *next;

    supervisor->phase = SUPERVISOR_CLOSING;
    for (struct job *job = supervisor->jobs; job != NULL; job = next) {
        struct worker_handle *worker = job->worker;

        next = job->next;
        job_requeue(job);
        if (supervisor->hurried && worker != NULL)
            worker_kill(worker, "the server is to stop at once");
    }
}

static void on_drain_time(struct loop_timer *timer)
{
    end_drain(container_of(timer, struct supervisor, drain_timer));
}

static void on_hurry(struct loop_message *message)
{
    struct supervisor *supervisor = container_of(message, struct supervisor, hurry);

    supervisor->hurried = true;
    loop_timer_cancel(&supervisor->drain_timer);
    if (supervisor->phase != SUPERVISOR_OPEN)
        end_drain(supervisor);
}

static void on_drain(struct loop_message *message)
{
    struct supervisor *supervisor = container_of(message, struct supervisor, drain);

    supervisor->phase = SUPERVISOR_DRAINING;
    if (supervisor->hurried)
        end_drain(supervisor);
    else
        loop_timer_set(supervisor->loop, &supervisor->drain_timer,
                       clock_mono_ms() + supervisor->drain_grace_ms);
}

static void free_all(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->worker_count; i++)
        claim_done(&supervisor->claims[i]);
    loop_free(supervisor->loop);
    free(supervisor->workers);
    free(supervisor->claims);
    free(supervisor);
}

static void start_workers(struct supervisor *supervisor, size_t count)
{
    supervisor->worker_count = count;
    for (size_t i = 0; i < count; i++) {
        claim_init(&supervisor->claims[i], supervisor);
        worker_init(&supervisor->workers[i], supervisor);
        worker_start(&supervisor->workers[i]);
    }
}

static void stop_workers(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->worker_count; i++)
        worker_dismiss(&supervisor->workers[i]);
    for (size_t i = 0; i < supervisor->worker_count; i++)
        worker_done(&supervisor->workers[i]);
}

int supervisor_new(const struct supervisor_spec *spec, struct supervisor **ret, struct err *err)
{
    struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
    size_t count = (size_t)spec->config->workers.number;
    int rc;

    if (supervisor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    supervisor->spec = *spec;
    supervisor->work = true;
    supervisor->drain.run = on_drain;
    supervisor->hurry.run = on_hurry;
    supervisor->drain_timer.run = on_drain_time;
    supervisor->no_claim.run = on_claims_again;
    supervisor->workers = calloc(count, sizeof(*supervisor->workers));
    supervisor->claims = calloc(count, sizeof(*supervisor->claims));
    rc = loop_new(&supervisor->loop, err);
    if (rc == 0 && (supervisor->workers == NULL || supervisor->claims == NULL))
        rc = err_set(err, -E_NOMEM, "out of memory");
    if (rc == 0) {
        lease_init(supervisor);
        start_workers(supervisor, count);
        if (thread_start(&supervisor->thread, "supervisor", supervisor_thread, supervisor) != 0) {
            rc = err_set(err, -E_NOMEM, "can't start the supervisor's thread");
            stop_workers(supervisor);
        }
    }
    if (rc < 0) {
        free_all(supervisor);
        return rc;
    }
    *ret = supervisor;
    return 0;
}

/* --- end -------------------------------------------------------------------------------------- */

void supervisor_drain(struct supervisor *supervisor, int64_t grace_ms)
{
    supervisor->drain_grace_ms = grace_ms;
    loop_post(supervisor->loop, &supervisor->drain);
    pthread_join(supervisor->thread, NULL);
}

void supervisor_hurry(struct supervisor *supervisor)
{
    if (!atomic_exchange(&supervisor->hurry_posted, true))
        loop_post(supervisor->loop, &supervisor->hurry);
}

void supervisor_free(struct supervisor *supervisor)
{
    if (supervisor == NULL)
        return;
    CHECK(supervisor->jobs == NULL);
    lease_done(supervisor); /* from here on nobody waits for what is sent */
    stop_workers(supervisor);
    free_all(supervisor);
}

void supervisor_stats(struct supervisor *supervisor, struct supervisor_stats *ret)
{
    int64_t busy = atomic_load(&supervisor->in_state[WORKER_BUSY]);

    *ret =
        (struct supervisor_stats){.workers = busy + atomic_load(&supervisor->in_state[WORKER_IDLE]),
                                  .busy = busy,
                                  .spawned = atomic_load(&supervisor->spawned),
                                  .died = atomic_load(&supervisor->died),
                                  .killed = atomic_load(&supervisor->killed)};
    histogram_read(&supervisor->cancels, &ret->cancels);
}
