/* src/spool/postgres_link.c -- the spool's connections to PostgreSQL: pooled, with a time limit on
 * every wait. */
#include "base/clock.h"
#include "spool/postgres_impl.h"

enum { ANSWER_MS = 20 * 1000 }; /* that the server may be silent */

static int fail_link(const char *why, struct err *err)
{
    return err_set(err, -E_SPOOL, "the database of the results: %s", why);
}

/* The one result of what was sent with that status; of several the last. */
static int finish_command(PGconn *conn, int sent, PGresult **ret, struct err *err)
{
    char why[PG_WORDS];
    PGresult *result = pg_result(conn, sent, clock_mono_ms() + ANSWER_MS, why);

    if (result == NULL)
        return fail_link(why, err);
    if (ret != NULL)
        *ret = result;
    else
        PQclear(result);
    return 0;
}

int link_query(PGconn *conn, const char *sql, const struct link_param *params, PGresult **ret,
               struct err *err)
{
    static const int binary[LINK_PARAMS_MAX] = {1, 1, 1, 1};
    const char *values[LINK_PARAMS_MAX];
    int lengths[LINK_PARAMS_MAX], count = 0;

    for (; count < LINK_PARAMS_MAX && params != NULL && params[count].data != NULL; count++) {
        values[count] = params[count].data;
        lengths[count] = params[count].len;
    }
    return finish_command(
        conn, PQsendQueryParams(conn, sql, count, NULL, values, lengths, binary, 1), ret, err);
}

int link_run_text(PGconn *conn, const char *sql, struct err *err)
{
    return finish_command(conn, PQsendQuery(conn, sql), NULL, err);
}

/* ---- COPY ---- */

int link_copy_add(PGconn *conn, const void *data, int len, struct err *err)
{
    char why[PG_WORDS];

    return pg_copy_add(conn, data, len, clock_mono_ms() + ANSWER_MS, why) ? 0 : fail_link(why, err);
}

int link_copy_end(PGconn *conn, struct err *err)
{
    return finish_command(conn, PQputCopyEnd(conn, NULL), NULL, err);
}

/* ---- the pool ---- */

void link_pool_init(struct link_pool *pool, const char *url)
{
    *pool = (struct link_pool){.url = url};
    lock_init(&pool->lock);
}

void link_pool_done(struct link_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        PQfinish(pool->idle[i]);
    lock_done(&pool->lock);
}

static PGconn *take_idle(struct link_pool *pool)
{
    PGconn *conn = NULL;

    lock_take(&pool->lock);
    if (pool->count > 0)
        conn = pool->idle[--pool->count];
    lock_release(&pool->lock);
    return conn;
}

/* Nothing of a session may be left to the next user but the session. */
static void give_back(struct link_pool *pool, PGconn *conn)
{
    CHECK(conn != NULL);
    if (!pg_is_lost(conn) && PQtransactionStatus(conn) == PQTRANS_IDLE) {
        lock_take(&pool->lock);
        if (pool->count < LINK_POOL_MAX) {
            pool->idle[pool->count++] = conn;
            conn = NULL;
        }
        lock_release(&pool->lock);
    }
    PQfinish(conn);
}

static PGconn *connect_to(const char *url, struct err *err)
{
    char why[PG_WORDS];
    PGconn *conn = pg_connect(
        &(struct pg_spec){
            .url = url, .name = "reportd spool", .connect_s = 3, .wake_fd = -1, .own = true},
        why);

    if (conn == NULL)
        fail_link(why, err);
    return conn;
}

static int run_on(struct link_pool *pool, PGconn *conn, link_job_fn *job, void *context,
                  bool *ret_lost, struct err *err)
{
    int rc = job(conn, context, err);

    *ret_lost = rc < 0 && pg_is_lost(conn);
    if (rc < 0 && !*ret_lost && PQtransactionStatus(conn) == PQTRANS_INERROR)
        link_query(conn, "ROLLBACK", NULL, NULL, NULL);
    give_back(pool, conn);
    return rc;
}

int link_run(struct link_pool *pool, link_job_fn *job, void *context, bool *ret_lost,
             struct err *err)
{
    PGconn *conn = take_idle(pool);
    int rc = -E_SPOOL;

    *ret_lost = true;
    if (conn != NULL)
        rc = run_on(pool, conn, job, context, ret_lost, err);
    if (rc == 0 || !*ret_lost)
        return rc;
    conn = connect_to(pool->url, err);
    return conn != NULL ? run_on(pool, conn, job, context, ret_lost, err) : -E_SPOOL;
}
