/* src/pg/words.c -- what PostgreSQL says: classes of errors, and messages that quote no values. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "pg/pg.h"

/* By SQLSTATE, or by what it begins with; the first that fits. `plain`: the messages are about the
 * statement's text or the server, and so quote no values. */
static const struct {
    const char *state;
    enum pg_class class;
    bool plain;
} states[] = {
    {"57014", PG_STOPPED, true}, {"25006", PG_READ_ONLY, true}, {"42501", PG_FORBIDDEN, true},
    {"40", PG_BUSY, true},       {"55P03", PG_BUSY, true},      {"53", PG_SHORT, true},
    {"54", PG_TOO_MUCH, true},   {"08", PG_AWAY, true},         {"57P", PG_AWAY, true},
    {"25P03", PG_AWAY, true},    {"58", PG_DAMAGED, true},      {"XX", PG_DAMAGED, false},
    {"0A", PG_OTHER, true},      {"23", PG_OTHER, true},        {"25", PG_OTHER, true},
    {"28", PG_OTHER, true},      {"42", PG_OTHER, true},        {"55", PG_OTHER, true},
    {"57", PG_OTHER, true},      {"", PG_OTHER, false},
};

static size_t find(const char *state)
{
    size_t i = 0;

    while (!str_starts(state, states[i].state))
        i++;
    return i;
}

bool pg_is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;
}

bool pg_is_lost(const PGconn *conn)
{
    return PQstatus(conn) != CONNECTION_OK;
}

enum pg_class pg_class_of(const PGconn *conn, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state != NULL)
        return states[find(state)].class;
    return pg_is_lost(conn) ? PG_AWAY : PG_OTHER;
}

void pg_line(const char *message, char out[PG_WORDS])
{
    size_t len;

    str_copy(out, PG_WORDS, message);
    for (len = strlen(out); len > 0 && out[len - 1] == '\n'; len--)
        out[len - 1] = '\0';
    for (; *out != '\0'; out++)
        *out = *out == '\n' || *out == '\t' ? ' ' : *out;
}

void pg_said(const PGconn *conn, const PGresult *result, char out[PG_WORDS])
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char line[PG_WORDS];

    if (state == NULL || primary == NULL) {
        pg_line(PQerrorMessage(conn), out);
        return;
    }
    pg_line(states[find(state)].plain ? primary : "what it says may quote values", line);
    snprintf(out, PG_WORDS, "%.*s (%s)", PG_WORDS - 16, line, state);
}
