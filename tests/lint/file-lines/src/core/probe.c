/* src/core/probe.c -- too long. */
@400 extern int one;
@400 extern int two;
