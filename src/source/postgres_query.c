/* src/source/postgres_query.c -- one statement: prepared, executed when its first row is requested,
 * and read row by row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "source/postgres_impl.h"

struct pg_query {
    struct source_query base;
    struct pg_source *source;
    struct pg_sql sql;
    struct statement sent; /* the rewritten statement */
    char name[16];         /* of the prepared statement */
    PGresult *description; /* names and types of the columns */
    PGresult *row;         /* what the values of the last row point into */
    struct pg_column *columns;
    size_t count;
    bool executed, ended;
};

static struct pg_query *to_query(struct source_query *base)
{
    return (struct pg_query *)base;
}

/* ---- compiling ---- */

static int prepare_query(struct pg_query *query, struct err *err)
{
    PGconn *conn = query->source->conn;

    return pg_finish(
        query->source,
        PQsendPrepare(conn, query->name, query->sent.sql, (int)query->sql.count, query->sql.types),
        &query->sent, NULL, err);
}

/* Only a statement that returns columns goes on: not SET, COMMIT, COPY or DO. One that returns
 * columns and writes, such as INSERT … RETURNING, is refused by the transaction. */
static int describe(struct pg_query *query, struct err *err)
{
    PGconn *conn = query->source->conn;
    int rc = pg_finish(query->source, PQsendDescribePrepared(conn, query->name), &query->sent,
                       &query->description, err);

    if (rc < 0)
        return rc;
    query->count = (size_t)PQnfields(query->description);
    query->columns = calloc(query->count + 1, sizeof(query->columns[0]));
    if (query->columns == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (query->count > 0)
        return 0;
    err_set(err, -E_SOURCE, "The report's query failed.");
    err_detail(err, "line %d: the statement is not a SELECT; a report only reads",
               query->sent.line);
    return -E_SOURCE;
}

/* The element of an array type (not of the few types that only look like one): its type, or the
 * type that it is finally a domain over, and the delimiter between elements. No operator is looked
 * up in the search_path. */
static const char element_sql[] =
    "WITH RECURSIVE t AS ("
    "SELECT e.oid, e.typbasetype, e.typdelim"
    " FROM pg_catalog.pg_type AS a"
    " JOIN pg_catalog.pg_type AS e ON e.oid OPERATOR(pg_catalog.=) a.typelem"
    " WHERE a.oid OPERATOR(pg_catalog.=) $1 AND e.typarray OPERATOR(pg_catalog.=) a.oid"
    " UNION ALL SELECT b.oid, b.typbasetype, t.typdelim"
    " FROM t JOIN pg_catalog.pg_type AS b ON b.oid OPERATOR(pg_catalog.=) t.typbasetype)"
    " SELECT t.oid, t.typdelim FROM t WHERE t.typbasetype OPERATOR(pg_catalog.=) 0";

static int find_element(struct pg_source *source, Oid type, struct pg_column *column,
                        struct err *err)
{
    static const Oid oid_type = 26;
    PGresult *result = NULL;
    char number[16];
    const char *const values[] = {number};
    int64_t element;
    int rc;

    snprintf(number, sizeof(number), "%u", type);
    rc = pg_finish(
        source, PQsendQueryParams(source->conn, element_sql, 1, &oid_type, values, NULL, NULL, 0),
        NULL, &result, err);
    if (rc < 0)
        return rc;
    if (PQntuples(result) == 1 && str_to_int64(PQgetvalue(result, 0, 0), &element)) {
        column->read = pg_read_array;
        column->read_element = pg_type_reader((Oid)element);
        column->delimiter = *PQgetvalue(result, 0, 1);
    }
    PQclear(result);
    return 0;
}

static int plan_columns(struct pg_query *query, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < query->count; i++) {
        struct pg_column *column = &query->columns[i];
        Oid type = PQftype(query->description, (int)i);

        buf_init(&column->text, PG_VALUE_BYTES_MAX);
        buf_init(&column->array, PG_VALUE_BYTES_MAX);
        buf_init(&column->element, PG_VALUE_BYTES_MAX);
        column->read = pg_type_reader(type);
        if (column->read == NULL)
            rc = find_element(query->source, type, column, err);
        if (column->read == NULL)
            column->read = pg_read_text;
        if (column->read_element == NULL)
            column->read_element = pg_read_text;
    }
    return rc;
}

/* Only one query at a time can be read: the rows of the other one are still on the wire. */
static int may_send(const struct pg_source *source, const struct pg_query *query, struct err *err)
{
    if (source->unread.code < 0) {
        *err = source->unread;
        return err->code;
    }
    if (source->conn != NULL && source->reading == NULL)
        return pg_may_start(source, err);
    err_set(err, -E_SOURCE, "The report's query failed.");
    err_detail(err, "line %d: %s", query->sent.line,
               source->conn == NULL ? "there is no transaction"
                                    : "the rows of another query have not been read to their end");
    return -E_SOURCE;
}

static int compile_query(struct pg_query *query, struct err *err)
{
    int rc = may_send(query->source, query, err);

    rc = rc ?: prepare_query(query, err);
    rc = rc ?: describe(query, err);
    return rc < 0 ? rc : plan_columns(query, err);
}

/* Replace "$1" in the server's message about the rewritten statement by the name in the
 * definition. */
static void name_parameters(const struct pg_sql *sql, struct err *err)
{
    char said[ERR_TEXT_MAX], number[32];

    for (size_t i = 0; i < sql->count; i++) {
        const char *at;

        snprintf(number, sizeof(number), "\"$%zu\"", i + 1);
        at = strstr(err->detail, number);
        if (at == NULL)
            continue;
        str_copy(said, sizeof(said), err->detail);
        err_detail(err, "%.*s\":%s\"%s", (int)(at - err->detail), said, sql->values[i]->name,
                   said + (at - err->detail) + strlen(number));
    }
}

int pg_query(struct source *base, const struct statement *statement,
             const struct param_value *values, size_t count, struct source_query **ret,
             struct err *err)
{
    struct pg_source *source = (struct pg_source *)base;
    struct pg_query *query = calloc(1, sizeof(*query));
    int rc;

    if (query == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    query->base.ops = &source_postgres;
    query->source = source;
    snprintf(query->name, sizeof(query->name), "q%u", ++source->prepared);
    rc = pg_sql_init(&query->sql, statement, values, count, &source->session_user, err);
    query->sent = *statement;
    query->sent.sql = (char *)buf_str(&query->sql.text);
    if (rc == 0)
        rc = compile_query(query, err);
    if (rc == -E_SOURCE && err != NULL)
        name_parameters(&query->sql, err);
    if (rc < 0) {
        pg_query_free(&query->base);
        return rc;
    }
    *ret = &query->base;
    return 0;
}

size_t pg_columns(const struct source_query *base)
{
    return ((const struct pg_query *)base)->count;
}

const char *pg_column_name(const struct source_query *base, size_t column)
{
    return PQfname(((const struct pg_query *)base)->description, (int)column);
}

/* For a type that is not PostgreSQL's own, such as an enum, the category says what it is. */
static const char type_sql[] =
    "SELECT pg_catalog.format_type($1, $2), typcategory FROM pg_catalog.pg_type"
    " WHERE oid OPERATOR(pg_catalog.=) $1";

static enum source_kind kind_of(Oid type, char category)
{
    enum source_kind kind = pg_type_kind(type);

    if (kind != SOURCE_NULL)
        return kind;
    return category == 'S'                  ? SOURCE_TEXT
           : strchr("NU", category) != NULL ? SOURCE_NULL
                                            : SOURCE_BLOB;
}

enum source_kind pg_column_type(const struct source_query *base, size_t column,
                                char name[SOURCE_TYPE_TEXT])
{
    static const Oid types[] = {26, 23}; /* oid, int4 */
    const struct pg_query *query = (const struct pg_query *)base;
    Oid type = PQftype(query->description, (int)column);
    PGconn *conn = query->source->conn;
    PGresult *result = NULL;
    char oid[16], modifier[16], category = 'U';
    const char *const values[] = {oid, modifier};

    snprintf(oid, sizeof(oid), "%u", type);
    snprintf(modifier, sizeof(modifier), "%d", PQfmod(query->description, (int)column));
    name[0] = '\0';
    if (pg_finish(query->source, PQsendQueryParams(conn, type_sql, 2, types, values, NULL, NULL, 0),
                  NULL, &result, NULL) == 0 &&
        PQntuples(result) == 1) {
        str_copy(name, SOURCE_TYPE_TEXT, PQgetvalue(result, 0, 0));
        category = *PQgetvalue(result, 0, 1);
    }
    PQclear(result);
    return query->columns[column].read == pg_read_array ? SOURCE_JSON : kind_of(type, category);
}

/* EXPLAIN starts the statement, which checks the rights, but does not run it. That a statement
 * writes is visible only in its plan: a read-only transaction refuses only to run it. */
int pg_rehearse(struct source_query *base, struct err *err)
{
    struct pg_query *query = to_query(base);
    PGresult *result = NULL;
    struct buf sql;
    int rc = may_send(query->source, query, err);

    if (rc < 0)
        return rc;
    buf_init(&sql, 1024);
    buf_add_format(&sql, "EXPLAIN (FORMAT JSON) EXECUTE %s%s", query->name,
                   query->sql.count > 0 ? "(" : "");
    for (size_t i = 0; i < query->sql.count; i++)
        buf_add_str(&sql, i + 1 < query->sql.count ? "NULL, " : "NULL)");
    rc = pg_finish(query->source, PQsendQuery(query->source->conn, buf_str(&sql)), &query->sent,
                   &result, err);
    buf_done(&sql);
    if (rc == 0 && (strstr(PQgetvalue(result, 0, 0), "\"Node Type\": \"ModifyTable\"") != NULL ||
                    strstr(PQgetvalue(result, 0, 0), "\"Node Type\": \"LockRows\"") != NULL)) {
        rc = err_set(err, -E_SOURCE, "The report's query tries to do what a report may not do.");
        err_detail(err, "line %d: the statement writes or locks rows; write a SELECT that reads",
                   query->sent.line);
    }
    PQclear(result);
    return rc;
}

/* ---- rows ---- */

static int execute(struct pg_query *query, struct err *err)
{
    struct pg_source *source = query->source;
    const char *values[PG_VALUES_MAX];
    int rc = may_send(source, query, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < query->sql.count; i++)
        values[i] =
            query->sql.arrays[i] != NULL ? query->sql.arrays[i] : query->sql.values[i]->text;
    if (!PQsendQueryPrepared(source->conn, query->name, (int)query->sql.count, values, NULL, NULL,
                             0) ||
        !PQsetSingleRowMode(source->conn))
        return pg_fail(source, NULL, &query->sent, err);
    query->executed = true;
    source->reading = query;
    return 0;
}

static int read_row(struct pg_query *query, struct source_value *row, struct err *err)
{
    for (size_t i = 0; i < query->count; i++) {
        struct pg_column *column = &query->columns[i];
        int len = PQgetlength(query->row, 0, (int)i);
        const char *why = NULL;

        if (len == 0 && PQgetisnull(query->row, 0, (int)i))
            row[i].kind = SOURCE_NULL;
        else
            why = column->read(column, PQgetvalue(query->row, 0, (int)i), (size_t)len, &row[i]);
        if (why != NULL && (buf_is_starved(&column->text) || buf_is_starved(&column->array) ||
                            buf_is_starved(&column->element)))
            return err_set(err, -E_NOMEM, "Out of memory.");
        if (why != NULL)
            return err_set(err, -E_SOURCE, "The column '%.128s' %s.",
                           pg_column_name(&query->base, i), why);
    }
    return 1;
}

static bool is_quoted(const char *message, const char *text)
{
    size_t len = strlen(text);
    const char *at = message;

    while ((at = strstr(at, text)) != NULL && !(at > message && at[-1] == '"' && at[len] == '"'))
        at++;
    return at != NULL && len > 0;
}

/* The value that the database could not read (class 22), if the server says which: version 16 gives
 * the number of one that it could not bind, and a message that quotes the value of exactly one
 * parameter is about that one. */
static const struct param_value *unread(const struct pg_query *query)
{
    const char *state = PQresultErrorField(query->row, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(query->row, PG_DIAG_MESSAGE_PRIMARY);
    const char *context = PQresultErrorField(query->row, PG_DIAG_CONTEXT);
    const char *number = context != NULL ? strstr(context, "parameter $") : NULL;
    const struct param_value *found = NULL;
    size_t n;

    if (state == NULL || message == NULL || !str_starts(state, "22"))
        return NULL;
    n = number != NULL ? strtoul(number + strlen("parameter $"), NULL, 10) : 0;
    if (n > 0 && n <= query->sql.count)
        return query->sql.values[n - 1];
    for (size_t i = 0; i < query->sql.count; i++) {
        if (query->sql.values[i]->text == NULL || !is_quoted(message, query->sql.values[i]->text))
            continue;
        if (found != NULL)
            return NULL;
        found = query->sql.values[i];
    }
    return found;
}

/* The user may see a parameter's name, but never the database's message about its value. */
static int query_failed(struct pg_query *query, struct err *err)
{
    const struct param_value *value = unread(query);
    int rc = pg_fail(query->source, query->row, &query->sent, err);

    if (rc == -E_SOURCE && value != NULL && err != NULL)
        snprintf(err->text, sizeof(err->text),
                 "The report's database cannot read the value of parameter '%s'. Correct it.",
                 value->name);
    return rc;
}

/* Called after the last row, or on an error. */
static int finish_rows(struct pg_query *query, struct err *err)
{
    PGresult *nothing = NULL;
    int rc = PQresultStatus(query->row) == PGRES_TUPLES_OK ? pg_next(query->source, &nothing, err)
                                                           : query_failed(query, err);

    PQclear(nothing);
    query->ended = rc == 0;
    query->source->reading = NULL;
    return rc;
}

int pg_step(struct source_query *base, struct source_value *row, struct err *err)
{
    struct pg_query *query = to_query(base);
    int rc = 0;

    THREAD_CHECK(&query->source->base.user);
    if (query->ended)
        return 0;
    if (!query->executed)
        rc = execute(query, err);
    PQclear(query->row);
    query->row = NULL;
    if (rc == 0)
        rc = pg_next(query->source, &query->row, err);
    if (rc < 0)
        return rc;
    if (PQresultStatus(query->row) == PGRES_SINGLE_TUPLE)
        return read_row(query, row, err);
    return finish_rows(query, err);
}

/* Rows that are not wanted are read and discarded: stopping the query would end the transaction. */
static void leave_result(struct pg_query *query)
{
    PGresult *result = NULL;

    if (query->source->reading != query)
        return;
    while (!query->source->spoiled && pg_next(query->source, &result, NULL) == 0 &&
           result != NULL) {
        if (PQresultStatus(result) == PGRES_FATAL_ERROR)
            pg_fail(query->source, result, &query->sent, &query->source->unread);
        PQclear(result);
    }
    query->source->reading = NULL;
}

void pg_query_free(struct source_query *base)
{
    struct pg_query *query = to_query(base);

    leave_result(query);
    PQclear(query->row);
    PQclear(query->description);
    for (size_t i = 0; query->columns != NULL && i < query->count; i++) {
        buf_done(&query->columns[i].text);
        buf_done(&query->columns[i].array);
        buf_done(&query->columns[i].element);
    }
    free(query->columns);
    pg_sql_done(&query->sql);
    free(query);
}
