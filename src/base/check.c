/* src/base/check.c -- ends a process in which an invariant does not hold. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *function, const char *condition)
{
    fprintf(stderr, "reportd: %s:%d: %s: not true: %s\n", file, line, function, condition);
    abort();
}
