/* src/source/postgres_link.c -- a connection to PostgreSQL on which nothing waits forever. */
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "source/postgres_impl.h"

enum {
    CANCEL_AGAIN_MS = 200, /* a cancel that reaches the server between two messages is lost */
    CANCEL_GIVE_UP_MS = 10000,
};

/* The message for the user. */
static const char *const words[] = {
    [PG_OTHER] = "The report's query failed.",
    [PG_STOPPED] = "The report's query was stopped in its database, by a time limit or by hand.",
    [PG_FORBIDDEN] = "The report's query tries to do what a report may not do.",
    [PG_READ_ONLY] = "The report's query tries to do what a report may not do.",
    [PG_BUSY] = "The report's database is busy. Try again later.",
    [PG_SHORT] = "The report's database is short of room or connections. Try again later.",
    [PG_TOO_MUCH] = "The report's query needs more than its database allows.",
    [PG_AWAY] = "The connection to the report's database was lost. Try again later.",
    [PG_DAMAGED] = "The report's database cannot be read.",
    [PG_NOT_TEXT] = "The report's database has text that is not in its encoding, or not in UTF-8.",
};

static int cancelled(struct err *err)
{
    return err_set(err, -E_CANCELLED, "The report was stopped.");
}

int pg_may_start(const struct pg_source *source, struct err *err)
{
    return atomic_load(&source->interrupted) ? cancelled(err) : 0;
}

/* The line of the definition that the server points at, or else the first line of the statement. */
static int line_at_fault(const PGresult *result, const struct statement *statement)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    int64_t left;
    int line = statement->line - statement->above;

    if (position == NULL || !str_to_int64(position, &left))
        return statement->line;
    for (const char *c = statement->sql; *c != '\0' && left > 1; c++) {
        left -= ((unsigned char)*c & 0xc0) != 0x80; /* the position counts characters, not bytes */
        line += *c == '\n';
    }
    return line;
}

int pg_fail(struct pg_source *source, const PGresult *result, const struct statement *statement,
            struct err *err)
{
    char said[ERR_TEXT_MAX], place[32] = "";

    if (atomic_load(&source->interrupted))
        return cancelled(err);
    if (source->notice != NULL && PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL)
        pg_said_all(result, said);
    else
        pg_said(source->conn, result, said);
    if (statement != NULL)
        snprintf(place, sizeof(place), "line %d: ", line_at_fault(result, statement));
    /* libpq's own message about a row for which there is no memory. */
    if (PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL && strstr(said, "memory") != NULL)
        err_set(err, -E_NOMEM, "Out of memory.");
    else
        err_set(err, -E_SOURCE, "%s", words[pg_class_of(source->conn, result)]);
    return err_detail(err, "%spostgresql: %.*s", place, ERR_TEXT_MAX - 48, said);
}

void pg_drop(struct pg_source *source)
{
    PQfinish(source->conn);
    source->conn = NULL;
    source->spoiled = false;
    source->reading = NULL;
}

/* ---- waiting ---- */

/* Make the server stop the running query, and wait for its end. Of our own statements at most one
 * may wait for a pooler, which ends it with the connection. This is done here, not in the thread
 * that interrupts, so that no cancel reaches a closed connection or a later query. */
static int stop(struct pg_source *source, struct err *err)
{
    int64_t give_up_ms = clock_mono_ms() + CANCEL_GIVE_UP_MS;
    PGcancel *cancel = PQgetCancel(source->conn);
    bool ended =
        cancel == NULL || !source->begun || PQtransactionStatus(source->conn) != PQTRANS_ACTIVE;
    PGresult *rest = NULL;
    char why[256];

    source->spoiled = true;
    while (!ended && clock_mono_ms() < give_up_ms && PQcancel(cancel, why, sizeof(why))) {
        ended =
            pg_results(source->conn, 1, clock_mono_ms() + CANCEL_AGAIN_MS, -1, &rest) != PG_LATE;
        PQclear(rest);
    }
    PQfreeCancel(cancel);
    return cancelled(err);
}

int pg_next(struct pg_source *source, PGresult **ret, struct err *err)
{
    if (atomic_load_explicit(&source->interrupted, memory_order_relaxed) ||
        pg_wait(source->conn, 0, source->wake_fd) == PG_WOKEN)
        return stop(source, err);
    *ret = PQgetResult(source->conn); /* contains the reason if the connection is lost */
    return 0;
}

int pg_finish(struct pg_source *source, int sent, const struct statement *statement, PGresult **ret,
              struct err *err)
{
    PGresult *result;
    int rc = 0;

    if (pg_results(source->conn, sent, 0, source->wake_fd, &result) == PG_WOKEN)
        rc = stop(source, err);
    else if (!pg_is_good(result))
        rc = pg_fail(source, result, statement, err);
    if (rc == 0 && ret != NULL)
        *ret = result;
    else
        PQclear(result);
    return rc;
}

static void on_libpq_notice(void *context, const PGresult *result)
{
    struct pg_source *source = context;
    char said[ERR_TEXT_MAX];

    pg_said_all(result, said);
    source->notice(source->notice_context, said);
}

int pg_reach(struct pg_source *source, struct err *err)
{
    char why[PG_MESSAGE];
    int rc = pg_may_start(source, err);

    if (rc < 0)
        return rc;
    source->conn = pg_connect(
        &(struct pg_spec){
            .url = source->url, .name = "reportd", .connect_s = 10, .wake_fd = source->wake_fd},
        why);
    if (source->conn != NULL && source->notice != NULL)
        PQsetNoticeReceiver(source->conn, on_libpq_notice, source);
    if (source->conn != NULL) {
        source->reached = true;
        return 0;
    }
    if (atomic_load(&source->interrupted))
        return cancelled(err);
    rc = err_set(err, source->reached ? -E_CHANGED : -E_SOURCE,
                 "The report's database cannot be reached. Try again later.");
    err_detail(err, "postgresql: %s", why);
    return rc;
}
