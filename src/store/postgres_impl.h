/* src/store/postgres_impl.h -- what the files of the PostgreSQL backend share: connections, the
 * statements sent and the results read. Only src/store/postgres*.c includes this. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pg/pg.h"
#include "store/keyring.h"
#include "store/postgres_statements.h"
#include "store/store_impl.h"

enum postgres_statement {
#define X(name, types, sql) PG_##name,
    POSTGRES_STATEMENTS(X)
#undef X
        PG_COUNT
};

enum { POSTGRES_PARAMETERS_MAX = 20, POSTGRES_ORIGIN_TEXT = GUID_TEXT };

/* The numbered migrations: [0] makes schema 1. */
extern const char *const postgres_migrations[];
extern const int postgres_migration_count;
extern const int postgres_sealing_migration; /* after this one rows are sealed */

/* What all connections of one store share. */
struct postgres_shared {
    char *url;
    char here[48];                      /* POSTGRES_HERE at the start */
    char origin[POSTGRES_ORIGIN_TEXT];  /* marks our notifications, which we need not hear */
    struct postgres_listener *listener; /* NULL: not listening */
    char *erase_key;                    /* the file's path */
    struct keyring *ring;
    struct lock refreshing; /* held while the keys are brought up to date */
    int64_t erase_after_ms;
    struct postgres_rotation *rotation; /* NULL: keys do not rotate */
    atomic_uint reached;                /* connections made so far */
    _Atomic int64_t clock_ms; /* what its clock says minus our monotonic one; 0: unheard */
};

/* What a batch has met. REFUSED: the server has refused a statement. CONFLICT: it would not refuse
 * it a second time. STALE: it has met a newer key than ours. LOST: nobody knows whether it was
 * committed. */
enum postgres_trouble { PG_GOOD, PG_REFUSED, PG_CONFLICT, PG_STALE, PG_LOST };

struct postgres_conn {
    struct store_conn base;
    struct postgres_shared *shared;
    bool first;                   /* owns `shared`; of the pools' connections the one that writes */
    PGconn *pg;                   /* NULL: not connected */
    int64_t number;               /* of this one among those that the process has made */
    bool away;                    /* the last try to connect has failed */
    int64_t retry_ms, backoff_ms; /* monotonic: no try to connect before; after so long a wait */
    unsigned reached;             /* of the shared ones, at that try: if another one has been made
                                   * since, the server is back */
    int64_t sent_ms, deadline_ms; /* monotonic: of the operation in progress */
    int64_t heard_ms;             /* monotonic: the end of the last batch; 0: none */
    bool fresh;                   /* that was a moment ago: it need not show that it is there */
    struct guid writer;           /* this connection, and … */
    int64_t batch;                /* … its last numbered batch; 0: it has no row in `writer` */
    int64_t numbered_ms;          /* monotonic: when that was sent, or the row */
    bool given_up;                /* … but what hangs may have a batch for the row of `writer` */
    int owed;                     /* notifications sent whose answers nobody has read */
    /* of the batch in progress */
    bool doubted;             /* it may have been committed before */
    bool unresolved;          /* that has to be found out before it is tried again */
    bool again;               /* so may the operation in hand (store_op.again) */
    bool sent;                /* it writes, and more than its BEGIN may have been carried out */
    bool committed;           /* the server has said so */
    bool waited;              /* the conflict is a lock that was waited for in vain */
    bool crossed;             /* its last try conflicted with another batch */
    bool blind;               /* what no key opens is given as not there */
    struct erase_key sealing; /* what SUBMIT seals with */
    const struct store_claim *start; /* of the SUBMIT that is being sent: NULL, or what takes it */
    enum postgres_trouble trouble;   /* sticky */
    struct err err;                  /* of the trouble, or why a verb was refused */
    PGresult *result;                /* what is being read */
    int row;
};

/* ---- postgres_conn.c: the connection ---- */

/* Connect if need be; -E_STORE at once if the last try has just failed. */
int postgres_connect(struct postgres_conn *c, struct err *err);
void postgres_disconnect(struct postgres_conn *c);
/* A connection like all, set up but without prepared statements; NULL: `err` says why. */
PGconn *postgres_connect_plain(const struct postgres_shared *shared, struct err *err);
/* The result of what was sent before the connection is in pipeline mode, with `sent` as its status,
 * as long as it may take; and that of unprepared text. PQclear() it; NULL: `err` says why. */
PGresult *postgres_result(PGconn *pg, int sent, struct err *err);
PGresult *postgres_exec(PGconn *pg, const char *text, struct err *err);
/* The server has said what time it is since `sent_ms`. */
void postgres_record_time(struct postgres_conn *c, int64_t server_ms);
int64_t postgres_now_ms(const struct store_conn *conn);
/* "The store is unavailable: …", and for the log, in one line, why. */
int postgres_unavailable(const char *detail, struct err *err);

/* ---- postgres_keys.c: the keys of erase.key, as the database has them ---- */

/* Take what is new from the database, and forget what is retired there. *ret_pending, if asked for:
 * rows may still need an older key. -E_STORE; -E_CONFIG: the file does not fit the database. */
int postgres_keys_refresh(struct postgres_conn *c, bool *ret_pending, struct err *err);
/* Write into the file what a refresh could not. -E_CONFIG. */
int postgres_keys_save(struct postgres_shared *shared, struct err *err);
/* At the start: both, and is the file of these nodes? */
int postgres_keys_open(struct postgres_conn *c, struct err *err);
int postgres_check_key(struct store_conn *conn, const struct store_key_file *file, struct err *err);

/* ---- postgres_seal_rows.c ---- */
/* In the transaction of the migration: write the first key down and seal every row. */
int postgres_seal_rows(PGconn *pg, struct keyring *ring, struct err *err);

/* ---- postgres_rotate.c ---- */
int postgres_rotation_start(struct postgres_shared *shared, struct err *err);
void postgres_rotation_stop(struct postgres_shared *shared);

/* ---- postgres_open.c ---- */
struct postgres_conn *
postgres_conn_new(struct postgres_shared *shared); /* not connected; or NULL */
int postgres_open(const struct store_spec *spec, const char *path, struct store_conn **ret,
                  struct err *err);
int postgres_open_another(struct store_conn *like, struct store_conn **ret, struct err *err);
void postgres_close(struct store_conn *conn);

/* ---- postgres_sql.c: statements go out, then their results are read in the same order ---- */

/* Send a statement with its values. */
void call_values(struct postgres_conn *c, enum postgres_statement which,
                 const struct store_value *values);
#define call_run(c, which, ...) call_values((c), (which), VALUES(__VA_ARGS__))
/* Sealed with the report's key; NULL: SQL NULL. */
struct store_value value_sealed(struct postgres_conn *c, const uint8_t key[REPORT_KEY_BYTES],
                                enum keyring_value what, const void *data, size_t len);

static inline struct store_value value_guids(const struct pg_guids *guids)
{
    return value_blob(guids->bytes, (int)guids->len);
}

/* What POSTGRES_ACCESS_IS takes; `as` may be NULL. */
#define value_access(as)                                                                           \
    value_guid((as) != NULL ? &(as)->session : NULL),                                              \
        value_guid((as) != NULL ? &(as)->access : NULL),                                           \
        value_int((as) != NULL ? (as)->now_ms - STORE_LEEWAY_MS : 0)

/* The server is to answer what was sent so far without waiting for the rest of the pipeline. */
void call_flush(struct postgres_conn *c);
/* Send the pipeline now. */
void call_sync(struct postgres_conn *c);

/* The next statement's result; false: trouble, and results_trouble() says which. */
bool results_take(struct postgres_conn *c);
/* Read to the end of the pipeline, ignoring what is left of it. */
void results_drain(struct postgres_conn *c);
/* To return from a verb: the trouble's code and message. */
int results_trouble(struct postgres_conn *c, struct err *err);
/* -E_STORE: what was read finds no room. */
int results_no_memory(struct postgres_conn *c);
/* Room for all rows, zeroed: yours. NULL: no memory, as results_no_memory() says. */
void *results_array(struct postgres_conn *c, size_t size);
bool results_next(struct postgres_conn *c); /* true: there is a row */
size_t results_rows(struct postgres_conn *c);
int64_t results_changed(struct postgres_conn *c); /* rows that the statement wrote */
bool get_null(struct postgres_conn *c, int column);
int64_t get_int(struct postgres_conn *c, int column); /* any width; 0 for NULL */
bool get_bool(struct postgres_conn *c, int column);
char *get_text(struct postgres_conn *c, int column); /* yours to free(); NULL for SQL NULL */
/* Cut at size - 1; "" for SQL NULL. */
void get_name(struct postgres_conn *c, int column, char *out, size_t size);
void get_blob(struct postgres_conn *c, int column, void *out, int len); /* zeros unless so long */
struct guid get_guid(struct postgres_conn *c, int column);
/* What value_sealed() has sealed; NULL for SQL NULL, and for what the key does not open. */
char *get_sealed_text(struct postgres_conn *c, int column, const uint8_t key[REPORT_KEY_BYTES],
                      enum keyring_value what);
/* For who finds by itself that the connection's batch has to be tried again. */
void results_record(struct postgres_conn *c, enum postgres_trouble trouble, const char *detail);

/* ---- postgres_report.c ---- */

/* The key of the report `id`, from the columns `number` and `number` + 1; false, and zeros, if no
 * key of ours opens it, even after another look at the keys there are. */
bool postgres_unwrap(struct postgres_conn *c, const struct guid *id, int number,
                     uint8_t ret[REPORT_KEY_BYTES]);
/* A row that starts with POSTGRES_REPORT_COLUMNS; the key is the report's. */
void postgres_read_report(struct postgres_conn *c, struct report *ret);

/* To be notified after the commit; the row has the user's name in the column `name`. */
void postgres_changed(struct postgres_conn *c, const struct guid *id, int64_t user_id, int name,
                      enum report_state state);

/* ---- postgres_user.c ---- */

/* Reports that a change has ended: they are told of, and counted. 0 or -E_STORE. */
int postgres_read_revoked(struct postgres_conn *c, int64_t *ret_ended);

/* ---- postgres_listen.c ---- */
void postgres_publish(struct store_conn *conn);
int postgres_subscribe(struct store_conn *conn, struct err *err);
void postgres_unsubscribe(struct store_conn *conn);

/* The verbs: send_… sends a verb's statements, read_… reads their results, of which the first has
 * been taken: 0, or an error that `c->err` has. */
#define X(name, member, kind)                                                                      \
    void postgres_send_##member(struct postgres_conn *c, struct store_##member *arg);              \
    int postgres_read_##member(struct postgres_conn *c, struct store_##member *arg);
STORE_VERBS(X)
#undef X

/* Those that are one statement without values, and those whose results say nothing. */
#define POSTGRES_SENDS(member, which)                                                              \
    void postgres_send_##member(struct postgres_conn *c, struct store_##member *arg)               \
    {                                                                                              \
        (void)arg;                                                                                 \
        call_run(c, which);                                                                        \
    }
#define POSTGRES_READS_NOTHING(member)                                                             \
    int postgres_read_##member(struct postgres_conn *c, struct store_##member *arg)                \
    {                                                                                              \
        (void)c, (void)arg;                                                                        \
        return 0;                                                                                  \
    }
