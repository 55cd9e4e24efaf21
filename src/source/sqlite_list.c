/* src/source/sqlite_list.c -- lists for SQLite. */
#include "source/sqlite_list.h"

#include <string.h>

#include "base/json.h"
#include "base/timestamp.h"
#include "core/sql_text.h"

static bool is_list(const struct sql_token *token, const struct param_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].list && strlen(values[i].name) == token->len - 1 &&
            memcmp(values[i].name, token->text + 1, token->len - 1) == 0)
            return true;
    }
    return false;
}

void sqlite_list_rewrite(struct buf *out, const char *sql, const struct param_value *values,
                         size_t count)
{
    const char *done = sql;
    struct sql_walk walk;
    struct sql_token token;
    struct sql_in in;

    sql_walk_init(&walk, sql, strlen(sql), 1);
    while (sql_walk_next(&walk, &token)) {
        if (!sql_in_begins(&walk, &token, &in) || !is_list(&in.name, values, count))
            continue;
        buf_add(out, done, (size_t)(in.name.text - done));
        /* The + takes the column's own affinity from it. */
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

void sqlite_list_add(struct buf *out, const struct param_value *list)
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
