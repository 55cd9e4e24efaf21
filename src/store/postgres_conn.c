/* src/store/postgres_conn.c -- a connection to PostgreSQL: made within bounds, set up, found lost.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/postgres_impl.h"

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 1000,
    SETUP_MS = 10000, /* setting a new connection up */
    IDLE_NEWS_MAX = 16,
};

static const struct {
    const char *types, *sql;
} statements[PG_COUNT] = {
#define X(name, types, sql) [PG_##name] = {types, sql},
    POSTGRES_STATEMENTS(X)
#undef X
};

/* The OIDs of the built-in types, by the letters of POSTGRES_STATEMENTS; libpq's headers for
 * clients do not name them. */
static Oid type_of(char letter)
{
    static const struct {
        char letter;
        Oid oid;
    } types[] = {{'b', 16}, {'g', 2950}, {'i', 20}, {'t', 25}, {'x', 17}};
    size_t i = 0;

    while (types[i].letter != letter)
        i++;
    return types[i].oid;
}

int postgres_unavailable(const char *detail, struct err *err)
{
    char line[ERR_TEXT_MAX / 2];
    size_t len;

    str_copy(line, sizeof(line), detail != NULL ? detail : "");
    len = strlen(line);
    while (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    for (char *c = line; *c != '\0'; c++)
        *c = *c == '\n' || *c == '\t' ? ' ' : *c;
    err_set(err, -E_STORE, "The store is unavailable: its database does not answer, try again.");
    return err_detail(err, "postgresql: %s", line);
}

/* The server's notices are none of the log's business. */
static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

/* Wait for the result of a statement sent alone, on a connection that does not block. */
static bool await_result(PGconn *pg, int64_t deadline_ms)
{
    while (PQflush(pg) > 0 || PQisBusy(pg)) {
        struct pollfd fd = {.fd = PQsocket(pg), .events = POLLIN};
        int64_t left = deadline_ms - clock_mono_ms();

        if (left <= 0 || poll(&fd, 1, (int)left) < 0 || PQconsumeInput(pg) == 0)
            return false;
    }
    return true;
}

PGresult *postgres_exec(PGconn *pg, const char *text, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + SETUP_MS;
    PGresult *last = NULL, *result = NULL;

    if (PQsendQuery(pg, text) == 0) {
        postgres_unavailable(PQerrorMessage(pg), err);
        return NULL;
    }
    while (await_result(pg, deadline_ms) && (result = PQgetResult(pg)) != NULL) {
        PQclear(last);
        last = result;
        if (PQresultStatus(last) != PGRES_TUPLES_OK && PQresultStatus(last) != PGRES_COMMAND_OK)
            break;
    }
    if (result != NULL || last == NULL) { /* a statement failed, or nothing was answered */
        postgres_unavailable(PQerrorMessage(pg), err);
        PQclear(last);
        return NULL;
    }
    return last;
}

PGconn *postgres_connect_plain(const struct postgres_shared *shared, struct err *err)
{
    /* What stands before dbname the URL may override; what stands after it may not. */
    static const char *const names[] = {
        "connect_timeout",  "application_name",    "keepalives_idle",
        "keepalives_count", "keepalives_interval", "tcp_user_timeout",
        "dbname",           "client_encoding",     NULL};
    const char *const values[] = {"3",     "reportd",   "10",   "3", "3",
                                  "10000", shared->url, "UTF8", NULL};
    PGconn *pg = PQconnectdbParams(names, values, 1);

    if (pg == NULL || PQstatus(pg) != CONNECTION_OK || PQsetnonblocking(pg, 1) < 0) {
        postgres_unavailable(pg != NULL ? PQerrorMessage(pg) : "out of memory", err);
        PQfinish(pg);
        return NULL;
    }
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    return pg;
}

/* Nobody's hung session may hold locks for long, and what is durable is so whatever the server's
 * default is. */
static bool set_up(PGconn *pg, struct err *err)
{
    PGresult *result =
        postgres_exec(pg,
                      "SET search_path = reportd, pg_temp; SET statement_timeout = '8s';"
                      "SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '5s';"
                      "SET default_transaction_isolation = 'read committed';"
                      "SELECT set_config('synchronous_commit', 'on', false)"
                      " WHERE current_setting('synchronous_commit') = 'off'",
                      err);

    PQclear(result);
    return result != NULL;
}

static bool prepare(struct postgres_conn *c, enum postgres_statement which)
{
    Oid oids[POSTGRES_PARAMETERS_MAX];
    const char *types = statements[which].types;
    char name[12];
    int count = (int)strlen(types);

    for (int i = 0; i < count; i++)
        oids[i] = type_of(types[i]);
    snprintf(name, sizeof(name), "%d", which);
    return PQsendPrepare(c->pg, name, statements[which].sql, count, oids) == 1;
}

/* Every statement, in one round trip. */
static bool prepare_all(struct postgres_conn *c)
{
    bool good = PQenterPipelineMode(c->pg) == 1;

    for (int i = 0; good && i < PG_COUNT; i++)
        good = prepare(c, (enum postgres_statement)i);
    if (!good)
        return false;
    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + SETUP_MS;
    call_sync(c);
    for (int i = 0; i < PG_COUNT; i++)
        results_take(c);
    results_drain(c);
    return c->trouble == PG_GOOD;
}

static int try_connect(struct postgres_conn *c, struct err *err)
{
    c->pg = postgres_connect_plain(c->shared, err);
    if (c->pg == NULL)
        return -E_STORE;
    c->owed = 0;
    if (!set_up(c->pg, err))
        return -E_STORE;
    if (!prepare_all(c))
        return results_trouble(c, err);
    return 0;
}

int postgres_connect(struct postgres_conn *c, struct err *err)
{
    unsigned reached = atomic_load(&c->shared->reached);

    if (c->pg != NULL)
        return 0;
    if (clock_mono_ms() < c->retry_ms && reached == c->reached)
        return postgres_unavailable("not connected; the last try has just failed", err);
    if (try_connect(c, err) == 0) {
        c->backoff_ms = BACKOFF_FIRST_MS;
        atomic_fetch_add(&c->shared->reached, 1);
        return 0;
    }
    postgres_disconnect(c);
    c->reached = reached;
    if (c->backoff_ms < BACKOFF_FIRST_MS)
        c->backoff_ms = BACKOFF_FIRST_MS;
    c->retry_ms = clock_mono_ms() + c->backoff_ms;
    c->backoff_ms = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
    return -E_STORE;
}

void postgres_disconnect(struct postgres_conn *c)
{
    PQclear(c->result);
    c->result = NULL;
    PQfinish(c->pg);
    c->pg = NULL;
    c->owed = 0;
}

bool postgres_is_there(struct postgres_conn *c)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = POLLIN};

    /* The server's last words, then the end of the socket; or a setting that has changed. */
    for (int i = 0; i < IDLE_NEWS_MAX && poll(&fd, 1, 0) > 0; i++) {
        if (PQconsumeInput(c->pg) == 0)
            return false;
        PQisBusy(c->pg); /* takes in what was read */
    }
    return PQstatus(c->pg) == CONNECTION_OK;
}
