/* src/cli/check_shape.c -- reads as much of a SELECT as the warnings of `reportd check` need. */
#include "cli/check_shape.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct sql_token *token_at(const struct shape *shape, size_t i)
{
    return &shape->tokens[i].token;
}

static bool is_char(const struct shape *shape, size_t i, char c)
{
    return i < shape->count && token_at(shape, i)->kind == SQL_OTHER &&
           token_at(shape, i)->len == 1 && *token_at(shape, i)->text == c;
}

bool shape_is(const struct shape *shape, size_t i, const char *word)
{
    return i < shape->count && token_at(shape, i)->kind == SQL_OTHER &&
           token_at(shape, i)->len == strlen(word) &&
           strncasecmp(token_at(shape, i)->text, word, strlen(word)) == 0;
}

size_t shape_find(const struct shape *shape, struct shape_range range, int depth, const char *word)
{
    size_t i = range.from;

    while (i < range.to && !(shape->tokens[i].depth == depth && shape_is(shape, i, word)))
        i++;
    return i;
}

static bool is_any(const struct shape *shape, size_t i, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (shape_is(shape, i, *words))
            return true;
    }
    return false;
}

static bool is_quoted_name(const struct sql_token *token)
{
    return token->kind == SQL_QUOTED && strchr("\"`[", *token->text) != NULL;
}

static bool is_word(const struct sql_token *token)
{
    return token->kind == SQL_OTHER && sql_name_starts(*token->text);
}

static bool is_name(const struct shape *shape, size_t i)
{
    return is_word(token_at(shape, i)) || is_quoted_name(token_at(shape, i));
}

/* ---- the tokens ---- */

static bool read_tokens(struct shape *shape, const struct statement *statement)
{
    size_t room = strlen(statement->sql) + 1;
    struct sql_walk walk;
    struct sql_token token;
    int depth = 0;

    shape->tokens = calloc(room, sizeof(*shape->tokens));
    if (shape->tokens == NULL)
        return false;
    sql_walk_init(&walk, statement->sql, room - 1, statement->line - statement->above);
    while (sql_walk_next(&walk, &token)) {
        bool closes = token.kind == SQL_OTHER && *token.text == ')';

        if (token.kind == SQL_LINE_COMMENT || token.kind == SQL_BLOCK_COMMENT)
            continue;
        depth -= closes;
        shape->tokens[shape->count++] = (struct shape_token){.token = token, .depth = depth};
        depth += token.kind == SQL_OTHER && *token.text == '(';
    }
    return true;
}

/* Cut `range` at its commas outside of parentheses; NULL: no memory. */
static struct shape_range *split(const struct shape *shape, struct shape_range range, int depth,
                                 size_t *ret_count)
{
    struct shape_range *parts = calloc(range.to - range.from + 1, sizeof(*parts));
    size_t count = 0, from = range.from;

    for (size_t i = range.from; parts != NULL && i <= range.to && range.from < range.to; i++) {
        if (i < range.to && !(shape->tokens[i].depth == depth && is_char(shape, i, ',')))
            continue;
        parts[count++] = (struct shape_range){from, i};
        from = i + 1;
    }
    *ret_count = count;
    return parts;
}

/* ---- the select list ---- */

static char *unquote(const struct sql_token *token)
{
    bool quoted = token->kind == SQL_QUOTED;
    char *name = strndup(token->text + quoted, token->len - (quoted ? 2 : 0));
    char *to = name;

    for (const char *from = name; name != NULL && *from != '\0'; from++) {
        from += quoted && from[0] == *token->text && from[1] == from[0];
        *to++ = *from;
    }
    if (to != NULL)
        *to = '\0';
    return name;
}

/* Does a value end with this token, so that a name behind it names the column? */
static bool ends_value(const struct shape *shape, size_t i)
{
    static const char *const operators[] = {
        "is",      "not", "and",  "or",   "like", "ilike", "in",     "between", "escape",
        "collate", "at",  "zone", "when", "then", "else",  "case",   "from",    "select",
        "any",     "all", "some", "glob", "to",   "over",  "regexp", "match",   NULL};
    const struct sql_token *token = token_at(shape, i);

    if (token->kind == SQL_QUOTED || token->kind == SQL_PARAMETER)
        return true;
    return (is_word(token) || strchr(")]", *token->text) != NULL ||
            (*token->text >= '0' && *token->text <= '9')) &&
           !is_any(shape, i, operators);
}

/* a, t.a, "t"."a", and in PostgreSQL a::type, which keep their names. */
static bool is_column(const struct shape *shape, struct shape_range range, size_t *ret_name)
{
    size_t i = range.from;

    while (i < range.to && is_name(shape, i) && is_char(shape, i + 1, '.') && i + 2 < range.to)
        i += 2;
    *ret_name = i;
    if (i >= range.to || !is_name(shape, i))
        return false;
    return i + 1 == range.to ||
           (token_at(shape, i + 1)->len == 2 && memcmp(token_at(shape, i + 1)->text, "::", 2) == 0);
}

static bool read_item(struct shape *shape, struct shape_range range, struct shape_item *item)
{
    static const char *const endings[] = {"end", "null", "true", "false", NULL};
    size_t last = range.to - 1, name = 0;

    item->expression = range;
    if (range.from == range.to)
        return true;
    if (is_char(shape, last, '*')) {
        shape->star = true;
        return true;
    }
    if (range.to - range.from > 1 && is_name(shape, last)) {
        bool as = shape_is(shape, last - 1, "as");

        if (as || (ends_value(shape, last - 1) && !is_any(shape, last, endings))) {
            item->expression.to = as ? last - 1 : last;
            name = item->alias = last;
        }
    }
    if (name == 0 && !is_column(shape, range, &name))
        return true;
    item->name = unquote(token_at(shape, name));
    return item->name != NULL;
}

static size_t list_end(const struct shape *shape, size_t from)
{
    static const char *const behind[] = {"from",  "where",  "group",     "having", "window",
                                         "order", "limit",  "offset",    "fetch",  "union",
                                         "into",  "except", "intersect", "for",    NULL};
    size_t i = from;

    while (i < shape->count &&
           !(shape->tokens[i].depth == 0 && is_any(shape, i, behind) &&
             !(shape_is(shape, i, "from") && i > from && shape_is(shape, i - 1, "distinct"))))
        i++;
    return i;
}

static bool read_list(struct shape *shape)
{
    const struct shape_range all = {0, shape->count};
    struct shape_range *parts;
    size_t from = shape_find(shape, all, 0, "select"), count;
    bool ok = true;

    if (from == shape->count)
        return true;
    from++;
    from += shape_is(shape, from, "all") || shape_is(shape, from, "distinct");
    if (shape_is(shape, from, "on") && is_char(shape, from + 1, '(')) {
        for (from += 2; from < shape->count && shape->tokens[from].depth > 0; from++)
            continue;
        from++;
    }
    shape->list = (struct shape_range){from, list_end(shape, from)};
    if (shape->list.from > shape->list.to)
        shape->list.to = shape->list.from;
    parts = split(shape, shape->list, 0, &count);
    shape->items = calloc(count + 1, sizeof(*shape->items));
    for (size_t i = 0; parts != NULL && shape->items != NULL && ok && i < count; i++)
        ok = read_item(shape, parts[i], &shape->items[shape->item_count++]);
    free(parts);
    return ok && parts != NULL && shape->items != NULL;
}

/* ---- ORDER BY ---- */

/* ASC, DESC, NULLS LAST and COLLATE change nothing about what it sorts by. */
static size_t term_end(const struct shape *shape, struct shape_range term)
{
    static const char *const behind[] = {"asc", "desc", "nulls", "collate", "using", NULL};
    size_t i = term.from;

    while (i < term.to && !(i > term.from && is_any(shape, i, behind)))
        i++;
    return i;
}

static bool read_order(struct shape *shape)
{
    static const char *const behind[] = {"limit", "offset", "fetch", "for", NULL};
    struct shape_range order = {0, shape->count};
    size_t at = 0;

    for (size_t i = 0; i < shape->count; i++) {
        if (shape->tokens[i].depth == 0 && shape_is(shape, i, "order") &&
            shape_is(shape, i + 1, "by"))
            at = i + 2;
    }
    order.from = at > 0 ? at : shape->count;
    for (size_t i = order.from; i < order.to; i++) {
        if (shape->tokens[i].depth == 0 && is_any(shape, i, behind))
            order.to = i;
    }
    shape->terms = split(shape, order, 0, &shape->term_count);
    for (size_t i = 0; shape->terms != NULL && i < shape->term_count; i++)
        shape->terms[i].to = term_end(shape, shape->terms[i]);
    return shape->terms != NULL;
}

bool shape_init(struct shape *shape, const struct statement *statement)
{
    static const char *const compounds[] = {"union", "intersect", "except", NULL};

    *shape = (struct shape){0};
    if (!read_tokens(shape, statement))
        return false;
    for (size_t i = 0; i < shape->count; i++)
        shape->compound |= shape->tokens[i].depth == 0 && is_any(shape, i, compounds);
    return read_list(shape) && read_order(shape);
}

void shape_done(struct shape *shape)
{
    for (size_t i = 0; i < shape->item_count; i++)
        free(shape->items[i].name);
    free(shape->items);
    free(shape->terms);
    free(shape->tokens);
    *shape = (struct shape){0};
}

/* ---- comparing ---- */

static bool same_token(const struct sql_token *a, const struct sql_token *b)
{
    /* "name" is name; that PostgreSQL and SQLite differ about case does not matter here. */
    bool a_quoted = is_quoted_name(a), b_quoted = is_quoted_name(b);
    size_t a_len = a->len - (a_quoted ? 2 : 0), b_len = b->len - (b_quoted ? 2 : 0);

    return a_len == b_len && strncasecmp(a->text + a_quoted, b->text + b_quoted, a_len) == 0;
}

bool shape_same(const struct shape *shape, struct shape_range a, struct shape_range b)
{
    size_t a_name, b_name;

    if (is_column(shape, a, &a_name) && is_column(shape, b, &b_name) &&
        (a_name == a.from || b_name == b.from))
        return same_token(token_at(shape, a_name), token_at(shape, b_name));
    if (a.to - a.from != b.to - b.from)
        return false;
    for (size_t i = 0; i < a.to - a.from; i++) {
        if (!same_token(token_at(shape, a.from + i), token_at(shape, b.from + i)))
            return false;
    }
    return true;
}
