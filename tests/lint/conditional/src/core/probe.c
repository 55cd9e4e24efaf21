/* src/core/probe.c -- two functions in one. */
int probe(void);
int probe(void)
{
#ifdef PROBE_DEEP
    return 11000;
#else
    return 10;
#endif
}
