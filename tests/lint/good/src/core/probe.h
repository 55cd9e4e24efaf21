/* src/core/probe.h -- a header that nothing is wrong with. */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "base/err.h"

struct probe;

/* How deep it is, in metres; -E_IO. Not calls: strcpy(), atoi(). */
int probe_depth(const struct probe *probe, struct err *err);

#endif
