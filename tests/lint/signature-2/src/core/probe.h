/* src/core/probe.h -- too much to remember. */

/* The volume of seven dimensions. */
int probe(int a, int b, int c, int d, int e, int f, int g);
