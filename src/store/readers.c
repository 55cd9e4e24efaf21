/* src/store/readers.c -- reads of the embedded kind: on the calling thread, which has a connection
 * of its own, or from what is remembered. */
#include <stdlib.h>

#include "base/clock.h"
#include "store/engine_impl.h"

enum { CHECK_EVERY_MS = 100 };

/* One thread's connection for reading, in the store's list so that store_free() finds it. */
struct reader {
    struct store_conn *conn;
    struct store *store;
    struct reader *next, **link;
};

/* For what only reads: seldom looked at while all is well, since a look is three system calls. */
static bool files_are_in_place(struct store *store, struct err *err)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms < atomic_load(&store->check_ms))
        return true;
    if (store->ops->check(store->first, err) < 0)
        return false;
    atomic_store(&store->check_ms, now_ms + CHECK_EVERY_MS);
    return true;
}

uint64_t store_version(struct store *store, const struct guid *id)
{
    if (store->ops->watch == NULL || !files_are_in_place(store, NULL))
        return 0;
    return versions_of(&store->versions, id);
}

/* ---- a connection per thread ---- */

static void reader_free(struct reader *reader)
{
    store_close_conn(reader->conn);
    free(reader);
}

/* A thread that has read ends. */
static void reader_thread_ends(void *value)
{
    struct reader *reader = value;
    struct store *store = reader->store;

    lock_take(&store->lock);
    *reader->link = reader->next;
    if (reader->next != NULL)
        reader->next->link = reader->link;
    reader_free(reader);
    lock_release(&store->lock);
}

int readers_init(struct store *store)
{
    return pthread_key_create(&store->reader_key, reader_thread_ends) == 0 ? 0 : -1;
}

void readers_done(struct store *store)
{
    pthread_key_delete(store->reader_key);
    for (struct reader *reader = store->readers, *next; reader != NULL; reader = next) {
        next = reader->next;
        reader_free(reader);
    }
}

/* This thread's connection, opened at its first read, unless a file is missing, since to open the
 * store would make another. NULL: `err` says why. */
static struct store_conn *reader_conn(struct store *store, struct err *err)
{
    struct reader *reader = pthread_getspecific(store->reader_key);

    if (reader != NULL)
        return reader->conn;
    if (store->ops->check(store->first, err) < 0)
        return NULL;
    reader = calloc(1, sizeof(*reader));
    if (reader == NULL || pthread_setspecific(store->reader_key, reader) != 0) {
        free(reader);
        err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
        return NULL;
    }
    if (store->ops->open_another(store->first, &reader->conn, err) < 0) {
        pthread_setspecific(store->reader_key, NULL);
        free(reader);
        return NULL;
    }
    thread_own(&reader->conn->user);
    reader->store = store;
    reader->conn->store = store;
    lock_take(&store->lock);
    reader->next = store->readers;
    reader->link = &store->readers;
    if (reader->next != NULL)
        reader->next->link = &reader->next;
    store->readers = reader;
    lock_release(&store->lock);
    return reader->conn;
}

void embedded_read(struct store *store, struct store_op *op)
{
    struct store_conn *conn = reader_conn(store, &op->err);

    op->rc = conn != NULL && files_are_in_place(store, &op->err) ? embedded_run_verb(conn, op)
                                                                 : -E_STORE;
}
