/* src/http/common.c -- GET /Common/HealthCheck, /openapi.json and /metrics. */
#include "http/common.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/version.h"
#include "http/exchange_impl.h"
#include "http/health.h"

enum {
    METRICS_MAX = 64 * 1024,
};

/* The file src/http/openapi.json, put into the program by the assembler. */
__asm__(".section .rodata\n"
        ".global http_openapi_json\n"
        "http_openapi_json:\n"
        ".incbin \"src/http/openapi.json\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char http_openapi_json[];

const char *common_openapi_text(void)
{
    return http_openapi_json;
}

void common_openapi(struct exchange *ex)
{
    exchange_reply_json(ex, http_openapi_json);
}

static void health_known(struct exchange *ex)
{
    const struct waiter *waiter = ex->state;

    if (health_read(ex->services->health, waiter->timed_out, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, "{\"status\": \"failing\"}");
        return;
    }
    exchange_reply(ex, true, "The service is healthy.",
                   "{\"status\": \"ok\", \"version\": \"" REPORTD_VERSION "\"}");
}

static void health_woken(struct waiter *waiter)
{
    exchange_wake(waiter->owner);
}

void common_health(struct exchange *ex)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL) {
        err_set(&ex->err, -E_NOMEM, "No memory for the check.");
        exchange_reply_error(ex, &ex->err, "{\"status\": \"failing\"}");
        return;
    }
    waiter->fd = -1;
    waiter->wake = health_woken;
    waiter->owner = ex;
    ex->state = waiter;
    ex->state_free = free;
    exchange_await(ex, health_known);
    health_ask(ex->services->health, waiter);
}

struct measured {
    int64_t clock_ahead_ms;
    struct supervisor_stats workers;
    int64_t uptime_ms, answers[GATE_CLASSES];
};

/* The metrics, except those with a label: name, type, value in struct measured, what it is. */
#define METRICS(X)                                                                                 \
    X(uptime_seconds, gauge, m->uptime_ms / 1000, "Seconds since the start")                       \
    X(clock_ahead_milliseconds, gauge, m->clock_ahead_ms,                                          \
      "How far this node's clock is ahead of its database's; below 0: behind")                     \
    X(workers, gauge, m->workers.workers, "Worker processes now")                                  \
    X(workers_busy, gauge, m->workers.busy, "Workers that generate a report now")                  \
    X(workers_spawned_total, counter, m->workers.spawned, "Workers started")                       \
    X(workers_died_total, counter, m->workers.died, "Workers that ended by themselves")            \
    X(workers_killed_total, counter, m->workers.killed,                                            \
      "Workers killed because a query did not stop, or ran too long")

static void add_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_add_format(out, "# HELP reportd_%s %s\n# TYPE reportd_%s %s\n", name, help, name, type);
}

static void add_plain(struct buf *out, const struct measured *m)
{
#define X(name, type, value, help)                                                                 \
    add_head(out, #name, #type, help);                                                             \
    buf_add_format(out, "reportd_" #name " %lld\n", (long long)(value));
    METRICS(X)
#undef X
}

static void add_histogram(struct buf *out, const char *name, const struct histogram_counts *counts,
                          const char *help)
{
    add_head(out, name, "histogram", help);
    for (int i = 0; i < HISTOGRAM_BOUNDS; i++)
        buf_add_format(out, "reportd_%s_bucket{le=\"%g\"} %lld\n", name,
                       (double)histogram_bounds_us[i] / 1e6, (long long)counts->upto[i]);
    buf_add_format(out, "reportd_%s_bucket{le=\"+Inf\"} %lld\n", name,
                   (long long)counts->upto[HISTOGRAM_BOUNDS]);
    buf_add_format(out, "reportd_%s_sum %.6f\nreportd_%s_count %lld\n", name,
                   (double)counts->sum_us / 1e6, name, (long long)counts->upto[HISTOGRAM_BOUNDS]);
}

static void add_durations(struct buf *out, struct purger *purger, const struct measured *m)
{
    struct histogram_counts deletes;

    purger_times(purger, &deletes);
    add_histogram(out, "cancel_seconds", &m->workers.cancels,
                  "From the DELETE of a running report to its worker idle or ended");
    add_histogram(out, "delete_seconds", &deletes, "From a DELETE to nothing left of the report");
}

/* What only the store knows. When the store fails the rest is answered: it is needed then. */
static void add_stored(struct buf *out, const struct store_op *op)
{
    add_head(out, "store_up", "gauge", "1: the store has answered; 0: it has not");
    buf_add_format(out, "reportd_store_up %d\n", op->rc == 0);
    if (op->rc != 0)
        return;
    add_head(out, "reports", "gauge", "Reports by state");
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        buf_add_format(out, "reportd_reports{state=\"%s\"} %lld\n", report_state_name(i),
                       (long long)op->stats.by_state[i]);
}

static void add_labelled(struct buf *out, const struct measured *m)
{
    add_head(out, "http_answers_total", "counter", "HTTP answers by class of status");
    for (int i = 1; i < GATE_CLASSES; i++)
        buf_add_format(out, "reportd_http_answers_total{class=\"%dxx\"} %lld\n", i,
                       (long long)m->answers[i]);
    add_head(out, "build_info", "gauge", "Always 1; the version is in the label");
    buf_add_str(out, "reportd_build_info{version=\"" REPORTD_VERSION "\"} 1\n");
}

static void add_audit(struct buf *out, struct auditor *auditor)
{
    struct auditor_counts counts;

    auditor_counts(auditor, &counts);
    add_head(out, "audits_total", "counter", "Audits finished");
    buf_add_format(out, "reportd_audits_total %lld\n", (long long)counts.audits);
    add_head(out, "audit_findings", "gauge",
             "Findings of the last audit, by kind; 'reportd fsck' names them");
    for (int i = 0; i < AUDIT_KIND_COUNT; i++)
        buf_add_format(out, "reportd_audit_findings{kind=\"%s\"} %lld\n", audit_kind_name(i),
                       (long long)counts.findings[i]);
}

static void metrics_known(struct exchange *ex)
{
    struct measured measured;
    struct buf out;

    measured.clock_ahead_ms = store_clock_ahead_ms(ex->services->store);
    supervisor_stats(ex->services->supervisor, &measured.workers);
    gate_counts(server_gate(ex->server), measured.answers);
    measured.uptime_ms = server_uptime_ms(ex->server);
    buf_init(&out, METRICS_MAX);
    add_plain(&out, &measured);
    add_stored(&out, &ex->op);
    add_labelled(&out, &measured);
    add_durations(&out, ex->services->purger, &measured);
    add_audit(&out, ex->services->auditor);
    exchange_reply_text(ex, 200, "text/plain; version=0.0.4", buf_str(&out));
    buf_done(&out);
}

void common_metrics(struct exchange *ex)
{
    exchange_op(ex, STORE_STATS);
    exchange_try(ex, metrics_known);
}
