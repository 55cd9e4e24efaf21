/* src/core/definition_with.c -- `-- with`: written once and put before several statements. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "core/definition_impl.h"

enum { JOINED_MAX = DEFINITION_FILE_MAX + 64 }; /* bytes; both stand in one file */

/* Cut the words, if `text` begins with them one after another, off it; returns how many. */
static int cut_words(const char **text, const char *const *words, int count)
{
    struct sql_walk walk;
    struct sql_token token;
    int cut = 0;

    sql_walk_init(&walk, *text, strlen(*text), 1);
    while (cut < count && sql_walk_solid(&walk, &token) && sql_is_word(&token, words[cut])) {
        *text = token.text + token.len;
        cut++;
    }
    return cut;
}

int with_close(struct parser *p, struct statement *with)
{
    struct sql_walk walk;
    struct sql_token token;

    sql_walk_init(&walk, with->sql, strlen(with->sql), 1);
    if (!sql_walk_solid(&walk, &token)) /* which has been told */
        return 0;
    if (sql_is_word(&token, "with"))
        return parser_fail(p, with->line,
                           "'-- with' begins with WITH; leave the word out: name AS (SELECT …)");
    if (sql_is_word(&token, "select") || sql_is_word(&token, "values"))
        return parser_fail(p, with->line,
                           "'-- with' holds named queries; write name AS (SELECT …), …");
    if (p->sql_end[-1] == ',')
        return parser_fail(p, with->line, "'-- with' ends in a comma; remove it");
    return 0;
}

static int count_lines(const char *text, const char *end)
{
    int lines = 0;

    for (; text < end; text++)
        lines += *text == '\n';
    return lines;
}

int with_join(struct parser *p, const struct statement *with, struct statement *section)
{
    static const char *const words[] = {"with", "recursive"};
    const char *first = with->sql, *own = section->sql;
    bool recursive = cut_words(&first, words + 1, 1) > 0;
    int cut = cut_words(&own, words, 2);
    struct buf sql;
    char *joined;

    section->above = section->line - with->line;
    buf_init(&sql, JOINED_MAX);
    buf_add_str(&sql, recursive || cut == 2 ? "WITH RECURSIVE " : "WITH ");
    buf_add_str(&sql, first);
    for (int line = count_lines(with->sql, with->sql + strlen(with->sql)); line < section->above;
         line++)
        buf_add_char(&sql, '\n');
    for (int line = count_lines(section->sql, own); line > 0; line--)
        buf_add_char(&sql, '\n');
    buf_add_str(&sql, cut > 0 ? ", " : " ");
    buf_add_str(&sql, own);
    joined = buf_take(&sql);
    if (joined == NULL)
        return err_set(p->err, -E_NOMEM, "out of memory");
    free(section->sql);
    section->sql = joined;
    return 0;
}
