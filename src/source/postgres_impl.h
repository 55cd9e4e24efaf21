/* src/source/postgres_impl.h -- the parts of the PostgreSQL backend, for one another. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "pg/pg.h"
#include "source/source_impl.h"

enum {
    /* the declared ones, claims and session_user */
    PG_VALUES_MAX = DEFINITION_PARAMETERS_MAX + CLAIMS_MAX + 1,
    PG_VALUE_BYTES_MAX = 128 << 20, /* above what render takes */
};

/* One connection, used by one thread; only `interrupted` and `wake_fd` are touched by others. */
struct pg_source {
    struct source base;
    char *url;
    PGconn *conn; /* NULL: not connected */
    int wake_fd;  /* eventfd, readable while interrupted */
    atomic_bool interrupted;
    void (*notice)(void *context, const char *text); /* of the spec */
    void *notice_context;
    bool begun;   /* a statement of a report may run, which to stop takes a cancel */
    bool reached; /* it has been connected */
    bool spoiled; /* a cancel is on its way to it: close it, never reuse it */
    struct param_value session_user; /* its text is borrowed from source_begin() to source_end() */
    const struct pg_query *reading;  /* whose rows are on the wire; NULL: none */
    unsigned prepared;               /* statements of this transaction, to name the next one */
    struct err unread; /* the error with which unwanted rows ended: the end of the transaction */
};

/* ---- postgres_link.c: the connection; every wait ends when the source is interrupted ---- */

/* Connect. -E_SOURCE or -E_CANCELLED: not connected. */
int pg_reach(struct pg_source *source, struct err *err);
/* Close the connection, if there is one. */
void pg_drop(struct pg_source *source);

/* The next result of what was sent, yours to PQclear(); *ret is NULL after the last one. The caller
 * checks whether it is an error. -E_CANCELLED: the query was stopped and has ended. */
int pg_next(struct pg_source *source, PGresult **ret, struct err *err);
/* Wait for all results of what was sent with the status `sent` (1: sent); the last one is *ret,
 * yours to PQclear(); `ret` may be NULL. A failure is reported as by pg_fail(). */
int pg_finish(struct pg_source *source, int sent, const struct statement *statement, PGresult **ret,
              struct err *err);
/* -E_CANCELLED if the source is interrupted; asked before anything is sent. */
int pg_may_start(const struct pg_source *source, struct err *err);
/* The server's message in `result` (NULL: none) as -E_SOURCE, or -E_CANCELLED if the source is
 * interrupted. `statement` is the definition's, as it was sent: the line at fault precedes the
 * detail; NULL: it was one of ours. */
int pg_fail(struct pg_source *source, const PGresult *result, const struct statement *statement,
            struct err *err);

/* ---- postgres_sql.c: a statement with :Names → one with $numbers ---- */

struct pg_sql {
    struct buf text;
    const struct param_value *values[PG_VALUES_MAX]; /* of $1 … $count; borrowed */
    char *arrays[PG_VALUES_MAX];                     /* owned: lists as they are sent; else NULL */
    Oid types[PG_VALUES_MAX];
    size_t count;
    bool starved; /* a list had no memory */
};

/* Rewrite the statement; `session_user` is a value like the others. Strings, comments, quoted names
 * and casts stay as they are, lines too. IN (:Name) of a list compares with an array. -E_SOURCE: a
 * name that is no value, or a $number of the statement's own. pg_sql_done() it in any case. */
int pg_sql_init(struct pg_sql *sql, const struct statement *statement,
                const struct param_value *values, size_t count,
                const struct param_value *session_user, struct err *err);
void pg_sql_done(struct pg_sql *sql);

/* ---- postgres_value.c: values as PostgreSQL writes them ---- */

struct pg_column;

/* Read a value that is not NULL from its text, which is terminated, too. NULL, or what is wrong
 * with it, to follow "The column 'x' ". */
typedef const char *pg_read_fn(struct pg_column *column, const char *text, size_t len,
                               struct source_value *ret);

struct pg_column {
    pg_read_fn *read;
    pg_read_fn *read_element; /* of an array */
    char delimiter;           /* between its elements */
    struct buf text;          /* of a value that needed work; the next one overwrites it */
    struct buf array;         /* as JSON */
    struct buf element;       /* of an array, while it is read */
};

/* How values of a type are read; NULL if it is not one that we know: its text, or an array. */
pg_read_fn *pg_type_reader(Oid type);
/* What they are then, as source_column_type() says it. */
enum source_kind pg_type_kind(Oid type);
pg_read_fn pg_read_text, pg_read_array;

/* postgres_query.c: its verbs on queries, as in source_impl.h. */
int pg_query(struct source *base, const struct statement *statement,
             const struct param_value *values, size_t count, struct source_query **ret,
             struct err *err);
void pg_query_free(struct source_query *base);
size_t pg_columns(const struct source_query *base);
const char *pg_column_name(const struct source_query *base, size_t column);
enum source_kind pg_column_type(const struct source_query *base, size_t column,
                                char name[SOURCE_TYPE_TEXT]);
int pg_rehearse(struct source_query *base, struct err *err);
int pg_step(struct source_query *base, struct source_value *row, struct err *err);
