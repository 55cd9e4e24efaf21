/* src/http/metrics.c -- counts of requests, logins and limits. */
#include "http/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

const char *const metrics_login_names[LOGIN_COUNT] = {
#define X(id, text) text,
    METRICS_LOGINS(X)
#undef X
};

const char *const metrics_limit_names[LIMIT_COUNT] = {
#define X(id, text) text,
    METRICS_LIMITS(X)
#undef X
};

struct route_counts {
    struct histogram durations;
    atomic_llong by_status[METRICS_STATUSES];
};

struct metrics {
    atomic_llong logins[LOGIN_COUNT], limits[LIMIT_COUNT];
    size_t routes;
    struct route_counts of[]; /* routes + 1 */
};

struct metrics *metrics_new(size_t routes)
{
    struct metrics *metrics = calloc(1, sizeof(*metrics) + (routes + 1) * sizeof(metrics->of[0]));

    if (metrics != NULL)
        metrics->routes = routes;
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

void metrics_request(struct metrics *metrics, size_t route, int status, int64_t us)
{
    CHECK(route <= metrics->routes);
    CHECK(status >= METRICS_STATUS_FIRST && status < METRICS_STATUS_FIRST + METRICS_STATUSES);
    atomic_fetch_add(&metrics->of[route].by_status[status - METRICS_STATUS_FIRST], 1);
    histogram_add(&metrics->of[route].durations, us);
}

void metrics_login(struct metrics *metrics, enum metrics_login outcome)
{
    atomic_fetch_add(&metrics->logins[outcome], 1);
}

void metrics_limit(struct metrics *metrics, enum metrics_limit limit)
{
    atomic_fetch_add(&metrics->limits[limit], 1);
}

int64_t metrics_requests(const struct metrics *metrics, size_t route, int status)
{
    return atomic_load(&metrics->of[route].by_status[status - METRICS_STATUS_FIRST]);
}

void metrics_durations(struct metrics *metrics, size_t route, struct histogram_counts *ret)
{
    histogram_read(&metrics->of[route].durations, ret);
}

int64_t metrics_logins(const struct metrics *metrics, enum metrics_login outcome)
{
    return atomic_load(&metrics->logins[outcome]);
}

int64_t metrics_limits(const struct metrics *metrics, enum metrics_limit limit)
{
    return atomic_load(&metrics->limits[limit]);
}
