/* src/http/health.c -- probes of the store, the spool and the workers, one at a time, whoever asks.
 *
 * The store is asked to write, as a POST would (STORE_PROBE), and the folders get a file. Anything
 * of that may hang: so a thread does it, and whoever asks is woken by a deadline. */
#include "http/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lane.h"

enum { STORE_ANSWER_MS = 700 };

struct health {
    struct health_spec spec;
    struct lane *lane;
    struct lane_item item; /* in the lane while `asked` */
    struct guid id;        /* what is waited for */
    pthread_mutex_t mutex;
    pthread_cond_t answer;
    /* under the mutex */
    bool asked;
    struct err found;
    struct store_op op;
    bool posted, answered; /* a store that hangs is not asked again */
};

static void on_answer(struct store_op *op)
{
    struct health *health = op->owner;

    pthread_mutex_lock(&health->mutex);
    health->answered = true;
    pthread_cond_signal(&health->answer);
    pthread_mutex_unlock(&health->mutex);
}

static void post_op(struct health *health)
{
    bool post;

    pthread_mutex_lock(&health->mutex);
    post = !health->posted || health->answered; /* answered: an earlier question, too late */
    if (post) {
        health->op = (struct store_op){.verb = STORE_PROBE, .done = on_answer, .owner = health};
        health->posted = true;
        health->answered = false;
    }
    pthread_mutex_unlock(&health->mutex);
    if (post)
        store_post(health->spec.store, &health->op);
}

/* Until the store has answered, or in time: is there an answer? The mutex is held. */
static bool await_answer(struct health *health)
{
    int64_t until_ms = clock_mono_ms() + STORE_ANSWER_MS;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};

    while (!health->answered) {
        if (pthread_cond_timedwait(&health->answer, &health->mutex, &until) != 0)
            return health->answered;
    }
    return true;
}

static int probe_store(struct health *health, struct err *err)
{
    int rc;

    post_op(health);
    pthread_mutex_lock(&health->mutex);
    if (!await_answer(health)) {
        rc = err_set(err, -E_STORE, "The store has not answered within %d ms.", STORE_ANSWER_MS);
    } else {
        health->posted = false;
        rc = health->op.rc;
        *err = health->op.err;
    }
    pthread_mutex_unlock(&health->mutex);
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
    pthread_mutex_lock(&health->mutex);
    health->found = err;
    health->asked = false;
    pthread_mutex_unlock(&health->mutex);
    waiters_notify(health->spec.waiters, &health->id);
}

struct health *health_new(const struct health_spec *spec)
{
    struct health *health = calloc(1, sizeof(*health));
    pthread_condattr_t attributes;

    if (health == NULL)
        return NULL;
    health->spec = *spec;
    health->id = guid_new();
    pthread_mutex_init(&health->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&health->answer, &attributes);
    pthread_condattr_destroy(&attributes);
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
    pthread_mutex_lock(&health->mutex);
    while (health->posted && !health->answered)
        pthread_cond_wait(&health->answer, &health->mutex);
    pthread_mutex_unlock(&health->mutex);
    pthread_cond_destroy(&health->answer);
    pthread_mutex_destroy(&health->mutex);
    free(health);
}

void health_ask(struct health *health, struct waiter *waiter)
{
    bool asked;

    waiter->id = health->id;
    waiter->deadline_ms = clock_mono_ms() + HEALTH_ANSWER_MS;
    waiters_add(health->spec.waiters, waiter);
    pthread_mutex_lock(&health->mutex);
    asked = health->asked;
    health->asked = true;
    pthread_mutex_unlock(&health->mutex);
    if (!asked)
        lane_push(health->lane, &health->item);
}

int health_read(struct health *health, bool late, struct err *err)
{
    if (late)
        return err_set(err, -E_SPOOL, "The check of spool and store has not ended in %d ms.",
                       HEALTH_ANSWER_MS);
    pthread_mutex_lock(&health->mutex);
    *err = health->found;
    pthread_mutex_unlock(&health->mutex);
    return err->code;
}
