/* src/core/definition_impl.h -- what the two halves of the definition parser share. */
#ifndef CORE_DEFINITION_IMPL_H
#define CORE_DEFINITION_IMPL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/definition.h"
#include "core/sql_text.h"

struct parser {
    const char *file;
    struct definition *def;
    struct err *err;
    int line;      /* of the annotation that is being read */
    unsigned seen; /* annotations that may stand once: a bit each */
    struct {
        int line;
        bool used;
    } params[DEFINITION_PARAMETERS_MAX]; /* as def->params */
    /* The section that is being read; NULL: the header. */
    struct statement *section;
    const char *section_name;
    int section_line;
    const char *sql, *sql_end; /* its statement so far; NULL: none yet */
    bool sql_complete;         /* its semicolon has been read */
};

/* Fail with "FILE:LINE: …"; returns -E_DEFINITION. */
int parser_fail(struct parser *p, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* *ret = a copy of `text`. */
int parser_copy(struct parser *p, const char *text, char **ret);

/* The header's half. `text` is a comment line without its dashes and the blanks around it; it is
 * changed while it is read. */
int header_line(struct parser *p, char *text);
/* Whether `text` begins with an annotation of the header, colon and all. */
bool header_owns(const char *text);
/* What only the end of the file shows: missing annotations, parameters that nothing uses. */
int header_finish(struct parser *p);

#endif
