/* src/source/source.h -- rows of the reported database, read-only, in one transaction. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/claims.h"

struct source;
struct source_query;

/* What the database gives. TEXT, BLOB and NUMERIC point into the row: gone at the next step.
 * NUMERIC is an exact decimal as text (PostgreSQL); JSON is text that the database vouches for. */
enum source_kind {
    SOURCE_NULL,
    SOURCE_INTEGER,
    SOURCE_REAL,
    SOURCE_BOOLEAN,
    SOURCE_TEXT,
    SOURCE_BLOB,
    SOURCE_NUMERIC,
    SOURCE_JSON,
};

struct source_value {
    enum source_kind kind;
    union {
        int64_t integer; /* BOOLEAN too: 0 or 1 */
        double real;
        struct {
            const char *data; /* not terminated */
            size_t len;
        } text;
    };
};

struct source_spec {
    const char *url;         /* "sqlite:PATH", "postgresql://…" (a libpq URI) */
    const char *temp_folder; /* where the database may spill a sort; NULL: its default */
    int64_t temp_limit;      /* bytes a report may spill there; 0: no limit. A server has its own */
    atomic_bool *stopped;    /* set by another thread: do not wait for a lock; NULL: never */
    /* For the author of a definition, who may see values (reportd check, reportd try): gets the
     * other messages of the database, such as NOTICE and WARNING, and err->detail is its full
     * message, including HINT. NULL: these are discarded. */
    void (*notice)(void *context, const char *text);
    void *context;
};

/* Session parameters are bound like declared ones: `session_user` is always there; claims are among
 * the values that source_query() gets, and in PostgreSQL they are settings, too. */
struct source_session {
    const char *user_name;
    const struct claims *claims; /* NULL: none */
    const char *reference;       /* for the database's own monitoring */
    int64_t timeout_ms;          /* for a database that can enforce it by itself; 0: none */
    const char *timezone; /* of local time in SQL; NULL: UTC, or what PostgreSQL's session has */
};

/* All errors: err->text is for the user, err->detail for the log. Without a spec->notice no detail
 * contains a value that was bound or read: the database's message about a running query may quote
 * one, so the error code replaces it. */

/* Open a connection; -E_SOURCE; -E_CANCELLED:
 * it would have waited, and spec->stopped is set. */
int source_open(const struct source_spec *spec, struct source **ret, struct err *err);
void source_free(struct source *source); /* NULL is fine */

/* For a process that may touch nothing else: each file and folder, whether it is there or not, that
 * is read for this database, now and as it is now. While there is one thread. */
typedef void source_file_fn(void *context, const char *path);
void source_each_file(const char *url, source_file_fn *found, void *context);
/* Can such a process open the database? A server, yes; of a file no: beside it others may have to
 * be made. */
bool source_reopens(const char *url);

/* Is `variable` ("NAME=VALUE") one that a database's library reads? Not PGPASSWORD: each URL gets
 * its own with source_url_complete(). */
bool source_needs_variable(const char *variable);
/* The URL with the password that its library would take from PGPASSWORD; free() it. NULL: no
 * memory. */
char *source_url_complete(const char *url);

/* One read-only transaction a report: begin, any number of queries, end (also after a failure). A
 * server is first connected to here; -E_CHANGED: it was reached before and is not any more, maybe
 * since a password or certificate is in another file of that name by now: another process is to
 * try. After a query has failed no other one can be compiled. */
int source_begin(struct source *source, const struct source_session *session, struct err *err);
/* -E_CHANGED: the rows may not be of one state, since somebody wrote or replaced a table meanwhile
 * and nothing could prevent it: reopen the source, and run the report again. */
int source_end(struct source *source, struct err *err);
/* Between reports, any thread: may the next one use this connection? False: open a new one, since
 * the database is another by now, or nothing may stay open between reports. Only looks. */
bool source_is_current(const struct source *source);

/* Compile the statement (exactly one; its line is added to the error's detail) and bind the values
 * by name. A :Name that is neither in `values` nor a session parameter is -E_SOURCE. *ret is yours:
 * source_query_free(). */
int source_query(struct source *source, const struct statement *statement,
                 const struct param_value *values, size_t count, struct source_query **ret,
                 struct err *err);
void source_query_free(struct source_query *query);

size_t source_columns(const struct source_query *query);
const char *source_column_name(const struct source_query *query, size_t column); /* borrowed */

enum { SOURCE_TYPE_TEXT = 64 };

/* What the database declares a column's values to be, before the first row; SOURCE_NULL: it does
 * not say. SOURCE_BLOB stands for everything that is not a number, boolean, text or JSON. `name` is
 * the database's name of the type. */
enum source_kind source_column_type(const struct source_query *query, size_t column,
                                    char name[SOURCE_TYPE_TEXT]);
/* Whether the statement would be run, as far as the database knows without running it: rights, and
 * that it does not write; before its first row. -E_SOURCE says why not. */
int source_rehearse(struct source_query *query, struct err *err);

/* 1: `row` (source_columns() values) is filled; 0: no more rows; -E_CANCELLED after
 * source_interrupt(); -E_SOURCE otherwise. One query at a time: between its first row and its end
 * no other one is stepped or compiled. */
int source_step(struct source_query *query, struct source_value *row, struct err *err);

/* Stop whatever runs and whatever starts until source_resume(); any thread; does not wait. */
void source_interrupt(struct source *source);
void source_resume(struct source *source);
