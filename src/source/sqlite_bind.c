/* src/source/sqlite_bind.c -- compiles a statement once, with "name" written as `name`, and binds
 * one value per parameter, a list as one JSON array. */
#include "source/sqlite_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "core/sql_text.h"

enum { LIST_BYTES_MAX = 2 << 20 }; /* a parameter's values, escaped */

static bool names_list_value(const struct sql_token *token, const struct param_value *values,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].list && strlen(values[i].name) == token->len - 1 &&
            memcmp(values[i].name, token->text + 1, token->len - 1) == 0)
            return true;
    }
    return false;
}

void sqlite_bind_rewrite(struct buf *out, const char *sql, const struct param_value *values,
                         size_t count)
{
    const char *done = sql;
    struct sql_walk walk;
    struct sql_token token;
    struct sql_in in;

    sql_walk_init(&walk, sql, strlen(sql), 1);
    while (sql_walk_next(&walk, &token)) {
        if (!sql_in_begins(&walk, &token, &in) || !names_list_value(&in.name, values, count))
            continue;
        buf_add(out, done, (size_t)(in.name.text - done));
        /* The + removes the column's affinity. */
        buf_add_str(out, "SELECT +value FROM json_each(coalesce(");
        buf_add(out, in.name.text, in.name.len);
        buf_add_str(out, ", '[null]'))");
        done = in.name.text + in.name.len;
        walk = in.behind;
    }
    buf_add_str(out, done);
}

static void add_timestamp(struct buf *out, const char *utc)
{
    char text[TIMESTAMP_TEXT];

    timestamp_for_sqlite(utc, text);
    json_add_string(out, text);
}

/* The list as a JSON array whose values SQLite reads as it does the scalar ones. */
static void add_json_list(struct buf *out, const struct param_value *list)
{
    const char *item = list->text;
    bool bare =
        list->type == PARAM_INTEGER || list->type == PARAM_DECIMAL || list->type == PARAM_BOOLEAN;

    buf_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++, item += strlen(item) + 1) {
        buf_add_str(out, i > 0 ? "," : "");
        if (list->type == PARAM_TIMESTAMP)
            add_timestamp(out, item);
        else if (bare)
            buf_add_str(out, item);
        else
            json_add_string(out, item);
    }
    buf_add_char(out, ']');
}

static int bind_text(sqlite3_stmt *stmt, int place, const char *text)
{
    if (text == NULL)
        return sqlite3_bind_null(stmt, place);
    return sqlite3_bind_text(stmt, place, text, -1, SQLITE_TRANSIENT);
}

/* Binds exactly the double that SQLite makes of these digits in SQL. */
static int bind_real(sqlite3_stmt *stmt, int place, const char *digits, sqlite3_stmt **to_real)
{
    int code = SQLITE_OK;

    if (*to_real == NULL)
        code = sqlite3_prepare_v3(sqlite3_db_handle(stmt), "SELECT CAST(?1 AS REAL)", -1,
                                  SQLITE_PREPARE_PERSISTENT, to_real, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_bind_text(*to_real, 1, digits, -1, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(*to_real) == SQLITE_ROW
                   ? sqlite3_bind_double(stmt, place, sqlite3_column_double(*to_real, 0))
                   : SQLITE_ERROR;
    sqlite3_reset(*to_real);
    sqlite3_clear_bindings(*to_real);
    return code;
}

static int bind_timestamp(sqlite3_stmt *stmt, int place, const char *utc)
{
    char text[TIMESTAMP_TEXT];

    timestamp_for_sqlite(utc, text);
    return bind_text(stmt, place, text);
}

static int bind_list(sqlite3_stmt *stmt, int place, const struct param_value *list)
{
    struct buf json;
    int code = SQLITE_NOMEM;

    buf_init(&json, LIST_BYTES_MAX);
    add_json_list(&json, list);
    if (!buf_failed(&json))
        code = bind_text(stmt, place, buf_str(&json));
    buf_done(&json);
    return code;
}

/* A decimal is bound as SQLite reads the same digits in SQL: INTEGER if it has no point and fits in
 * 64 bits, else REAL. As text it would be compared as text. */
static int bind_value(sqlite3_stmt *stmt, int place, const struct param_value *value,
                      sqlite3_stmt **to_real)
{
    int64_t number;

    if (value->text == NULL)
        return sqlite3_bind_null(stmt, place);
    if (value->list)
        return bind_list(stmt, place, value);
    if (value->type == PARAM_BOOLEAN)
        return sqlite3_bind_int(stmt, place, str_eq(value->text, "true"));
    if (value->type == PARAM_TIMESTAMP)
        return bind_timestamp(stmt, place, value->text);
    if (value->type != PARAM_INTEGER && value->type != PARAM_DECIMAL)
        return bind_text(stmt, place, value->text);
    if (str_to_int64(value->text, &number))
        return sqlite3_bind_int64(stmt, place, number);
    return value->type == PARAM_DECIMAL ? bind_real(stmt, place, value->text, to_real)
                                        : SQLITE_MISMATCH;
}

int sqlite_bind(sqlite3_stmt *stmt, sqlite3_stmt **to_real, const struct param_value *values,
                size_t count, const char *user_name, const char **ret_name)
{
    int code = SQLITE_OK;

    for (int place = 1; code == SQLITE_OK && place <= sqlite3_bind_parameter_count(stmt); place++) {
        const char *name = sqlite3_bind_parameter_name(stmt, place);
        size_t i = 0;

        *ret_name = name;
        if (name == NULL || name[0] != ':')
            return SQLITE_NOTFOUND;
        while (i < count && !str_eq(name + 1, values[i].name))
            i++;
        if (i < count)
            code = bind_value(stmt, place, &values[i], to_real);
        else
            code =
                str_eq(name, ":session_user") ? bind_text(stmt, place, user_name) : SQLITE_NOTFOUND;
    }
    return code;
}

/* ---- compiling ---- */

/* Does anything except space and comments follow the first statement? */
static bool has_more(sqlite3 *db, const char *tail)
{
    sqlite3_stmt *stmt = NULL;
    bool more = tail[strspn(tail, " \t\r\n;")] != '\0' &&
                (sqlite3_prepare_v2(db, tail, -1, &stmt, NULL) != SQLITE_OK || stmt != NULL);

    sqlite3_finalize(stmt);
    return more;
}

/* `sql` with every "name" written as `name`, which SQLite never takes for a string. */
static char *with_backticks(const char *sql)
{
    struct sql_walk walk;
    struct sql_token token;
    struct buf out;

    buf_init(&out, (size_t)2 * SQLITE_SQL_MAX);
    sql_walk_init(&walk, sql, strlen(sql), 1);
    for (const char *at = sql; sql_walk_next(&walk, &token); at = token.text + token.len) {
        buf_add(&out, at, (size_t)(token.text - at)); /* blanks */
        if (token.kind != SQL_QUOTED || token.text[0] != '"') {
            buf_add(&out, token.text, token.len);
            continue;
        }
        buf_add_char(&out, '`');
        for (size_t i = 1; i + 1 < token.len; i++) {
            i += token.text[i] == '"'; /* a doubled quote */
            buf_add(&out, "``", token.text[i] == '`' ? 2 : 0);
            if (token.text[i] != '`')
                buf_add_char(&out, token.text[i]);
        }
        buf_add_char(&out, '`');
    }
    return buf_take(&out);
}

/* Is a column named after the text of the statement, with backticks that the definition does not
 * contain? */
static bool shows_backticks(sqlite3_stmt *stmt)
{
    for (int i = 0; i < sqlite3_column_count(stmt); i++) {
        const char *name = sqlite3_column_name(stmt, i);

        if (name == NULL || strchr(name, '`') != NULL)
            return true;
    }
    return false;
}

int sqlite_compile(sqlite3 *db, const char *sql, sqlite3_stmt **ret, bool *ret_more)
{
    char *safe = with_backticks(sql);
    const char *tail = NULL;
    int code = safe != NULL ? sqlite3_prepare_v2(db, safe, -1, ret, &tail) : SQLITE_NOMEM;

    if (code == SQLITE_OK)
        *ret_more = has_more(db, tail);
    if (code == SQLITE_OK && shows_backticks(*ret)) {
        sqlite3_finalize(*ret);
        code = sqlite3_prepare_v2(db, sql, -1, ret, NULL);
    }
    free(safe);
    return code;
}
