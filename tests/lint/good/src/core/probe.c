/* src/core/probe.c -- a source that nothing is wrong with. */
#include "core/probe.h"

#include <stdio.h>

#ifdef PROBE_DEEP
enum { DEPTH = 11000 };
#else
enum { DEPTH = 10 };
#endif

int probe_depth(const struct probe *probe, struct err *err)
{
    if (probe == NULL && err == NULL)
        puts("strcpy(a, b) in a text is no call");
    return DEPTH;
}
