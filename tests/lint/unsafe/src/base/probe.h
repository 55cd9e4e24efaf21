/* src/base/probe.h -- no bound. */
#include <stdlib.h>
#include <string.h>

static inline int probe(char *to, const char *from)
{
    strcpy(to, from);
    return atoi(to);
}
