/* src/spool/probe.h -- removes a row. */
#ifndef SPOOL_PROBE_H
#define SPOOL_PROBE_H

#define SEAM_STEP(part, verb, step) ((void)(part), (void)(verb), (void)(step))
/* `fd`, or -1. */
int probe_remove(int fd);

#endif
