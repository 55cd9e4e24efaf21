/* src/proc/report_metrics.c -- counts by type of report, in a list as long as the catalogue. */
#include "proc/report_metrics.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/str.h"
#include "base/thread.h"

struct type {
    char *name, *source;
    struct histogram waits, runs;
    int64_t complete, failed, rows, bytes;
    TAILQ_ENTRY(type) entry;
};

struct report_metrics {
    struct catalog *catalog;
    struct lock lock;
    TAILQ_HEAD(, type) types; /* under the lock */
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
    TAILQ_INIT(&metrics->types);
    return metrics;
}

static void drop(struct report_metrics *metrics, struct type *type)
{
    TAILQ_REMOVE(&metrics->types, type, entry);
    free_type(type);
}

void report_metrics_free(struct report_metrics *metrics)
{
    if (metrics == NULL)
        return;
    while (!TAILQ_EMPTY(&metrics->types))
        drop(metrics, TAILQ_FIRST(&metrics->types));
    lock_done(&metrics->lock);
    free(metrics);
}

static void drop_withdrawn(struct report_metrics *metrics)
{
    struct type *next;

    lock_check_held(&metrics->lock);
    for (struct type *type = TAILQ_FIRST(&metrics->types); type != NULL; type = next) {
        const struct definition *def = catalog_hold(metrics->catalog, type->name);

        next = TAILQ_NEXT(type, entry);
        if (def == NULL || !str_eq(def->source, type->source))
            drop(metrics, type);
        if (def != NULL)
            catalog_release(metrics->catalog, def);
    }
}

/* NULL: no memory for its counts. A new one is the occasion to drop those that are not on offer any
 * more, so that they do not gather where nobody reads the metrics. */
static struct type *find_type(struct report_metrics *metrics, const struct definition *def)
{
    struct type *type;

    TAILQ_FOREACH(type, &metrics->types, entry)
    {
        if (str_eq(type->name, def->name) && str_eq(type->source, def->source))
            return type;
    }
    drop_withdrawn(metrics);
    type = new_type(def);
    if (type != NULL)
        TAILQ_INSERT_TAIL(&metrics->types, type, entry);
    return type;
}

void report_metrics_started(struct report_metrics *metrics, const char *name, int64_t waited_us)
{
    const struct definition *def = catalog_hold(metrics->catalog, name);
    struct type *type;

    if (def == NULL)
        return;
    lock_take(&metrics->lock);
    type = find_type(metrics, def);
    if (type != NULL)
        histogram_add(&type->waits, waited_us > 0 ? waited_us : 0); /* the clock may be set back */
    lock_release(&metrics->lock);
    catalog_release(metrics->catalog, def);
}

void report_metrics_ended(struct report_metrics *metrics, const char *name,
                          const struct report_end *end)
{
    const struct definition *def = catalog_hold(metrics->catalog, name);
    struct type *type;

    if (def == NULL)
        return;
    lock_take(&metrics->lock);
    type = find_type(metrics, def);
    if (type != NULL) {
        histogram_add(&type->runs, end->ran_us);
        type->complete += end->state == REPORT_COMPLETE;
        type->failed += end->state != REPORT_COMPLETE;
        type->rows += end->rows;
        type->bytes += end->bytes;
    }
    lock_release(&metrics->lock);
    catalog_release(metrics->catalog, def);
}

void report_metrics_each(struct report_metrics *metrics,
                         void (*each)(void *context, const struct report_counts *counts),
                         void *context)
{
    struct type *type;

    lock_take(&metrics->lock);
    drop_withdrawn(metrics);
    TAILQ_FOREACH(type, &metrics->types, entry)
    {
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
