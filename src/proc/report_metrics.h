/* src/proc/report_metrics.h -- how the reports of each type fare on this node: how long they wait
 * and run, how they end, their rows and bytes. */
#pragma once

#include <stdint.h>

#include "base/histogram.h"
#include "core/catalog.h"
#include "core/report.h"

/* Counts exist only for the types that are offered: those of a type that is removed, or whose
 * source changes, are dropped. */
struct report_metrics;
struct report_metrics *report_metrics_new(struct catalog *catalog); /* NULL: no memory */
void report_metrics_free(struct report_metrics *metrics);           /* NULL is fine */

/* A report of the type `name` has started for the first time, so long after it was submitted. */
void report_metrics_started(struct report_metrics *metrics, const char *name, int64_t waited_us);

struct report_end {
    enum report_state state; /* COMPLETE or ERROR */
    int64_t ran_us, rows, bytes;
};
void report_metrics_ended(struct report_metrics *metrics, const char *name,
                          const struct report_end *end);

struct report_counts {
    const char *name, *source; /* borrowed for the call */
    struct histogram_counts waits, runs;
    int64_t complete, failed, rows, bytes;
};
/* Of each type that has counts, in the order of their first report. Any thread. */
void report_metrics_each(struct report_metrics *metrics,
                         void (*each)(void *context, const struct report_counts *counts),
                         void *context);
