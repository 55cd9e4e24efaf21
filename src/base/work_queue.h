/* src/base/work_queue.h -- a queue and its threads: callers push items, threads take batches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is queued; the item belongs to the work queue from push until `run` gets it. */
struct work_item {
    struct work_item *next;
    bool queued; /* the work queue's: zeroed at first */
};

struct work_queue;

/* Called on a work queue thread with 1 … batch_max items, oldest first, linked by `next`. They are
 * the callee's from then on. */
typedef void work_run_fn(void *context, struct work_item *batch);

struct work_queue_spec {
    const char *name; /* of the threads, at most 15 characters */
    int threads;      /* 1: batches run one after the other, in order */
    size_t batch_max; /* items a call; 0: all there are */
    size_t queue_max; /* items waiting; 0: no limit */
    int nice;         /* of the threads: setpriority(2) */
    bool gather; /* with one thread: other threads that can run on this core may push before a batch
                  * is taken: for batches that cost the same whatever is in them */
    int rest_ms; /* with one thread: a batch is taken no sooner than this after the last one, and
                  * pushes meanwhile wake nobody; 0: at once */
    work_run_fn *run;
    /* Optional housekeeping, on a work queue thread: called after every batch, and again once the
     * milliseconds it returned have passed with nothing pushed; 0: not before the next batch. */
    int64_t (*maintain)(void *context);
    void *context; /* borrowed: must outlive the work queue */
};

/* Start the threads. NULL: no memory or no thread. All signals are blocked in them. */
struct work_queue *work_queue_new(const struct work_queue_spec *spec);

/* Queue an item, from any thread. False: queue_max is reached and the item is still yours. */
bool work_queue_push(struct work_queue *work_queue, struct work_item *item);

/* Run what is queued to the end, join the threads, free. Nothing may be pushed any more, except by
 * `run` itself. NULL is fine. */
void work_queue_free(struct work_queue *work_queue);
