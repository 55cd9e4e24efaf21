/* src/core/probe.c -- an array as long as somebody else likes. */
#include <string.h>

int probe(int depth);
int probe(int depth)
{
    char bytes[depth];

    memset(bytes, 0, sizeof(bytes));
    return bytes[0];
}
