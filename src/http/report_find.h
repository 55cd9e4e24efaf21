/* src/http/report_find.h -- the caller's report that a request is about: found, or waited for. */
#pragma once

#include <stdbool.h>

#include "base/guid.h"
#include "http/exchange.h"

enum {
    REPORT_WAIT_MAX_S = 45,    /* of `Prefer: wait=N`: below the 50 and 60 s of common proxies */
    RETRY_NEAR_S = 1,          /* Retry-After if something is about to move, … */
    RETRY_FAR_S = 5,           /* … and if not */
    REPORT_WAITS_OF_USER = 32, /* at the same time, on this server */
};

/* The `reference` of the query. False: it is missing, there twice or no GUID, and the exchange has
 * been answered. */
bool report_reference(struct exchange *ex, struct guid *ret_id);

/* Answer that the caller has no such report: the same message whether it never existed, is gone or
 * belongs to another user, so that nobody learns that it exists. For a link: the same 404 for every
 * link that cannot be followed. */
void report_reply_unknown(struct exchange *ex);

/* Add `"active":` and a list of reports: reference, name and state. */
void report_add_active(struct buf *out, const struct report *reports, size_t count);

/* Find the caller's report; `next` has the answer in ex->op.find, which holds as long as its
 * version is ex->version. */
void report_find(struct exchange *ex, const struct guid *id, exchange_step *next);

/* The same, and its result if the row has it: in ex->op.find, too; after exchange_transfer(). */
void report_find_result(struct exchange *ex, const struct guid *id, exchange_step *next);

/* As report_find, but while the report is queued or processing `next` waits, at most `seconds`, for
 * as long as the client is there, and unless its user waits too often; the answer says so in
 * Preference-Applied. Negative: it is not to wait. Replaces ex->state. */
void report_find_ended(struct exchange *ex, const struct guid *id, int seconds,
                       exchange_step *next);

/* The same for a report that is submitted, in two parts, so that nothing has to be looked up for
 * it. Before: wait from now on, at most `seconds`, if that is allowed; ex->state is kept until …
 * With `unsettled` the SUBMIT may be VISIBLE if this returns true: `next` is then not called before
 * the report is durable, and so is ex->otherwise. */
bool report_wait_ahead(struct exchange *ex, const struct guid *id, int seconds, bool unsettled);
/* … after, when ex->op is the SUBMIT: of ex->op.find `next` has id, found and report.state only.
 * `session_holds`: it did at a time since the first part; otherwise that is asked. */
void report_wait_on(struct exchange *ex, bool session_holds, exchange_step *next);
