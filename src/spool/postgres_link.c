/* src/spool/postgres_link.c -- the spool's connections to PostgreSQL: pooled, with a time limit on
 * every wait. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/str.h"
#include "spool/postgres_impl.h"

enum { ANSWER_MS = 20 * 1000 }; /* that the server may be silent */

/* ---- errors ---- */

/* libpq's messages have several lines, the last one ended. */
static int fail(PGconn *conn, const PGresult *result, struct err *err)
{
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char words[ERR_TEXT_MAX / 2];

    str_copy(words, sizeof(words), primary != NULL ? primary : PQerrorMessage(conn));
    words[strcspn(words, "\n")] = '\0';
    return err_set(err, -E_SPOOL, "the database of the results: %s", words);
}

static bool is_lost(const PGconn *conn)
{
    return PQstatus(conn) != CONNECTION_OK;
}

/* ---- waiting ---- */

/* False: the server has not moved for too long; the connection is of no use any more. */
static bool wait_for(PGconn *conn, short events)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = events};
    int64_t until_ms = clock_mono_ms() + ANSWER_MS, left = ANSWER_MS;
    int n = -1;

    while (left > 0 && (n = poll(&fd, 1, (int)left)) < 0)
        left = until_ms - clock_mono_ms();
    return n > 0;
}

static int silent(PGconn *conn, struct err *err)
{
    /* Closing the socket makes libpq see that it is lost. */
    shutdown(PQsocket(conn), SHUT_RDWR);
    PQconsumeInput(conn);
    return err_set(err, -E_SPOOL, "the database of the results does not answer");
}

/* Send what libpq has kept. */
static int flush(PGconn *conn, struct err *err)
{
    int left;

    while ((left = PQflush(conn)) > 0) {
        if (!wait_for(conn, POLLIN | POLLOUT))
            return silent(conn, err);
        if (!PQconsumeInput(conn))
            return fail(conn, NULL, err);
    }
    return left == 0 ? 0 : fail(conn, NULL, err);
}

/* The next result; NULL: there are no more. */
static int next_result(PGconn *conn, PGresult **ret, struct err *err)
{
    while (PQisBusy(conn)) {
        if (!wait_for(conn, POLLIN))
            return silent(conn, err);
        if (!PQconsumeInput(conn))
            break; /* the result says why */
    }
    *ret = PQgetResult(conn);
    return 0;
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;
}

/* The one result of what was sent; of several the last. In COPY there is no end to wait for. */
static int finish(PGconn *conn, PGresult **ret, struct err *err)
{
    PGresult *result = NULL, *next = NULL;
    int rc = flush(conn, err);

    if (rc == 0)
        rc = next_result(conn, &result, err);
    while (rc == 0 && PQresultStatus(result) != PGRES_COPY_IN &&
           (rc = next_result(conn, &next, err)) == 0 && next != NULL) {
        PQclear(result);
        result = next;
    }
    if (rc == 0 && !is_good(result))
        rc = fail(conn, result, err);
    if (rc == 0 && ret != NULL)
        *ret = result;
    else
        PQclear(result);
    return rc;
}

int link_query(PGconn *conn, const char *sql, const struct link_param *params, PGresult **ret,
               struct err *err)
{
    static const int binary[LINK_PARAMS_MAX] = {1, 1, 1};
    const char *values[LINK_PARAMS_MAX];
    int lengths[LINK_PARAMS_MAX], count = 0;

    for (; count < LINK_PARAMS_MAX && params != NULL && params[count].data != NULL; count++) {
        values[count] = params[count].data;
        lengths[count] = params[count].len;
    }
    if (!PQsendQueryParams(conn, sql, count, NULL, values, lengths, binary, 1))
        return fail(conn, NULL, err);
    return finish(conn, ret, err);
}

/* ---- COPY ---- */

int link_copy_begin(PGconn *conn, const char *sql, struct err *err)
{
    return link_query(conn, sql, NULL, NULL, err);
}

int link_copy_add(PGconn *conn, const void *data, int len, struct err *err)
{
    int rc;

    while ((rc = PQputCopyData(conn, data, len)) == 0) {
        if (!wait_for(conn, POLLIN | POLLOUT))
            return silent(conn, err);
        if (!PQconsumeInput(conn))
            break;
    }
    return rc == 1 ? flush(conn, err) : fail(conn, NULL, err);
}

int link_copy_end(PGconn *conn, struct err *err)
{
    int rc;

    while ((rc = PQputCopyEnd(conn, NULL)) == 0) {
        if (!wait_for(conn, POLLIN | POLLOUT))
            return silent(conn, err);
    }
    return rc == 1 ? finish(conn, NULL, err) : fail(conn, NULL, err);
}

/* ---- the pool ---- */

void link_pool_init(struct link_pool *pool, const char *url)
{
    *pool = (struct link_pool){.url = url};
    pthread_mutex_init(&pool->mutex, NULL);
}

void link_pool_done(struct link_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        PQfinish(pool->idle[i]);
    pthread_mutex_destroy(&pool->mutex);
}

static PGconn *take_idle(struct link_pool *pool)
{
    PGconn *conn = NULL;

    pthread_mutex_lock(&pool->mutex);
    if (pool->count > 0)
        conn = pool->idle[--pool->count];
    pthread_mutex_unlock(&pool->mutex);
    return conn;
}

/* Nothing of a session may be left to the next user but the session. */
static void give_back(struct link_pool *pool, PGconn *conn)
{
    if (!is_lost(conn) && PQtransactionStatus(conn) == PQTRANS_IDLE) {
        pthread_mutex_lock(&pool->mutex);
        if (pool->count < LINK_POOL_MAX) {
            pool->idle[pool->count++] = conn;
            conn = NULL;
        }
        pthread_mutex_unlock(&pool->mutex);
    }
    PQfinish(conn);
}

/* A result is on the disk before its report is complete, whatever the server's default is. */
static int set_up(PGconn *conn, struct err *err)
{
    PQsetnonblocking(conn, 1);
    return link_query(conn,
                      "SELECT set_config('synchronous_commit', 'on', false)"
                      " WHERE current_setting('synchronous_commit') = 'off'",
                      NULL, NULL, err);
}

/* The keys before the URL are what holds unless it says otherwise. */
static PGconn *connect_to(const char *url, struct err *err)
{
    static const char *const keys[] = {
        "connect_timeout",  "tcp_user_timeout", "keepalives_idle",  "keepalives_interval",
        "keepalives_count", "dbname",           "application_name", NULL};
    const char *const values[] = {"5", "20000", "10", "5", "2", url, "reportd spool", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);

    if ((is_lost(conn) ? fail(conn, NULL, err) : set_up(conn, err)) < 0) {
        PQfinish(conn);
        return NULL;
    }
    return conn;
}

static int run_on(struct link_pool *pool, PGconn *conn, link_job_fn *job, void *context,
                  bool *ret_lost, struct err *err)
{
    int rc = job(conn, context, err);

    *ret_lost = rc < 0 && is_lost(conn);
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
