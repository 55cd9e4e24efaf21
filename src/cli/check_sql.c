/* src/cli/check_sql.c -- warnings about SQL that works, and seldom does what was meant. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "cli/check.h"
#include "cli/check_shape.h"

enum { POSTGRES_NAME_MAX = 63 }; /* bytes; the rest is cut off (NAMEDATALEN) */

struct sql_check {
    const struct definition *def;
    struct problems *problems;
    const struct statement *statement;
    struct shape shape;
    bool postgres;
};

#define warn(check, line, ...) problems_add((check)->problems, (line), true, __VA_ARGS__)

static const struct sql_token *token_at(const struct sql_check *check, size_t i)
{
    return &check->shape.tokens[i].token;
}

static bool is_open(const struct sql_check *check, size_t i)
{
    return i < check->shape.count && token_at(check, i)->len == 1 &&
           *token_at(check, i)->text == '(';
}

static bool is_parameter(const struct sql_check *check, size_t i)
{
    return i < check->shape.count && token_at(check, i)->kind == SQL_PARAMETER;
}

static bool is_list(const struct sql_check *check, const struct sql_token *token)
{
    for (size_t i = 0; i < check->def->param_count; i++) {
        const struct param *param = &check->def->params[i];

        if (strlen(param->name) == token->len - 1 &&
            memcmp(param->name, token->text + 1, token->len - 1) == 0)
            return param->list;
    }
    return false;
}

/* ---- anywhere in a statement ---- */

static void check_in(const struct sql_check *check, size_t i)
{
    const struct sql_token *token;

    if (!shape_is(&check->shape, i, "in") || !is_open(check, i + 1) ||
        !is_parameter(check, i + 2) || i + 3 >= check->shape.count ||
        *token_at(check, i + 3)->text != ')')
        return;
    token = token_at(check, i + 2);
    if (!is_list(check, token))
        warn(check, token->line,
             "IN (%.*s) compares with one value, whatever commas are in it; declare '-- parameter: "
             "%.*s list(TYPE)', or write = %.*s",
             (int)token->len, token->text, (int)token->len - 1, token->text + 1, (int)token->len,
             token->text);
}

static void check_order(const struct sql_check *check, size_t i)
{
    static const char *const ends[] = {"asc", "desc", "nulls", "limit", "offset", "fetch"};
    bool end = i + 3 >= check->shape.count;
    const struct sql_token *token;

    if (!shape_is(&check->shape, i, "order") || !shape_is(&check->shape, i + 1, "by") ||
        !is_parameter(check, i + 2))
        return;
    for (size_t k = 0; !end && k < sizeof(ends) / sizeof(ends[0]); k++)
        end = shape_is(&check->shape, i + 3, ends[k]);
    token = token_at(check, i + 2);
    if (end || strchr(",)", *token_at(check, i + 3)->text) != NULL)
        warn(check, token->line,
             "ORDER BY %.*s sorts by one value that is the same in all rows, so not at all; write "
             "ORDER BY CASE %.*s WHEN 'name' THEN name END for each column",
             (int)token->len, token->text, (int)token->len, token->text);
}

/* Functions that read, and change the session or the database. */
static void check_function(const struct sql_check *check, size_t i)
{
    static const struct {
        const char *name, *why;
    } functions[] = {
        {"set_config",
         "changes settings, reportd.user of the row-level security too; leave it out"},
        {"nextval", "writes, which a report may not do; leave it out"},
        {"setval", "writes, which a report may not do; leave it out"},
    };

    for (size_t k = 0; k < sizeof(functions) / sizeof(functions[0]); k++) {
        if (shape_is(&check->shape, i, functions[k].name) && is_open(check, i + 1))
            warn(check, token_at(check, i)->line, "%s() %s", functions[k].name, functions[k].why);
    }
}

/* Comparing with NULL, and texts that are added. */
static void check_operator(const struct sql_check *check, size_t i)
{
    static const char *const types[] = {"date", "time", "timestamp", "timestamptz", "interval"};
    const struct sql_token *token = token_at(check, i);
    const struct sql_token *before = i > 0 ? token_at(check, i - 1) : token;
    bool typed = false; /* date '…' */

    for (size_t k = 0; i > 1 && k < sizeof(types) / sizeof(types[0]); k++)
        typed |= shape_is(&check->shape, i - 2, types[k]);
    if (shape_is(&check->shape, i, "null") && before->kind == SQL_OTHER &&
        strchr("=>", *before->text) != NULL && !(*before->text == '>' && before->text[-1] == '='))
        warn(check, token->line,
             "nothing is equal to NULL, nor unequal; write IS NULL or IS NOT NULL");
    if (*token->text == '+' && before->kind == SQL_QUOTED && *before->text == '\'' && !typed)
        warn(check, token->line, "+ adds numbers, also those that it makes of texts; write ||");
}

static void check_name(const struct sql_check *check, size_t i)
{
    const struct sql_token *token = token_at(check, i);
    bool quoted = token->kind == SQL_QUOTED && *token->text == '"';
    size_t len = token->len - (quoted ? 2 : 0);

    if (!check->postgres || len <= POSTGRES_NAME_MAX ||
        !(quoted || (token->kind == SQL_OTHER && sql_name_starts(*token->text))))
        return;
    warn(check, token->line,
         "the name %.*s has %zu bytes, of which PostgreSQL keeps %d; shorten it",
         (int)(token->len < 120 ? token->len : 120), token->text, len, POSTGRES_NAME_MAX);
}

static void check_tokens(const struct sql_check *check)
{
    for (size_t i = 0; i < check->shape.count; i++) {
        if (token_at(check, i)->line < check->statement->line)
            continue; /* of -- with, which is looked at by itself */
        check_in(check, i);
        check_order(check, i);
        check_function(check, i);
        check_operator(check, i);
        check_name(check, i);
    }
}

/* ---- checks ---- */

/* The parenthesis that closes the one at `open`. */
static size_t closing(const struct sql_check *check, size_t open)
{
    size_t i = open + 1;

    while (i < check->shape.count && check->shape.tokens[i].depth > check->shape.tokens[open].depth)
        i++;
    return i;
}

static bool has_comma(const struct sql_check *check, size_t open, size_t close)
{
    return shape_find(&check->shape, (struct shape_range){open, close},
                      check->shape.tokens[open].depth + 1, ",") < close;
}

/* A call of an aggregate function at token `i`; those with OVER are none, nor is SQLite's max(a,
 * b).
 */
static bool is_aggregate(const struct sql_check *check, size_t i)
{
    static const char *const names[] = {"count", "sum",        "min",          "max",
                                        "avg",   "total",      "bool_and",     "bool_or",
                                        "every", "string_agg", "group_concat", "array_agg"};
    size_t close;

    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        if (!shape_is(&check->shape, i, names[k]) || !is_open(check, i + 1))
            continue;
        close = closing(check, i + 1);
        return !shape_is(&check->shape, close + 1, "over") &&
               !(names[k][0] == 'm' && has_comma(check, i + 1, close));
    }
    return false;
}

/* Does the select list have an aggregate that is not in a subquery? */
static bool aggregates(const struct sql_check *check)
{
    const struct shape_range list = check->shape.list;

    for (size_t i = list.from; i < list.to; i++) {
        if (is_open(check, i) &&
            (shape_is(&check->shape, i + 1, "select") || shape_is(&check->shape, i + 1, "with")))
            i = closing(check, i);
        else if (is_aggregate(check, i))
            return true;
    }
    return false;
}

static bool has(const struct sql_check *check, const char *word)
{
    const struct shape *shape = &check->shape;

    return shape_find(shape, (struct shape_range){shape->list.to, shape->count}, 0, word) <
           shape->count;
}

/* A check fails if it gives no row. */
static void check_check(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    bool plain = !has(check, "from") && !has(check, "where");
    int line;

    if (shape->item_count == 0 || shape->compound || has(check, "having") || has(check, "limit") ||
        has(check, "group"))
        return;
    line = token_at(check, shape->list.from)->line;
    if (plain && shape_is(shape, shape->list.from, "exists"))
        warn(check, line,
             "this check always gives a row, so it never fails: EXISTS (…) gives false in one; "
             "write SELECT 1 FROM … WHERE …");
    else if (aggregates(check))
        warn(check, line,
             "this check always gives a row, so it never fails: a count of 0 is a row too; write "
             "SELECT 1 FROM … WHERE …, or add HAVING count(*) > 0");
    else if (plain && shape->list.to - shape->list.from == 1)
        warn(check, line,
             "this check always gives a row, so it never fails; write SELECT 1 FROM … WHERE …");
}

/* ---- results, sets and summary ---- */

/* PostgreSQL makes the letters of a name small that is not quoted. */
static void check_case(const struct sql_check *check, const struct shape_item *item)
{
    const struct sql_token *token = token_at(check, item->alias);
    size_t i = 0;

    while (i < token->len && !(token->text[i] >= 'A' && token->text[i] <= 'Z'))
        i++;
    if (check->postgres && item->alias > 0 && token->kind == SQL_OTHER && i < token->len)
        warn(check, token->line,
             "PostgreSQL writes %.*s in small letters, since it is not quoted; write AS \"%.*s\"",
             (int)token->len, token->text, (int)token->len, token->text);
}

static void check_aliases(const struct sql_check *check)
{
    for (size_t i = 0; i < check->shape.item_count; i++) {
        const struct shape_item *item = &check->shape.items[i];
        const struct shape_range range = item->expression;
        const char *from, *end;

        check_case(check, item);
        if (item->name != NULL || range.from >= range.to ||
            *token_at(check, range.to - 1)->text == '*')
            continue;
        if (range.to - range.from > 2 && shape_is(&check->shape, range.to - 2, "as")) {
            from = token_at(check, range.to - 1)->text;
            warn(check, token_at(check, range.to - 1)->line,
                 "a name is written in double quotes; write AS \"%.*s\"",
                 (int)strcspn(from + 1, "'"), from + 1);
            continue;
        }
        from = token_at(check, range.from)->text;
        end = token_at(check, range.to - 1)->text + token_at(check, range.to - 1)->len;
        warn(check, token_at(check, range.from)->line,
             "the column '%.*s%s' has no name of its own, and each database makes up another; "
             "write: AS \"name\"",
             end - from < 40 ? (int)strcspn(from, "\n") < end - from ? (int)strcspn(from, "\n")
                                                                     : (int)(end - from)
                             : 40,
             from, end - from < 40 ? "" : "…");
    }
}

/* How many arrays the column is in. */
static int level_of(const char *name)
{
    int level = 0;

    while (name != NULL && (name = strstr(name, "[].")) != NULL) {
        level++;
        name += strlen("[].");
    }
    return level;
}

/* Of a term that is no column: the level of those that are made of it, or come from its table; -1:
 * there are none. */
static int kin_level(const struct sql_check *check, struct shape_range term)
{
    const struct shape *shape = &check->shape;
    bool table = term.to - term.from == 3 && *token_at(check, term.from + 1)->text == '.';
    const struct shape_range name = {term.from, term.from + 1};
    int level = -1;

    if (term.to - term.from != 1 && !table)
        return -1;
    for (size_t i = 0; i < shape->item_count; i++) {
        const struct shape_range from = shape->items[i].expression;
        int other = level_of(shape->items[i].name);

        for (size_t k = from.from; k < from.to; k++) {
            bool dot = k + 1 < from.to && *token_at(check, k + 1)->text == '.';

            if (dot == table && shape_same(shape, (struct shape_range){k, k + 1}, name))
                level = level < 0 || other < level ? other : level;
        }
    }
    return level;
}

/* The level of the column that the term sorts by; -1: of none. */
static int term_level(const struct sql_check *check, struct shape_range term)
{
    const struct shape *shape = &check->shape;
    const struct sql_token *token = token_at(check, term.from);
    char number[8] = "";
    int64_t place;

    if (term.to - term.from == 1 && token->len < sizeof(number)) {
        memcpy(number, token->text, token->len);
        if (str_to_int64(number, &place) && place >= 1 && place <= (int64_t)shape->item_count)
            return level_of(shape->items[place - 1].name);
    }
    for (size_t i = 0; i < shape->item_count; i++) {
        const char *name = shape->items[i].name;
        bool quoted = token->kind == SQL_QUOTED;

        if (name != NULL && term.to - term.from == 1 &&
            strlen(name) == token->len - (quoted ? 2 : 0) &&
            strncasecmp(name, token->text + quoted, strlen(name)) == 0)
            return level_of(name);
        if (shape_same(shape, term, shape->items[i].expression))
            return level_of(name);
    }
    return kin_level(check, term);
}

static const struct shape_item *item_of_level(const struct sql_check *check, int level)
{
    for (size_t i = 0; i < check->shape.item_count; i++) {
        if (check->shape.items[i].name != NULL && level_of(check->shape.items[i].name) == level)
            return &check->shape.items[i];
    }
    return NULL;
}

/* Elements go to the parent of the row before, so rows of one parent have to stand together. */
static void check_nesting(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    int deepest = 0;
    size_t at = 0;

    for (size_t i = 0; i < shape->item_count; i++) {
        if (level_of(shape->items[i].name) > deepest)
            deepest = level_of(shape->items[i].name);
    }
    for (int level = 0; level < deepest && !shape->star; level++) {
        const struct shape_item *parent = item_of_level(check, level);
        int found;

        if (parent == NULL)
            continue;
        while (at < shape->term_count && term_level(check, shape->terms[at]) < 0)
            at++; /* not known, and perhaps the parent's key */
        found = at < shape->term_count ? term_level(check, shape->terms[at]) : -1;
        if (found != level) {
            warn(check, check->statement->line,
                 "rows of one '%s' need not stand together, and each time they do not, another "
                 "object begins; let ORDER BY begin with the columns outside of the array%s",
                 parent->name, deepest > 1 ? ", then those of the outer array" : "");
            return;
        }
        while (at < shape->term_count && term_level(check, shape->terms[at]) == level)
            at++;
    }
}

static void check_summary(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    size_t i = shape_find(shape, (struct shape_range){shape->list.to, shape->count}, 0, "group");

    if (i < shape->count && shape_is(shape, i + 1, "by"))
        warn(check, token_at(check, i)->line,
             "a summary has exactly one row, and GROUP BY gives one for each group; leave it out, "
             "or make it a set: -- set: NAME");
}

/* ---- a definition ---- */

enum part { PART_WITH, PART_VALUES, PART_CHECK, PART_ROWS, PART_SUMMARY };

static void check_statement(struct sql_check *check, const struct statement *statement,
                            enum part part)
{
    if (statement->sql == NULL)
        return;
    check->statement = statement;
    if (!shape_init(&check->shape, statement)) {
        problems_add(check->problems, statement->line, false, "out of memory");
    } else {
        check_tokens(check);
        if (part == PART_CHECK)
            check_check(check);
        if (part == PART_ROWS || part == PART_SUMMARY)
            check_aliases(check);
        if (part == PART_ROWS)
            check_nesting(check);
        if (part == PART_SUMMARY)
            check_summary(check);
    }
    shape_done(&check->shape);
}

void check_sql(const struct definition *def, bool postgres, struct problems *problems)
{
    struct sql_check check = {.def = def, .problems = problems, .postgres = postgres};

    check_statement(&check, &def->with, PART_WITH);
    for (size_t i = 0; i < def->param_count; i++)
        check_statement(&check, &def->params[i].values, PART_VALUES);
    for (size_t i = 0; i < def->check_count; i++)
        check_statement(&check, &def->checks[i].statement, PART_CHECK);
    check_statement(&check, &def->results, PART_ROWS);
    for (size_t i = 0; i < def->set_count; i++)
        check_statement(&check, &def->sets[i].statement, PART_ROWS);
    check_statement(&check, &def->summary, PART_SUMMARY);
}
