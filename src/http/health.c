/* src/http/health.c -- probes of the store, the spool and the workers, one at a time, whoever asks.
 *
 * The store is asked to write, as a POST would (STORE_PROBE), and the folders get a file. Anything
 * of that may hang: so a thread does it, and whoever asks is woken by a deadline. */
#include "http/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lane.h"
#include "base/thread.h"

enum { STORE_ANSWER_MS = 700 };

struct health {
    struct health_spec spec;
    struct lane *lane;
    struct lane_item item; /* in the lane while `asked` */
    struct guid id;        /* what is waited for */
    struct lock lock;
    pthread_cond_t answer;
    /* under the lock */
    bool asked;
    struct err found;
    struct store_op op;
    bool posted, answered; /* a store that hangs is not asked again */
};

static void on_answer(struct store_op *op)
{
    struct health *health = op->owner;

    lock_take(&health->lock);
    health->answered = true;
    pthread_cond_signal(&health->answer);
    lock_release(&health->lock);
}

static void post_op(struct health *health)
{
    bool post;

    lock_take(&health->lock);
    post = !health->posted || health->answered; /* answered: an earlier question, too late */
    if (post) {
        health->op = (struct store_op){.verb = STORE_PROBE, .done = on_answer, .owner = health};
        health->posted = true;
        health->answered = false;
    }
    lock_release(&health->lock);
    if (post)
        store_post(health->spec.store, &health->op);
}

/* Until the store has answered, or in time: is there an answer? */
static bool await_answer(struct health *health)
{
    int64_t until_ms = clock_mono_ms() + STORE_ANSWER_MS;
    bool early = true;

    lock_check_held(&health->lock);
    while (!health->answered && early)
        early = lock_wait_until(&health->lock, &health->answer, until_ms);
    return health->answered;
}

static int probe_store(struct health *health, struct err *err)
{
    int rc;

    post_op(health);
    lock_take(&health->lock);
    if (!await_answer(health)) {
        rc = err_set(err, -E_STORE, "The store has not answered within %d ms.", STORE_ANSWER_MS);
    } else {
        health->posted = false;
        rc = health->op.rc;
        *err = health->op.err;
    }
    lock_release(&health->lock);
    return rc;
}

/* A DELETE would be answered that it is not recorded. */
static int probe_ledger(struct health *health, struct err *err)
{
    struct err found;

    if (ledger_run(health->spec.ledger, NULL, 0, &found) == 0)
        return 0;
    err_set(err, -E_LEDGER, "Deletions cannot be recorded now; the log says why.");
    return err_detail(err, "%s", found.detail);
}

static int probe_workers(struct health *health, struct err *err)
{
    struct supervisor_stats stats;

    supervisor_stats(health->spec.supervisor, &stats);
    if (stats.workers > 0)
        return 0;
    return err_set(err, -E_BUSY, "No worker process is running; the log says why.");
}

static void run_probe(void *context, struct lane_item *item)
{
    struct health *health = context;
    struct err err = {0};
    int rc = spool_check(health->spec.spool, true, &err);

    (void)item;
    if (rc == 0)
        rc = probe_store(health, &err);
    if (rc == 0)
        rc = probe_ledger(health, &err);
    if (rc == 0)
        rc = probe_workers(health, &err);
    if (rc == 0)
        err = (struct err){0};
    lock_take(&health->lock);
    health->found = err;
    health->asked = false;
    lock_release(&health->lock);
    waiters_notify(health->spec.waiters, &health->id);
}

struct health *health_new(const struct health_spec *spec)
{
    struct health *health = calloc(1, sizeof(*health));

    if (health == NULL)
        return NULL;
    health->spec = *spec;
    health->id = guid_new();
    lock_init(&health->lock);
    lock_cond_init(&health->answer);
    health->lane = lane_new(&(struct lane_spec){
        .name = "health", .threads = 1, .batch_max = 1, .run = run_probe, .context = health});
    if (health->lane == NULL) {
        health_free(health);
        return NULL;
    }
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    lane_free(health->lane);
    lock_take(&health->lock);
    while (health->posted && !health->answered)
        lock_wait(&health->lock, &health->answer);
    lock_release(&health->lock);
    pthread_cond_destroy(&health->answer);
    lock_done(&health->lock);
    free(health);
}

void health_ask(struct health *health, struct waiter *waiter)
{
    bool asked;

    waiter->id = health->id;
    waiter->deadline_ms = clock_mono_ms() + HEALTH_ANSWER_MS;
    waiters_add(health->spec.waiters, waiter);
    lock_take(&health->lock);
    asked = health->asked;
    health->asked = true;
    lock_release(&health->lock);
    if (!asked)
        lane_push(health->lane, &health->item);
}

int health_read(struct health *health, bool late, struct err *err)
{
    if (late)
        return err_set(err, -E_SPOOL, "The check of spool and store has not ended in %d ms.",
                       HEALTH_ANSWER_MS);
    lock_take(&health->lock);
    *err = health->found;
    lock_release(&health->lock);
    return err->code;
}
