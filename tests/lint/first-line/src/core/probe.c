/* src/base/probe.c -- this path is another file's. */
static const int depth = 10;
int probe(void);
int probe(void)
{
    return depth;
}
