/* src/source/postgres.c -- rows of a PostgreSQL database, read in one read-only transaction. */
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
        char said[PG_MESSAGE];

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

/* source_begin() connects, since that can be interrupted, and reconnects after the server was
 * restarted. */
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

/* Runs one of our own statements. */
static int run_own(struct pg_source *source, const char *sql, struct err *err)
{
    return pg_may_start(source, err)
               ?: pg_finish(source, PQsendQuery(source->conn, sql), NULL, NULL, err);
}

/* Sets, whatever the role or the database has set:
 * - how values are written (as postgres_value.c reads them) and how statements are read (as
 *   core/sql_text.c does). What changes the meaning of values stays: the field order of DateStyle,
 *   and the time zone unless reportd has one;
 * - who asks;
 * - what ends the query if the worker cannot: statement_timeout, which comes after our own stop,
 *   unless the role's own is lower; and for a worker that was killed, the server's check of the
 *   connection (from version 14, on Linux).
 * All names are qualified, since the search_path is not ours. The SELECT also takes the snapshot;
 * from then on the transaction cannot be made to write. */
#define SET "pg_catalog.set_config"
#define GET "pg_catalog.current_setting"
#define IS_LESS "OPERATOR(pg_catalog.<)"
static const char settings_sql[] =
    "SELECT " SET "('DateStyle', 'ISO', true), " SET "('IntervalStyle', 'iso_8601', true),"
    " " SET "('extra_float_digits', '1', true), " SET "('bytea_output', 'hex', true),"
    " " SET "('standard_conforming_strings', 'on', true),"
    " CASE WHEN $4 IS NOT NULL THEN " SET "('TimeZone', $4, true) END,"
    " " SET "('application_name', $1, true), " SET "('reportd.user', $2, true),"
    " CASE WHEN " GET "('statement_timeout')::pg_catalog.interval " IS_LESS " '1ms'"
    "      OR $3::pg_catalog.interval " IS_LESS " " GET "('statement_timeout')::pg_catalog.interval"
    "      THEN " SET "('statement_timeout', $3, true) END,"
    " CASE WHEN 0 " IS_LESS " pg_catalog.strpos(pg_catalog.version(), 'linux')"
    "      AND " GET "('client_connection_check_interval', true) IS NOT NULL"
    "      THEN " SET "('client_connection_check_interval', '1s', true) END";

enum { STATEMENT_GRACE_MS = 1000 };

/* Settings of the transaction: reportd.claim_NAME. Names are values, too. */
static int set_claims(struct pg_source *source, const struct claims *claims, struct err *err)
{
    enum { NAME_TEXT = sizeof("reportd.claim_") + DEFINITION_CLAIM_MAX };
    char names[CLAIMS_MAX][NAME_TEXT];
    const char *values[2 * CLAIMS_MAX];
    struct buf sql;
    int rc;

    if (claims == NULL || claims->count == 0)
        return 0;
    buf_init(&sql, (size_t)64 * CLAIMS_MAX);
    for (size_t i = 0; i < claims->count; i++) {
        snprintf(names[i], NAME_TEXT, "reportd.claim_%s",
                 claims->values[i].name + strlen(DEFINITION_CLAIM_PREFIX));
        values[2 * i] = names[i];
        values[2 * i + 1] = claims->values[i].text;
        buf_add_format(&sql, "%s" SET "($%zu, $%zu, true)", i == 0 ? "SELECT " : ", ", 2 * i + 1,
                       2 * i + 2);
    }
    rc = buf_failed(&sql)
             ? err_set(err, -E_NOMEM, "Out of memory.")
             : pg_finish(source,
                         PQsendQueryParams(source->conn, buf_str(&sql), (int)(2 * claims->count),
                                           NULL, values, NULL, NULL, 0),
                         NULL, NULL, err);
    buf_done(&sql);
    return rc;
}

static int start_transaction(struct pg_source *source, const struct source_session *session,
                             struct err *err)
{
    static const Oid texts[] = {25, 25, 25, 25};
    char name[64], timeout[32];
    const int64_t most_ms = INT32_MAX - STATEMENT_GRACE_MS;
    int64_t timeout_ms = session->timeout_ms < most_ms ? session->timeout_ms : most_ms;
    const char *const values[] = {name, session->user_name, timeout_ms > 0 ? timeout : NULL,
                                  session->timezone};
    int rc = run_own(source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);

    if (rc < 0)
        return rc;
    snprintf(name, sizeof(name), "reportd %s", session->reference);
    if (timeout_ms > 0)
        snprintf(timeout, sizeof(timeout), "%lldms", (long long)timeout_ms + STATEMENT_GRACE_MS);
    rc = pg_finish(source,
                   PQsendQueryParams(source->conn, settings_sql, 4, texts, values, NULL, NULL, 0),
                   NULL, NULL, err);
    return rc < 0 ? rc : set_claims(source, session->claims, err);
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

    /* While idle, the connection may have been lost, because the server was restarted or a firewall
     * dropped its state. */
    if (rc == -E_SOURCE && was_idle && pg_is_lost(source->conn)) {
        pg_drop(source);
        rc = connect_and_start(source, session, err);
    }
    if (rc < 0) {
        pg_drop(source);
        return rc;
    }
    source->begun = true;
    source->prepared = 0;
    source->unread = (struct err){.code = 0};
    source->session_user = (struct param_value){
        .name = "session_user", .type = PARAM_STRING, .text = (char *)session->user_name};
    return 0;
}

/* The next report must see nothing of this one; else the connection is closed. ROLLBACK undoes
 * everything except prepared statements and locks. A single message, so that a transaction pooler
 * does not give the session to another client in between; DISCARD ALL would need a second one. */
static const char end_sql[] =
    "ROLLBACK; DEALLOCATE ALL; SELECT pg_catalog.pg_advisory_unlock_all()";

/* A table that is rewritten (TRUNCATE, ALTER TABLE, DROP and CREATE) after the snapshot is taken
 * and before the report locks it looks empty, as PostgreSQL warns
 * (https://www.postgresql.org/docs/15/mvcc-caveats.html). Its file in the snapshot is then another
 * one, or the snapshot does not have the table. The locks are held until the transaction ends. */
static const char rewritten_sql[] =
    "SELECT l.relation::pg_catalog.regclass FROM pg_catalog.pg_locks AS l"
    " LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) l.relation"
    " WHERE l.locktype OPERATOR(pg_catalog.=) 'relation'"
    " AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
    " AND l.database OPERATOR(pg_catalog.<>) 0"
    " AND (c.oid IS NULL OR c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}')"
    " AND c.relfilenode OPERATOR(pg_catalog.<>) 0"
    " AND c.relfilenode OPERATOR(pg_catalog.<>) pg_catalog.pg_relation_filenode(c.oid)) LIMIT 1";

static int find_rewritten(struct pg_source *source, struct err *err)
{
    PGresult *result = NULL;
    int rc = pg_finish(source, PQsendQuery(source->conn, rewritten_sql), NULL, &result, err);

    if (rc == 0 && PQntuples(result) > 0) {
        rc = err_set(
            err, -E_CHANGED,
            "A table of the report was replaced while the report read it. Try again later.");
        err_detail(err, "postgresql: %.128s was truncated, rewritten or created again",
                   PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return rc == -E_CHANGED ? rc : 0;
}

static int pg_end(struct source *base, struct err *err)
{
    struct pg_source *source = to_pg(base);
    bool whole = source->conn != NULL && !source->spoiled &&
                 PQtransactionStatus(source->conn) == PQTRANS_INTRANS;
    int rc = whole ? find_rewritten(source, err) : 0;

    source->session_user = (struct param_value){0};
    source->begun = false;
    if (source->conn != NULL &&
        (source->spoiled || PQtransactionStatus(source->conn) == PQTRANS_ACTIVE ||
         run_own(source, end_sql, NULL) < 0))
        pg_drop(source);
    return rc;
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

const struct source_ops source_postgres = {.open = pg_open,
                                           .each_file = pg_each_file,
                                           .reopens = true,
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
                                           .resume = pg_resume};
