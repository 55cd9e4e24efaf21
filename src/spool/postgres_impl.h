/* src/spool/postgres_impl.h -- connections of the spool to PostgreSQL, on which nobody waits for
 * ever. */
#pragma once

#include "base/thread.h"
#include "pg/pg.h"

enum { LINK_POOL_MAX = 8, LINK_PARAMS_MAX = 4 };

/* Connections that nobody uses now. There is one at most for every thread of the spool. */
struct link_pool {
    const char *url;  /* borrowed */
    struct lock lock; /* guards what follows */
    PGconn *idle[LINK_POOL_MAX];
    int count;
};
void link_pool_init(struct link_pool *pool, const char *url);
void link_pool_done(struct link_pool *pool);

/* What runs on a connection: 0 or an error, and whether the connection was lost is seen by itself.
 */
typedef int link_job_fn(PGconn *conn, void *context, struct err *err);
/* Run it on a connection of the pool, and once more on a new one if an idle one turned out to be
 * lost: it must be such that running it twice does no harm. A transaction it has left open after an
 * error is rolled back. -E_SPOOL, or what the job says. *ret_lost: it was for want of a connection.
 */
int link_run(struct link_pool *pool, link_job_fn *job, void *context, bool *ret_lost,
             struct err *err);

/* A value as PostgreSQL's binary format has it. */
struct link_param {
    const void *data;
    int len;
};
/* Run one statement with binary parameters; *ret, if asked for, has the binary result and is yours:
 * PQclear(). -E_SPOOL. */
int link_query(PGconn *conn, const char *sql, const struct link_param *params, PGresult **ret,
               struct err *err);

/* Run statements without parameters, separated by semicolons. -E_SPOOL. */
int link_run_text(PGconn *conn, const char *sql, struct err *err);

/* COPY … FROM STDIN, begun by one of those: send, end. -E_SPOOL. */
int link_copy_add(PGconn *conn, const void *data, int len, struct err *err);
int link_copy_end(PGconn *conn, struct err *err);
