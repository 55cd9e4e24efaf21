/* src/core/probe.c -- uses what is freed. */
#include <stdlib.h>

int probe(void);
int probe(void)
{
    int *depth = calloc(1, sizeof(*depth));

    free(depth);
    return *depth;
}
