/* src/store/store_impl.h -- what a backend implements. Only src/store/ includes this. */
#pragma once

#include <string.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/thread.h"
#include "store/store.h"

/* One connection: the backend's, embedded first in its own struct. Used by one thread at a time. */
struct store_conn {
    const struct store_ops *ops;
    /* the engine's */
    struct store *store;
    struct store_conn *next;  /* idle like this one */
    struct thread_owner user; /* whose batch, or reads, it runs */
    /* What the current batch has changed. */
    struct store_change *changes;
    size_t change_count, change_cap;
    bool changes_lost; /* no memory to note one */
};

/* -E_STORE, with -E_DOUBT in `err`: nobody knows whether the operation was carried out. */
int store_doubt(struct err *err);
/* Tell the listeners after the commit; called by the verbs inside a batch. */
void store_changed(struct store_conn *conn, const struct store_change *change);
/* Sessions of this user were ended; 0: of anyone. */
void store_sessions_ended(struct store_conn *conn, int64_t user_id);
/* Forget what was noted since the batch began, since it is tried again. */
void store_forget_changes(struct store_conn *conn);
/* Tell this process's listener at once of what another node has changed; any thread. NULL:
 * anything may have changed. */
void store_notify(struct store *store, const struct store_change *change);

enum batch_fate { BATCH_COMMITTED, BATCH_ROLLED_BACK, BATCH_NOT_BEGUN };

enum { NETWORK_BATCH_MAX = 64 }; /* operations; so that the other connections get work, too */

/* A backend, of one of two kinds, which `start`, `transact` and `read` are of.
 *
 * Embedded (SQLite): verbs run inside begin … commit on the one writing connection, several to a
 * batch, or, for STORE_READ and STORE_VOLATILE, alone on a reading connection of the calling
 * thread. A verb returns 0, or a logical refusal (-E_EXISTS, -E_NOT_FOUND) having written nothing,
 * or -E_STORE: then the whole batch is rolled back and its operations are tried again one by one.
 * So a verb may run twice: it sets its whole `out` part each time (what it owns has been freed).
 *
 * Over a network (PostgreSQL): its own `transact` runs a whole batch, so that its operations share
 * round trips; several connections run batches at the same time, and some only batches of reads. */
struct store_ops {
    const char *scheme; /* the URL's first word */
    bool shared;        /* by many nodes: see store_is_shared() */
    int (*open)(const struct store_spec *spec, const char *path, struct store_conn **ret,
                struct err *err);
    /* One more connection to the store that `like` is open on; embedded: for reading. */
    int (*open_another)(struct store_conn *like, struct store_conn **ret, struct err *err);
    void (*close)(struct store_conn *conn); /* the one of `open` is closed last */
    /* Start the work queues of the kind, which use connections to write and, if they have one for
     * reads, to read: as in struct store_spec. -E_STORE. */
    int (*start)(struct store *store, int connections, struct err *err);
    /* Run `batch` in one transaction, as the comment above says for verbs: fill each op's rc, err
     * and `out` part. NOT_BEGUN: the store cannot be reached, trying one by one is of no use. */
    enum batch_fate (*transact)(struct store_conn *conn, struct work_item *batch,
                                enum store_kind kind, struct err *err);
    /* Run what only reads, or is volatile, on the calling thread; NULL: reads are batches, too. */
    void (*read)(struct store *store, struct store_op *op);
    /* Tell the other nodes of what this connection's batch has changed; NULL: there are none. */
    void (*publish)(struct store_conn *conn);
    /* Start and stop hearing what other nodes change (store_notify()); NULL: there are none. */
    int (*subscribe)(struct store_conn *conn, struct err *err);
    void (*unsubscribe)(struct store_conn *conn);
    /* Its clock, from any thread; NULL: this machine's. */
    int64_t (*now_ms)(const struct store_conn *conn);
    int (*check_key)(struct store_conn *conn, const struct store_key_file *file, struct err *err);
    /* From here on: of the embedded kind only. */
    const struct version_watch *watch;
    /* `durable`: the commit of this transaction has to be fsynced. */
    int (*begin)(struct store_conn *conn, bool durable, struct err *err);
    int (*commit)(struct store_conn *conn, struct err *err);
    void (*rollback)(struct store_conn *conn);
    /* `op` alone was rolled back, for the `tries`th time. Is there room for it on the disk now, so
     * that it should be tried again? */
    bool (*make_room)(struct store_conn *conn, const struct store_op *op, int tries);
    /* Are the open files still those of the store's name? -E_STORE: nothing that is written now
     * would be found at the next start. Any thread. */
    int (*check)(const struct store_conn *conn, struct err *err);
    /* Housekeeping (checkpoint) on the writing thread, between batches: so cheap when there is
     * nothing to do that it can be called after each. Returns the milliseconds after which it wants
     * to be called though nothing is posted; 0: not before the next batch. */
    int64_t (*maintain)(struct store_conn *conn);
    /* As store_backup(), on a connection for reading that nobody else uses. */
    int (*backup)(struct store_conn *conn, const char *path, const struct store_backup_watch *watch,
                  struct err *err);
#define X(name, member, kind)                                                                      \
    int (*member)(struct store_conn * conn, struct store_##member * arg, struct err * err);
    STORE_VERBS(X)
#undef X
};

/* Is added to the number of the schema of a store that is being moved, or that was: so no program
 * uses it, not even one that knows nothing of this. */
enum { STORE_MOVING = 1000000 };

/* The source on the line of the claim's offer that has that name; "": there is none. */
void store_offered_source(const struct store_claim *claim, const char *name,
                          char ret[STORE_SOURCE_TEXT]);

enum { PAUSED_MAX = 1 << 20 }; /* bytes of the names of paused sources */

/* What PAUSED finds; NULL, as by lack of memory: nothing. */
static inline void store_add_paused(struct store_paused *arg, struct buf *sources,
                                    const char *source)
{
    if (source != NULL && *source == '\0')
        arg->all = true;
    else if (source != NULL)
        buf_add_format(sources, "%s\n", source);
}

/* The embedded kind's: embedded.c. */
int embedded_start(struct store *store, int connections, struct err *err);
enum batch_fate embedded_transact(struct store_conn *conn, struct work_item *batch,
                                  enum store_kind kind, struct err *err);
void embedded_read(struct store *store, struct store_op *op);
/* The other's: store.c. */
int network_start(struct store *store, int connections, struct err *err);

extern const struct store_ops store_sqlite;
extern const struct store_ops store_postgres;

/* The operation that a work queue's item is embedded in. */
static inline struct store_op *store_op_of(struct work_item *item)
{
    return container_of(item, struct store_op, item);
}

/* A value for a statement's parameter. Its data is borrowed until the statement has run. */
struct store_value {
    enum { VALUE_END, VALUE_NULL, VALUE_INT, VALUE_BOOL, VALUE_TEXT, VALUE_BLOB, VALUE_OWNED } kind;
    int len; /* bytes of a text or blob; OWNED: a blob that is freed by the code that runs the
              * statement */
    int64_t number;
    const void *data;
};

/* The values of a statement, in the order of its parameters. */
#define VALUES(...) ((const struct store_value[]){__VA_ARGS__ __VA_OPT__(, ){.kind = VALUE_END}})

static inline struct store_value value_null(void)
{
    return (struct store_value){.kind = VALUE_NULL};
}

static inline struct store_value value_int(int64_t number)
{
    return (struct store_value){.kind = VALUE_INT, .number = number};
}

static inline struct store_value value_bool(bool value)
{
    return (struct store_value){.kind = VALUE_BOOL, .number = value};
}

/* For USER_CHANGE: NULL leaves it unchanged, and 0 stands for the configuration's. */
static inline struct store_value value_limit(int limit)
{
    return limit == 0 ? value_null() : value_int(limit > 0 ? limit : 0);
}

/* NULL: SQL NULL, like the next two. */
static inline struct store_value value_text(const char *text)
{
    return text == NULL
               ? value_null()
               : (struct store_value){.kind = VALUE_TEXT, .data = text, .len = (int)strlen(text)};
}

static inline struct store_value value_blob(const void *data, int len)
{
    return data == NULL ? value_null()
                        : (struct store_value){.kind = VALUE_BLOB, .data = data, .len = len};
}

static inline struct store_value value_guid(const struct guid *id)
{
    return value_blob(id, GUID_BYTES);
}
