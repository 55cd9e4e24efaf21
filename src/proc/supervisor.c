/* src/proc/supervisor.c -- the supervisor's thread: its rounds, its start and its end. */
#include "proc/supervisor.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/str.h"
#include "base/thread.h"
#include "proc/supervisor_impl.h"

/* --- claiming the next report: one request to the store per idle worker ----------------------- */

enum {
    CLAIM_RETRY_MS = 500, /* between tries while the store is unavailable */
    HELD_BACK_MS = 1000,  /* … while limits or pauses hold back everything that is queued */
};

static struct log_trouble claim_trouble = LOG_TROUBLE("store.claim");

static void claim_init(struct claim *claim, struct supervisor *supervisor)
{
    *claim = (struct claim){.supervisor = supervisor, .token = guid_new()};
}

static void claim_done(struct claim *claim)
{
    job_free(claim->job);
    free(claim->offer);
    free(claim->sources);
    free(claim->limits);
}

static void drain_wakeups(struct supervisor *supervisor)
{
    unsigned wakes = atomic_load(&supervisor->wakes);
    unsigned more = wakes - supervisor->wakes_seen;

    supervisor->wakes_seen = wakes;
    supervisor->work = more > WORK_ANY - supervisor->work ? WORK_ANY : supervisor->work + more;
}

/* How many claims are worth asking for, now that this one is answered. */
static void reckon_work(struct claim *claim, const struct store_claim *answer)
{
    struct supervisor *supervisor = claim->supervisor;
    bool own = answer->found && claim->along && guid_eq(&claim->submitted, &answer->report.id);
    unsigned since;

    drain_wakeups(supervisor);
    since = supervisor->wakes_seen - claim->wakes;
    if (!answer->found)
        supervisor->work = since < supervisor->work ? since : supervisor->work; /* only those */
    else if (claim->along && supervisor->work > 0)
        supervisor->work--; /* the wake of its submit, or of another one */
    if (answer->found && !own && supervisor->work == 0)
        supervisor->work = 1; /* others may be queued that no wake has told of */
}

static void on_claimed(struct loop_call *call)
{
    struct claim *claim = container_of(call, struct claim, call);
    struct supervisor *supervisor = claim->supervisor;
    struct store_claim *answer = &call->op.claim;
    struct job *job = claim->job;

    if (claim->along)
        atomic_fetch_sub(&supervisor->along, 1);
    if (call->op.rc < 0) {
        log_trouble(&claim_trouble, &call->op.err);
        loop_timer_set(supervisor->loop, &supervisor->no_claim, clock_mono_ms() + CLAIM_RETRY_MS);
        claim->doubt = true; /* it may have been committed: the token stays */
        claim->along = false;
        store_op_done(&call->op);
        return;
    }
    log_trouble_over(&claim_trouble);
    claim->doubt = false;
    claim->token = guid_new();
    reckon_work(claim, answer);
    claim->along = false;
    if (answer->found && lease_covers(supervisor, &answer->report, claim->node)) {
        claim->job = NULL;
        job->stray = answer->stray;
        job->permitted = answer->permitted;
        job_start(job, &answer->report);
        lease_catch_up(supervisor, claim->news);
    } else if (answer->found) {
        supervisor->work = WORK_ANY; /* who has it, and what is queued, the next heartbeat says */
    } else if (answer->held_back) {
        atomic_store(&supervisor->held_back, true);
        loop_timer_set(supervisor->loop, &supervisor->look, clock_mono_ms() + HELD_BACK_MS);
    }
    store_op_done(&call->op);
}

/* The limits of sources that have one. */
static bool read_source_limits(struct claim *claim)
{
    const struct config *config = claim->supervisor->spec.config;

    claim->limit_count = 0;
    if (claim->limits == NULL)
        claim->limits = calloc(config->source_count + 1, sizeof(*claim->limits));
    for (size_t i = 0; claim->limits != NULL && i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        int64_t most = source->max_running;

        if (most > 0)
            claim->limits[claim->limit_count++] = (struct store_limit){source->name, most};
    }
    return claim->limits != NULL;
}

static void read_offer(struct claim *claim)
{
    struct catalog *catalog = claim->supervisor->spec.catalog;
    unsigned generation = catalog_generation(catalog);

    if (claim->offer != NULL && claim->generation == generation)
        return;
    free(claim->offer);
    free(claim->sources);
    claim->sources = NULL;
    claim->generation = generation;
    claim->offer = catalog_offer_sources(catalog, &claim->sources);
}

/* False: out of memory: the next wake tries again. */
static bool prepare_claim(struct claim *claim)
{
    struct supervisor *supervisor = claim->supervisor;

    if (claim->job == NULL)
        claim->job = job_new(supervisor);
    read_offer(claim);
    if (claim->job == NULL || claim->offer == NULL || !read_source_limits(claim))
        return false;
    claim->wakes = atomic_load(&supervisor->wakes);
    claim->news = supervisor->lease.news;
    str_copy(claim->node, sizeof(claim->node), lease_node(supervisor));
    claim->call.op = (struct store_op){.verb = STORE_CLAIM};
    claim->call.op.claim =
        (struct store_claim){.node = claim->node,
                             .offer = claim->offer,
                             .sources = claim->sources,
                             .limits = claim->limits,
                             .limit_count = claim->limit_count,
                             .running_limit = (int)supervisor->spec.config->running_limit.number,
                             .token = claim->token,
                             .now_ms = store_now_ms(supervisor->spec.store)};
    return true;
}

/* False: out of memory. */
static bool ask_claim(struct claim *claim)
{
    struct supervisor *supervisor = claim->supervisor;
    bool prepared = prepare_claim(claim);

    if (prepared)
        loop_ask(supervisor->loop, supervisor->spec.store, &claim->call, on_claimed);
    return prepared;
}

/* The number of idle workers without a claim in progress. */
static size_t count_idle(const struct supervisor *supervisor)
{
    size_t idle = (size_t)atomic_load(&supervisor->in_state[WORKER_IDLE]);

    for (size_t i = 0; i < supervisor->worker_count && idle > 0; i++)
        idle -= supervisor->claims[i].call.asking;
    return idle;
}

/* Post at most so many claims whose `doubt` matches; returns how many. */
static size_t ask_some(struct supervisor *supervisor, bool doubt, size_t most)
{
    size_t asked = 0;

    for (size_t i = 0; i < supervisor->worker_count && asked < most; i++) {
        struct claim *claim = &supervisor->claims[i];

        if (claim->doubt == doubt && !claim->call.asking)
            asked += ask_claim(claim);
    }
    return asked;
}

/* May this node claim anything now? */
static bool may_claim(const struct supervisor *supervisor)
{
    return supervisor->phase == SUPERVISOR_OPEN && !loop_timer_is_set(&supervisor->no_claim) &&
           lease_holds(supervisor);
}

/* Claims in doubt come first, whether or not there is work: each may have found a report. What was
 * submitted along with a claim is left to that. */
static void claim_for_idle(struct supervisor *supervisor)
{
    size_t idle = count_idle(supervisor);
    unsigned along = atomic_load(&supervisor->along); /* before the wakes of their submits */
    unsigned work;

    drain_wakeups(supervisor);
    if (!may_claim(supervisor))
        return;
    idle -= ask_some(supervisor, true, idle);
    work = supervisor->work > along ? supervisor->work - along : 0;
    supervisor->work -= ask_some(supervisor, false, idle < work ? idle : work);
}

/* Before the thread sleeps. What is ready belongs to whoever resets `ready`. */
static void make_claims_ready(struct supervisor *supervisor)
{
    size_t idle = may_claim(supervisor) ? count_idle(supervisor) : 0;

    for (size_t i = 0; i < supervisor->worker_count && idle > 0; i++) {
        struct claim *claim = &supervisor->claims[i];

        if (claim->doubt || claim->call.asking || !prepare_claim(claim))
            continue;
        loop_ready(supervisor->loop, &claim->call, on_claimed);
        atomic_store(&claim->ready, true);
        idle--;
    }
}

/* While the thread is awake, no claim is ready: nothing else has to reckon with one. */
static void on_awake(void *context)
{
    struct supervisor *supervisor = context;

    for (size_t i = 0; i < supervisor->worker_count; i++) {
        if (atomic_exchange(&supervisor->claims[i].ready, false))
            loop_unready(supervisor->loop, &supervisor->claims[i].call);
    }
}

static struct claim *take_ready(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->worker_count; i++) {
        struct claim *claim = &supervisor->claims[i];

        if (atomic_load(&claim->ready) && atomic_exchange(&claim->ready, false))
            return claim;
    }
    return NULL;
}

void supervisor_submitted(struct supervisor *supervisor, const struct guid *id)
{
    struct claim *claim = take_ready(supervisor);

    if (claim == NULL)
        return;
    atomic_store(&supervisor->idle, false); /* the answer ends the loop's wait */
    atomic_fetch_add(&supervisor->along, 1);
    claim->along = true;
    claim->submitted = *id;
    claim->wakes = atomic_load(&supervisor->wakes);
    claim->call.op.claim.now_ms = store_now_ms(supervisor->spec.store);
    store_post(supervisor->spec.store, &claim->call.op);
}

/* Ask for as many claims as there may be work and idle workers. If a worker stays idle, the next
 * wake has to end the loop's wait. */
static void claim_all(struct supervisor *supervisor)
{
    loop_check(supervisor->loop);
    claim_for_idle(supervisor);
    if (count_idle(supervisor) == 0)
        return;
    atomic_store(&supervisor->idle, true);
    claim_for_idle(supervisor); /* a wake may have come before `idle` was set */
    make_claims_ready(supervisor);
}

/* While all workers are busy, a submit does not wake the thread: it notices the wakes when a worker
 * becomes idle. */
static void add_work(struct supervisor *supervisor, unsigned claims)
{
    atomic_fetch_add(&supervisor->wakes, claims);
    if (atomic_exchange(&supervisor->idle, false))
        loop_wake(supervisor->loop);
}

void supervisor_queued(struct supervisor *supervisor)
{
    add_work(supervisor, 1);
}

void supervisor_wake(struct supervisor *supervisor)
{
    add_work(supervisor, WORK_ANY);
}

void supervisor_released(struct supervisor *supervisor)
{
    if (atomic_exchange(&supervisor->held_back, false))
        supervisor_queued(supervisor);
}

static void on_claim_timer(struct loop_timer *timer)
{
    supervisor_queued(container_of(timer, struct supervisor, look));
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

/* Draining is over when no report is running, and the store and the spool have answered. */
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
    (void)timer; /* only that it is no longer set matters: the next round claims */
}

/* Running reports are requeued; without delay, if the stop is urgent. */
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

static void free_supervisor(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->worker_count; i++)
        claim_done(&supervisor->claims[i]);
    loop_free(supervisor->loop);
    report_metrics_free(supervisor->metrics);
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

static void on_pulse(struct loop_message *message)
{
    struct supervisor *supervisor = container_of(message, struct supervisor, pulse);

    atomic_store(&supervisor->pulse_posted, false);
}

bool supervisor_answers(struct supervisor *supervisor)
{
    if (atomic_exchange(&supervisor->pulse_posted, true))
        return false;
    loop_post(supervisor->loop, &supervisor->pulse);
    return true;
}

int supervisor_new(const struct supervisor_spec *spec, struct supervisor **ret, struct err *err)
{
    struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
    size_t count = (size_t)spec->config->workers.number;
    int rc;

    if (supervisor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    supervisor->spec = *spec;
    supervisor->work = WORK_ANY;
    supervisor->drain.run = on_drain;
    supervisor->hurry.run = on_hurry;
    supervisor->pulse.run = on_pulse;
    supervisor->drain_timer.run = on_drain_time;
    supervisor->no_claim.run = on_claims_again;
    supervisor->look.run = on_claim_timer;
    supervisor->workers = calloc(count, sizeof(*supervisor->workers));
    supervisor->claims = calloc(count, sizeof(*supervisor->claims));
    supervisor->metrics = report_metrics_new(spec->catalog);
    rc = loop_new(&supervisor->loop, err);
    if (rc == 0 &&
        (supervisor->workers == NULL || supervisor->claims == NULL || supervisor->metrics == NULL))
        rc = err_set(err, -E_NOMEM, "out of memory");
    if (rc == 0) {
        loop_on_awake(supervisor->loop, on_awake, supervisor);
        lease_init(supervisor);
        start_workers(supervisor, count);
        if (thread_start(&supervisor->thread, "supervisor", supervisor_thread, supervisor) != 0) {
            rc = err_set(err, -E_NOMEM, "can't start the supervisor's thread");
            stop_workers(supervisor);
        }
    }
    if (rc < 0) {
        free_supervisor(supervisor);
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
    free_supervisor(supervisor);
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

struct report_metrics *supervisor_metrics(struct supervisor *supervisor)
{
    return supervisor->metrics;
}
