/* src/store/engine_impl.h -- what the files of the engine share: the store, its connections, and
 * who runs what. Only store.c, batch.c and embedded.c include this. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "store/store_impl.h"
#include "store/versions.h"

/* The connections that a work queue's threads share: each batch takes one. */
struct pool {
    struct store *store;
    struct work_queue *work_queue;
    struct store_conn *idle, **last; /* in the order in which they were given back */
    int count;
};

struct store {
    const struct store_ops *ops;
    struct store_conn *first; /* what `ops->open` has opened; in the pool of the writers */
    struct pool writing;
    struct pool reading, beating; /* over a network only */
    struct lock lock;             /* guards `readers` and the pools */
    pthread_key_t reader_key;     /* embedded: this thread's struct reader */
    struct reader *readers;
    struct versions versions;   /* of what the embedded kind answers */
    atomic_llong check_ms;      /* embedded: when reads look again whether the files are in place */
    pthread_rwlock_t listening; /* held for writing while the listener changes */
    store_listen_fn *listen;
    void *listen_context;
};

/* ---- store.c ---- */

/* Fill the pool with a connection per thread and start its work queue. -E_STORE. */
int pool_open(struct pool *pool, struct work_queue_spec spec, struct err *err);
void store_close_conn(struct store_conn *conn);

/* ---- batch.c ---- */

enum store_kind store_kind_of(const struct store_op *op);
/* A seam of each operation. */
void store_pass_step(struct work_item *batch, const char *step);
/* Behind those that are idle, so that all are used, however little there is to do. */
void pool_add(struct pool *pool, struct store_conn *conn);
/* Give an operation back to its owner. */
void store_answer(struct store_op *op);
/* The function of the work queues; `context` is the pool. */
void store_run_batch(void *context, struct work_item *batch);

/* ---- embedded.c ---- */

int readers_init(struct store *store); /* -1: no memory */
/* Once no thread reads any more. */
void readers_done(struct store *store);
