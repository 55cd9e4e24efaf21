/* src/core/probe.c -- a long function. */
int probe(int depth);
int probe(int depth)
{
@68     depth *= 3;
    return depth;
}
