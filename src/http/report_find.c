/* src/http/report_find.c -- finds the caller's report, and waits for it to end. */
#include "http/report_find.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/seam.h"
#include "http/exchange_impl.h"
#include "http/query.h"
#include "store/store.h"

bool report_reference(struct exchange *ex, struct guid *ret_id)
{
    const char *text;

    if (query_one(ex, "reference", &text, &ex->err) != 0 || text == NULL || *text == '\0') {
        exchange_fail(
            ex, -E_INVALID,
            "Give one query parameter 'reference': the GUID that POST /Report answered, as in "
            "%s?reference=0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e.",
            ex->route->path);
        return false;
    }
    if (!guid_parse(text, ret_id)) {
        report_reply_unknown(ex);
        return false;
    }
    return true;
}

void report_add_active(struct buf *out, const struct report *reports, size_t count)
{
    char guid[GUID_TEXT];

    buf_add_str(out, "\"active\":[");
    for (size_t i = 0; i < count; i++) {
        guid_format(&reports[i].id, guid);
        buf_add_format(out, "%s{\"reference\":\"%s\"", i > 0 ? "," : "", guid);
        json_add_member(out, "reportName", reports[i].name);
        json_add_member(out, "state", report_state_name(reports[i].state));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

void report_reply_unknown(struct exchange *ex)
{
    const char *text = ex->body != NULL ? json_string_value(exchange_member(ex, "reference"))
                                        : exchange_query(ex, "reference");

    if (ex->by_link) {
        exchange_fail(
            ex, -E_UNKNOWN_LINK,
            "There is no such link: it has expired, its report is gone, or its session or API key "
            "has ended. POST /Report/Link makes a new one.");
        return;
    }
    if (ex->route->access == ROUTE_OPERATOR) {
        exchange_fail(ex, -E_UNKNOWN_REFERENCE,
                      "Unknown reference '%.64s': there is no such report; it may have been "
                      "deleted, or purged after its retention. GET /Admin/Reports lists all.",
                      text != NULL ? text : "");
        return;
    }
    err_set(&ex->err, -E_UNKNOWN_REFERENCE,
            "Unknown reference '%.64s': you have no such report; it may have been deleted, or "
            "purged after its retention. GET /Report/List shows the reports you have.",
            text != NULL ? text : "");
    exchange_reply_error(ex, &ex->err, NULL);
}

/* Of a session that has to be checked. A step. */
static void found_or_unchecked(struct exchange *ex)
{
    exchange_step *next = ex->after_auth;

    if (ex->op.find.found)
        exchange_checked(ex);
    if (!exchange_check_again(ex))
        next(ex);
}

static void find_report(struct exchange *ex, const struct guid *id, bool want_result,
                        exchange_step *next)
{
    struct guid wanted = *id; /* `id` may be in the operation that is about to be zeroed */
    struct store_op *op = exchange_op(ex, STORE_FIND);

    ex->version = store_version(ex->services->store, &wanted);
    op->find.id = wanted;
    op->find.user_id = ex->user->id;
    op->find.want_result = want_result;
    if (want_result)
        transfer_enter(ex->transfer, &op->find);
    op->find.as = exchange_access(ex);
    if (ex->unchecked)
        ex->after_auth = next;
    exchange_post(ex, ex->unchecked ? found_or_unchecked : next);
}

void report_find(struct exchange *ex, const struct guid *id, exchange_step *next)
{
    find_report(ex, id, false, next);
}

void report_find_result(struct exchange *ex, const struct guid *id, exchange_step *next)
{
    find_report(ex, id, true, next);
}

/* To wait, first add the waiter, then look the report up. A change after the look-up wakes the
 * waiter, and an earlier change is seen by the look-up. The wake may come during the look-up,
 * before the exchange waits; `stage` records which came first, so that each await has exactly one
 * wake. */
enum stage { STAGE_LOOKING, STAGE_AWAITING, STAGE_WOKEN };

/* How long the store is not asked to make a report durable that is waited for: most reports have
 * ended by then, and their end is durable. */
enum { SETTLE_MS = 100 };

struct wait {
    struct exchange *ex;
    struct shares *shares;
    struct share share; /* one of this user's waits */
    exchange_step *next;
    bool ahead;         /* `next` needs the state only, which the waiter is told */
    bool unsettled;     /* the report may be lost by a power cut unless it has ended */
    int64_t connection; /* then: of its SUBMIT */
    int seconds;
    int64_t deadline_ms; /* clock_mono_ms(): the waiter's, once the report is settled */
    void *state;         /* of the exchange before, and … */
    void (*state_free)(void *state);
    exchange_step *otherwise; /* of the exchange, once the report is settled */
    struct waiter waiter;
    atomic_int stage;   /* enum stage */
    atomic_int holders; /* the exchange, and the waiter while it is added: the last one frees it */
};

static void wait_release(struct wait *wait, int holders)
{
    if (atomic_fetch_sub(&wait->holders, holders) == holders)
        free(wait);
}

static void free_state_before(struct wait *wait)
{
    if (wait->state_free != NULL)
        wait->state_free(wait->state);
    wait->state_free = NULL;
}

/* A cancelled waiter no longer releases its own hold. */
static void wait_free(void *state)
{
    struct wait *wait = state;
    bool cancelled = waiters_cancel(wait->ex->services->waiters, &wait->waiter);

    free_state_before(wait);
    shares_give(wait->shares, &wait->share);
    wait_release(wait, cancelled ? 2 : 1);
}

static void on_wake(struct waiter *waiter)
{
    struct wait *wait = waiter->owner;

    if (atomic_exchange(&wait->stage, STAGE_WOKEN) == STAGE_AWAITING)
        exchange_wake(wait->ex);
    wait_release(wait, 1);
}

static exchange_step wait_woken, wait_find;

static void wait_begin(struct exchange *ex)
{
    struct wait *wait = ex->state;
    int looking = STAGE_LOOKING;

    exchange_await(ex, wait_woken);
    if (!atomic_compare_exchange_strong(&wait->stage, &looking, STAGE_AWAITING))
        exchange_wake(ex);
    SEAM_STEP("http", "wait", "begun");
}

static void on_wait_found(struct exchange *ex)
{
    struct wait *wait = ex->state;
    const struct store_find *find = &ex->op.find;

    if (find->found && report_is_active(find->report.state))
        wait_begin(ex);
    else if (!find->found && wait->unsettled)
        ex->otherwise(ex);
    else
        wait->next(ex); /* the waiter is cancelled at the end of the exchange */
}

static void wait_ask(struct exchange *ex)
{
    struct wait *wait = ex->state;

    report_find(ex, &wait->waiter.id, on_wait_found);
}

static void add_waiter(struct wait *wait)
{
    wait->waiter.doubted = false;
    atomic_store(&wait->stage, STAGE_LOOKING);
    atomic_fetch_add(&wait->holders, 1);
    waiters_add(wait->ex->services->waiters, &wait->waiter);
}

/* The session or key of the waiter is looked up again if it was in doubt: only once it waits is it
 * notified. */
static void wait_find(struct exchange *ex)
{
    struct wait *wait = ex->state;
    bool doubted = wait->waiter.doubted && !ex->unchecked; /* the look-up checks it, too */

    add_waiter(wait);
    if (doubted)
        auth_again(ex, wait_ask);
    else
        wait_ask(ex);
}

/* ---- a report that nobody has been told of ---- */

static void settle(struct exchange *ex, exchange_step *next)
{
    struct wait *wait = ex->state;

    exchange_op(ex, STORE_SETTLE)->settle =
        (struct store_settle){.id = wait->waiter.id, .connection = wait->connection};
    exchange_post(ex, next);
}

static void reply_lost(struct exchange *ex)
{
    ex->header_count = 0; /* of the answer that is not sent */
    exchange_fail(ex, -E_DOUBT,
                  "The report was submitted, but whether it still exists is not known: check with "
                  "GET /Report/List, and try again.");
}

static void on_settled_at_last(struct exchange *ex)
{
    struct wait *wait = ex->state;

    if (ex->op.settle.lost)
        reply_lost(ex);
    else
        wait->otherwise(ex);
}

/* An operation has failed, or found nothing. */
static void settle_otherwise(struct exchange *ex)
{
    ex->otherwise = reply_lost;
    settle(ex, on_settled_at_last);
}

/* It is not ending soon: from now on it is waited for as any other. */
static void on_report_settled(struct exchange *ex)
{
    struct wait *wait = ex->state;

    if (ex->op.settle.lost) {
        reply_lost(ex);
        return;
    }
    wait->unsettled = false;
    ex->otherwise = wait->otherwise;
    wait->waiter.timed_out = false;
    wait->waiter.deadline_ms = wait->deadline_ms;
    wait_find(ex);
}

/* ---- the end of a wait ---- */

static void wait_over(struct exchange *ex)
{
    struct wait *wait = ex->state;

    report_find(ex, &wait->waiter.id, wait->next);
}

/* As a look-up would have found it at that moment. */
static void wait_told(struct exchange *ex)
{
    struct wait *wait = ex->state;
    struct store_find *find = &exchange_op(ex, STORE_FIND)->find;

    find->id = wait->waiter.id;
    find->report.state = wait->waiter.state;
    find->found = find->report.state != REPORT_DELETING;
    wait->next(ex);
}

static void wait_woken(struct exchange *ex)
{
    struct wait *wait = ex->state;

    if (wait->waiter.timed_out && wait->unsettled)
        settle(ex, on_report_settled);
    else if (wait->waiter.timed_out)
        auth_again(ex, wait_over);
    else if (wait->ahead && !wait->waiter.doubted && !report_is_active(wait->waiter.state))
        wait_told(ex);
    else
        wait_find(ex);
}

/* NULL: not requested, or impossible. */
static struct wait *new_wait(struct exchange *ex, const struct guid *id, int seconds)
{
    struct wait *wait = seconds > 0 ? calloc(1, sizeof(*wait)) : NULL;

    if (wait == NULL)
        return NULL;
    wait->ex = ex;
    wait->seconds = seconds;
    wait->deadline_ms = clock_mono_ms() + (int64_t)seconds * 1000;
    wait->shares = server_shares(ex->server);
    wait->share = share_of_user(SHARE_WAITS, ex->user->id);
    wait->waiter = (struct waiter){.id = *id,
                                   .user_id = ex->user->id,
                                   .doubted = true, /* it may have ended since the check */
                                   .deadline_ms = wait->deadline_ms,
                                   .fd = exchange_socket(ex),
                                   .tls = exchange_tls(ex) != NULL,
                                   .wake = on_wake,
                                   .owner = wait};
    atomic_init(&wait->holders, 1);
    if (shares_take(wait->shares, &wait->share, REPORT_WAITS_OF_USER))
        return wait;
    exchange_count_limit(ex, LIMIT_WAITS);
    free(wait);
    return NULL;
}

static void say_applied(struct exchange *ex, int seconds)
{
    exchange_add_header(ex, "Preference-Applied", "wait=%d", seconds);
}

void report_find_ended(struct exchange *ex, const struct guid *id, int seconds, exchange_step *next)
{
    struct wait *wait;

    exchange_drop_state(ex);
    wait = new_wait(ex, id, seconds);
    if (wait != NULL || seconds == 0)
        say_applied(ex, seconds);
    if (wait == NULL) { /* the answer comes early: a wait is only a preference (RFC 7240, 2) */
        report_find(ex, id, next);
        return;
    }
    wait->next = next;
    ex->state = wait;
    ex->state_free = wait_free;
    wait_find(ex);
}

bool report_wait_ahead(struct exchange *ex, const struct guid *id, int seconds, bool unsettled)
{
    struct wait *wait = new_wait(ex, id, seconds);

    if (wait == NULL)
        return false;
    wait->ahead = true;
    wait->unsettled = unsettled;
    if (unsettled)
        wait->waiter.deadline_ms = clock_mono_ms() + SETTLE_MS;
    wait->state = ex->state;
    wait->state_free = ex->state_free;
    ex->state = wait;
    ex->state_free = wait_free;
    add_waiter(wait);
    return unsettled;
}

void report_wait_on(struct exchange *ex, bool session_holds, exchange_step *next)
{
    const struct store_submit *submit = &ex->op.submit;
    struct wait *wait = ex->state;

    if (ex->state_free != wait_free) {
        report_find(ex, &submit->id, next);
        return;
    }
    free_state_before(wait);
    wait->next = next;
    if (wait->unsettled) {
        wait->connection = submit->connection;
        wait->otherwise = ex->otherwise;
        ex->otherwise = settle_otherwise;
    }
    say_applied(ex, wait->seconds);
    if (session_holds)
        wait_begin(ex);
    else
        auth_again(ex, wait_begin);
}
