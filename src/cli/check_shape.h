/* src/cli/check_shape.h -- the outline of one SQL statement: its columns and how it is sorted. */
#ifndef CLI_CHECK_SHAPE_H
#define CLI_CHECK_SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/definition.h"
#include "core/sql_text.h"

/* What is no comment. */
struct shape_token {
    struct sql_token token;
    int depth; /* of parentheses: those of a pair count outside of it */
};

/* Tokens [from, to) of the statement. */
struct shape_range {
    size_t from, to;
};

struct shape_item {
    struct shape_range expression;
    size_t alias; /* the token; 0: there is none, or it is the column's own name */
    char *name;   /* of the column, without quotes; NULL: the database makes one up */
};

struct shape {
    struct shape_token *tokens;
    size_t count;
    struct shape_item *items; /* of the outermost SELECT, the first one of a UNION */
    size_t item_count;
    bool star;                 /* there is a *: more columns than items */
    struct shape_range list;   /* its select list; empty: there is no such SELECT */
    struct shape_range *terms; /* of the outermost ORDER BY */
    size_t term_count;
    bool compound; /* UNION and the like */
};

/* Read the statement. False: no memory. shape_done() it in any case. */
bool shape_init(struct shape *shape, const struct statement *statement);
void shape_done(struct shape *shape);

/* Is token `i` this word, in any case? False behind the end. */
bool shape_is(const struct shape *shape, size_t i, const char *word);
/* The first such word at `depth` in the range; range.to: there is none. */
size_t shape_find(const struct shape *shape, struct shape_range range, int depth, const char *word);
/* Do the two ranges say the same, in any case, apart from blanks? A name without its table counts
 * as the same name with one. */
bool shape_same(const struct shape *shape, struct shape_range a, struct shape_range b);

#endif
