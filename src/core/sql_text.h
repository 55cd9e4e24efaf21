/* src/core/sql_text.h -- SQL text, token by token: where comments, strings and :Names are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The lexical rules are those that SQLite and PostgreSQL have in common, and those of either that
 * the other can't mistake: '…' "…" `…` with doubled quotes, E'…' with backslashes, [name] unless it
 * follows a name directly (then it is a subscript), as do ARRAY [ and name [:Name, or stands in a
 * subscript, $tag$…$tag$, -- and (not nested) block comments. */
enum sql_kind {
    SQL_OTHER, /* a word, a number, or one character of anything else */
    SQL_LINE_COMMENT,
    SQL_BLOCK_COMMENT,
    SQL_QUOTED,    /* a string or a quoted name */
    SQL_PARAMETER, /* :Name */
    SQL_SEMICOLON,
    SQL_UNCLOSED, /* a quote or block comment that runs to the end of the text */
};

struct sql_token {
    enum sql_kind kind;
    const char *text; /* into the walked text, not terminated */
    size_t len;
    int line;         /* of its first character */
    bool starts_line; /* only blanks precede it on its line */
};

struct sql_walk {
    const char *text, *at, *end;
    int line;
    int brackets; /* open [ of subscripts and arrays */
    bool starts_line;
};

/* Walk text[len], which is borrowed; its first line has the number `line`. */
void sql_walk_init(struct sql_walk *walk, const char *text, size_t len, int line);
/* The next token; false at the end. */
bool sql_walk_next(struct sql_walk *walk, struct sql_token *ret);

/* [NOT] IN (:Name), which is how a list of values is used. */
struct sql_in {
    bool negated;
    struct sql_token name;
    struct sql_walk behind; /* its closing parenthesis */
};
/* Whether one begins with the token that `walk` has just given. */
bool sql_in_begins(const struct sql_walk *walk, const struct sql_token *token, struct sql_in *ret);
/* Does IS [NOT] NULL follow the token that `walk` has just returned? */
bool sql_null_test_follows(const struct sql_walk *walk);
/* The next token that is no comment; false at the end. */
bool sql_walk_solid(struct sql_walk *walk, struct sql_token *ret);
/* Whether the token is this keyword, in any case. */
bool sql_is_word(const struct sql_token *token, const char *word);

/* Which of the names follow an AS in the text, in quotes of any kind: found[i] is set for names[i].
 * A name that PostgreSQL has cut to its 63 bytes counts, too. */
void sql_find_aliases(const char *text, const char *const *names, size_t count, bool *found);

/* The first :Name of a message (`::` is not one): points at its colon, NULL if there is none.
 * *ret_len is the length of the name after the colon: letters, digits and _. */
const char *sql_mention(const char *message, size_t *ret_len);

/* Bytes at text[0 … len) that may follow the first character of a name: letters, digits, _, $ and
 * what is not ASCII. */
size_t sql_name_length(const char *text, size_t len);
/* Whether a name may begin with `c`. */
bool sql_name_starts(char c);
