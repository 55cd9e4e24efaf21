/* src/cli/check_shape.c -- parses as much of a SELECT as the warnings of `reportd check` need. */
#include "cli/check_shape.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool shape_is(const struct shape *shape, size_t i, const char *word)
{
    return i < shape->count && shape_token(shape, i)->kind == SQL_OTHER &&
           shape_token(shape, i)->len == strlen(word) &&
           strncasecmp(shape_token(shape, i)->text, word, strlen(word)) == 0;
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

bool shape_is_name(const struct shape *shape, size_t i)
{
    return i < shape->count && (is_quoted_name(shape_token(shape, i)) ||
                                (shape_token(shape, i)->kind == SQL_OTHER &&
                                 sql_name_starts(*shape_token(shape, i)->text)));
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
        bool other = token.kind == SQL_OTHER;

        if (token.kind == SQL_LINE_COMMENT || token.kind == SQL_BLOCK_COMMENT)
            continue;
        depth -= other && strchr(")]", *token.text) != NULL;
        shape->tokens[shape->count++] = (struct shape_token){.token = token, .depth = depth};
        depth += other && strchr("([", *token.text) != NULL;
    }
    return true;
}

/* Cut `range` at its commas outside of parentheses; NULL: out of memory. */
static struct shape_range *split_at_commas(const struct shape *shape, struct shape_range range,
                                           size_t *ret_count)
{
    struct shape_range *parts = calloc(range.to - range.from + 1, sizeof(*parts));
    size_t count = 0, from = range.from;

    for (size_t i = range.from; parts != NULL && i <= range.to && range.from < range.to; i++) {
        if (i < range.to && !(shape->tokens[i].depth == 0 && shape_is(shape, i, ",")))
            continue;
        parts[count++] = (struct shape_range){from, i};
        from = i + 1;
    }
    *ret_count = count;
    return parts;
}

/* ---- the select list ---- */

/* Where the clause after the list begins. Such a word can also be a name, or belong to another
 * construct: IS DISTINCT FROM, WITHIN GROUP (…). */
static size_t list_end(const struct shape *shape, size_t from)
{
    static const char *const behind[] = {"from",  "where",  "group",     "having", "window",
                                         "order", "limit",  "offset",    "fetch",  "union",
                                         "into",  "except", "intersect", "for",    NULL};
    static const char *const before[] = {",", ".", "as", "distinct", "within", NULL};
    size_t i = from;

    while (i < shape->count &&
           !(shape->tokens[i].depth == 0 && is_any(shape, i, behind) &&
             (i == from ? shape_is(shape, i, "from") : !is_any(shape, i - 1, before))))
        i++;
    return i;
}

static bool read_list(struct shape *shape)
{
    const struct shape_range all = {0, shape->count};
    size_t from = shape_find(shape, all, 0, "select");

    shape->list = (struct shape_range){shape->count, shape->count};
    if (from == shape->count)
        return true;
    from++;
    from += shape_is(shape, from, "all") || shape_is(shape, from, "distinct");
    if (shape_is(shape, from, "on") && shape_is(shape, from + 1, "(")) {
        for (from += 2; from < shape->count && shape->tokens[from].depth > 0; from++)
            continue;
        from++;
    }
    from = from < shape->count ? from : shape->count;
    shape->list = (struct shape_range){from, list_end(shape, from)};
    shape->items = split_at_commas(shape, shape->list, &shape->item_count);
    for (size_t i = 0; shape->items != NULL && i < shape->item_count; i++)
        shape->star |= shape->items[i].to > shape->items[i].from &&
                       shape_is(shape, shape->items[i].to - 1, "*");
    return shape->items != NULL;
}

/* ---- ORDER BY ---- */

/* ASC, DESC, NULLS LAST and COLLATE do not change what it sorts by. */
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
    shape->terms = split_at_commas(shape, order, &shape->term_count);
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
    free(shape->items);
    free(shape->terms);
    free(shape->tokens);
    *shape = (struct shape){0};
}

/* ---- columns ---- */

struct shape_range shape_column_from(const struct shape *shape, size_t from)
{
    size_t to = from;

    while (shape_is_name(shape, to) && shape_is(shape, to + 1, "."))
        to += 2;
    return (struct shape_range){from, shape_is_name(shape, to) ? to + 1 : from};
}

struct shape_range shape_column_to(const struct shape *shape, size_t to)
{
    size_t from = to;

    if (from > 0 && shape_is_name(shape, from - 1))
        from--;
    while (from < to && from > 1 && shape_is(shape, from - 1, ".") &&
           shape_is_name(shape, from - 2))
        from -= 2;
    return (struct shape_range){from, to};
}

bool shape_is_value(const struct shape *shape, struct shape_range range)
{
    const struct sql_token *token = shape_token(shape, range.from);

    return range.to - range.from == 1 &&
           (token->kind == SQL_PARAMETER || (token->kind == SQL_QUOTED && *token->text == '\'') ||
            (token->kind == SQL_OTHER && *token->text >= '0' && *token->text <= '9'));
}

/* Read what is on one side of the sign: a column, or one token. */
static bool read_side(const struct shape *shape, struct shape_range *side, bool left)
{
    const struct shape_range column =
        left ? shape_column_to(shape, side->to) : shape_column_from(shape, side->from);

    if (column.to > column.from)
        *side = column;
    return column.to > column.from || shape_is_value(shape, *side);
}

bool shape_next_equal(const struct shape *shape, size_t *at, struct shape_range *ret_left,
                      struct shape_range *ret_right)
{
    for (size_t i = *at + 1; i + 1 < shape->count; i++) {
        struct shape_range left = {i - 1, i}, right = {i + 1, i + 2};

        if (!shape_is(shape, i, "=") || !read_side(shape, &left, true) ||
            !read_side(shape, &right, false))
            continue;
        *ret_left = left;
        *ret_right = right;
        *at = i;
        return true;
    }
    return false;
}

static bool same_token(const struct sql_token *a, const struct sql_token *b)
{
    /* "name" equals name; that PostgreSQL and SQLite treat case differently does not matter
     * here. */
    bool a_quoted = is_quoted_name(a), b_quoted = is_quoted_name(b);
    size_t a_len = a->len - (a_quoted ? 2 : 0), b_len = b->len - (b_quoted ? 2 : 0);

    return a_len == b_len && strncasecmp(a->text + a_quoted, b->text + b_quoted, a_len) == 0;
}

bool shape_same(const struct shape *shape, struct shape_range a, struct shape_range b)
{
    bool columns = a.to > a.from && b.to > b.from && shape_column_from(shape, a.from).to == a.to &&
                   shape_column_from(shape, b.from).to == b.to;

    if (columns && (a.to - a.from == 1 || b.to - b.from == 1))
        return same_token(shape_token(shape, a.to - 1), shape_token(shape, b.to - 1));
    if (a.to - a.from != b.to - b.from)
        return false;
    for (size_t i = 0; i < a.to - a.from; i++) {
        if (!same_token(shape_token(shape, a.from + i), shape_token(shape, b.from + i)))
            return false;
    }
    return true;
}
