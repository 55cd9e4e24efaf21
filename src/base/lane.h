/* src/base/lane.h -- a queue with threads behind it: callers push items, threads take batches. */
#ifndef BASE_LANE_H
#define BASE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is queued; the item belongs to the lane from push until `run` gets it. */
struct lane_item {
    struct lane_item *next;
};

struct lane;

/* Called on a lane thread with 1 … batch_max items, oldest first, linked by `next`. They are the
 * callee's from then on. */
typedef void lane_run_fn(void *context, struct lane_item *batch);

struct lane_spec {
    const char *name; /* of the threads, at most 15 characters */
    int threads;      /* 1: batches run one after the other, in order */
    size_t batch_max; /* items a call; 0: all there are */
    size_t queue_max; /* items waiting; 0: no limit */
    bool gather; /* with one thread: who can run on this core now may push before a batch is taken:
                  * for batches that cost the same whatever is in them */
    lane_run_fn *run;
    /* Optional housekeeping, on a lane thread: called after every batch, and again once the
     * milliseconds it returned have passed with nothing pushed; 0: not before the next batch. */
    int64_t (*tend)(void *context);
    void *context; /* borrowed: must outlive the lane */
};

/* Start the threads. NULL: no memory or no thread. All signals are blocked in them. */
struct lane *lane_new(const struct lane_spec *spec);

/* Queue an item, from any thread. False: queue_max is reached and the item is still yours. */
bool lane_push(struct lane *lane, struct lane_item *item);

/* Run what is queued to the end, join the threads, free. Nothing may be pushed any more, except
 * by `run` itself. NULL is fine. */
void lane_free(struct lane *lane);

#endif
