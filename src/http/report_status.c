/* src/http/report_status.c -- GET /Report/Status: a report's state, now or once it has ended. */
#include "http/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "http/exchange_impl.h"
#include "http/headers.h"
#include "http/report_find.h"
#include "http/status_cache.h"
#include "store/store.h"

enum { STATUS_ETAG_TEXT = 80 };

/* The answer for each state; the wording is that of the original API, except for the first two
 * messages. */
static const struct {
    bool result;
    const char *message, *data; /* message NULL: that of the report */
} answers[REPORT_STATE_COUNT] = {
    [REPORT_QUEUED] = {false, "Report is queued.", "\"incomplete\""},
    [REPORT_PROCESSING] = {false, "Report is being generated.", "\"incomplete\""},
    [REPORT_COMPLETE] = {true, "Report has been successfully completed!", "\"complete\""},
    [REPORT_ERROR] = {false, NULL, "\"error\""},
};

static void add_progress(struct exchange *ex, const struct report *report, int64_t position)
{
    bool is_near =
        report->state == REPORT_PROCESSING || position <= ex->services->config->workers.number;

    exchange_add_header(ex, "Retry-After", "%d", is_near ? RETRY_NEAR_S : RETRY_FAR_S);
    exchange_add_header(ex, "X-Report-Rows", "%" PRId64, report->rows);
    if (report->state == REPORT_QUEUED)
        exchange_add_header(ex, "X-Report-Queue-Position", "%" PRId64, position);
}

static void reply_status(struct exchange *ex, const struct report *report, int64_t position)
{
    char etag[STATUS_ETAG_TEXT];
    const char *message = answers[report->state].message;

    snprintf(etag, sizeof(etag), "W/\"%s-%d-%" PRId64 "-%" PRId64 "\"",
             report_state_name(report->state), report->attempt, report->rows, position);
    exchange_add_text(ex, "ETag", etag);
    exchange_add_text(ex, "X-Report-State", report_state_name(report->state));
    if (report_is_active(report->state))
        add_progress(ex, report, position);
    if (message == NULL)
        message = report->message;
    if (etag_listed(exchange_header(ex, "If-None-Match"), etag))
        exchange_reply_unmodified(ex, answers[report->state].result, message,
                                  answers[report->state].data);
    else
        exchange_reply(ex, answers[report->state].result, message, answers[report->state].data);
}

static void status_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;

    if (!find->found) {
        report_reply_unknown(ex);
        return;
    }
    status_cache_keep(ex->services->status_cache, &find->report, ex->version);
    reply_status(ex, &find->report, find->position);
}

void report_status(struct exchange *ex)
{
    int wait = exchange_prefer_wait(ex, REPORT_WAIT_MAX_S);
    struct report known;
    struct guid id;

    if (!report_reference(ex, &id))
        return;
    if (status_cache_find(ex->services->status_cache, &id, ex->user->id,
                          store_version(ex->services->store, &id), &known)) {
        if (wait >= 0)
            exchange_add_header(ex, "Preference-Applied", "wait=%d", wait);
        reply_status(ex, &known, 0);
    } else {
        report_find_ended(ex, &id, wait, status_found);
    }
}
