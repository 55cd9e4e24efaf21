/* src/proc/claim.c -- who gets the next report: one question to the store per idle worker. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/supervisor_impl.h"

enum { CLAIM_RETRY_MS = 500 /* between tries while the store is unavailable */ };

void claim_init(struct claim *claim, struct supervisor *supervisor)
{
    *claim = (struct claim){.supervisor = supervisor, .token = guid_new()};
}

void claim_done(struct claim *claim)
{
    job_free(claim->job);
    free(claim->offer);
}

static void on_claimed(struct loop_call *call)
{
    struct claim *claim = container_of(call, struct claim, call);
    struct supervisor *supervisor = claim->supervisor;
    struct store_claim *answer = &call->op.claim;
    struct job *job = claim->job;

    if (call->op.rc < 0) {
        log_error("store.claim", "error=%s detail=%s", call->op.err.text, call->op.err.detail);
        loop_timer_set(supervisor->loop, &supervisor->no_claim, clock_mono_ms() + CLAIM_RETRY_MS);
        claim->doubt = true; /* it may have been committed: the token stays */
        store_op_done(&call->op);
        return;
    }
    claim->doubt = false;
    claim->token = guid_new();
    if (answer->found) {
        claim->job = NULL;
        job->stray = answer->stray;
        job_start(job, &answer->report);
    } else if (claim->wakes == atomic_load(&supervisor->wakes)) {
        supervisor->work = false; /* nothing was submitted since this claim was asked for */
    }
    store_op_done(&call->op);
}

static void ask_claim(struct claim *claim)
{
    struct supervisor *supervisor = claim->supervisor;

    if (claim->job == NULL)
        claim->job = job_new(supervisor);
    free(claim->offer);
    claim->offer = supervisor->shared ? catalog_offer(supervisor->spec.catalog) : NULL;
    if (claim->job == NULL || (supervisor->shared && claim->offer == NULL))
        return; /* no memory: the next wake tries again */
    claim->wakes = atomic_load(&supervisor->wakes);
    claim->call.op = (struct store_op){.verb = STORE_CLAIM};
    claim->call.op.claim = (struct store_claim){.node = lease_node(supervisor),
                                                .offer = claim->offer,
                                                .token = claim->token,
                                                .now_ms = store_now_ms(supervisor->spec.store)};
    loop_ask(supervisor->loop, supervisor->spec.store, &claim->call, on_claimed);
}

static void see_wakes(struct supervisor *supervisor)
{
    unsigned wakes = atomic_load(&supervisor->wakes);

    if (wakes != supervisor->wakes_seen) {
        supervisor->wakes_seen = wakes;
        supervisor->work = true;
    }
}

/* Idle workers that no claim is under way for. */
static size_t count_idle(const struct supervisor *supervisor)
{
    size_t idle = (size_t)atomic_load(&supervisor->in_state[WORKER_IDLE]);

    for (size_t i = 0; i < supervisor->worker_count && idle > 0; i++)
        idle -= supervisor->claims[i].call.asking;
    return idle;
}

/* Ask with the claims that `doubt` fits, as long as there are idle workers; returns those left. */
static size_t ask_some(struct supervisor *supervisor, bool doubt, size_t idle)
{
    for (size_t i = 0; i < supervisor->worker_count && idle > 0; i++) {
        struct claim *claim = &supervisor->claims[i];

        if (claim->doubt == doubt && !claim->call.asking) {
            ask_claim(claim);
            idle--;
        }
    }
    return idle;
}

/* What may have been claimed already comes first, or it would wait for as many idle workers. */
static void claim_for_idle(struct supervisor *supervisor)
{
    see_wakes(supervisor);
    if (supervisor->work && supervisor->phase == SUPERVISOR_OPEN &&
        !loop_timer_is_set(&supervisor->no_claim) && lease_holds(supervisor))
        ask_some(supervisor, false, ask_some(supervisor, true, count_idle(supervisor)));
}

void claim_all(struct supervisor *supervisor)
{
    loop_check(supervisor->loop);
    claim_for_idle(supervisor);
    if (count_idle(supervisor) == 0)
        return;
    atomic_store(&supervisor->idle, true);
    claim_for_idle(supervisor); /* a wake may have come before `idle` was set */
}
