/* src/core/problems.c -- a list of what is wrong with a file. */
#include "core/problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { SHOWN_PATH_MAX = 160 }; /* bytes of a path in a message: the text must fit after it */

/* Problems of `-- with` are found again with every statement that uses it. */
static bool has_problem(const struct problems *problems, int line, const char *text)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->list[i].line == line && str_eq(problems->list[i].text, text))
            return true;
    }
    return false;
}

void problems_add_list(struct problems *problems, int line, bool warning, const char *format,
                       va_list args)
{
    struct problem *problem;
    char words[ERR_TEXT_MAX];

    vsnprintf(words, sizeof(words), format, args);
    str_drop_cut(words);
    if (has_problem(problems, line, words))
        return;
    problems->errors += !warning;
    if (problems->count == PROBLEMS_MAX) {
        problems->dropped++;
        return;
    }
    problem = &problems->list[problems->count];
    *problem = (struct problem){.line = line, .warning = warning, .text = strdup(words)};
    if (problem->text == NULL)
        problems->starved = true;
    else
        problems->count++;
}

void problems_add(struct problems *problems, int line, bool warning, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    problems_add_list(problems, line, warning, format, args);
    va_end(args);
}

/* Insertion sort, which keeps the order of equals; the list is short. */
void problems_sort(struct problems *problems)
{
    for (size_t i = 1; i < problems->count; i++) {
        struct problem problem = problems->list[i];
        size_t at = i;

        for (; at > 0 && problems->list[at - 1].line > problem.line; at--)
            problems->list[at] = problems->list[at - 1];
        problems->list[at] = problem;
    }
}

void problems_done(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->list[i].text);
    *problems = (struct problems){0};
}

int problem_err(const struct problem *problem, const char *file, struct err *err)
{
    size_t len = strlen(file);

    return err_set(err, -E_DEFINITION, "%s:%d: %s",
                   file + (len > SHOWN_PATH_MAX ? len - SHOWN_PATH_MAX : 0), problem->line,
                   problem->text);
}
