/* src/cli/check_columns.c -- warnings about columns, based on the names that the database gives
 * them. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "cli/check.h"
#include "cli/check_shape.h"

enum {
    POSTGRES_NAME_MAX = 63, /* bytes of a name that it keeps (NAMEDATALEN) */
    SHOWN_MAX = 40,         /* bytes of an expression in a message */
    EQUALITIES_MAX = 3,     /* equalities followed from one column to the next */
};

struct columns {
    const struct statement *statement;
    struct problems *problems;
    const char *const *names;
    size_t count;
    bool one_object; /* the rows form one object, which a run makes sure of */
    bool postgres;
    struct shape shape;
};

#define warn(columns, line, ...) problems_add((columns)->problems, (line), true, __VA_ARGS__)

/* Is each column one item of the select list? Otherwise the text was not understood. */
static bool is_understood(const struct columns *columns)
{
    const struct shape *shape = &columns->shape;

    if (!shape_is(shape, 0, "select") && !shape_is(shape, 0, "with"))
        return false; /* EXPLAIN SELECT … */
    for (size_t i = 0; i < shape->item_count; i++) {
        if (shape->items[i].from == shape->items[i].to)
            return false;
    }
    return shape->item_count == columns->count && !shape->star;
}

/* ---- names ---- */

/* Is the token that name, in any case? */
static bool is_called(const struct columns *columns, size_t i, const char *name)
{
    const struct sql_token *token = shape_token(&columns->shape, i);
    const char *at = token->text, *end = token->text + token->len;
    bool quoted = token->kind == SQL_QUOTED;

    for (at += quoted, end -= quoted; at < end && *name != '\0'; at++, name++) {
        if (strncasecmp(at, name, 1) != 0)
            return false;
        at += quoted && *at == *token->text && at + 1 < end; /* a doubled quote */
    }
    return *name == '\0' && (at == end || at - token->text - quoted >= POSTGRES_NAME_MAX);
}

/* Does the statement contain the name, as a column or an alias? */
static bool is_written_name(const struct columns *columns, const char *name)
{
    const struct shape *shape = &columns->shape;

    for (size_t i = 0; i < shape->count; i++) {
        bool alias = i > 0 && shape_is(shape, i - 1, "as"); /* AS '…' is reported by check_sql.c */

        if ((shape_is_name(shape, i) ||
             (alias && shape_token(&columns->shape, i)->kind == SQL_QUOTED)) &&
            !shape_is(shape, i + 1, "(") && !shape_is(shape, i, "case") &&
            !shape_is(shape, i, "array") && is_called(columns, i, name))
            return true;
    }
    return false;
}

static void check_column_name(const struct columns *columns, size_t i)
{
    const char *name = columns->names[i], *from, *end;
    const struct shape_range item = columns->shape.items[i];
    size_t len;

    /* In SQLite a plain name comes from a table, such as that of rowid. */
    if (is_written_name(columns, name) || (!columns->postgres && sql_name_starts(*name) &&
                                           sql_name_length(name, strlen(name)) == strlen(name)))
        return;
    from = shape_token(&columns->shape, item.from)->text;
    end = shape_token(&columns->shape, item.to - 1)->text +
          shape_token(&columns->shape, item.to - 1)->len;
    len = strcspn(from, "\n") < (size_t)(end - from) ? strcspn(from, "\n") : (size_t)(end - from);
    warn(columns, shape_token(&columns->shape, item.from)->line,
         "the column '%.*s%s' has no name, and each database makes up a different one; add AS "
         "\"name\"",
         (int)(len < SHOWN_MAX ? len : SHOWN_MAX), from,
         len < (size_t)(end - from) || len > SHOWN_MAX ? "…" : "");
}

static bool has_both_cases(const struct sql_token *token)
{
    bool small = false, capital = false;

    for (size_t i = 0; i < token->len; i++) {
        small |= token->text[i] >= 'a' && token->text[i] <= 'z';
        capital |= token->text[i] >= 'A' && token->text[i] <= 'Z';
    }
    return small && capital;
}

/* PostgreSQL folds an unquoted name to lower case. */
static void check_case(const struct columns *columns, size_t i)
{
    size_t alias = columns->shape.items[i].to - 1;
    const struct sql_token *token = shape_token(&columns->shape, alias);

    if (columns->postgres && alias > columns->shape.items[i].from && token->kind == SQL_OTHER &&
        !shape_is(&columns->shape, alias - 1, ".") && has_both_cases(token) &&
        is_called(columns, alias, columns->names[i]))
        warn(columns, token->line,
             "PostgreSQL folds %.*s to lower case, since it is not quoted; write AS \"%.*s\"",
             (int)token->len, token->text, (int)token->len, token->text);
}

/* ---- arrays ---- */

/* How many arrays the column is in. */
static int level_of(const char *name)
{
    int level = 0;

    while ((name = strstr(name, "[].")) != NULL) {
        level++;
        name += strlen("[].");
    }
    return level;
}

/* The item without its alias. */
static struct shape_range expression(const struct columns *columns, size_t i)
{
    const struct shape *shape = &columns->shape;
    struct shape_range item = shape->items[i];

    if (item.to - item.from > 1 && shape_is_name(shape, item.to - 1) &&
        !shape_is(shape, item.to - 2, ".") && is_called(columns, item.to - 1, columns->names[i]))
        item.to -= shape_is(shape, item.to - 2, "as") ? 2 : 1;
    return item;
}

/* The lowest level of items that use the column, or come from its table; -1: there are none. */
static int kin_level(const struct columns *columns, struct shape_range column)
{
    const struct shape *shape = &columns->shape;
    bool table = column.to - column.from > 1;
    const struct shape_range name = {column.from, column.from + 1};
    int level = -1;

    for (size_t i = 0; i < columns->count; i++) {
        const struct shape_range from = expression(columns, i);
        int other = level_of(columns->names[i]);

        for (size_t k = from.from; k < from.to; k++) {
            if (shape_is(shape, k + 1, ".") == table &&
                shape_same(shape, (struct shape_range){k, k + 1}, name))
                level = level < 0 || other < level ? other : level;
        }
    }
    return level;
}

/* The level of the column that the term names by number, alias or expression; -1: none. */
static int item_level(const struct columns *columns, struct shape_range term)
{
    char number[8] = "";
    int64_t place = 0;

    if (term.to - term.from == 1 && shape_token(&columns->shape, term.from)->len < sizeof(number)) {
        memcpy(number, shape_token(&columns->shape, term.from)->text,
               shape_token(&columns->shape, term.from)->len);
        if (str_to_int64(number, &place) && place >= 1 && place <= (int64_t)columns->count)
            return level_of(columns->names[place - 1]);
    }
    for (size_t i = 0; i < columns->count; i++) {
        if ((term.to - term.from == 1 && shape_is_name(&columns->shape, term.from) &&
             is_called(columns, term.from, columns->names[i])) ||
            shape_same(&columns->shape, term, expression(columns, i)))
            return level_of(columns->names[i]);
    }
    return -1;
}

/* The outermost level whose rows the term distinguishes: that of its column, or of a column that a
 * join makes equal to it. -1: unknown. */
static int term_level(const struct columns *columns, struct shape_range term, int hops)
{
    const struct shape *shape = &columns->shape;
    bool column =
        shape_is_name(shape, term.from) && shape_column_from(shape, term.from).to == term.to;
    struct shape_range left, right;
    int level = item_level(columns, term);

    if (!column)
        return level;
    if (level < 0)
        level = kin_level(columns, term);
    for (size_t at = 0; hops > 0 && shape_next_equal(shape, &at, &left, &right);) {
        bool is_left = shape_same(shape, left, term), is_right = shape_same(shape, right, term);
        int other = is_left != is_right && !shape_is_value(shape, is_left ? right : left)
                        ? term_level(columns, is_left ? right : left, hops - 1)
                        : -1;

        level = other >= 0 && (level < 0 || other < level) ? other : level;
    }
    return level;
}

/* Does the name look like that of a key? */
static bool is_key_name(const struct sql_token *token)
{
    static const char *const ends[] = {"id", "key", "no", "nr", "code", "number", "name"};
    bool quoted = token->kind == SQL_QUOTED;

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t len = strlen(ends[i]);

        if (token->len >= len + (quoted ? 2 : 0) &&
            strncasecmp(token->text + token->len - quoted - len, ends[i], len) == 0)
            return true;
    }
    return false;
}

/* Do all rows belong to one object of the level, because of WHERE id = 1? With a non-empty `item`:
 * to objects with the same value of this item. */
static bool is_fixed(const struct columns *columns, int level, struct shape_range item)
{
    const struct shape *shape = &columns->shape;
    struct shape_range left, right;

    for (size_t at = shape->list.to; shape_next_equal(shape, &at, &left, &right);) {
        const struct shape_range column = shape_is_value(shape, left) ? right : left;
        int other;

        if (shape_is_value(shape, left) == shape_is_value(shape, right))
            continue;
        if (shape_same(shape, column, item))
            return true;
        other = term_level(columns, column, EQUALITIES_MAX);
        if (item.to == item.from && is_key_name(shape_token(&columns->shape, column.to - 1)) &&
            (other < 0 || other == level))
            return true;
    }
    return false;
}

/* Does the expression have the same value in all rows, as far as its text shows? */
static bool is_constant(const struct columns *columns, struct shape_range range)
{
    const struct shape *shape = &columns->shape;

    if (shape_find(shape, range, shape->tokens[range.from].depth + 1, "select") < range.to)
        return true;
    for (size_t i = range.from; i < range.to; i++) {
        if (shape_is_name(shape, i) && shape_is(shape, i + 1, "."))
            return false;
    }
    /* Not a plain name: a word of SQL, as in date '2024-01-01' and current_date, or a type. */
    return range.to - range.from != 1 || !shape_is_name(shape, range.from) ||
           strncasecmp(shape_token(&columns->shape, range.from)->text, "current_", 8) == 0;
}

/* A column of that level which may differ from row to row; columns->count: none. */
static size_t varying_item(const struct columns *columns, int level)
{
    size_t i = 0;

    while (i < columns->count &&
           (level_of(columns->names[i]) != level || is_constant(columns, expression(columns, i)) ||
            is_fixed(columns, level, expression(columns, i))))
        i++;
    return i;
}

/* Elements go to the parent of the previous row, so rows of one parent have to be together. What
 * the text does not show is assumed to be right. */
static void check_nesting(const struct columns *columns)
{
    const struct shape *shape = &columns->shape;
    int deepest = 0;
    size_t at = 0;

    for (size_t i = 0; i < columns->count; i++)
        deepest = level_of(columns->names[i]) > deepest ? level_of(columns->names[i]) : deepest;
    for (int level = columns->one_object; level < deepest; level++) {
        size_t parent = varying_item(columns, level);
        int found = deepest;

        if (parent == columns->count || is_fixed(columns, level, (struct shape_range){0}))
            continue;
        for (; at < shape->term_count; at++) {
            found = term_level(columns, shape->terms[at], EQUALITIES_MAX);
            if (found < 0)
                return;
            if (found >= level)
                break;
        }
        if (at == shape->term_count || found > level) {
            warn(columns, columns->statement->line,
                 "the rows of one '%s' may not be adjacent, and each gap begins another object; "
                 "begin ORDER BY with the columns outside the array%s",
                 columns->names[parent], deepest > 1 ? ", then those of the outer array" : "");
            return;
        }
    }
}

void check_columns(const struct statement *statement, const char *const *names, size_t count,
                   bool one_object, enum check_engine engine, struct problems *problems)
{
    struct columns columns = {.statement = statement,
                              .one_object = one_object,
                              .problems = problems,
                              .names = names,
                              .count = count,
                              .postgres = engine == CHECK_POSTGRES};

    if (!shape_init(&columns.shape, statement)) {
        problems_add(problems, statement->line, false, "out of memory");
    } else if (is_understood(&columns)) {
        for (size_t i = 0; i < count; i++) {
            check_column_name(&columns, i);
            check_case(&columns, i);
        }
        check_nesting(&columns);
    }
    shape_done(&columns.shape);
}
