/* src/pg/connect.c -- connects to PostgreSQL within time limits, and sets up the session. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pg/pg.h"

enum { SETUP_MS = 10000, BACKOFF_FIRST_MS = 50, BACKOFF_MAX_MS = 1000 };

/* Sent with the connection request, so that they apply to the first statement, and override the
 * settings of the role, the database and the server. No session that hangs holds locks for long. */
static const char own_settings[] =
    "-c search_path=reportd,pg_temp -c statement_timeout=8s -c lock_timeout=4s"
    " -c idle_in_transaction_session_timeout=5s"
    " -c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off"
    " -c default_transaction_deferrable=off -c row_security=on -c standard_conforming_strings=on"
    " -c bytea_output=hex -c jit=off";

/* Settings that depend on the server: a stricter synchronous_commit stays, and the other two do not
 * exist in every version. It returns whether foreign keys are enforced; only a superuser can enable
 * them again. */
static const char own_session[] =
    "SELECT current_setting('session_replication_role') <> 'replica',"
    " CASE current_setting('synchronous_commit') WHEN 'off'"
    "   THEN set_config('synchronous_commit', 'on', false) END,"
    " CASE WHEN current_setting('idle_session_timeout', true) IS NOT NULL"
    "   THEN set_config('idle_session_timeout', '0', false) END,"
    " CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL"
    "   THEN set_config('transaction_timeout', '0', false) END";

/* The server's notices do not belong in the log. */
static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
    while (options != NULL && options->keyword != NULL && !str_eq(options->keyword, keyword))
        options++;
    return options != NULL && options->keyword != NULL ? options->val : NULL;
}

/* Our options, after those of the URL or the environment, which may contain others; yours to
 * free(). */
static char *own_options(const char *url)
{
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);
    const char *theirs = option_value(parsed, "options");
    char *options;

    if (theirs == NULL)
        theirs = getenv("PGOPTIONS");
    if (asprintf(&options, "%s %s", theirs != NULL ? theirs : "", own_settings) < 0)
        options = NULL;
    PQconninfoFree(parsed);
    return options;
}

/* The time that connecting may take: connect_timeout for each host, as libpq does, which leaves
 * this to the caller here. tcp_user_timeout ends an attempt if a host does not answer at all. */
static int64_t connect_patience_ms(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    const char *timeout = option_value(options, "connect_timeout"),
               *host = option_value(options, "host");
    int64_t seconds = 0, hosts = 1;

    if (timeout != NULL)
        str_to_int64(timeout, &seconds);
    for (; host != NULL && (host = strchr(host, ',')) != NULL; host++)
        hosts++;
    PQconninfoFree(options);
    return (seconds > 0 ? seconds : SETUP_MS / 1000) * hosts * 1000;
}

/* Like PQconnectdbParams(), but it can be woken; NULL: established. libc looks up names, takes its
 * own time (resolv.conf) and cannot be woken. */
static const char *establish(PGconn *conn, int wake_fd)
{
    int64_t until_ms = clock_mono_ms() + connect_patience_ms(conn);
    PostgresPollingStatusType state =
        PQstatus(conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;

    while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
        switch (
            pg_sleep(conn, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms, wake_fd)) {
        case PG_LATE:
            return "the server did not answer within connect_timeout";
        case PG_WOKEN:
            return "given up";
        default:
            state = PQconnectPoll(conn);
        }
    }
    return state == PGRES_POLLING_OK ? NULL : PQerrorMessage(conn);
}

static const char *set_up_session(PGconn *conn, char said[PG_MESSAGE])
{
    PGresult *result =
        pg_result(conn, PQsendQuery(conn, own_session), clock_mono_ms() + SETUP_MS, said);
    const char *trouble = said;

    if (result != NULL)
        trouble = *PQgetvalue(result, 0, 0) == 't'
                      ? NULL
                      : "session_replication_role is 'replica' for this role or database, so"
                        " results would not be deleted with their reports: reset it (ALTER ROLE …"
                        " RESET)";
    PQclear(result);
    return trouble;
}

static PGconn *start_connecting(const struct pg_spec *spec, const char *options)
{
    /* The URL may override what comes before dbname, but not what comes after it. */
    static const char *const names[] = {"connect_timeout",  "application_name",
                                        "keepalives_idle",  "keepalives_interval",
                                        "keepalives_count", "tcp_user_timeout",
                                        "dbname",           "client_encoding",
                                        "options",          NULL};
    char connect_s[16];
    const char *const values[] = {connect_s, spec->name, "10",   "3",     "3",
                                  "10000",   spec->url,  "UTF8", options, NULL};

    snprintf(connect_s, sizeof(connect_s), "%d", spec->connect_s);
    return spec->wake_fd < 0 ? PQconnectdbParams(names, values, 1)
                             : PQconnectStartParams(names, values, 1);
}

PGconn *pg_connect(const struct pg_spec *spec, char why[PG_MESSAGE])
{
    char *options = spec->own ? own_options(spec->url) : NULL;
    PGconn *conn = options != NULL || !spec->own ? start_connecting(spec, options) : NULL;
    const char *trouble = conn == NULL ? "out of memory" : NULL;
    char said[PG_MESSAGE];

    free(options);
    if (trouble == NULL && spec->wake_fd >= 0)
        trouble = establish(conn, spec->wake_fd);
    if (trouble == NULL && (pg_is_lost(conn) || PQsetnonblocking(conn, 1) < 0))
        trouble = PQerrorMessage(conn);
    if (trouble == NULL) {
        PQsetNoticeReceiver(conn, ignore_notice, NULL);
        trouble = spec->own ? set_up_session(conn, said) : NULL;
    }
    if (trouble == NULL)
        return conn;
    pg_url_trouble(spec->url, trouble, why);
    PQfinish(conn);
    return NULL;
}

int64_t pg_backoff_ms(int64_t before_ms)
{
    if (before_ms == 0)
        return BACKOFF_FIRST_MS;
    return before_ms * 2 < BACKOFF_MAX_MS ? before_ms * 2 : BACKOFF_MAX_MS;
}
