/* src/pg/pg.h -- connections to PostgreSQL on which nothing waits forever: connecting, waiting, and
 * the server's messages. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guid.h"

enum { PG_MESSAGE = ERR_TEXT_MAX / 2 };

/* ---- connect.c: making a connection ---- */

struct pg_spec {
    const char *url;  /* its settings take precedence over those given here, except with `own` */
    const char *name; /* the application_name */
    int connect_s;    /* the connect_timeout, for each host, in seconds */
    int wake_fd;      /* gives up when it becomes readable; -1: nothing wakes it */
    bool own; /* A session on reportd's own tables: search_path, isolation and time limits are
               * ours, whatever role, database, server and URL have set, and a commit waits
               * for the disk. */
};

/* Connect, in UTF-8, with keepalives; the connection does not block and is yours: PQfinish(). NULL:
 * `why` says why, in one line for the log. */
PGconn *pg_connect(const struct pg_spec *spec, char why[PG_MESSAGE]);
/* How long to wait after a try that has failed; `before_ms`: after the previous one, 0: it
 * worked. */
int64_t pg_backoff_ms(int64_t before_ms);

/* ---- files.c: what a process needs that connects and may do little else ---- */

/* Each file or folder, whether it exists or not, that libpq and its libraries may read for a
 * connection to this URL: passwords, certificates, services. Call it while there is one thread,
 * since it reads the environment. */
typedef void pg_file_fn(void *context, const char *path);
void pg_each_file(const char *url, pg_file_fn *found, void *context);

/* Is `variable` ("NAME=VALUE") one that they read, except for PGPASSWORD? */
bool pg_needs_variable(const char *variable);
/* Append the URL with the password of PGPASSWORD, so that it can be used without that variable;
 * false: it already has a password or a service, or there is no PGPASSWORD. */
bool pg_url_complete(const char *url, struct buf *out);

/* ---- wait.c: waiting ----
 *
 * Until `until_ms` (monotonic, as clock_mono_ms(); 0: no limit) or until `wake_fd` is readable (-1:
 * there is none). While they wait, data that libpq still has to send is sent. */

/* How a wait ended. PG_GONE: the connection is lost; libpq's message about it comes as a result. */
enum pg_end { PG_READY, PG_LATE, PG_WOKEN, PG_GONE };

/* Until the socket has `events` (poll(2)). A connection that is NULL never has any. */
enum pg_end pg_sleep(const PGconn *conn, short events, int64_t until_ms, int wake_fd);
/* Until the next PQgetResult() does not block. */
enum pg_end pg_wait(PGconn *conn, int64_t until_ms, int wake_fd);
/* Wait until all results have arrived of what was sent with the status `sent` (1: sent). *ret is
 * the last one, or that of the statement that failed, yours to PQclear(), and NULL if there is
 * none; after COPY FROM STDIN, it has begun and not yet ended. PG_LATE, PG_WOKEN: *ret is NULL. */
enum pg_end pg_results(PGconn *conn, int sent, int64_t until_ms, int wake_fd, PGresult **ret);
/* The same, of what has a good end: the result, yours to PQclear(). NULL: `why` says why, in one
 * line for the log; what does not answer in time is lost from then on. */
PGresult *pg_result(PGconn *conn, int sent, int64_t until_ms, char why[PG_MESSAGE]);
/* Send this to a COPY FROM STDIN that has begun; false: as above. */
bool pg_copy_add(PGconn *conn, const void *data, int len, int64_t until_ms, char why[PG_MESSAGE]);
/* Is an idle connection still there, as far as one can know without sending something? Takes in
 * what has come: PQnotifies() then has the notifications. */
bool pg_is_there(PGconn *conn);

/* ---- guids.c: an array of references as a parameter ---- */

enum { PG_GUIDS_MAX = 1024 };

/* A uuid[] in the binary format: start it with how many there will be, at most PG_GUIDS_MAX, then
 * add each. */
struct pg_guids {
    uint8_t bytes[20 + PG_GUIDS_MAX * (4 + GUID_BYTES)];
    size_t len;
};
void pg_guids_start(struct pg_guids *guids, size_t count);
void pg_guids_add(struct pg_guids *guids, const struct guid *id);

/* ---- messages.c: what the server says ---- */

/* What an SQLSTATE means for what was tried
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
enum pg_class {
    PG_OTHER,
    PG_STOPPED,   /* the statement was cancelled, or took too long */
    PG_FORBIDDEN, /* for want of a right */
    PG_READ_ONLY, /* this transaction, or this server, does not write */
    PG_BUSY,      /* lost against others: may work the next time */
    PG_SHORT,     /* of room, memory or connections */
    PG_TOO_MUCH,  /* above a limit of the program */
    PG_AWAY,      /* the connection has ended, or the server is about to */
    PG_DAMAGED,   /* it cannot read its files */
    PG_NOT_TEXT,  /* bytes that are no text in its encoding, or have no place in the other one */
};

/* Is the result that of a statement that has worked (or of a COPY that has begun)? NULL is not. */
bool pg_is_good(const PGresult *result);
/* Without an SQLSTATE, which is libpq's own trouble: PG_AWAY if the connection is lost. */
enum pg_class pg_class_of(const PGconn *conn, const PGresult *result);
/* What was said in `result` (NULL: of the connection), in one line for the log: never a message
 * that may quote values. */
void pg_said(const PGconn *conn, const PGresult *result, char out[PG_MESSAGE]);
/* All that was said in `result`, which has an SQLSTATE: message, DETAIL, HINT and the severity of
 * what is no error, in one line. It may quote values: for the one who wrote the statement. */
void pg_said_all(const PGresult *result, char out[ERR_TEXT_MAX]);
/* A message of libpq's about a URL and the connection it makes, in one line for the log, unless it
 * may quote a password that is not percent-encoded as it must be (RFC 3986, 3.2.1): then what to do
 * about that. */
void pg_url_trouble(const char *url, const char *message, char out[PG_MESSAGE]);
/* A connection that cannot be used any more. */
bool pg_is_lost(const PGconn *conn);
