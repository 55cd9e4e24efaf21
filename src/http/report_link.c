/* src/http/report_link.c -- POST /Report/Link makes a link to a result, GET /Report/Link follows
 * it. */
#include "http/report.h"

#include <stdlib.h>

#include "base/clock.h"
#include "http/link.h"
#include "http/query.h"
#include "http/report_find.h"
#include "http/report_result.h"

enum { ANSWER_MAX = 1024 };

/* ---- making one ---- */

static void reply_link(struct exchange *ex, const struct link *link)
{
    char expires[CLOCK_TEXT];
    struct buf data;

    clock_format(link->expires_s * 1000, expires);
    buf_init(&data, ANSWER_MAX);
    buf_add_format(&data, "{\"url\": \"%s?token=", ex->route->path);
    link_issue(ex->services->key, link, &data);
    buf_add_format(&data, "\", \"expiresAt\": \"%s\"}", expires);
    if (buf_failed(&data))
        exchange_fail(ex, -E_NOMEM, "no memory for a link");
    else
        exchange_reply(ex, true, "", buf_str(&data));
    buf_done(&data);
}

/* It dies with the report: at its purge, too. */
static void link_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;
    struct link *link = ex->state;

    if (!find->found) {
        report_reply_unknown(ex);
        return;
    }
    if (!result_has_form(ex, &find->report, link->choice.form))
        return;
    link->reference = find->id;
    link->session = ex->claims.session;
    link->expires_s = store_now_ms(ex->services->store) / 1000 + LINK_LIFE_S;
    if (link->expires_s > find->report.expires_ms / 1000)
        link->expires_s = find->report.expires_ms / 1000;
    reply_link(ex, link);
}

void report_link(struct exchange *ex)
{
    const char *text = json_string_value(exchange_member(ex, "reference"));
    struct link *link = calloc(1, sizeof(*link));
    struct guid id;

    ex->state = link;
    ex->state_free = free;
    if (link == NULL)
        exchange_fail(ex, -E_NOMEM, "Out of memory.");
    else if (text == NULL)
        exchange_fail(ex, -E_INVALID,
                      "Give 'reference', the GUID that POST /Report answered, as in "
                      "{\"reference\": \"0190a5b2-7c1e-7000-8000-3f2a1b4c5d6e\", \"format\": "
                      "\"csv\"}.");
    else if (form_choose_body(ex, &link->choice, &ex->err) < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (!guid_parse(text, &id))
        report_reply_unknown(ex);
    else
        report_find(ex, &id, link_found);
}

/* ---- following it ---- */

/* The store knows whether the session that made it still lives, and whose it is. */
static void maker_found(struct exchange *ex)
{
    const struct link *link = ex->state;
    struct guid reference = link->reference;
    struct form_choice choice = link->choice;

    if (ex->op.rc != 0 || !ex->op.session.found) {
        link_refuse(ex);
        return;
    }
    ex->cached_token = cached_token_new("", &ex->claims, &ex->op.session.user, 0);
    if (ex->cached_token == NULL) {
        exchange_fail(ex, -E_NOMEM, "No memory for the session.");
        return;
    }
    ex->user = &ex->cached_token->user;
    ex->state_free(ex->state);
    ex->state = NULL;
    ex->state_free = NULL;
    result_send(ex, &reference, &choice);
}

static const char *const query_names[] = {"token"};

void report_link_open(struct exchange *ex)
{
    const char *values[QUERY_MAX];
    struct link *link = calloc(1, sizeof(*link));
    const struct store *store = ex->services->store;

    ex->by_link = true;
    ex->state = link;
    ex->state_free = free;
    exchange_add_header(ex, "Referrer-Policy", "no-referrer");
    if (link == NULL) {
        exchange_fail(ex, -E_NOMEM, "Out of memory.");
    } else if (query_read(ex, query_names, 1, values, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
    } else if (values[0] == NULL || !link_read(ex->services->key, values[0], link) ||
               link->expires_s <= store_now_ms(store) / 1000) {
        link_refuse(ex);
    } else {
        exchange_op(ex, STORE_SESSION)->session =
            (struct store_session){.session = link->session, .any_access = true};
        exchange_post(ex, maker_found);
    }
}
