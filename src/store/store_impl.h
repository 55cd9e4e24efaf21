/* src/store/store_impl.h -- what a backend implements. Only src/store/ includes this. */
#ifndef STORE_STORE_IMPL_H
#define STORE_STORE_IMPL_H

#include "store/store.h"

/* One connection: the backend's, embedded first in its own struct. Used by one thread at a time. */
struct store_conn {
    const struct store_ops *ops;
    struct store *store;
};

/* Tell the listeners after the commit; called by the verbs inside a batch. */
void store_changed(struct store_conn *conn, const struct guid *id, int64_t user_id,
                   enum report_state state);

/* A backend. Verbs run inside begin … commit on the writing connection, several to a batch, or,
 * for STORE_READ and STORE_TOLD, alone on a reading connection of the calling thread. A verb
 * returns 0, or a logical refusal (-E_EXISTS, -E_NOT_FOUND) having written nothing, or -E_STORE:
 * then the whole batch is rolled back and its operations are tried again one by one. So a verb may
 * run twice: it sets its whole `out` part each time (what it owns has been freed). */
struct store_ops {
    const char *scheme; /* the URL's first word */
    int (*open)(const struct store_spec *spec, const char *path, struct store_conn **ret,
                struct err *err);
    /* One more connection for reading, to the store `like` is open on. */
    int (*open_reader)(struct store_conn *like, struct store_conn **ret, struct err *err);
    void (*close)(struct store_conn *conn);
    /* `durable`: the commit of what begins here is to be fsynced. */
    int (*begin)(struct store_conn *conn, bool durable, struct err *err);
    int (*commit)(struct store_conn *conn, struct err *err);
    void (*rollback)(struct store_conn *conn);
    /* Housekeeping (checkpoint) on the writing thread, between batches: so cheap when there is
     * nothing to do that it can be called after each. Returns the milliseconds after which it wants
     * to be called though nothing is posted; 0: not before the next batch. */
    int64_t (*tend)(struct store_conn *conn);
#define X(name, member, kind)                                                                      \
    int (*member)(struct store_conn * conn, struct store_##member * arg, struct err * err);
    STORE_VERBS(X)
#undef X
};

extern const struct store_ops store_sqlite;

#endif
