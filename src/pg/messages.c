/* src/pg/messages.c -- PostgreSQL's errors by class, and its messages without quoted values. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "pg/pg.h"

/* By SQLSTATE, or a prefix of it; the first that matches. `plain`: the messages are about the
 * statement's text or the server, and so do not quote values. */
static const struct {
    const char *state;
    enum pg_class class;
    bool plain;
} states[] = {
    {"57014", PG_STOPPED, true},   {"25006", PG_READ_ONLY, true}, {"42501", PG_FORBIDDEN, true},
    {"40", PG_BUSY, true},         {"55P03", PG_BUSY, true},      {"53", PG_SHORT, true},
    {"54", PG_TOO_MUCH, true},     {"08", PG_AWAY, true},         {"57P", PG_AWAY, true},
    {"22021", PG_NOT_TEXT, false}, {"22P05", PG_NOT_TEXT, false}, {"25P03", PG_AWAY, true},
    {"25P04", PG_STOPPED, true},   {"58", PG_DAMAGED, true},      {"XX", PG_DAMAGED, false},
    {"0A", PG_OTHER, true},        {"23", PG_OTHER, true},        {"25", PG_OTHER, true},
    {"28", PG_OTHER, true},        {"42", PG_OTHER, true},        {"55", PG_OTHER, true},
    {"57", PG_OTHER, true},        {"", PG_OTHER, false},
};

static size_t find_state(const char *state)
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
        return states[find_state(state)].class;
    return pg_is_lost(conn) ? PG_AWAY : PG_OTHER;
}

/* A message from libpq may have several lines, and ends with a line break. */
static void copy_line(const char *message, char out[PG_MESSAGE])
{
    size_t len;

    str_copy(out, PG_MESSAGE, message);
    for (len = strlen(out); len > 0 && out[len - 1] == '\n'; len--)
        out[len - 1] = '\0';
    for (; *out != '\0'; out++)
        *out = *out == '\n' || *out == '\t' ? ' ' : *out;
}

/* Does libpq accept all of its %XX? */
static bool is_encoded(const char *url)
{
    for (const char *c = strchr(url, '%'); c != NULL; c = strchr(c + 1, '%')) {
        if (strspn(c + 1, "0123456789abcdefABCDEF") < 2 || str_starts(c, "%00"))
            return false;
    }
    return true;
}

/* May a password be where libpq sees something else? It ends at the last '@', wherever libpq sees
 * its end; a password among the parameters may contain an '&'. */
static bool may_quote(const char *url)
{
    const char *start = strchr(url, ':'), *end = strrchr(url, '@'), *port;

    if (start == NULL || !str_starts(start, "://") || !is_encoded(url))
        return false;
    start += 3;
    if (strcasestr(start, "password=") != NULL) {
        PQconninfoOption *options = PQconninfoParse(url, NULL);
        bool is_understood = options != NULL;

        PQconninfoFree(options);
        if (!is_understood)
            return false;
    }
    if (end != NULL)
        return end >= start && strcspn(start, "/?#@[] ") == (size_t)(end - start);
    /* "user:password" without a host looks like a host with a strange port. */
    if (*start == '[')
        start += strcspn(start, "]");
    port = memchr(start, ':', strcspn(start, "/?"));
    return port == NULL || strspn(port, "0123456789,:.") + 1 > strcspn(port, "/?,");
}

void pg_url_trouble(const char *url, const char *message, char out[PG_MESSAGE])
{
    const char *quoted = strstr(message, ": \"");

    if (!may_quote(url)) {
        str_copy(out, PG_MESSAGE,
                 "what libpq says is withheld, since it may quote the password: write every "
                 "character of it that is not a letter, a digit or one of -._~ as %XX, such as "
                 "%25 for %");
        return;
    }
    copy_line(message, out);
    if (quoted != NULL && strstr(quoted, "://") != NULL && quoted - message < PG_MESSAGE)
        out[quoted - message] = '\0'; /* cut off the whole URL */
}

void pg_said(const PGconn *conn, const PGresult *result, char out[PG_MESSAGE])
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char line[PG_MESSAGE];

    if (state == NULL || primary == NULL) {
        copy_line(PQerrorMessage(conn), out);
        return;
    }
    copy_line(states[find_state(state)].plain ? primary : "what it says may quote values", line);
    snprintf(out, PG_MESSAGE, "%.*s (%s)", (int)str_whole(line, strnlen(line, PG_MESSAGE - 16)),
             line, state);
}

void pg_said_all(const PGresult *result, char out[ERR_TEXT_MAX])
{
    static const struct {
        int field;
        const char *before, *behind;
    } parts[] = {
        {PG_DIAG_SEVERITY_NONLOCALIZED, "", ": "},
        {PG_DIAG_MESSAGE_PRIMARY, "", ""},
        {PG_DIAG_SQLSTATE, " (", ")"},
        {PG_DIAG_MESSAGE_DETAIL, ". ", ""},
        {PG_DIAG_MESSAGE_HINT, ". HINT: ", ""},
    };
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && len < ERR_TEXT_MAX; i++) {
        const char *said = PQresultErrorField(result, parts[i].field);
        bool ended = len > 0 && out[len - 1] == '.';

        if (said == NULL || (i == 0 && str_eq(said, "ERROR")))
            continue;
        len += (size_t)snprintf(out + len, ERR_TEXT_MAX - len, "%s%s%s",
                                parts[i].before + (ended && *parts[i].before == '.'), said,
                                parts[i].behind);
    }
    str_plain(out);
}
