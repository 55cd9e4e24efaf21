/* src/cli/check_sql.c -- finds, without a database, SQL that cannot work, or rarely does what was
 * meant. */
#include <stdio.h>
#include <string.h>

#include "cli/check.h"
#include "cli/check_shape.h"

enum {
    POSTGRES_NAME_MAX = 63, /* bytes; PostgreSQL cuts off the rest (NAMEDATALEN) */
    NESTING_MAX = 10000,    /* of PostgreSQL (YYMAXDEPTH); that of SQLite is 100 */
};

struct sql_check {
    const struct definition *def;
    struct problems *problems;
    const struct statement *statement;
    struct shape shape;
    enum check_engine engine;
    bool uneven; /* in `-- with`, with which the later statements begin */
};

#define warn(check, line, ...) problems_add((check)->problems, (line), true, __VA_ARGS__)

static bool is_open(const struct sql_check *check, size_t i)
{
    return shape_is(&check->shape, i, "(");
}

static bool is_text_token(const struct sql_check *check, size_t i)
{
    return i < check->shape.count && shape_token(&check->shape, i)->kind == SQL_QUOTED &&
           *shape_token(&check->shape, i)->text == '\'';
}

static bool is_parameter(const struct sql_check *check, size_t i)
{
    return i < check->shape.count && shape_token(&check->shape, i)->kind == SQL_PARAMETER;
}

static bool names_list_param(const struct sql_check *check, const struct sql_token *token)
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
        *shape_token(&check->shape, i + 3)->text != ')')
        return;
    token = shape_token(&check->shape, i + 2);
    if (!names_list_param(check, token))
        warn(check, token->line,
             "IN (%.*s) compares with a single value, even if it contains commas; declare '-- "
             "parameter: "
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
    token = shape_token(&check->shape, i + 2);
    if (end || strchr(",)", *shape_token(&check->shape, i + 3)->text) != NULL)
        warn(check, token->line,
             "ORDER BY %.*s does not sort, since the value is the same in every row; write ORDER "
             "BY CASE %.*s WHEN 'name' THEN name END for each column",
             (int)token->len, token->text, (int)token->len, token->text);
}

/* Functions that look like reads, but change the session or the database. */
static void check_function(const struct sql_check *check, size_t i)
{
    static const struct {
        const char *name, *why;
    } functions[] = {
        {"set_config", "changes settings of the session, such as the reportd.user of row-level "
                       "security; remove it"},
        {"nextval", "writes to the database, which a report may not do; remove it"},
        {"setval", "writes to the database, which a report may not do; remove it"},
    };

    for (size_t k = 0; k < sizeof(functions) / sizeof(functions[0]); k++) {
        if (shape_is(&check->shape, i, functions[k].name) && is_open(check, i + 1))
            warn(check, shape_token(&check->shape, i)->line, "%s() %s", functions[k].name,
                 functions[k].why);
    }
}

/* = NULL, <> NULL, != NULL; but b => NULL and b := NULL pass an argument. */
static void check_null(const struct sql_check *check, size_t i)
{
    const char *sign = i > 0 ? shape_token(&check->shape, i - 1)->text : "";
    char before = i > 1 ? sign[-1] : ' ';

    if (shape_is(&check->shape, i, "null") &&
        ((shape_is(&check->shape, i - 1, "=") && before != ':') ||
         (shape_is(&check->shape, i - 1, ">") && before == '<')))
        warn(check, shape_token(&check->shape, i)->line,
             "a comparison with NULL is never true; write IS NULL or IS NOT NULL");
}

/* SQLite converts texts to numbers; PostgreSQL refuses, except for dates and the like. JSON's ->
 * '…' and ->> '…' may return a number. */
static void check_plus(const struct sql_check *check, size_t i)
{
    const struct shape *shape = &check->shape;

    if (check->engine == CHECK_SQLITE && i > 0 && shape_is(shape, i, "+") &&
        is_text_token(check, i - 1) && !(i > 1 && shape_is(shape, i - 2, ">")))
        warn(check, shape_token(&check->shape, i)->line,
             "+ makes numbers of texts and adds them; to join texts, write ||");
}

/* AS '…', which SQLite accepts. */
static void check_alias(const struct sql_check *check, size_t i)
{
    const struct sql_token *token = shape_token(&check->shape, i);

    if (i > 0 && is_text_token(check, i) && shape_is(&check->shape, i - 1, "as"))
        warn(check, token->line, "a name is written in double quotes; write AS \"%.*s\"",
             (int)token->len - 2, token->text + 1);
}

/* Does the text contain :Name as a separate word? 'HH24:MI' does not contain :MI. */
static bool mentions(const struct sql_token *token, const char *name)
{
    size_t len = strlen(name);

    for (size_t at = 1; at + len < token->len; at++) {
        const char *colon = token->text + at;

        if (*colon == ':' && memcmp(colon + 1, name, len) == 0 && colon[-1] != ':' &&
            sql_name_length(colon - 1, 1) == 0 && sql_name_length(colon + 1, len + 1) == len)
            return true;
    }
    return false;
}

/* Only for a parameter that is also used elsewhere: otherwise the parser has reported it. */
static void check_quoted(const struct sql_check *check, size_t i)
{
    const struct sql_token *token = shape_token(&check->shape, i);

    for (size_t k = 0; is_text_token(check, i) && k < check->def->param_count; k++) {
        const char *name = check->def->params[k].name;

        if (mentions(token, name))
            warn(check, token->line,
                 ":%s inside quotes is text, not the parameter; write it without quotes, or '…' || "
                 ":%s || '…'",
                 name, name);
    }
}

static void check_name_length(const struct sql_check *check, size_t i)
{
    const struct sql_token *token = shape_token(&check->shape, i);
    bool quoted = token->kind == SQL_QUOTED && *token->text == '"';
    size_t len = token->len - (quoted ? 2 : 0);

    if (check->engine != CHECK_POSTGRES || len <= POSTGRES_NAME_MAX ||
        !(quoted || (token->kind == SQL_OTHER && sql_name_starts(*token->text))))
        return;
    warn(check, token->line,
         "the name %.*s has %zu bytes, and PostgreSQL truncates it to %d; shorten it",
         (int)(token->len < 120 ? token->len : 120), token->text, len, POSTGRES_NAME_MAX);
}

static void check_tokens(const struct sql_check *check)
{
    for (size_t i = 0; i < check->shape.count; i++) {
        if (shape_token(&check->shape, i)->line < check->statement->line)
            continue; /* part of -- with, which is checked separately */
        check_in(check, i);
        check_order(check, i);
        check_function(check, i);
        check_null(check, i);
        check_plus(check, i);
        check_alias(check, i);
        check_quoted(check, i);
        check_name_length(check, i);
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

/* The token after the call that ends at token `close`, past its FILTER (…) and the like. */
static size_t behind_call(const struct sql_check *check, size_t close)
{
    size_t i = close + 1;

    if (shape_is(&check->shape, i, "within") && shape_is(&check->shape, i + 1, "group"))
        i = closing(check, i + 2) + 1;
    if (shape_is(&check->shape, i, "filter") && is_open(check, i + 1))
        i = closing(check, i + 1) + 1;
    return i;
}

/* Is there a call of an aggregate function at token `i`? Not if it has OVER, and not for SQLite's
 * max(a, b). */
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
        return !shape_is(&check->shape, behind_call(check, close), "over") &&
               !(names[k][0] == 'm' && has_comma(check, i + 1, close));
    }
    return false;
}

/* Does the select list contain an aggregate outside of subqueries? */
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

static bool has_clause(const struct sql_check *check, const char *word)
{
    const struct shape *shape = &check->shape;

    return shape_find(shape, (struct shape_range){shape->list.to, shape->count}, 0, word) <
           shape->count;
}

/* A check fails if it returns no row. */
static void check_check(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    bool plain = !has_clause(check, "from") && !has_clause(check, "where");
    int line;

    if (shape->item_count == 0 || shape->compound || has_clause(check, "having") ||
        has_clause(check, "limit") || has_clause(check, "group"))
        return;
    line = shape_token(&check->shape, shape->list.from)->line;
    if (plain && shape_is(shape, shape->list.from, "exists"))
        warn(check, line,
             "this check never fails, because EXISTS always returns a row; write SELECT 1 FROM … "
             "WHERE …");
    else if (aggregates(check))
        warn(check, line,
             "this check never fails, because an aggregate always returns a row; write "
             "SELECT 1 FROM … WHERE …, or add HAVING count(*) > 0");
    else if (plain && shape->list.to - shape->list.from == 1)
        warn(check, line,
             "this check never fails, because it always returns a row; write SELECT 1 FROM … WHERE "
             "…");
}

/* WHERE id = :ID: rows of one group. */
static bool has_equality(const struct shape *shape)
{
    struct shape_range left, right;
    bool one = false;

    for (size_t at = shape->list.to; shape_next_equal(shape, &at, &left, &right);)
        one |= shape_is_value(shape, left) != shape_is_value(shape, right);
    return one;
}

/* Groups may be the elements of an array in the one object that a summary is. */
static void check_summary(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    size_t i = shape_find(shape, (struct shape_range){shape->list.to, shape->count}, 0, "group");

    if (i < shape->count && shape_is(shape, i + 1, "by") && !has_clause(check, "limit") &&
        !has_clause(check, "fetch") && !has_equality(shape) &&
        strstr(check->statement->sql, "[].") == NULL)
        warn(check, shape_token(&check->shape, i)->line,
             "a summary has exactly one row, but GROUP BY returns one per group; remove it, or "
             "make this a set: -- set: NAME");
}

/* ---- a definition ---- */

/* The innermost ( that is not closed, or the first ) that has no (. */
static bool check_parentheses(const struct sql_check *check)
{
    const struct shape *shape = &check->shape;
    int depth = 0;

    for (size_t i = 0; i < shape->count; i++) {
        depth += is_open(check, i) - shape_is(shape, i, ")");
        if (depth >= 0 && depth <= NESTING_MAX)
            continue;
        problems_add(check->problems, shape_token(&check->shape, i)->line, false,
                     depth < 0
                         ? "there is no '(' for this ')'; remove it"
                         : "parentheses in parentheses, deeper than a database reads; simplify "
                           "the expression");
        return false;
    }
    for (size_t i = shape->count, closed = 0; depth > 0 && i-- > 0;) {
        closed += shape_is(shape, i, ")");
        if (is_open(check, i) && closed-- == 0) {
            problems_add(check->problems, shape_token(&check->shape, i)->line, false,
                         "the '(' is never closed; add a ')'");
            return false;
        }
    }
    return true;
}

enum part { PART_CHECK, PART_SUMMARY, PART_OTHER };

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
        if (!check->uneven && !check_parentheses(check))
            check->uneven = statement == &check->def->with;
        if (part == PART_CHECK)
            check_check(check);
        if (part == PART_SUMMARY)
            check_summary(check);
    }
    shape_done(&check->shape);
}

void check_sql(const struct definition *def, enum check_engine engine, struct problems *problems)
{
    struct sql_check check = {.def = def, .problems = problems, .engine = engine};

    check_statement(&check, &def->with, PART_OTHER);
    for (size_t i = 0; i < def->param_count; i++)
        check_statement(&check, &def->params[i].values, PART_OTHER);
    for (size_t i = 0; i < def->check_count; i++)
        check_statement(&check, &def->checks[i].statement, PART_CHECK);
    check_statement(&check, &def->results, PART_OTHER);
    for (size_t i = 0; i < def->set_count; i++)
        check_statement(&check, &def->sets[i].statement, PART_OTHER);
    check_statement(&check, &def->summary, PART_SUMMARY);
}
