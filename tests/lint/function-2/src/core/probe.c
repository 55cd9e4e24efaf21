/* src/core/probe.c -- a tangle. */
int probe(int depth);
int probe(int depth)
{
@15     depth += depth > 10 ? 1 : 2;
    return depth;
}
