/* src/source/sqlite_compile.c -- compiled once, with "name" written as `name`. */
#include "source/sqlite_compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/sql_text.h"

/* Anything behind the first statement but space and comments? */
static bool has_more(sqlite3 *db, const char *tail)
{
    sqlite3_stmt *stmt = NULL;
    bool more = tail[strspn(tail, " \t\r\n;")] != '\0' &&
                (sqlite3_prepare_v2(db, tail, -1, &stmt, NULL) != SQLITE_OK || stmt != NULL);

    sqlite3_finalize(stmt);
    return more;
}

/* `sql` with every "name" written as `name`, which SQLite never takes for a text. */
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
            i += token.text[i] == '"'; /* doubled */
            buf_add(&out, "``", token.text[i] == '`' ? 2 : 0);
            if (token.text[i] != '`')
                buf_add_char(&out, token.text[i]);
        }
        buf_add_char(&out, '`');
    }
    return buf_take(&out);
}

/* Is a column named after the statement's text, which has backticks that the definition lacks? */
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
