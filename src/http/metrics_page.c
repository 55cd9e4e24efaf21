/* src/http/metrics_page.c -- GET /metrics: all counts, in Prometheus's text format. */
#include "base/buf.h"
#include "base/version.h"
#include "http/common.h"
#include "http/conversion.h"
#include "http/exchange_impl.h"
#include "http/metrics.h"
#include "http/router.h"

enum { METRICS_MAX = 16 << 20, LABELS_MAX = 1024 };

static const struct {
    const char *name, *type, *help;
} families[METRIC_COUNT] = {
#define X(id, name, type, labels, help) {name, type, help},
    METRICS(X)
#undef X
};

static void add_family_head(struct buf *out, enum metric metric)
{
    buf_add_format(out, "# HELP reportd_%s %s\n# TYPE reportd_%s %s\n", families[metric].name,
                   families[metric].help, families[metric].name, families[metric].type);
}

/* `labels` is "" or the text between the braces. */
static void add_sample(struct buf *out, enum metric metric, const char *labels, int64_t value)
{
    buf_add_format(out, *labels != '\0' ? "reportd_%s{%s} %lld\n" : "reportd_%s%s %lld\n",
                   families[metric].name, labels, (long long)value);
}

static void add_total(struct buf *out, enum metric metric, int64_t value)
{
    add_family_head(out, metric);
    add_sample(out, metric, "", value);
}

static void add_seconds(struct buf *out, enum metric metric, int64_t ms)
{
    add_family_head(out, metric);
    buf_add_format(out, "reportd_%s %.3f\n", families[metric].name, (double)ms / 1000);
}

static void add_histogram(struct buf *out, enum metric metric, const char *labels,
                          const struct histogram_counts *counts)
{
    const char *name = families[metric].name, *comma = *labels != '\0' ? "," : "";
    const char *open = *labels != '\0' ? "{" : "", *shut = *labels != '\0' ? "}" : "";

    for (int i = 0; i < HISTOGRAM_BOUNDS; i++)
        buf_add_format(out, "reportd_%s_bucket{%s%sle=\"%g\"} %lld\n", name, labels, comma,
                       (double)histogram_bounds_us[i] / 1e6, (long long)counts->upto[i]);
    buf_add_format(out, "reportd_%s_bucket{%s%sle=\"+Inf\"} %lld\n", name, labels, comma,
                   (long long)counts->upto[HISTOGRAM_BOUNDS]);
    buf_add_format(out, "reportd_%s_sum%s%s%s %.6f\nreportd_%s_count%s%s%s %lld\n", name, open,
                   labels, shut, (double)counts->sum_us / 1e6, name, open, labels, shut,
                   (long long)counts->upto[HISTOGRAM_BOUNDS]);
}

/* ---- of requests ---- */

static void route_labels(const struct router *router, size_t route, char out[LABELS_MAX])
{
    bool none = route == router->count;

    snprintf(out, LABELS_MAX, "method=\"%s\",route=\"%s\"",
             none ? "other" : router->routes[route].method,
             none ? "other" : router->routes[route].path);
}

static void add_statuses(struct buf *out, const struct metrics *metrics, size_t route,
                         const char *labels)
{
    char both[LABELS_MAX + 24];

    for (int i = 0; i < METRICS_STATUSES; i++) {
        int64_t count = metrics_requests(metrics, route, METRICS_STATUS_FIRST + i);

        snprintf(both, sizeof(both), "%s,status=\"%d\"", labels, METRICS_STATUS_FIRST + i);
        if (count > 0)
            add_sample(out, METRIC_REQUESTS, both, count);
    }
}

static void add_requests(struct buf *out, const struct exchange *ex)
{
    const struct router *router = server_router(ex->server);
    struct metrics *metrics = server_metrics(ex->server);
    struct histogram_counts durations;
    char labels[LABELS_MAX];

    add_family_head(out, METRIC_REQUESTS);
    for (size_t i = 0; i <= router->count; i++) {
        route_labels(router, i, labels);
        add_statuses(out, metrics, i, labels);
    }
    add_family_head(out, METRIC_REQUEST_SECONDS);
    for (size_t i = 0; i <= router->count; i++) {
        route_labels(router, i, labels);
        metrics_durations(metrics, i, &durations);
        if (durations.upto[HISTOGRAM_BOUNDS] > 0)
            add_histogram(out, METRIC_REQUEST_SECONDS, labels, &durations);
    }
}

static void add_clients(struct buf *out, const struct exchange *ex)
{
    const struct metrics *metrics = server_metrics(ex->server);
    char label[64];

    add_family_head(out, METRIC_LOGINS);
    for (int i = 0; i < LOGIN_COUNT; i++) {
        snprintf(label, sizeof(label), "outcome=\"%s\"", metrics_login_names[i]);
        add_sample(out, METRIC_LOGINS, label, metrics_logins(metrics, i));
    }
    add_family_head(out, METRIC_LIMITS);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        snprintf(label, sizeof(label), "limit=\"%s\"", metrics_limit_names[i]);
        add_sample(out, METRIC_LIMITS, label,
                   metrics_limits(metrics, i) +
                       (i == LIMIT_CONNECTIONS ? server_refused(ex->server) : 0));
    }
    add_total(out, METRIC_STREAMS, streams_count(ex->services->streams));
    add_total(out, METRIC_CONVERSIONS, conversions_count(ex->services->conversions));
}

/* ---- of reports ---- */

/* What only the store knows. If the store fails, the rest is still answered: it is needed then. */
static void add_stored(struct buf *out, const struct exchange *ex)
{
    const struct store_stats *stats = &ex->op.stats;
    int64_t now_ms = store_now_ms(ex->services->store);
    char label[64];

    add_total(out, METRIC_STORE_UP, ex->op.rc == 0);
    if (ex->op.rc != 0)
        return;
    add_family_head(out, METRIC_REPORTS);
    for (int i = 0; i < REPORT_STATE_COUNT; i++) {
        snprintf(label, sizeof(label), "state=\"%s\"", report_state_name(i));
        add_sample(out, METRIC_REPORTS, label, stats->by_state[i]);
    }
    add_seconds(out, METRIC_OLDEST,
                stats->oldest_ms != 0 && now_ms > stats->oldest_ms ? now_ms - stats->oldest_ms : 0);
}

/* The families of the types, each a separate text, since the samples of a family must be
 * together. */
struct by_type {
    struct buf waits, runs, finished, rows, bytes;
};

static void add_type_samples(void *context, const struct report_counts *counts)
{
    struct by_type *by_type = context;
    char labels[LABELS_MAX], state[LABELS_MAX + 24];

    snprintf(labels, sizeof(labels), "report=\"%s\",source=\"%s\"", counts->name, counts->source);
    add_histogram(&by_type->waits, METRIC_QUEUE_SECONDS, labels, &counts->waits);
    add_histogram(&by_type->runs, METRIC_RUN_SECONDS, labels, &counts->runs);
    snprintf(state, sizeof(state), "%s,state=\"%s\"", labels, report_state_name(REPORT_COMPLETE));
    add_sample(&by_type->finished, METRIC_FINISHED, state, counts->complete);
    snprintf(state, sizeof(state), "%s,state=\"%s\"", labels, report_state_name(REPORT_ERROR));
    add_sample(&by_type->finished, METRIC_FINISHED, state, counts->failed);
    add_sample(&by_type->rows, METRIC_ROWS, labels, counts->rows);
    add_sample(&by_type->bytes, METRIC_BYTES, labels, counts->bytes);
}

static void add_family(struct buf *out, enum metric metric, struct buf *samples)
{
    add_family_head(out, metric);
    buf_add(out, buf_str(samples), samples->len);
    out->failed = out->failed || buf_failed(samples);
    buf_done(samples);
}

static void add_type_families(struct buf *out, struct supervisor *supervisor)
{
    struct by_type by_type;

    buf_init(&by_type.waits, METRICS_MAX);
    buf_init(&by_type.runs, METRICS_MAX);
    buf_init(&by_type.finished, METRICS_MAX);
    buf_init(&by_type.rows, METRICS_MAX);
    buf_init(&by_type.bytes, METRICS_MAX);
    report_metrics_each(supervisor_metrics(supervisor), add_type_samples, &by_type);
    add_family(out, METRIC_QUEUE_SECONDS, &by_type.waits);
    add_family(out, METRIC_RUN_SECONDS, &by_type.runs);
    add_family(out, METRIC_FINISHED, &by_type.finished);
    add_family(out, METRIC_ROWS, &by_type.rows);
    add_family(out, METRIC_BYTES, &by_type.bytes);
}

static void add_worker_samples(struct buf *out, const struct services *services)
{
    struct histogram_counts deletes;
    struct supervisor_stats workers;

    supervisor_stats(services->supervisor, &workers);
    purger_times(services->purger, &deletes);
    add_total(out, METRIC_WORKERS, workers.workers);
    add_total(out, METRIC_BUSY, workers.busy);
    add_total(out, METRIC_SPAWNED, workers.spawned);
    add_total(out, METRIC_DIED, workers.died);
    add_total(out, METRIC_KILLED, workers.killed);
    add_family_head(out, METRIC_CANCELS);
    add_histogram(out, METRIC_CANCELS, "", &workers.cancels);
    add_family_head(out, METRIC_DELETES);
    add_histogram(out, METRIC_DELETES, "", &deletes);
}

/* ---- of the node ---- */

static void add_disk_samples(struct buf *out, enum metric metric,
                             const struct auditor_counts *counts)
{
    char label[64];

    add_family_head(out, metric);
    for (int i = 0; i < AUDITOR_DISKS; i++) {
        const struct auditor_disk *disk = &counts->disks[i];

        snprintf(label, sizeof(label), "place=\"%s\"", disk->name);
        if (disk->size > 0)
            add_sample(out, metric, label, metric == METRIC_DISK_FREE ? disk->free : disk->size);
    }
}

static void add_audit(struct buf *out, struct auditor *auditor)
{
    struct auditor_counts counts;
    char label[64];

    auditor_counts(auditor, &counts);
    add_total(out, METRIC_SPOOL, counts.bytes);
    add_disk_samples(out, METRIC_DISK_FREE, &counts);
    add_disk_samples(out, METRIC_DISK_SIZE, &counts);
    add_total(out, METRIC_AUDITS, counts.audits);
    add_family_head(out, METRIC_FINDINGS);
    for (int i = 0; i < AUDIT_KIND_COUNT; i++) {
        snprintf(label, sizeof(label), "kind=\"%s\"", audit_kind_name(i));
        add_sample(out, METRIC_FINDINGS, label, counts.findings[i]);
    }
}

static void metrics_known(struct exchange *ex)
{
    struct buf out;

    buf_init(&out, METRICS_MAX);
    add_family_head(&out, METRIC_BUILD);
    add_sample(&out, METRIC_BUILD, "version=\"" REPORTD_VERSION "\"", 1);
    add_total(&out, METRIC_UPTIME, server_uptime_ms(ex->server) / 1000);
    add_requests(&out, ex);
    add_clients(&out, ex);
    add_stored(&out, ex);
    add_type_families(&out, ex->services->supervisor);
    add_worker_samples(&out, ex->services);
    add_audit(&out, ex->services->auditor);
    add_seconds(&out, METRIC_CLOCK, store_clock_ahead_ms(ex->services->store));
    if (buf_failed(&out))
        exchange_fail(ex, -E_NOMEM, "no memory for the metrics");
    else
        exchange_reply_text(ex, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    buf_done(&out);
}

void common_metrics(struct exchange *ex)
{
    exchange_op(ex, STORE_STATS);
    exchange_try(ex, metrics_known);
}
