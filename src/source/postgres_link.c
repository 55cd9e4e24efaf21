/* src/source/postgres_link.c -- a connection to PostgreSQL on which nobody waits for ever. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "source/postgres_impl.h"

enum {
    CONNECT_S = 10,        /* if the URL has no connect_timeout; for each of its hosts */
    CANCEL_AGAIN_MS = 200, /* a cancel that meets a server between two messages is lost */
    CANCEL_GIVE_UP_MS = 10000,
};

/* What the user is told for an SQLSTATE, or for all that begin so; the first that fits. */
static const struct {
    const char *state, *text;
} words[] = {
    {"57014", "The report's query was stopped in its database, by a time limit or by hand."},
    {"25006", "The report's query tries to do what a report may not do."},
    {"42501", "The report's query tries to do what a report may not do."},
    {"40", "The report's database is busy. Try again later."},
    {"55P03", "The report's database is busy. Try again later."},
    {"53", "The report's database is short of room or connections. Try again later."},
    {"54", "The report's query needs more than its database allows."},
    {"08", "The connection to the report's database was lost. Try again later."},
    {"57P", "The connection to the report's database was lost. Try again later."},
    {"58", "The report's database cannot be read."},
    {"XX", "The report's database cannot be read."},
};

static const char *words_for(const struct pg_source *source, const char *state)
{
    if (state == NULL && pg_is_lost(source))
        return "The connection to the report's database was lost. Try again later.";
    for (size_t i = 0; state != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_starts(state, words[i].state))
            return words[i].text;
    }
    return "The report's query failed.";
}

/* libpq's messages have several lines, the last one ended. */
static void one_line(char *out, size_t cap, const char *message)
{
    str_copy(out, cap, message);
    for (size_t i = strlen(out); i > 0 && out[i - 1] == '\n'; i--)
        out[i - 1] = '\0';
    for (; *out != '\0'; out++) {
        if (*out == '\n' || *out == '\t')
            *out = ' ';
    }
}

static int cancelled(struct err *err)
{
    return err_set(err, -E_CANCELLED, "The report was stopped.");
}

int pg_may_start(const struct pg_source *source, struct err *err)
{
    return atomic_load(&source->interrupted) ? cancelled(err) : 0;
}

/* The line of the definition that the server points at, or else the statement's first. */
static int line_at_fault(const PGresult *result, const struct statement *statement)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    int64_t left;
    int line = statement->line;

    if (position == NULL || !str_to_int64(position, &left))
        return line;
    for (const char *c = statement->sql; *c != '\0' && left > 1; c++) {
        left -= ((unsigned char)*c & 0xc0) != 0x80; /* counted are characters, not bytes */
        line += *c == '\n';
    }
    return line;
}

/* Classes of SQLSTATE whose messages are about the statement's text or the server, and so quote no
 * values (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
static bool is_plain(const char *state)
{
    static const char *const classes[] = {"08", "0A", "25", "28", "40", "42",
                                          "53", "54", "55", "57", "58"};

    for (size_t i = 0; state != NULL && i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strncmp(state, classes[i], 2) == 0)
            return true;
    }
    return state == NULL; /* libpq's own */
}

int pg_fail(struct pg_source *source, const PGresult *result, const struct statement *statement,
            struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = is_plain(state) ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
                                          : "what it says may quote values";
    char message[ERR_TEXT_MAX / 2], place[32] = "";

    if (atomic_load(&source->interrupted))
        return cancelled(err);
    one_line(message, sizeof(message), primary != NULL ? primary : PQerrorMessage(source->conn));
    if (statement != NULL)
        snprintf(place, sizeof(place), "line %d: ", line_at_fault(result, statement));
    err_set(err, -E_SOURCE, "%s", words_for(source, state));
    err_detail(err, "%spostgresql: %s (%s)", place, message, state != NULL ? state : "no SQLSTATE");
    return -E_SOURCE;
}

bool pg_is_lost(const struct pg_source *source)
{
    return PQstatus(source->conn) == CONNECTION_BAD;
}

void pg_drop(struct pg_source *source)
{
    PQfinish(source->conn);
    source->conn = NULL;
    source->spoiled = false;
    source->reading = NULL;
}

/* ---- waiting ---- */

/* Sleep until the socket has `events`, `wake_fd` (if not negative) wakes, or the time has come. */
static void sleep_on(const struct pg_source *source, short events, int wake_fd, int64_t until_ms)
{
    struct pollfd fds[] = {{.fd = PQsocket(source->conn), .events = events},
                           {.fd = wake_fd, .events = POLLIN}};
    int64_t left = until_ms - clock_mono_ms();

    if (until_ms == 0)
        left = -1;
    else if (left < 0)
        left = 0;
    poll(fds, 2, (int)left);
}

static short wanted(const struct pg_source *source)
{
    return PQflush(source->conn) > 0 ? POLLIN | POLLOUT : POLLIN;
}

/* Throw away what still comes until the query has ended; false: not by `until_ms`. */
static bool drain(struct pg_source *source, int64_t until_ms)
{
    PGresult *result;

    do {
        while (PQisBusy(source->conn)) {
            if (clock_mono_ms() >= until_ms)
                return false;
            sleep_on(source, wanted(source), -1, until_ms);
            if (!PQconsumeInput(source->conn))
                return true;
        }
        result = PQgetResult(source->conn);
        PQclear(result);
    } while (result != NULL);
    return true;
}

/* Have the server stop what runs, and see it end. Done here and not in the thread that interrupts,
 * so that no cancel can meet a connection that is closed, or a later query. */
static int stop(struct pg_source *source, struct err *err)
{
    int64_t give_up_ms = clock_mono_ms() + CANCEL_GIVE_UP_MS;
    PGcancel *cancel = PQgetCancel(source->conn);
    bool ended = cancel == NULL || PQtransactionStatus(source->conn) != PQTRANS_ACTIVE;
    char why[256];

    source->spoiled = true;
    while (!ended && clock_mono_ms() < give_up_ms && PQcancel(cancel, why, sizeof(why)))
        ended = drain(source, clock_mono_ms() + CANCEL_AGAIN_MS);
    PQfreeCancel(cancel);
    return cancelled(err);
}

int pg_next(struct pg_source *source, PGresult **ret, struct err *err)
{
    for (;;) {
        if (atomic_load_explicit(&source->interrupted, memory_order_relaxed))
            return stop(source, err);
        if (!PQisBusy(source->conn))
            break;
        sleep_on(source, wanted(source), source->wake_fd, 0);
        if (!PQconsumeInput(source->conn))
            break; /* the result says why */
    }
    *ret = PQgetResult(source->conn);
    return 0;
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

int pg_finish(struct pg_source *source, int sent, const struct statement *statement, PGresult **ret,
              struct err *err)
{
    PGresult *last = NULL, *next = NULL;
    int rc = sent == 1 ? pg_next(source, &last, err) : 0;

    /* After an error the server may close: reading to the end finds out. */
    while (rc == 0 && last != NULL && (rc = pg_next(source, &next, err)) == 0 && next != NULL) {
        PQclear(last);
        last = next;
    }
    if (rc == 0 && !is_good(last))
        rc = pg_fail(source, last, statement, err);
    if (rc == 0 && ret != NULL)
        *ret = last;
    else
        PQclear(last);
    return rc;
}

/* ---- connecting ---- */

/* The time a connection attempt may take: connect_timeout for each host, as in libpq, which leaves
 * it to those who do not let it wait. A host that does not answer at all ends by tcp_user_timeout.
 */
static int64_t patience_ms(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    int64_t seconds = CONNECT_S, hosts = 1;

    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        int64_t number;

        if (o->val == NULL)
            continue;
        if (str_eq(o->keyword, "connect_timeout") && str_to_int64(o->val, &number) && number > 0)
            seconds = number;
        else if (str_eq(o->keyword, "host"))
            for (const char *c = o->val; (c = strchr(c, ',')) != NULL; c++)
                hosts++;
    }
    PQconninfoFree(options);
    return seconds * hosts * 1000;
}

static int unreachable(const char *message, struct err *err)
{
    char line[ERR_TEXT_MAX / 2];

    one_line(line, sizeof(line), message);
    err_set(err, -E_SOURCE, "The report's database cannot be reached. Try again later.");
    err_detail(err, "postgresql: %s", line);
    return -E_SOURCE;
}

/* Names are looked up by libc, which takes its own time (resolv.conf) and cannot be interrupted. */
static int establish(struct pg_source *source, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + patience_ms(source->conn);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    if (pg_is_lost(source))
        return unreachable(PQerrorMessage(source->conn), err);
    while (state != PGRES_POLLING_OK) {
        sleep_on(source, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, source->wake_fd,
                 until_ms);
        if (atomic_load(&source->interrupted))
            return cancelled(err);
        if (clock_mono_ms() >= until_ms)
            return unreachable("the server did not answer within connect_timeout", err);
        state = PQconnectPoll(source->conn);
        if (state == PGRES_POLLING_FAILED)
            return unreachable(PQerrorMessage(source->conn), err);
    }
    return 0;
}

int pg_connect(struct pg_source *source, struct err *err)
{
    /* What stands before the URL ("dbname") is a default, what stands behind it is forced. */
    static const char *const keywords[] = {
        "fallback_application_name", "tcp_user_timeout", "keepalives_idle", "keepalives_interval",
        "keepalives_count",          "dbname",           "client_encoding", NULL};
    const char *values[] = {"reportd", "10000", "30", "10", "3", source->url, "UTF8", NULL};
    int rc = pg_may_start(source, err);

    if (rc < 0)
        return rc;
    source->conn = PQconnectStartParams(keywords, values, 1);
    if (source->conn == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rc = establish(source, err);
    if (rc == 0 && PQsetnonblocking(source->conn, 1) != 0)
        rc = unreachable(PQerrorMessage(source->conn), err);
    if (rc < 0)
        pg_drop(source);
    return rc;
}
