/* src/proc/removal.c -- deletion, step by step: mark, stop the query, remove the files, record it
 * in the ledger, drop the row. */
#include "proc/removal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seam.h"
#include "proc/removal_impl.h"

enum {
    RECHECK_MS = 60 * 1000,        /* the wall clock may be set: look again at least this often */
    RETRY_MS = 5 * 1000,           /* after a file or a row could not be removed */
    SESSION_SWEEP_MS = 600 * 1000, /* expired sessions and idempotency keys go this often */
};

/* --- of a report that is marked: its query, then its files -------------------------------------
 */

static void pass_step(const struct removal_item *item, const char *step)
{
    SEAM_STEP("removal", item->verb, step);
}

static void on_files_gone(struct spool_op *op)
{
    struct removal_item *item = op->owner;

    pass_step(item, "unlinked");
    item->cleared(item);
}

static void remove_files(struct removal_item *item)
{
    item->files.done = on_files_gone;
    item->files.owner = item;
    spool_post(item->remover->spec.spool, &item->files);
}

static void on_stopped(struct supervisor_stop *stop)
{
    struct removal_item *item = stop->owner;

    pass_step(item, "stopped");
    remove_files(item);
}

void removal_clear_away(struct removal_item *item, enum report_state was, int attempt)
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
        supervisor_stop(item->remover->spec.supervisor, &item->stop);
    } else {
        remove_files(item);
    }
}

void removal_leave_unfinished(struct remover *remover, const struct err *err)
{
    log_error("removal.unfinished", "error=%s detail=%s", err->text, err->detail);
    lock_take(&remover->lock);
    remover->unfinished = true;
    pthread_cond_broadcast(&remover->wake);
    lock_release(&remover->lock);
}

void removal_all_gone(struct remover *remover, const struct guid *id, int64_t began_us, bool timed)
{
    int64_t us = clock_mono_us() - began_us;
    char reference[GUID_TEXT];

    guid_format(id, reference);
    log_info("report.deleted", "reference=%s us=%ld", reference, (long)us);
    if (timed)
        histogram_add(&remover->times, us);
}

/* --- one removal ------------------------------------------------------------------------------ */

static void list(struct removal *removal)
{
    struct remover *remover = removal->item.remover;

    lock_take(&remover->lock);
    TAILQ_INSERT_TAIL(&remover->removals, removal, entry);
    removal->listed = true;
    lock_release(&remover->lock);
}

static void unlist(struct removal *removal)
{
    struct remover *remover = removal->item.remover;

    lock_take(&remover->lock);
    if (removal->listed)
        TAILQ_REMOVE(&remover->removals, removal, entry);
    removal->listed = false;
    lock_release(&remover->lock);
}

static void finish(struct removal *removal, int rc, const struct err *err)
{
    unlist(removal);
    removal->rc = rc;
    if (rc < 0)
        removal->err = *err;
    removal->done(removal);
}

/* It is marked, but not gone. */
static void stop_short(struct removal *removal, int rc, const struct err *err)
{
    unlist(removal);
    removal_leave_unfinished(removal->item.remover, err);
    finish(removal, rc, err);
}

static void on_dropped(struct store_op *op)
{
    struct removal *removal = op->owner;

    if (op->rc < 0) {
        stop_short(removal, op->rc, &op->err);
        return;
    }
    pass_step(&removal->item, "dropped");
    removal_all_gone(removal->item.remover, &removal->id, removal->item.began_us,
                     removal->user_id != 0);
    finish(removal, 0, NULL);
}

static void on_recorded(struct ledger_op *op)
{
    struct removal *removal = op->owner;

    pass_step(&removal->item, "recorded");
    if (op->rc < 0) {
        stop_short(removal, op->rc, &op->err);
        return;
    }
    removal->op = (struct store_op){.verb = STORE_DROP, .done = on_dropped, .owner = removal};
    removal->op.drop.id = removal->id;
    store_post(removal->item.remover->spec.store, &removal->op);
}

/* Recorded behind the files, so that a disk that is too full for the ledger gets room; before the
 * row goes, which is what the next start would know it by. */
static void on_cleared(struct removal_item *item)
{
    struct removal *removal = item->owner;

    if (item->files.rc < 0) {
        stop_short(removal, item->files.rc, &item->files.err);
        return;
    }
    removal->record =
        (struct ledger_op){.ids = &removal->id, .count = 1, .done = on_recorded, .owner = removal};
    ledger_post(item->remover->spec.ledger, &removal->record);
}

static void on_marked(struct store_op *op)
{
    struct removal *removal = op->owner;
    struct err unknown;

    pass_step(&removal->item, "marked");
    removal->was = op->mark.was;
    if (op->rc < 0) {
        finish(removal, op->rc, &op->err);
    } else if (!op->mark.found) {
        err_set(&unknown, -E_UNKNOWN_REFERENCE, "There is no such report.");
        finish(removal, -E_UNKNOWN_REFERENCE, &unknown);
    } else {
        removal_clear_away(&removal->item, op->mark.was, op->mark.in_row ? 0 : op->mark.attempt);
    }
}

static void begin_item(struct removal *removal, struct remover *remover)
{
    removal->item = (struct removal_item){.id = removal->id,
                                          .remover = remover,
                                          .verb = removal->user_id != 0 ? "delete" : "purge",
                                          .began_us = clock_mono_us(),
                                          .held = store_is_shared(remover->spec.store),
                                          .cleared = on_cleared,
                                          .owner = removal};
}

void removal_start(struct remover *remover, struct removal *removal)
{
    begin_item(removal, remover);
    list(removal);
    removal->op = (struct store_op){.verb = STORE_MARK, .done = on_marked, .owner = removal};
    removal->op.mark = (struct store_mark){.id = removal->id, .user_id = removal->user_id};
    store_post(remover->spec.store, &removal->op);
}

/* --- the remover's own: what expired, and what a crash or a full disk left ---------------------
 */

static void own_done(struct removal *removal)
{
    struct remover *remover = removal->item.remover;

    if (removal->rc == -E_STORE) { /* it may not even be marked, and so found by a purge only */
        log_warn("removal.again", "error=%s detail=%s", removal->err.text, removal->err.detail);
        remover_expect(remover, store_now_ms(remover->spec.store) + RETRY_MS);
    }
    store_op_done(&removal->op);
    free(removal);
    lock_take(&remover->lock);
    remover->running--;
    pthread_cond_broadcast(&remover->wake);
    lock_release(&remover->lock);
}

static struct removal *own_removal(struct remover *remover, const struct guid *id)
{
    struct removal *removal = calloc(1, sizeof(*removal));

    if (removal == NULL)
        return NULL;
    removal->id = *id;
    removal->done = own_done;
    begin_item(removal, remover);
    lock_take(&remover->lock);
    remover->running++;
    lock_release(&remover->lock);
    return removal;
}

/* A batch is over before the next one begins, so that a purge never fills the store's queue. */
static void wait_for_own(struct remover *remover)
{
    lock_take(&remover->lock);
    while (remover->running > 0)
        lock_wait(&remover->lock, &remover->wake);
    lock_release(&remover->lock);
}

static bool is_under_way(struct remover *remover, const struct guid *id)
{
    const struct removal *removal;
    const struct removal_batch *batch;

    lock_check_held(&remover->lock);
    TAILQ_FOREACH(removal, &remover->removals, entry)
    {
        if (guid_eq(&removal->id, id))
            return true;
    }
    TAILQ_FOREACH(batch, &remover->batches, entry)
    {
        for (size_t i = 0; i < batch->listed; i++) {
            if (guid_eq(&batch->cleared[i], id))
                return true;
        }
    }
    return false;
}

/* Their own deletions finish them; whether they could is looked at later. Returns how many stay. */
static size_t leave_out_what_is_under_way(struct remover *remover, struct store_ref *refs,
                                          size_t count)
{
    size_t left = 0;

    lock_take(&remover->lock);
    for (size_t i = 0; i < count; i++) {
        if (is_under_way(remover, &refs[i].id))
            remover->unfinished = true;
        else
            refs[left++] = refs[i];
    }
    lock_release(&remover->lock);
    return left;
}

static bool is_among(const struct store_ref *refs, size_t count, const struct guid *id)
{
    for (size_t i = 0; i < count; i++) {
        if (guid_eq(&refs[i].id, id))
            return true;
    }
    return false;
}

/* What is in DELETING: returns how many there are, STORE_BATCH_MAX at most, or -E_STORE. */
static int find_deleting(struct remover *remover, struct store_ref refs[STORE_BATCH_MAX])
{
    struct store_op op = {.verb = STORE_DELETING, .deleting = {.refs = refs}};
    int rc = store_run(remover->spec.store, &op);
    int count = rc < 0 ? rc : (int)op.deleting.count;

    store_op_done(&op);
    return count;
}

/* The same without what a deletion of this node is at: asked twice, since one may end between the
 * question and the look at those that are under way. */
static int find_abandoned(struct remover *remover, struct store_ref refs[STORE_BATCH_MAX])
{
    struct store_ref still[STORE_BATCH_MAX] = {0};
    int found = find_deleting(remover, refs), count = 0, again;
    size_t left;

    if (found <= 0)
        return found;
    left = leave_out_what_is_under_way(remover, refs, (size_t)found);
    again = left > 0 ? find_deleting(remover, still) : 0;
    for (size_t i = 0; i < left && again > 0; i++) {
        if (is_among(still, (size_t)again, &refs[i].id))
            refs[count++] = refs[i];
    }
    return again < 0 ? again : count;
}

/* Finish one batch of what is in DELETING; returns how many there were, or -E_STORE. */
static int finish_batch(struct remover *remover)
{
    struct store_ref refs[STORE_BATCH_MAX] = {0};
    int count = find_abandoned(remover, refs);

    for (int i = 0; i < count; i++) {
        struct removal *removal = own_removal(remover, &refs[i].id);

        /* As if it were processing: a deletion that is still under way may hold its worker. */
        if (removal != NULL)
            removal_clear_away(&removal->item, REPORT_PROCESSING, refs[i].attempt);
    }
    wait_for_own(remover);
    return count;
}

static void finish_deleting(struct remover *remover)
{
    bool again;

    lock_take(&remover->lock);
    remover->unfinished = false;
    lock_release(&remover->lock);
    do {
        int count = finish_batch(remover);

        lock_take(&remover->lock);
        if (count < 0)
            remover->unfinished = true;
        again = count == STORE_BATCH_MAX && !remover->unfinished && !remover->stopping;
        lock_release(&remover->lock);
    } while (again);
}

/* Purge one batch of expired reports; returns how many, or -E_STORE. */
static int purge_batch(struct remover *remover)
{
    struct store_ref refs[STORE_BATCH_MAX] = {0};
    struct store_op op = {.verb = STORE_EXPIRED, .expired = {.refs = refs}};
    int count;

    /* Unknown until the store has answered; remover_expect() may be called while it is asked. */
    lock_take(&remover->lock);
    remover->next_ms = 0;
    lock_release(&remover->lock);
    op.expired.now_ms = store_now_ms(remover->spec.store);
    count = store_run(remover->spec.store, &op);
    for (size_t i = 0; count == 0 && i < op.expired.count; i++) {
        struct removal *removal = own_removal(remover, &refs[i].id);

        SEAM_STEP("removal", "purge", "found");
        if (removal != NULL)
            removal_start(remover, removal);
    }
    if (count < 0)
        remover_expect(remover, store_now_ms(remover->spec.store) + RETRY_MS);
    else if (op.expired.next_ms != 0)
        remover_expect(remover, op.expired.next_ms);
    if (count == 0)
        count = (int)op.expired.count;
    store_op_done(&op);
    wait_for_own(remover);
    return count;
}

static void sweep_sessions(struct remover *remover)
{
    struct store_op op = {.verb = STORE_SWEEP};

    if (remover->swept_ms != 0 && clock_mono_ms() - remover->swept_ms < SESSION_SWEEP_MS)
        return;
    remover->swept_ms = clock_mono_ms();
    op.sweep.now_ms = store_now_ms(remover->spec.store);
    if (store_run(remover->spec.store, &op) < 0)
        log_error("store.sweep", "error=%s detail=%s", op.err.text, op.err.detail);
    store_op_done(&op);
}

/* Sleep until a report expires, something is to be tried again, or the end. */
static void wait_until_due(struct remover *remover)
{
    int64_t wait_ms = SEAM_PATIENCE_MS(RECHECK_MS);

    if (remover->next_ms != 0 && remover->next_ms - store_now_ms(remover->spec.store) < wait_ms)
        wait_ms = remover->next_ms - store_now_ms(remover->spec.store);
    if (remover->unfinished && wait_ms > RETRY_MS)
        wait_ms = RETRY_MS;
    if (wait_ms <= 0)
        return;
    lock_wait_until(&remover->lock, &remover->wake, clock_mono_ms() + wait_ms);
}

static void *remover_thread(void *arg)
{
    struct remover *remover = arg;
    bool due = true, unfinished = true;

    for (;;) {
        if (unfinished)
            finish_deleting(remover);
        while (due && purge_batch(remover) == STORE_BATCH_MAX)
            ;
        sweep_sessions(remover);
        lock_take(&remover->lock);
        if (remover->stopping)
            break;
        wait_until_due(remover);
        /* A node that died at a deletion has left it to the others. */
        unfinished = remover->unfinished || store_is_shared(remover->spec.store);
        due = remover->next_ms == 0 || remover->next_ms <= store_now_ms(remover->spec.store);
        lock_release(&remover->lock);
    }
    lock_release(&remover->lock);
    return NULL;
}

void remover_times(struct remover *remover, struct histogram_counts *ret)
{
    histogram_read(&remover->times, ret);
}

void remover_expect(struct remover *remover, int64_t expires_ms)
{
    lock_take(&remover->lock);
    if (remover->next_ms == 0 || expires_ms < remover->next_ms) {
        remover->next_ms = expires_ms;
        pthread_cond_broadcast(&remover->wake);
    }
    lock_release(&remover->lock);
}

int remover_new(const struct remover_spec *spec, struct remover **ret, struct err *err)
{
    struct remover *remover = calloc(1, sizeof(*remover));

    if (remover == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    remover->spec = *spec;
    lock_init(&remover->lock);
    TAILQ_INIT(&remover->removals);
    TAILQ_INIT(&remover->batches);
    lock_cond_init(&remover->wake);
    if (thread_start(&remover->thread, "remover", remover_thread, remover) != 0) {
        free(remover);
        return err_set(err, -E_NOMEM, "can't start the remover's thread");
    }
    *ret = remover;
    return 0;
}

void remover_stop(struct remover *remover)
{
    if (remover == NULL || remover->stopping)
        return;
    lock_take(&remover->lock);
    remover->stopping = true;
    pthread_cond_broadcast(&remover->wake);
    lock_release(&remover->lock);
    pthread_join(remover->thread, NULL);
}

void remover_free(struct remover *remover)
{
    if (remover == NULL)
        return;
    remover_stop(remover);
    pthread_cond_destroy(&remover->wake);
    lock_done(&remover->lock);
    free(remover);
}
