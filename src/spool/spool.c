/* src/spool/spool.c -- the spool's threads, and its calls into the backend. */
#include "spool/spool.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/seam.h"
#include "base/str.h"
#include "base/thread.h"
#include "spool/spool_impl.h"

enum { CHECK_LASTS_US = 1000 }; /* what was found good; many submits share a dozen system calls */

static const char IN_DATABASE[] = "postgresql";

static void answer_op(struct spool_op *op)
{
    CHECK(op->posted);
    op->posted = false; /* from here on it belongs to its owner */
    op->done(op);
}

static void spool_run_publish(void *context, struct work_item *batch)
{
    struct spool *spool = context;

    spool->ops->publish(spool, batch);
    while (batch != NULL) {
        struct spool_op *op = spool_op_of(batch);

        batch = batch->next;
        answer_op(op);
    }
}

static void spool_run_remove(void *context, struct work_item *batch)
{
    struct spool *spool = context;
    struct spool_op *op = spool_op_of(batch);

    CHECK(batch->next == NULL && op->verb != SPOOL_PUBLISH);
    op->rc = spool->ops->remove(spool, op, &op->err);
    answer_op(op);
}

void spool_post(struct spool *spool, struct spool_op *op)
{
    CHECK(op->done != NULL && !op->posted);
    CHECK(op->refs == NULL || op->count <= SPOOL_REFS_MAX);
    op->posted = true;
    /* The work queues have no queue_max, so they accept everything. */
    work_queue_push(op->verb == SPOOL_PUBLISH ? spool->publish : spool->remove, &op->item);
}

static void spool_has_run(struct spool_op *op)
{
    latch_count_down(op->owner);
}

int spool_run(struct spool *spool, struct spool_op *op)
{
    struct latch latch = LATCH_OF(1);

    op->done = spool_has_run;
    op->owner = &latch;
    spool_post(spool, op);
    latch_wait(&latch);
    return op->rc;
}

int spool_copy(struct spool *from, struct spool *to, const struct guid *id, int attempt,
               int64_t bytes, struct err *err)
{
    const struct spool_file file = {.kind = SPOOL_RESULT, .id = *id, .attempt = attempt};

    if (from->ops->copy == NULL || from->ops != to->ops)
        return err_set(err, -E_SPOOL, "Results in a database are not copied to files.");
    return from->ops->copy(from, to, &file, bytes, err);
}

int spool_sync(struct spool *spool, struct err *err)
{
    return spool->ops->sync != NULL ? spool->ops->sync(spool, err) : 0;
}

/* ---- open ---- */

static int start_work_queues(struct spool *spool, struct err *err)
{
    const struct spool_ops *ops = spool->ops;

    spool->publish = work_queue_new(&(struct work_queue_spec){.name = "spool-publish",
                                                              .threads = ops->publish_threads,
                                                              .batch_max = ops->publish_batch,
                                                              .run = spool_run_publish,
                                                              .context = spool});
    spool->remove = work_queue_new(&(struct work_queue_spec){.name = "spool-remove",
                                                             .threads = ops->remove_threads,
                                                             .batch_max = 1,
                                                             .run = spool_run_remove,
                                                             .context = spool});
    if (ops->fetch != NULL)
        spool->fetch = work_queue_new(&(struct work_queue_spec){.name = "spool-fetch",
                                                                .threads = ops->fetch_threads,
                                                                .batch_max = 1,
                                                                .run = spool_reader_run,
                                                                .context = spool});
    if (spool->publish == NULL || spool->remove == NULL ||
        (ops->fetch != NULL && spool->fetch == NULL))
        return err_set(err, -E_SPOOL, "cannot start the threads of the spool");
    return 0;
}

int spool_open(const struct spool_spec *spec, struct spool **ret, struct err *err)
{
    bool in_database = str_eq(spec->place, IN_DATABASE);
    const struct spool_ops *ops = in_database ? &spool_postgres : &spool_folder;
    struct spool *spool = NULL;
    int rc = ops->open(spec, &spool, err);

    if (rc < 0)
        return rc;
    spool->ops = ops;
    rc = start_work_queues(spool, err);
    if (rc < 0) {
        spool_free(spool);
        return rc;
    }
    *ret = spool;
    return 0;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    work_queue_free(spool->publish);
    work_queue_free(spool->remove);
    work_queue_free(spool->fetch);
    spool->ops->close(spool);
}

const char *spool_place(const struct spool *spool)
{
    return spool->ops->place(spool);
}

bool spool_is_in_database(const struct spool *spool)
{
    return spool->ops->in_database;
}

const char *spool_temp_folder(const struct spool *spool)
{
    return spool->ops->temp_folder(spool);
}

int spool_lock(struct spool *spool, struct err *err)
{
    return spool->ops->lock(spool, err);
}

int spool_owner(struct spool *spool, const struct guid *store, struct err *err)
{
    return spool->ops->owner != NULL ? spool->ops->owner(spool, store, err) : 1;
}

int spool_own(struct spool *spool, const struct guid *store, bool replace, struct err *err)
{
    return spool->ops->own != NULL ? spool->ops->own(spool, store, replace, err) : 0;
}

int spool_check(struct spool *spool, bool try_it, struct err *err)
{
    int64_t now_us = clock_mono_us();
    int rc;

    if (!try_it && now_us - atomic_load(&spool->checked_us) < CHECK_LASTS_US)
        return 0;
    rc = spool->ops->check(spool, try_it, err);
    atomic_store(&spool->checked_us, rc == 0 ? now_us : 0);
    return rc;
}

/* ---- files ---- */

void spool_file_name(char out[SPOOL_NAME_CAP], const struct guid *id, int attempt,
                     enum spool_kind kind)
{
    char text[GUID_TEXT];

    guid_format(id, text);
    snprintf(out, SPOOL_NAME_CAP, "%s.%d.%s", text, attempt, kind == SPOOL_PART ? "part" : "json");
}

int spool_create(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    if (SEAM_FAILS("spool.create"))
        return err_errno(err, -E_SPOOL, "create the file of a result");
    return spool->ops->create(spool, id, attempt, err);
}

int spool_forget(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    return spool->ops->forget != NULL ? spool->ops->forget(spool, id, attempt, err) : 0;
}

int64_t spool_result_size(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    return spool->ops->size(spool, id, attempt, err);
}

bool spool_has_part(const struct spool *spool, const struct guid *id, int attempt)
{
    return spool->ops->has_part(spool, id, attempt);
}

int64_t spool_each(struct spool *spool, spool_each_fn *each, void *context, struct err *err)
{
    return spool->ops->each(spool, each, context, err);
}

/* ---- sweep ---- */

struct sweep {
    struct spool *spool;
    int (*keep)(void *context, const struct spool_file *file);
    void *context;
    int64_t removed; /* or -E_SPOOL */
    struct err *err;
};

static void sweep_file(void *context, const struct spool_file *file)
{
    struct sweep *sweep = context;
    int rc;

    if (file->kind != SPOOL_TEMPORARY && sweep->keep(sweep->context, file))
        return;
    SEAM_STEP("spool", "sweep", "found");
    rc = sweep->spool->ops->drop(sweep->spool, file, sweep->err);
    if (rc < 0) {
        sweep->removed = rc;
    } else if (sweep->removed >= 0) {
        sweep->removed++;
        SEAM_STEP("spool", "sweep", "unlinked");
    }
}

int64_t spool_sweep(struct spool *spool, int (*keep)(void *context, const struct spool_file *file),
                    void *context, struct err *err)
{
    struct sweep sweep = {.spool = spool, .keep = keep, .context = context, .err = err};
    const struct spool_ops *ops = spool->ops;
    int64_t seen = ops->each_idle != NULL ? ops->each_idle(spool, sweep_file, &sweep, err)
                                          : ops->each(spool, sweep_file, &sweep, err);

    return seen < 0 ? seen : sweep.removed;
}
