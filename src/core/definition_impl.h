/* src/core/definition_impl.h -- what the two halves of the definition parser share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "core/definition.h"
#include "core/sql_text.h"

enum { UNKNOWN_MAX = 64 }; /* more are not reported */

/* A :Name of the SQL or of a message that was not declared when it was read. */
struct unknown_name {
    const char *text; /* in the definition */
    size_t len;
    int line;
    bool in_message;
};

/* A problem is added to `problems`, and -E_DEFINITION is returned to skip the current construct;
 * parsing continues after it. */
struct parser {
    struct definition *def;
    struct problems *problems;
    bool muted; /* problems are known already, and not added */
    struct err *err;
    char *copies;    /* for parser_copy(), after def->text … */
    size_t room;     /* … bytes */
    int line;        /* of the annotation that is being read, … */
    struct buf text; /* … and its text, without the blanks around it */
    unsigned seen;   /* annotations that may appear once: a bit each */
    struct {
        int line;
        bool used;
        int quoted; /* where it appears in a '…', which does not use it; 0: nowhere */
    } params[DEFINITION_PARAMETERS_MAX]; /* as def->params */
    struct unknown_name unknown[UNKNOWN_MAX];
    size_t unknown_count;
    struct statement stray; /* the section that is read if it is not allowed there */
    bool has_stray;
    bool unclosed;     /* the rest of the file was lost to a quote */
    unsigned sections; /* that have begun where they may: a bit each */
    int place;         /* of the last of them in their order */
    /* The section that is being read; NULL: the header. */
    struct statement *section;
    const char *section_name;
    int section_line;
    const char *sql, *sql_end; /* its statement so far; NULL: none yet */
    bool sql_complete;         /* its semicolon has been read */
    bool sql_surplus;          /* what follows it has been reported */
    struct sql_token last;     /* of its text: what is no comment; len 0: none yet */
    const char *in_name;       /* the :Name of the last IN (:Name) */
};

/* Add a problem; returns -E_DEFINITION. */
int parser_fail(struct parser *p, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* *ret = a copy of `text`, a piece of the file; it lives as long as the definition. 0. */
int parser_copy(struct parser *p, const char *text, char **ret);

/* The header's half. `text` is a comment line without its dashes and the blanks around it; it is
 * changed while it is read. */
int header_line(struct parser *p, char *text);
/* Whether `text` begins with an annotation of the header, colon and all. */
bool header_owns(const char *text);
/* Whether a report, a parameter or a set may be called so: [A-Za-z][A-Za-z0-9_]*, not too long. */
bool header_is_name(const char *text);
/* Whether a :Name is a parameter, which is used now. */
bool header_use(struct parser *p, const char *name, size_t len);
/* Each "" of a text that stood in quotes becomes one ", in place. */
void undouble_quotes(char *text);
/* The declaration of a column, after the colon; `value` is changed while it is read. */
int column_line(struct parser *p, char *value);

/* The text of `-- with`: is it what can be put before a statement? */
int with_close(struct parser *p, struct statement *with);
/* Put `with` before the section's own statement, which may begin with a WITH of its own. The lines
 * between the two are kept, as empty ones, so that counting lines leads to those of the file. */
int with_join(struct parser *p, const struct statement *with, struct statement *section);

/* The same for a name that differs in case: the parameter's; NULL: none. */
const char *header_use_nocase(struct parser *p, const char *name, size_t len);
/* definition_claim.c: names that the session has values for. */

/* Whether it is :session_user, or may be a :session_claim_NAME. */
bool session_has(const char *name, size_t len);
/* Record the use of a claim. -E_DEFINITION: there are too many. */
int session_use(struct parser *p, const char *name, size_t len, int line);
/* -E_DEFINITION: a parameter may not be called so. */
int session_reserves(struct parser *p, const char *name);

/* definition_hints.c: what was probably meant. */

/* Is `text` the word, except for one slip of the keyboard? */
bool hint_is_slip(const char *text, size_t len, const char *word);
/* The type of a parameter that is called `word` elsewhere; NULL: none. */
const char *hint_type(const char *word);
/* Refuse ?, $1, @p, {{x}} and the like; 0: the token is none of these. */
int hint_placeholder(struct parser *p, const struct sql_walk *walk, const struct sql_token *token);
/* Remember which parameters are named inside of a text. */
void hint_quoted(struct parser *p, const struct sql_token *token);
/* Add a problem for each default that is no value of its parameter. */
void check_defaults(const struct definition *def, struct problems *problems);

/* What only the end of the file shows: missing annotations, parameters that nothing uses. */
int header_finish(struct parser *p);
