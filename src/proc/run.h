/* src/proc/run.h -- one report: checks, rows, summary, from an open database to its .part file. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "core/config.h"
#include "core/definition.h"
#include "core/report.h"
#include "proc/wire.h"
#include "source/source.h"

/* How far it is, for other threads to see. */
struct run_progress {
    _Atomic int64_t rows, bytes;
};

/* How often a report is run while its database changes under it (-E_CHANGED). */
enum { RUN_TRIES_MAX = 3 };

/* The lower of a limit of the definition (0: none) and the configuration's. */
int64_t run_lower_limit(int64_t own, int64_t general);
/* The limits of a report: the definition's own time, and its own rows and bytes if they are lower.
 */
void run_limits(const struct config *config, const struct definition *def, struct wire_run *ret);

/* Run the report of a RUN, or list the choices that it asks for. 0: the file is complete, *ret has
 * its `digest`, whether it is on the disk (`unsynced`), and the progress its final size. Otherwise
 * why not, with a message for the user: -E_CANCELLED after source_interrupt(), -E_SOURCE for what
 * query, data and limits do, -E_SPOOL for the disk, -E_DEFINITION, -E_PARAM, -E_NOMEM. */
int run_report(const struct wire_order *job, struct source *source, struct run_progress *progress,
               struct wire_answer *ret, struct err *err);

/* Why a report has met a limit, as a message for the user: -E_SOURCE. `timeout_ms` of time, or of
 * processor time; `limit` bytes of memory, 0: the machine's. */
int run_needs_memory(int64_t limit, struct err *err);
int run_took_too_long(int64_t timeout_ms, struct err *err);
int run_used_too_much_time(int64_t timeout_ms, struct err *err);
