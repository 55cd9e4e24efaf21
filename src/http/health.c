/* src/http/health.c -- probes the store, the spool and the workers, one probe at a time for all who
 * ask.
 *
 * The store is asked what a POST would ask: does a session exist (STORE_SESSION), and could a
 * report be stored (STORE_PROBE); once on each of its connections, since any of them may hang. A
 * file is written to each folder. A thread does all this; requests that wait for it have a
 * deadline. */
#include "http/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/work_queue.h"

enum { STORE_ANSWER_MS = 700, QUESTIONS = 2 };

struct health {
    struct health_spec spec;
    struct work_queue *work_queue;
    struct work_item item; /* in the work queue while `asked` */
    struct guid id;        /* what the waiters wait for */
    struct lock lock;
    pthread_cond_t answer;
    /* guarded by the lock */
    bool asked;
    struct err found;
    struct store_op ops[QUESTIONS];
    int unanswered; /* of `ops`: a store that hangs is not asked again */
};

static void on_probe_answer(struct store_op *op)
{
    struct health *health = op->owner;

    lock_take(&health->lock);
    health->unanswered--;
    pthread_cond_signal(&health->answer);
    lock_release(&health->lock);
}

/* Wait until the store has answered everything, or until `until_ms`. */
static int await_answers(struct health *health, int64_t until_ms, struct err *err)
{
    bool early = true, answered;

    lock_take(&health->lock);
    while (health->unanswered > 0 && early)
        early = lock_wait_until(&health->lock, &health->answer, until_ms);
    answered = health->unanswered == 0;
    lock_release(&health->lock);
    if (answered)
        return 0;
    return err_set(err, -E_STORE, "The store has not answered within %d ms.", STORE_ANSWER_MS);
}

/* Ask both questions once, about session zero, which belongs to nobody. */
static int ask_probes(struct health *health, int64_t until_ms, struct err *err)
{
    static const enum store_verb verbs[QUESTIONS] = {STORE_SESSION, STORE_PROBE};
    int rc = await_answers(health, until_ms, err); /* to earlier questions, which were answered too
                                                    * late */

    if (rc < 0)
        return rc;
    health->unanswered = QUESTIONS;
    for (int i = 0; i < QUESTIONS; i++)
        health->ops[i] =
            (struct store_op){.verb = verbs[i], .done = on_probe_answer, .owner = health};
    for (int i = 0; i < QUESTIONS; i++)
        store_post(health->spec.store, &health->ops[i]);
    rc = await_answers(health, until_ms, err);
    for (int i = 0; rc == 0 && i < QUESTIONS; i++) {
        rc = health->ops[i].rc;
        *err = health->ops[i].err;
    }
    return rc;
}

static int probe_store(struct health *health, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + STORE_ANSWER_MS;
    int rc = 0;

    for (int i = store_connections(health->spec.store); i > 0 && rc == 0; i--)
        rc = ask_probes(health, until_ms, err);
    return rc;
}

/* If this fails, a DELETE would be answered that it could not be recorded. */
static int probe_ledger(struct health *health, struct err *err)
{
    struct ledger_op op = {.count = 0};

    if (ledger_run(health->spec.ledger, &op) == 0)
        return 0;
    err_set(err, -E_LEDGER, "Deletions cannot be recorded now; the log says why.");
    return err_detail(err, "%s", op.err.detail);
}

static int probe_workers(struct health *health, struct err *err)
{
    struct supervisor_stats stats;

    supervisor_stats(health->spec.supervisor, &stats);
    if (stats.workers > 0)
        return 0;
    return err_set(err, -E_BUSY, "No worker process is running; the log says why.");
}

static void run_probe(void *context, struct work_item *item)
{
    struct health *health = context;
    struct err err = {0};
    int rc = spool_check(health->spec.spool, true, &err);

    (void)item;
    if (rc == 0)
        rc = probe_store(health, &err)
                 ?: probe_ledger(health, &err)
                 ?: probe_workers(health, &err)
                 ?: trail_check(health->spec.trail, &err);
    if (rc == 0)
        err = (struct err){0};
    lock_take(&health->lock);
    health->found = err;
    health->asked = false;
    lock_release(&health->lock);
    waiters_notify(health->spec.waiters, &health->id, REPORT_COMPLETE);
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
    health->work_queue = work_queue_new(&(struct work_queue_spec){
        .name = "health", .threads = 1, .batch_max = 1, .run = run_probe, .context = health});
    if (health->work_queue == NULL) {
        health_free(health);
        return NULL;
    }
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    work_queue_free(health->work_queue);
    lock_take(&health->lock);
    while (health->unanswered > 0)
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
        work_queue_push(health->work_queue, &health->item);
}

int health_read(struct health *health, bool late, struct err *err)
{
    if (late)
        return err_set(err, -E_SPOOL,
                       "The check of the spool and the store did not end within %d ms.",
                       HEALTH_ANSWER_MS);
    lock_take(&health->lock);
    *err = health->found;
    lock_release(&health->lock);
    return err->code;
}
