/* src/core/problems.h -- what is wrong with a file, line by line, as far as it can be known at
 * once.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { PROBLEMS_MAX = 100 }; /* of one file; those above are only counted */

struct problem {
    int line;
    bool warning;
    char *text; /* "what is wrong; what to write" */
};

/* Zeroed it is empty; problems_done() it. */
struct problems {
    struct problem list[PROBLEMS_MAX];
    size_t count;   /* in `list` */
    size_t dropped; /* more than fit */
    size_t errors;  /* that are no warnings, the dropped ones included */
    bool starved;   /* no memory for one */
};

/* Add one; a message above ERR_TEXT_MAX - 1 bytes is cut. */
void problems_add(struct problems *problems, int line, bool warning, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problems_add_list(struct problems *problems, int line, bool warning, const char *format,
                       va_list args) __attribute__((format(printf, 4, 0)));
/* Sort by line; within a line, the order in which they were added. */
void problems_sort(struct problems *problems);
void problems_done(struct problems *problems);

/* "FILE:LINE: text" of one into `err`, as -E_DEFINITION, which is returned. Of a long path the end
 * is left. */
int problem_err(const struct problem *problem, const char *file, struct err *err);
