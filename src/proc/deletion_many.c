/* src/proc/deletion_many.c -- many deletions: the steps of a single one, each for a whole batch;
 * the next batch is marked while one is cleared. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/seam.h"
#include "proc/deletion_impl.h"

static void start_batch(struct deletion_batch *batch);

/* ---- the sequence of batches ---- */

static void close_one(struct deletion_many *many)
{
    if (atomic_fetch_sub(&many->open, 1) == 1)
        many->done(many);
}

/* A batch starts in this slot once the previous batch is marked and the batch that was in this slot
 * has ended. */
static void pass_gate(struct deletion_batch *batch)
{
    if (atomic_fetch_sub(&batch->gate, 1) == 1)
        start_batch(batch);
}

static struct deletion_batch *other_of(struct deletion_batch *batch)
{
    struct deletion_batch *batches = batch->many->batches;

    return batch == &batches[0] ? &batches[1] : &batches[0];
}

/* From now on the first `count` of `cleared` are in progress. */
static void list_batch(struct deletion_batch *batch, size_t count)
{
    struct deletion_batches *batches = &batch->many->purger->batches;

    lock_check_held(&batch->many->purger->lock);
    if (count > 0 && batch->listed == 0)
        TAILQ_INSERT_TAIL(batches, batch, entry);
    else if (count == 0 && batch->listed > 0)
        TAILQ_REMOVE(batches, batch, entry);
    batch->listed = count;
}

static void unlist_batch(struct deletion_batch *batch)
{
    struct purger *purger = batch->many->purger;

    lock_take(&purger->lock);
    list_batch(batch, 0);
    lock_release(&purger->lock);
}

static void end_batch(struct deletion_batch *batch)
{
    struct deletion_many *many = batch->many;

    unlist_batch(batch);
    free(batch->items);
    batch->items = NULL;
    pass_gate(batch);
    close_one(many);
}

/* No further batch begins; the first error is the one that is reported. */
static void stop_many(struct deletion_many *many, int rc, const struct err *err)
{
    lock_take(&many->purger->lock);
    if (many->rc == 0) {
        many->rc = rc;
        many->err = *err;
    }
    lock_release(&many->purger->lock);
}

static bool has_stopped(struct deletion_many *many)
{
    bool stopped;

    lock_take(&many->purger->lock);
    stopped = many->rc < 0;
    lock_release(&many->purger->lock);
    return stopped;
}

/* Reports are marked, but not gone. */
static void stop_many_short(struct deletion_many *many, int rc, const struct err *err)
{
    deletion_leave_unfinished(many->purger, err);
    stop_many(many, rc, err);
}

/* The rest of the batch is not deleted. */
static void fail_batch(struct deletion_batch *batch, int rc, const struct err *err)
{
    unlist_batch(batch);
    stop_many_short(batch->many, rc, err);
    end_batch(batch);
}

/* ---- a full disk ---- */

/* Did a transaction over `count` reports lack room on the disk, where a smaller one may have it?
 * From then on each transaction is that small. */
static bool take_fewer(struct deletion_many *many, const struct store_op *op, size_t count)
{
    if (op->rc == 0 || op->err.code != -E_FULL || count <= 1)
        return false;
    SEAM_STEP("deletion", "many", "split");
    atomic_store(&many->most, count > STORE_MANY_FULL ? STORE_MANY_FULL : 1);
    return true;
}

/* How many of `count` reports one transaction takes. */
static size_t at_most(struct deletion_many *many, size_t count)
{
    size_t most = atomic_load(&many->most);

    return count < most ? count : most;
}

/* ---- the rows ---- */

static void delete_some_rows(struct deletion_batch *batch);

static void on_batch_dropped(struct store_op *op)
{
    struct deletion_batch *batch = op->owner;
    struct deletion_many *many = batch->many;
    size_t begin = batch->dropped, end = begin + batch->dropping;

    if (take_fewer(many, op, batch->dropping)) {
        delete_some_rows(batch);
        return;
    }
    if (op->rc < 0) {
        fail_batch(batch, op->rc, &op->err);
        return;
    }
    SEAM_STEP("deletion", "many", "dropped");
    lock_take(&many->purger->lock);
    for (size_t i = begin; i < end; i++) {
        many->by_state[batch->marked[i].was]++;
        many->ids[many->gone++] = batch->cleared[i];
    }
    lock_release(&many->purger->lock);
    for (size_t i = begin; i < end; i++)
        deletion_all_gone(many->purger,
                          &(struct deletion_gone){.id = &batch->cleared[i],
                                                  .user = batch->marked[i].user,
                                                  .name = batch->marked[i].name},
                          &many->asker, many->began_us);
    batch->dropped = end;
    if (end < batch->count)
        delete_some_rows(batch);
    else
        end_batch(batch);
}

static void delete_some_rows(struct deletion_batch *batch)
{
    batch->dropping = at_most(batch->many, batch->count - batch->dropped);
    batch->op =
        (struct store_op){.verb = STORE_DELETE_ROWS, .done = on_batch_dropped, .owner = batch};
    batch->op.delete_rows = (struct store_delete_rows){.reports = batch->marked + batch->dropped,
                                                       .count = batch->dropping,
                                                       .counted = batch->record.counted};
    store_post(batch->many->purger->spec.store, &batch->op);
}

static void on_batch_recorded(struct ledger_op *op)
{
    struct deletion_batch *batch = op->owner;

    SEAM_STEP("deletion", "many", "recorded");
    if (op->rc < 0) {
        fail_batch(batch, op->rc, &op->err);
        return;
    }
    batch->dropped = 0;
    delete_some_rows(batch);
}

/* ---- reports that are cleared away ---- */

static bool is_cleared(const struct deletion_batch *batch, size_t i)
{
    if (i < batch->ref_count)
        return !batch->refs[i].left;
    i -= batch->ref_count;
    return i >= batch->item_count || batch->items[i].files.rc == 0;
}

static void record_failures(struct deletion_batch *batch)
{
    for (size_t i = 0; i < DELETION_PARTS; i++) {
        if (batch->files[i].rc < 0)
            stop_many_short(batch->many, batch->files[i].rc, &batch->files[i].err);
    }
    for (size_t i = 0; i < batch->item_count; i++) {
        if (batch->items[i].files.rc < 0)
            stop_many_short(batch->many, batch->items[i].files.rc, &batch->items[i].files.err);
    }
}

/* Reports that could not be cleared stay in DELETING, and no further batch begins. */
static void batch_cleared(struct deletion_batch *batch)
{
    struct lock *lock = &batch->many->purger->lock;
    size_t count = 0;

    lock_take(lock);
    for (size_t i = 0; i < batch->count; i++) {
        if (!is_cleared(batch, i))
            continue;
        batch->marked[count] = batch->marked[i];
        batch->cleared[count++] = batch->marked[i].id;
    }
    batch->count = count;
    list_batch(batch, count);
    lock_release(lock);
    record_failures(batch);
    if (count == 0) {
        end_batch(batch);
        return;
    }
    batch->record = (struct ledger_op){
        .ids = batch->cleared, .count = count, .done = on_batch_recorded, .owner = batch};
    ledger_post(batch->many->purger->spec.ledger, &batch->record);
}

static void clear_one(struct deletion_batch *batch)
{
    if (atomic_fetch_sub(&batch->left, 1) == 1)
        batch_cleared(batch);
}

static void on_item_cleared(struct deletion_item *item)
{
    clear_one(item->owner);
}

static void on_part_gone(struct spool_op *op)
{
    SEAM_STEP("deletion", "many", "unlinked");
    clear_one(op->owner);
}

/* ---- how each report is cleared away ---- */

static bool is_found(const struct store_marked *marked)
{
    return marked->found;
}

static bool has_files(const struct store_marked *marked)
{
    return marked->attempt > 0 && !marked->in_row;
}

static bool may_be_in_use(const struct store_marked *marked)
{
    return has_files(marked) && (marked->was == REPORT_PROCESSING || marked->held);
}

static bool has_idle_files(const struct store_marked *marked)
{
    return has_files(marked) && !may_be_in_use(marked);
}

/* Move those of `from` … `count` that are wanted to the front; returns where the others begin. */
static size_t gather(struct store_marked *marked, size_t from, size_t count,
                     bool (*wanted)(const struct store_marked *))
{
    for (size_t i = from; i < count; i++) {
        struct store_marked one = marked[i];

        if (!wanted(&one))
            continue;
        marked[i] = marked[from];
        marked[from++] = one;
    }
    return from;
}

static void sort_out(struct deletion_batch *batch)
{
    batch->count = gather(batch->marked, 0, batch->count, is_found);
    batch->ref_count = gather(batch->marked, 0, batch->count, has_idle_files);
    batch->item_count =
        gather(batch->marked, batch->ref_count, batch->count, may_be_in_use) - batch->ref_count;
    for (size_t i = 0; i < batch->ref_count; i++)
        batch->refs[i] =
            (struct spool_ref){.id = batch->marked[i].id, .attempt = batch->marked[i].attempt};
}

static void remove_batch_files(struct deletion_batch *batch)
{
    size_t begun = 0;

    for (size_t i = 0; i < DELETION_PARTS; i++) {
        size_t end = batch->ref_count * (i + 1) / DELETION_PARTS;

        batch->files[i] = (struct spool_op){.verb = SPOOL_REMOVE,
                                            .refs = batch->refs + begun,
                                            .count = end - begun,
                                            .done = on_part_gone,
                                            .owner = batch};
        begun = end;
    }
    for (size_t i = 0; i < DELETION_PARTS; i++) {
        if (batch->files[i].count > 0)
            spool_post(batch->many->purger->spec.spool, &batch->files[i]);
        else
            clear_one(batch);
    }
}

static void stop_queries(struct deletion_batch *batch)
{
    const struct store_marked *marked = batch->marked + batch->ref_count;
    size_t count = batch->item_count; /* once the last item is cleared, the batch may be over */
    bool shared = store_is_shared(batch->many->purger->spec.store);

    for (size_t i = 0; i < count; i++)
        batch->items[i] = (struct deletion_item){.id = marked[i].id,
                                                 .purger = batch->many->purger,
                                                 .verb = "many",
                                                 .began_us = batch->many->began_us,
                                                 .held = shared && marked[i].held,
                                                 .cleared = on_item_cleared,
                                                 .owner = batch};
    for (size_t i = 0; i < count; i++)
        deletion_clear_away(&batch->items[i], deletion_state(marked[i].was, marked[i].held),
                            marked[i].attempt);
}

/* `left` counts one more than there is to do, until everything has begun. */
static void clear_batch(struct deletion_batch *batch)
{
    struct err err;

    sort_out(batch);
    if (batch->item_count > 0)
        batch->items = calloc(batch->item_count, sizeof(*batch->items));
    if (batch->item_count > 0 && batch->items == NULL) {
        fail_batch(batch, err_set(&err, -E_NOMEM, "No memory to delete the reports."), &err);
        return;
    }
    atomic_store(&batch->left, DELETION_PARTS + batch->item_count + 1);
    remove_batch_files(batch);
    stop_queries(batch);
    clear_one(batch);
}

/* ---- marking ---- */

static void tombstone_batch(struct deletion_batch *batch);

static void on_batch_held(struct store_op *op)
{
    struct deletion_batch *batch = op->owner;

    if (op->rc < 0) {
        fail_batch(batch, op->rc, &op->err);
    } else {
        clear_batch(batch);
    }
}

/* With other nodes: does one of them send one of the results? Asked after the marks are committed,
 * since only those keep a node from beginning to send. */
static void on_batch_marked(struct store_op *op)
{
    struct deletion_batch *batch = op->owner;
    struct store *store = batch->many->purger->spec.store;
    bool marked = op->rc == 0;

    if (take_fewer(batch->many, op, batch->count)) {
        batch->many->next -= batch->count;
        tombstone_batch(batch);
        return;
    }
    SEAM_STEP("deletion", "many", "marked");
    if (!marked)
        stop_many(batch->many, op->rc, &op->err);
    pass_gate(other_of(batch));
    if (!marked) {
        end_batch(batch);
    } else if (store_is_shared(store)) {
        batch->op =
            (struct store_op){.verb = STORE_HELD_MANY, .done = on_batch_held, .owner = batch};
        batch->op.held_many =
            (struct store_held_many){.reports = batch->marked, .count = batch->count};
        store_post(store, &batch->op);
    } else {
        clear_batch(batch);
    }
}

static void tombstone_batch(struct deletion_batch *batch)
{
    struct deletion_many *many = batch->many;
    size_t count = at_most(many, many->count - many->next);

    unlist_batch(batch);
    lock_take(&many->purger->lock);
    for (size_t i = 0; i < count; i++) {
        batch->marked[i] = (struct store_marked){.id = many->ids[many->next + i]};
        batch->cleared[i] = many->ids[many->next + i];
    }
    list_batch(batch, count);
    lock_release(&many->purger->lock);
    many->next += count;
    batch->count = count;
    batch->op =
        (struct store_op){.verb = STORE_TOMBSTONE_MANY, .done = on_batch_marked, .owner = batch};
    batch->op.tombstone_many = (struct store_tombstone_many){.user_id = many->user_id,
                                                             .state = many->state,
                                                             .token = guid_new(),
                                                             .reports = batch->marked,
                                                             .count = count};
    store_post(many->purger->spec.store, &batch->op);
}

static void start_batch(struct deletion_batch *batch)
{
    struct deletion_many *many = batch->many;

    if (many->next == many->count || has_stopped(many)) {
        close_one(many);
        return;
    }
    atomic_fetch_add(&many->open, 1);
    atomic_store(&batch->gate, 2);
    tombstone_batch(batch);
}

void deletion_many_start(struct purger *purger, struct deletion_many *many)
{
    many->purger = purger;
    many->began_us = clock_mono_us();
    many->rc = 0;
    many->next = many->gone = 0;
    atomic_store(&many->most, STORE_MANY_MAX);
    atomic_store(&many->open, 1);
    for (int i = 0; i < 2; i++)
        many->batches[i].many = many;
    atomic_store(&many->batches[1].gate, 1);
    start_batch(&many->batches[0]);
}
