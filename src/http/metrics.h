/* src/http/metrics.h -- the table of all metrics, and those that the requests make. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

/* Each family: name after "reportd_", type, labels, description. The page, its documentation and
 * the tests of the dashboard and the alerts are made from it. Labels have few values: a request to
 * no route is "other", and a type of report that is no longer offered is removed. */
#define METRICS(X)                                                                                 \
    X(BUILD, "build_info", "gauge", "version", "Always 1; the version is in the label")            \
    X(UPTIME, "uptime_seconds", "gauge", "", "Seconds since the start")                            \
    X(REQUESTS, "http_requests_total", "counter", "method, route, status",                         \
      "Requests answered; those to no route are route=\"other\"")                                  \
    X(REQUEST_SECONDS, "http_request_duration_seconds", "histogram", "method, route",              \
      "From a request's first byte to its answer's; with Prefer: wait that includes the wait")     \
    X(LOGINS, "logins_total", "counter", "outcome", "Logins by outcome; the log has the user")     \
    X(LIMITS, "limit_hits_total", "counter", "limit",                                              \
      "Requests and connections that were refused, or not waited for, because of a limit")         \
    X(STREAMS, "event_streams", "gauge", "", "Event streams open now")                             \
    X(CONVERSIONS, "conversions", "gauge", "",                                                     \
      "Results converted or compressed, and windows of rows read, now")                            \
    X(STORE_UP, "store_up", "gauge", "", "1: the store has answered; 0: it has not")               \
    X(REPORTS, "reports", "gauge", "state", "Reports in the store by state, of all nodes")         \
    X(OLDEST, "oldest_queued_seconds", "gauge", "",                                                \
      "How long ago the queued report that was submitted first was; 0: none is queued")            \
    X(QUEUE_SECONDS, "report_queue_seconds", "histogram", "report, source",                        \
      "From the submit of a report to its first start on this node")                               \
    X(RUN_SECONDS, "report_run_seconds", "histogram", "report, source",                            \
      "From the start of a report to its end, without attempts that were started again")           \
    X(FINISHED, "reports_finished_total", "counter", "report, source, state",                      \
      "Reports that this node has ended, by how")                                                  \
    X(ROWS, "report_rows_total", "counter", "report, source", "Rows of complete reports")          \
    X(BYTES, "report_bytes_total", "counter", "report, source",                                    \
      "Bytes of the results of complete reports, as JSON")                                         \
    X(WORKERS, "workers", "gauge", "", "Worker processes now")                                     \
    X(BUSY, "workers_busy", "gauge", "", "Workers that generate a report now")                     \
    X(SPAWNED, "workers_spawned_total", "counter", "", "Workers started")                          \
    X(DIED, "workers_died_total", "counter", "", "Workers that ended by themselves")               \
    X(KILLED, "workers_killed_total", "counter", "",                                               \
      "Workers killed because a query did not stop, or ran too long")                              \
    X(CANCELS, "cancel_seconds", "histogram", "",                                                  \
      "From the DELETE of a running report to its worker idle or ended")                           \
    X(DELETES, "delete_seconds", "histogram", "", "From a DELETE to nothing left of the report")   \
    X(SPOOL, "spool_bytes", "gauge", "", "Bytes of results that the last audit has found")         \
    X(DISK_FREE, "disk_free_bytes", "gauge", "place",                                              \
      "Free bytes of the file system of the store, the spool, temporary files and the ledger")     \
    X(DISK_SIZE, "disk_size_bytes", "gauge", "place", "The size of that file system")              \
    X(AUDITS, "audits_total", "counter", "", "Audits finished")                                    \
    X(FINDINGS, "audit_findings", "gauge", "kind",                                                 \
      "Findings of the last audit, by kind; 'reportd fsck' names them")                            \
    X(CLOCK, "clock_ahead_seconds", "gauge", "",                                                   \
      "How far this node's clock is ahead of its database's; below 0: behind")

enum metric {
#define X(id, name, type, labels, help) METRIC_##id,
    METRICS(X)
#undef X
        METRIC_COUNT
};

/* How logins end: the label, which is also the reason in the log. */
#define METRICS_LOGINS(X)                                                                          \
    X(OPENED, "opened")                                                                            \
    X(UNKNOWN, "unknown user")                                                                     \
    X(DISABLED, "disabled")                                                                        \
    X(ADDRESS, "address")                                                                          \
    X(PASSWORD, "wrong password")                                                                  \
    X(LOCKED, "locked")                                                                            \
    X(STORE, "store unavailable")

enum metrics_login {
#define X(id, text) LOGIN_##id,
    METRICS_LOGINS(X)
#undef X
        LOGIN_COUNT
};
extern const char *const metrics_login_names[LOGIN_COUNT];

/* What there is a limit of. */
#define METRICS_LIMITS(X)                                                                          \
    X(ACTIVE, "active_limit")                                                                      \
    X(CONNECTIONS, "connections")                                                                  \
    X(ADDRESS, "connections_per_address")                                                          \
    X(LOGINS, "logins")                                                                            \
    X(WAITS, "waits")                                                                              \
    X(STREAMS, "streams")                                                                          \
    X(CONVERSIONS, "conversions")                                                                  \
    X(BODY, "body")

enum metrics_limit {
#define X(id, text) LIMIT_##id,
    METRICS_LIMITS(X)
#undef X
        LIMIT_COUNT
};
extern const char *const metrics_limit_names[LIMIT_COUNT];

enum { METRICS_STATUS_FIRST = 100, METRICS_STATUSES = 500 };

struct metrics;
/* For `routes` routes, and one more for requests to none of them. NULL: no memory. */
struct metrics *metrics_new(size_t routes);
void metrics_free(struct metrics *metrics); /* NULL is fine */

/* Count; any thread. `route` is the index in the table of routes, or their number: none. */
void metrics_request(struct metrics *metrics, size_t route, int status, int64_t us);
void metrics_login(struct metrics *metrics, enum metrics_login outcome);
void metrics_limit(struct metrics *metrics, enum metrics_limit limit);

/* The counts so far. */
int64_t metrics_requests(const struct metrics *metrics, size_t route, int status);
void metrics_durations(struct metrics *metrics, size_t route, struct histogram_counts *ret);
int64_t metrics_logins(const struct metrics *metrics, enum metrics_login outcome);
int64_t metrics_limits(const struct metrics *metrics, enum metrics_limit limit);
