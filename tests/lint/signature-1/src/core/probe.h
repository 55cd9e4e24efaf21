/* src/core/probe.h -- says nothing of what it offers. */

int probe(int depth);
