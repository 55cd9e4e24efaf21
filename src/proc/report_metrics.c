/* src/proc/report_metrics.c -- counts per type of report, in a list as long as the catalog. */
#include "proc/report_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/thread.h"

struct type {
    char *name, *source;
    struct histogram waits, runs;
    int64_t complete, failed, rows, bytes;
    struct type *next;
};

struct report_metrics {
    struct catalog *catalog;
    struct lock lock;
    struct type *types; /* guarded by the lock */
};

static void free_type(struct type *type)
{
    free(type->name);
    free(type->source);
    free(type);
}

static struct type *new_type(const struct definition *def)
{
    struct type *type = calloc(1, sizeof(*type));

    if (type == NULL)
        return NULL;
    type->name = strdup(def->name);
    type->source = strdup(def->source);
    if (type->name != NULL && type->source != NULL)
        return type;
    free_type(type);
    return NULL;
}

struct report_metrics *report_metrics_new(struct catalog *catalog)
{
    struct report_metrics *metrics = calloc(1, sizeof(*metrics));

    if (metrics == NULL)
        return NULL;
    metrics->catalog = catalog;
    lock_init(&metrics->lock);
    return metrics;
}

static void drop(struct type **at)
{
    struct type *type = *at;

    *at = type->next;
    free_type(type);
}

void report_metrics_free(struct report_metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (metrics->types != NULL)
        drop(&metrics->types);
    lock_done(&metrics->lock);
    free(metrics);
}

static void drop_withdrawn(struct report_metrics *metrics)
{
    struct type **at = &metrics->types;

    lock_check_held(&metrics->lock);
    while (*at != NULL) {
        const struct definition *def = catalog_hold(metrics->catalog, (*at)->name);

        if (def == NULL || !str_eq(def->source, (*at)->source))
            drop(at);
        else
            at = &(*at)->next;
        if (def != NULL)
            catalog_release(metrics->catalog, def);
    }
}

/* NULL: no memory for its counts. Adding a type also removes those that are no longer offered, so
 * that they do not accumulate if the metrics are never read. */
static struct type *find_type(struct report_metrics *metrics, const struct definition *def)
{
    struct type *type;

    for (type = metrics->types; type != NULL; type = type->next) {
        if (str_eq(type->name, def->name) && str_eq(type->source, def->source))
            return type;
    }
    drop_withdrawn(metrics);
    type = new_type(def);
    if (type != NULL) {
        type->next = metrics->types;
        metrics->types = type;
    }
    return type;
}

/* The counts of the report type of that name, with the lock, which the caller releases. NULL: it is
 * not offered, or out of memory; nothing is locked. */
static struct type *lock_type(struct report_metrics *metrics, const char *name)
{
    const struct definition *def = catalog_hold(metrics->catalog, name);
    struct type *type;

    if (def == NULL)
        return NULL;
    lock_take(&metrics->lock);
    type = find_type(metrics, def);
    if (type == NULL)
        lock_release(&metrics->lock);
    catalog_release(metrics->catalog, def);
    return type;
}

void report_metrics_started(struct report_metrics *metrics, const char *name, int64_t waited_us)
{
    struct type *type = lock_type(metrics, name);

    if (type == NULL)
        return;
    histogram_add(&type->waits, waited_us > 0 ? waited_us : 0); /* the clock may have been set
                                                                 * back */
    lock_release(&metrics->lock);
}

void report_metrics_ended(struct report_metrics *metrics, const char *name,
                          const struct report_end *end)
{
    struct type *type = lock_type(metrics, name);

    if (type == NULL)
        return;
    histogram_add(&type->runs, end->ran_us);
    type->complete += end->state == REPORT_COMPLETE;
    type->failed += end->state != REPORT_COMPLETE;
    type->rows += end->rows;
    type->bytes += end->bytes;
    lock_release(&metrics->lock);
}

void report_metrics_each(struct report_metrics *metrics,
                         void (*each)(void *context, const struct report_counts *counts),
                         void *context)
{
    lock_take(&metrics->lock);
    drop_withdrawn(metrics);
    for (struct type *type = metrics->types; type != NULL; type = type->next) {
        struct report_counts counts = {.name = type->name,
                                       .source = type->source,
                                       .complete = type->complete,
                                       .failed = type->failed,
                                       .rows = type->rows,
                                       .bytes = type->bytes};

        histogram_read(&type->waits, &counts.waits);
        histogram_read(&type->runs, &counts.runs);
        each(context, &counts);
    }
    lock_release(&metrics->lock);
}
