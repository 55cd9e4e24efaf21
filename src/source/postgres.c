/* src/source/postgres.c -- rows of a PostgreSQL database, in one transaction that only reads. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "source/postgres_impl.h"

static struct pg_source *to_pg(struct source *source)
{
    return (struct pg_source *)source;
}

static int check_url(const char *url, struct err *err)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);

    if (options == NULL) {
        char said[PG_WORDS];

        pg_url_trouble(url, why != NULL ? why : "out of memory", said);
        PQfreemem(why);
        err_set(err, -E_SOURCE, "The report's database cannot be opened.");
        return err_detail(err,
                          "the source's URL is not understood: %s; write "
                          "postgresql://USER@HOST:PORT/DATABASE",
                          said);
    }
    PQconninfoFree(options);
    return 0;
}

static void pg_close(struct source *base)
{
    struct pg_source *source = to_pg(base);

    pg_drop(source);
    if (source->wake_fd >= 0)
        close(source->wake_fd);
    free(source->url);
    free(source);
}

/* The connection is made by source_begin(), which can be interrupted, and made again by it after a
 * restart of the server. */
static int pg_open(const struct source_spec *spec, const char *address, struct source **ret,
                   struct err *err)
{
    struct pg_source *source;
    int rc = check_url(spec->url, err);

    (void)address;
    if (rc < 0)
        return rc;
    source = calloc(1, sizeof(*source));
    if (source == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    source->base.ops = &source_postgres;
    source->url = strdup(spec->url);
    source->notice = spec->notice;
    source->notice_context = spec->context;
    source->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (source->url == NULL || source->wake_fd < 0) {
        pg_close(&source->base);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    *ret = &source->base;
    return 0;
}

/* Run one of our own statements. */
static int run(struct pg_source *source, const char *sql, struct err *err)
{
    int rc = pg_may_start(source, err);

    return rc < 0 ? rc : pg_finish(source, PQsendQuery(source->conn, sql), NULL, NULL, err);
}

/* How values are written, which is what postgres_value.c reads, whatever the role or the database
 * has set, except for what changes their meaning: the time zone and the order of DateStyle stay;
 * who asks; and what ends the query if we can't: statement_timeout, and the server's own look at
 * the connection (from version 14, and on Linux), for a worker that was killed. The SELECT also
 * takes the snapshot, and from then on the transaction can't be made to write. */
static const char settings_sql[] =
    "SELECT set_config('DateStyle', 'ISO', true),"
    " set_config('IntervalStyle', 'iso_8601', true), set_config('extra_float_digits', '1', true),"
    " set_config('bytea_output', 'hex', true),"
    " set_config('application_name', $1, true), set_config('reportd.user', $2, true),"
    " CASE WHEN $3 <> '0' THEN set_config('statement_timeout', $3, true) END,"
    " CASE WHEN version() LIKE '%linux%'"
    "      AND current_setting('client_connection_check_interval', true) IS NOT NULL"
    "      THEN set_config('client_connection_check_interval', '1s', true) END";

static int start_transaction(struct pg_source *source, const struct source_session *session,
                             struct err *err)
{
    char name[64], timeout[32];
    const char *const values[] = {name, session->user_name, timeout};
    int64_t timeout_ms = session->timeout_ms < INT32_MAX ? session->timeout_ms : INT32_MAX;
    int rc = run(source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);

    if (rc < 0)
        return rc;
    snprintf(name, sizeof(name), "reportd %s", session->reference);
    snprintf(timeout, sizeof(timeout), "%lld", (long long)timeout_ms);
    return pg_finish(source,
                     PQsendQueryParams(source->conn, settings_sql, 3, NULL, values, NULL, NULL, 0),
                     NULL, NULL, err);
}

static int connect_and_start(struct pg_source *source, const struct source_session *session,
                             struct err *err)
{
    int rc = source->conn == NULL ? pg_reach(source, err) : 0;

    return rc < 0 ? rc : start_transaction(source, session, err);
}

static int pg_begin(struct source *base, const struct source_session *session, struct err *err)
{
    struct pg_source *source = to_pg(base);
    bool was_idle = source->conn != NULL;
    int rc = connect_and_start(source, session, err);

    /* It may have gone while it lay idle, with the server or with a firewall's memory of it. */
    if (rc == -E_SOURCE && was_idle && pg_is_lost(source->conn)) {
        pg_drop(source);
        rc = connect_and_start(source, session, err);
    }
    if (rc < 0) {
        pg_drop(source);
        return rc;
    }
    source->prepared = 0;
    source->session_user = (struct param_value){
        .name = "session_user", .type = PARAM_STRING, .text = (char *)session->user_name};
    return 0;
}

/* Nothing of a report may be seen by the next one: settings, prepared statements, locks and
 * temporary tables go, or else the connection. */
static int pg_end(struct source *base, struct err *err)
{
    struct pg_source *source = to_pg(base);

    (void)err;
    source->session_user = (struct param_value){0};
    if (source->conn != NULL &&
        (source->spoiled || PQtransactionStatus(source->conn) == PQTRANS_ACTIVE ||
         run(source, "ROLLBACK", NULL) < 0 || run(source, "DISCARD ALL", NULL) < 0))
        pg_drop(source);
    return 0;
}

static void pg_interrupt(struct source *base)
{
    struct pg_source *source = to_pg(base);

    atomic_store(&source->interrupted, true);
    eventfd_write(source->wake_fd, 1);
}

static void pg_resume(struct source *base)
{
    struct pg_source *source = to_pg(base);
    eventfd_t count;

    atomic_store(&source->interrupted, false);
    eventfd_read(source->wake_fd, &count);
}

const struct source_ops source_postgres = {
    .open = pg_open,
    .close = pg_close,
    .begin = pg_begin,
    .end = pg_end,
    .query = pg_query,
    .query_free = pg_query_free,
    .columns = pg_columns,
    .column_name = pg_column_name,
    .column_type = pg_column_type,
    .rehearse = pg_rehearse,
    .step = pg_step,
    .interrupt = pg_interrupt,
    .resume = pg_resume,
};
