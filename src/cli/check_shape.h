/* src/cli/check_shape.h -- the outline of one SQL statement: its columns and how it is sorted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/definition.h"
#include "core/sql_text.h"

/* What is no comment. */
struct shape_token {
    struct sql_token token;
    int depth; /* of parentheses and brackets: those of a pair count outside of it */
};

/* Tokens [from, to) of the statement. */
struct shape_range {
    size_t from, to;
};

struct shape {
    struct shape_token *tokens;
    size_t count;
    struct shape_range list;   /* of the outermost SELECT, the first one of a UNION; empty: none */
    struct shape_range *items; /* the text between its commas */
    size_t item_count;
    bool star;                 /* there is a *: more columns than items */
    struct shape_range *terms; /* of the outermost ORDER BY */
    size_t term_count;
    bool compound; /* UNION and the like */
};

/* Read the statement. False: no memory. shape_done() it in any case. */
bool shape_init(struct shape *shape, const struct statement *statement);
void shape_done(struct shape *shape);

/* Token `i`. */
static inline const struct sql_token *shape_token(const struct shape *shape, size_t i)
{
    return &shape->tokens[i].token;
}
/* Is token `i` this word, in any case, or this one character? False beyond the end. */
bool shape_is(const struct shape *shape, size_t i, const char *word);
/* Is it a word, or a quoted name? */
bool shape_is_name(const struct shape *shape, size_t i);
/* The name, including those of its table and schema before it (t.c), that begins with token `from`,
 * or ends before token `to`; empty: there is none. */
struct shape_range shape_column_from(const struct shape *shape, size_t from);
struct shape_range shape_column_to(const struct shape *shape, size_t to);
/* The first such word at `depth` in the range; range.to: there is none. */
size_t shape_find(const struct shape *shape, struct shape_range range, int depth, const char *word);
/* The next equality after token *at (0 at first), which moves on: `left` and `right` are each a
 * column or a value. False: there is none. */
bool shape_next_equal(const struct shape *shape, size_t *at, struct shape_range *ret_left,
                      struct shape_range *ret_right);
/* Is it one parameter, number or text? */
bool shape_is_value(const struct shape *shape, struct shape_range range);
/* Do the two ranges say the same, in any case, apart from blanks? A name without its table counts
 * as the same name with one. */
bool shape_same(const struct shape *shape, struct shape_range a, struct shape_range b);
