/* src/proc/deletion.c -- deletes a report step by step: tombstone, stop the query, remove the
 * files, record it in the ledger, delete the row. */
#include "proc/deletion.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/deletion_impl.h"

enum {
    RECHECK_MS = 60 * 1000,        /* the wall clock may be set, so check at least this often */
    RETRY_MS = 5 * 1000,           /* after a file or a row could not be removed */
    SESSION_SWEEP_MS = 600 * 1000, /* how often expired sessions and idempotency keys are removed */
};

static struct log_trouble purge_trouble = LOG_TROUBLE("deletion.again");
static struct log_trouble unfinished_trouble = LOG_TROUBLE("deletion.unfinished");
static struct log_trouble drop_trouble = LOG_TROUBLE("user.drop");
static struct log_trouble sweep_trouble = LOG_TROUBLE("store.sweep");

/* ---- a report that is marked: its query, then its files ---- */

static void pass_step(const struct deletion_item *item, const char *step)
{
    SEAM_STEP("deletion", item->verb, step);
}

/* On a spool-remove thread. */
static void on_files_gone(struct spool_op *op)
{
    struct deletion_item *item = op->owner;

    pass_step(item, "unlinked");
    item->cleared(item);
}

static void remove_files(struct deletion_item *item)
{
    item->files.done = on_files_gone;
    item->files.owner = item;
    spool_post(item->purger->spec.spool, &item->files);
}

static void on_stopped(struct supervisor_stop *stop)
{
    struct deletion_item *item = stop->owner;

    pass_step(item, "stopped");
    if (stop->rc == 0) {
        remove_files(item);
        return;
    }
    item->files.rc = stop->rc;
    err_set(
        &item->files.err, -E_DOUBT,
        "The report can no longer be read, but another node may still run it: its deletion will "
        "be finished once the store answers.");
    item->cleared(item);
}

void deletion_clear_away(struct deletion_item *item, enum report_state was, int attempt)
{
    item->files = (struct spool_op){.verb = SPOOL_REMOVE, .id = item->id, .attempt = attempt};
    if (attempt == 0) {
        item->cleared(item); /* it never ran, or its result was in its row */
    } else if (was == REPORT_PROCESSING || item->held) {
        item->stop =
            (struct supervisor_stop){.id = item->id,
                                     .held = item->held,
                                     .began_us = was == REPORT_PROCESSING ? item->began_us : 0,
                                     .done = on_stopped,
                                     .owner = item};
        supervisor_stop(item->purger->spec.supervisor, &item->stop);
    } else {
        remove_files(item);
    }
}

void deletion_leave_unfinished(struct purger *purger, const struct err *err)
{
    log_trouble(&unfinished_trouble, err);
    lock_take(&purger->lock);
    purger->unfinished = true;
    pthread_cond_broadcast(&purger->wake);
    lock_release(&purger->lock);
}

static void record_gone(struct purger *purger, const struct deletion_gone *gone,
                        const struct deletion_asker *asker)
{
    bool own = *gone->user == '\0' || (asker->user != NULL && str_eq(asker->user, gone->user));

    if (asker->user == NULL) {
        trail_record_purge(purger->spec.trail, gone->id, gone->user, gone->name);
        return;
    }
    trail_record(purger->spec.trail,
                 &(struct trail_act){.event = TRAIL_DELETE,
                                     .user = asker->user,
                                     .subject = own ? NULL : gone->user,
                                     .address = asker->address,
                                     .request = asker->request,
                                     .report = *gone->name != '\0' ? gone->name : NULL,
                                     .reference = gone->id});
}

void deletion_all_gone(struct purger *purger, const struct deletion_gone *gone,
                       const struct deletion_asker *asker, int64_t began_us)
{
    int64_t us = clock_mono_us() - began_us;
    char reference[GUID_TEXT];

    log_trouble_over(&unfinished_trouble);
    record_gone(purger, gone, asker);
    guid_format(gone->id, reference);
    if (asker->user == NULL) {
        log_info("report.deleted", "reference=%s user=%s us=%ld", reference, gone->user, (long)us);
        return;
    }
    log_info("report.deleted", "reference=%s user=%s by=%s address=%s us=%ld", reference,
             gone->user, asker->user, asker->address, (long)us);
    histogram_add(&purger->times, us);
}

/* ---- one deletion ---- */

static void list_deletion(struct deletion *deletion)
{
    struct purger *purger = deletion->item.purger;

    lock_take(&purger->lock);
    TAILQ_INSERT_TAIL(&purger->deletions, deletion, entry);
    deletion->listed = true;
    lock_release(&purger->lock);
}

static void unlist(struct deletion *deletion)
{
    struct purger *purger = deletion->item.purger;

    lock_take(&purger->lock);
    if (deletion->listed)
        TAILQ_REMOVE(&purger->deletions, deletion, entry);
    deletion->listed = false;
    lock_release(&purger->lock);
}

static void finish_deletion(struct deletion *deletion, int rc, const struct err *err)
{
    unlist(deletion);
    deletion->rc = rc;
    if (rc < 0)
        deletion->err = *err;
    deletion->done(deletion);
}

/* The report is marked, but not gone. */
static void stop_short(struct deletion *deletion, int rc, const struct err *err)
{
    unlist(deletion);
    deletion_leave_unfinished(deletion->item.purger, err);
    finish_deletion(deletion, rc, err);
}

static void on_dropped(struct store_op *op)
{
    struct deletion *deletion = op->owner;

    if (op->rc < 0) {
        stop_short(deletion, op->rc, &op->err);
        return;
    }
    pass_step(&deletion->item, "dropped");
    deletion_all_gone(deletion->item.purger,
                      &(struct deletion_gone){
                          .id = &deletion->id, .user = deletion->user, .name = deletion->name},
                      &deletion->asker, deletion->item.began_us);
    finish_deletion(deletion, 0, NULL);
}

static void on_recorded(struct ledger_op *op)
{
    struct deletion *deletion = op->owner;

    pass_step(&deletion->item, "recorded");
    if (op->rc < 0) {
        stop_short(deletion, op->rc, &op->err);
        return;
    }
    deletion->op =
        (struct store_op){.verb = STORE_DELETE_ROW, .done = on_dropped, .owner = deletion};
    deletion->op.delete_row = (struct store_delete_row){
        .id = deletion->id, .counted = op->counted, .user = deletion->user};
    store_post(deletion->item.purger->spec.store, &deletion->op);
}

/* Record the deletion in the ledger. The files are gone by now: on a full disk, that makes room for
 * the record. The row is still there: if this node ends now, the next start finds it in DELETING,
 * and finishes the deletion. */
static void on_cleared(struct deletion_item *item)
{
    struct deletion *deletion = item->owner;

    if (item->files.rc < 0) {
        stop_short(deletion, item->files.rc, &item->files.err);
        return;
    }
    deletion->record = (struct ledger_op){
        .ids = &deletion->id, .count = 1, .done = on_recorded, .owner = deletion};
    ledger_post(item->purger->spec.ledger, &deletion->record);
}

static void on_marked(struct store_op *op)
{
    struct deletion *deletion = op->owner;
    struct err unknown;

    pass_step(&deletion->item, "marked");
    deletion->was = op->tombstone.was;
    if (op->rc < 0) {
        finish_deletion(deletion, op->rc, &op->err);
    } else if (!op->tombstone.found) {
        err_set(&unknown, -E_UNKNOWN_REFERENCE, "There is no such report.");
        finish_deletion(deletion, -E_UNKNOWN_REFERENCE, &unknown);
    } else {
        bool held = op->tombstone.held;

        deletion->item.held &= held;
        deletion_clear_away(&deletion->item, deletion_state(op->tombstone.was, held),
                            op->tombstone.in_row && !held ? 0 : op->tombstone.attempt);
    }
}

static void begin_item(struct deletion *deletion, struct purger *purger)
{
    deletion->item =
        (struct deletion_item){.id = deletion->id,
                               .purger = purger,
                               .verb = deletion->asker.user != NULL ? "delete" : "purge",
                               .began_us = clock_mono_us(),
                               .held = store_is_shared(purger->spec.store),
                               .cleared = on_cleared,
                               .owner = deletion};
}

void deletion_start(struct purger *purger, struct deletion *deletion)
{
    begin_item(deletion, purger);
    list_deletion(deletion);
    deletion->op = (struct store_op){.verb = STORE_TOMBSTONE, .done = on_marked, .owner = deletion};
    deletion->op.tombstone = (struct store_tombstone){.id = deletion->id,
                                                      .user_id = deletion->user_id,
                                                      .as = deletion->as,
                                                      .name = deletion->name};
    store_post(purger->spec.store, &deletion->op);
}

/* ---- the purger's own deletions: expired reports, and what a crash or a full disk has left
 * ---- */

static void own_done(struct deletion *deletion)
{
    struct purger *purger = deletion->item.purger;

    if (deletion->rc == -E_STORE) { /* it may not even be marked, so that only a purge finds it */
        log_trouble(&purge_trouble, &deletion->err);
        purger_expect(purger, store_now_ms(purger->spec.store) + RETRY_MS);
    } else if (deletion->rc >= 0) {
        log_trouble_over(&purge_trouble);
    }
    store_op_done(&deletion->op);
    free(deletion);
    lock_take(&purger->lock);
    purger->running--;
    pthread_cond_broadcast(&purger->wake);
    lock_release(&purger->lock);
}

static struct deletion *own_deletion(struct purger *purger, const struct guid *id)
{
    struct deletion *deletion = calloc(1, sizeof(*deletion));

    if (deletion == NULL)
        return NULL;
    deletion->id = *id;
    deletion->done = own_done;
    begin_item(deletion, purger);
    lock_take(&purger->lock);
    purger->running++;
    lock_release(&purger->lock);
    return deletion;
}

/* A batch ends before the next one begins, so that a purge never fills the store's queue. Each wait
 * has a limit: cancel_grace, another node's lease, or, if the store does not answer, this node's
 * own. Only a disk that hangs has none; a second signal then ends the server. */
static void wait_for_own(struct purger *purger)
{
    lock_take(&purger->lock);
    while (purger->running > 0)
        lock_wait(&purger->lock, &purger->wake);
    lock_release(&purger->lock);
}

static bool is_under_way(struct purger *purger, const struct guid *id)
{
    const struct deletion *deletion;
    const struct deletion_batch *batch;

    lock_check_held(&purger->lock);
    TAILQ_FOREACH(deletion, &purger->deletions, entry)
    {
        if (guid_eq(&deletion->id, id))
            return true;
    }
    TAILQ_FOREACH(batch, &purger->batches, entry)
    {
        for (size_t i = 0; i < batch->listed; i++) {
            if (guid_eq(&batch->cleared[i], id))
                return true;
        }
    }
    return false;
}

/* Their own deletions finish these; whether they succeeded is checked later. In a shared store one
 * that was marked just now may be under way on another node, which would be recorded in two
 * ledgers; if that node is dead, the next retry finds it. Returns how many are left. */
static size_t leave_out_what_is_under_way(struct purger *purger, struct store_ref *refs,
                                          size_t count)
{
    size_t left = 0;

    lock_take(&purger->lock);
    for (size_t i = 0; i < count; i++) {
        if (refs[i].recent || is_under_way(purger, &refs[i].id))
            purger->unfinished = true;
        else
            refs[left++] = refs[i];
    }
    lock_release(&purger->lock);
    return left;
}

static bool is_among_refs(const struct store_ref *refs, size_t count, const struct guid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (guid_eq(&refs[i].id, id))
            return true;
    }
    return false;
}

/* Find reports in DELETING: returns how many there are, at most STORE_BATCH_MAX, or -E_STORE. */
static int find_deleting(struct purger *purger, struct store_ref refs[STORE_BATCH_MAX])
{
    struct store_op op = {.verb = STORE_DELETING,
                          .deleting = {.refs = refs, .recent_ms = RETRY_MS}};
    int rc = store_run(purger->spec.store, &op);
    int count = rc < 0 ? rc : (int)op.deleting.count;

    store_op_done(&op);
    return count;
}

/* The same, without those that a deletion of this node is working on. The store is asked twice,
 * since such a deletion may end between its answer and the check of the current deletions. */
static int find_abandoned(struct purger *purger, struct store_ref refs[STORE_BATCH_MAX])
{
    struct store_ref still[STORE_BATCH_MAX] = {0};
    int found = find_deleting(purger, refs), count = 0, again;
    size_t left;

    if (found <= 0)
        return found;
    left = leave_out_what_is_under_way(purger, refs, (size_t)found);
    again = left > 0 ? find_deleting(purger, still) : 0;
    for (size_t i = 0; i < left && again > 0; i++) {
        if (is_among_refs(still, (size_t)again, &refs[i].id))
            refs[count++] = refs[i];
    }
    return again < 0 ? again : count;
}

/* Finish one batch of reports in DELETING; returns how many there were, or -E_STORE. */
static int finish_abandoned(struct purger *purger)
{
    struct store_ref refs[STORE_BATCH_MAX] = {0};
    int count = find_abandoned(purger, refs);

    for (int i = 0; i < count; i++) {
        struct deletion *deletion = own_deletion(purger, &refs[i].id);

        /* Treated as PROCESSING: a deletion that is still in progress may hold its worker. */
        if (deletion != NULL)
            deletion_clear_away(&deletion->item, REPORT_PROCESSING, refs[i].attempt);
    }
    wait_for_own(purger);
    return count;
}

static void finish_deleting(struct purger *purger)
{
    bool again;

    lock_take(&purger->lock);
    purger->unfinished = false;
    lock_release(&purger->lock);
    do {
        int count = finish_abandoned(purger);

        lock_take(&purger->lock);
        if (count < 0)
            purger->unfinished = true;
        again = count == STORE_BATCH_MAX && !purger->unfinished && !purger->stopping;
        lock_release(&purger->lock);
    } while (again);
}

/* Purge one batch of expired reports; returns how many, or -E_STORE. */
static int purge_batch(struct purger *purger)
{
    struct store_ref refs[STORE_BATCH_MAX] = {0};
    struct store_op op = {.verb = STORE_EXPIRED, .expired = {.refs = refs}};
    int count;

    /* Unknown until the store has answered; purger_expect() may be called meanwhile. */
    lock_take(&purger->lock);
    purger->next_ms = 0;
    lock_release(&purger->lock);
    op.expired.now_ms = store_now_ms(purger->spec.store);
    count = store_run(purger->spec.store, &op);
    for (size_t i = 0; count == 0 && i < op.expired.count; i++) {
        struct deletion *deletion = own_deletion(purger, &refs[i].id);

        SEAM_STEP("deletion", "purge", "found");
        if (deletion != NULL)
            deletion_start(purger, deletion);
    }
    if (count < 0)
        purger_expect(purger, store_now_ms(purger->spec.store) + RETRY_MS);
    else if (op.expired.next_ms != 0)
        purger_expect(purger, op.expired.next_ms);
    if (count == 0) {
        count = (int)op.expired.count;
        purger->removing = op.expired.removing;
    }
    store_op_done(&op);
    wait_for_own(purger);
    return count;
}

static void sweep_sessions(struct purger *purger)
{
    struct store_op op = {.verb = STORE_SWEEP};

    if (purger->swept_ms != 0 && clock_mono_ms() - purger->swept_ms < SESSION_SWEEP_MS)
        return;
    purger->swept_ms = clock_mono_ms();
    op.sweep.now_ms = store_now_ms(purger->spec.store);
    do
        store_run(purger->spec.store, &op);
    while (op.rc == 0 && op.sweep.removed >= STORE_SWEEP_MAX);
    if (op.rc < 0)
        log_trouble(&sweep_trouble, &op.err);
    else
        log_trouble_over(&sweep_trouble);
    store_op_done(&op);
}

/* A removed user goes with the last of its reports, which another node may still be deleting. */
static void drop_removed_users(struct purger *purger)
{
    struct store_op op = {.verb = STORE_USER_DROP};

    if (!purger->removing)
        return;
    if (store_run(purger->spec.store, &op) < 0)
        log_trouble(&drop_trouble, &op.err);
    else
        log_trouble_over(&drop_trouble);
    purger->removing = op.rc < 0 || op.user_drop.left > 0;
    if (op.rc == 0 && op.user_drop.dropped > 0)
        log_info("user.removed", "users=%ld", (long)op.user_drop.dropped);
    store_op_done(&op);
    SEAM_STEP("deletion", "user", "dropped");
}

/* Sleep until a report expires, a retry is due, or the thread has to end. */
static void wait_until_due(struct purger *purger)
{
    int64_t wait_ms = SEAM_PATIENCE_MS(RECHECK_MS);

    if (purger->next_ms != 0 && purger->next_ms - store_now_ms(purger->spec.store) < wait_ms)
        wait_ms = purger->next_ms - store_now_ms(purger->spec.store);
    if ((purger->unfinished || purger->removing) && wait_ms > RETRY_MS)
        wait_ms = RETRY_MS;
    if (wait_ms <= 0)
        return;
    lock_wait_until(&purger->lock, &purger->wake, clock_mono_ms() + wait_ms);
}

static void *purger_thread(void *arg)
{
    struct purger *purger = arg;
    bool due = true, unfinished = true;

    for (;;) {
        if (unfinished)
            finish_deleting(purger);
        while (due && purge_batch(purger) == STORE_BATCH_MAX)
            ;
        drop_removed_users(purger);
        sweep_sessions(purger);
        lock_take(&purger->lock);
        if (purger->stopping)
            break;
        wait_until_due(purger);
        /* A node that died during a deletion has left it to the others. */
        unfinished = purger->unfinished || store_is_shared(purger->spec.store);
        due = purger->next_ms == 0 || purger->next_ms <= store_now_ms(purger->spec.store);
        lock_release(&purger->lock);
    }
    lock_release(&purger->lock);
    return NULL;
}

void purger_times(struct purger *purger, struct histogram_counts *ret)
{
    histogram_read(&purger->times, ret);
}

void purger_expect(struct purger *purger, int64_t expires_ms)
{
    lock_take(&purger->lock);
    if (purger->next_ms == 0 || expires_ms < purger->next_ms) {
        purger->next_ms = expires_ms;
        pthread_cond_broadcast(&purger->wake);
    }
    lock_release(&purger->lock);
}

int purger_new(const struct purger_spec *spec, struct purger **ret, struct err *err)
{
    struct purger *purger = calloc(1, sizeof(*purger));

    if (purger == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    purger->spec = *spec;
    lock_init(&purger->lock);
    TAILQ_INIT(&purger->deletions);
    TAILQ_INIT(&purger->batches);
    lock_cond_init(&purger->wake);
    if (thread_start(&purger->thread, "purger", purger_thread, purger) != 0) {
        free(purger);
        return err_set(err, -E_NOMEM, "can't start the purger's thread");
    }
    *ret = purger;
    return 0;
}

void purger_stop(struct purger *purger)
{
    if (purger == NULL || purger->stopping)
        return;
    lock_take(&purger->lock);
    purger->stopping = true;
    pthread_cond_broadcast(&purger->wake);
    lock_release(&purger->lock);
    pthread_join(purger->thread, NULL);
}

void purger_free(struct purger *purger)
{
    if (purger == NULL)
        return;
    purger_stop(purger);
    pthread_cond_destroy(&purger->wake);
    lock_done(&purger->lock);
    free(purger);
}
