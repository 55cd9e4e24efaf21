/* src/http/report_delete_many.c -- DELETE /Report/List: the caller's own reports that match, each
 * wholly deleted when the answer is sent. */
#include "http/report.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/seam.h"
#include "base/str.h"
#include "http/report_receipt.h"

/* ---- what is asked for ---- */

#define QUERIES(X) X(State) X(ReportName) X(Before) X(dryRun)

enum query {
#define X(name) QUERY_##name,
    QUERIES(X)
#undef X
        QUERY_COUNT
};

static const char *const query_names[] = {
#define X(name) #name,
    QUERIES(X)
#undef X
};

struct queries {
    const char *values[QUERY_COUNT]; /* "" if it is given without one; NULL: it is not */
    const char *unknown, *twice;
};

static void note_query(void *context, const char *name, const char *value)
{
    struct queries *queries = context;
    int i = 0;

    while (i < QUERY_COUNT && !str_eq_nocase(name, query_names[i]))
        i++;
    if (i == QUERY_COUNT)
        queries->unknown = name;
    else if (queries->values[i] != NULL)
        queries->twice = query_names[i];
    else
        queries->values[i] = value != NULL ? value : "";
}

static int check_queries(const struct queries *queries, struct err *err)
{
    if (queries->unknown != NULL)
        return err_set(
            err, -E_INVALID,
            "There is no query parameter '%.64s' here: use State, ReportName, Before and "
            "dryRun. Nothing was deleted.",
            queries->unknown);
    if (queries->twice != NULL)
        return err_set(err, -E_INVALID, "%s occurs twice: give it once. Nothing was deleted.",
                       queries->twice);
    if (queries->values[QUERY_State] == NULL && queries->values[QUERY_ReportName] == NULL &&
        queries->values[QUERY_Before] == NULL)
        return err_set(err, -E_INVALID,
                       "Say which reports: give State, ReportName or Before, or several of them. "
                       "Nothing was deleted.");
    return 0;
}

/* -1: in any. */
static int read_state(const char *text, int *ret, struct err *err)
{
    enum report_state state;

    *ret = -1;
    if (text == NULL)
        return 0;
    if (!report_state_parse(text, &state) || state == REPORT_DELETING)
        return err_set(err, -E_INVALID,
                       "State must be queued, processing, complete or error. Nothing was deleted.");
    *ret = (int)state;
    return 0;
}

static int read_match(const struct queries *queries, struct store_match *ret, bool *ret_dry,
                      struct err *err)
{
    const char *before = queries->values[QUERY_Before], *dry = queries->values[QUERY_dryRun];
    int rc = check_queries(queries, err);

    if (rc == 0)
        rc = read_state(queries->values[QUERY_State], &ret->state, err);
    if (rc < 0)
        return rc;
    ret->name = queries->values[QUERY_ReportName];
    if (ret->name != NULL && *ret->name == '\0')
        return err_set(err, -E_INVALID, "ReportName is empty. Nothing was deleted.");
    if (before != NULL && (!clock_parse(before, &ret->before_ms) || ret->before_ms == 0))
        return err_set(err, -E_INVALID,
                       "Before must be a UTC time such as 2026-01-31T00:00:00Z, or a date such as "
                       "2026-01-31. Nothing was deleted.");
    if (dry != NULL && !str_eq(dry, "1") && !str_eq(dry, "0"))
        return err_set(err, -E_INVALID, "dryRun must be 1 or 0. Nothing was deleted.");
    *ret_dry = str_eq(dry, "1");
    return 0;
}

/* ---- the answer ---- */

struct bulk {
    struct removal_many many;
    int64_t beyond; /* reports that match, but are more than one request deletes */
    bool dry;
};

static void bulk_free(void *state)
{
    struct bulk *bulk = state;

    free(bulk->many.ids);
    free(bulk);
}

static int compare_ids(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct guid));
}

/* In the order of their texts, which is that of their bytes. */
static void hash_ids(struct guid *ids, size_t count, uint8_t out[RECEIPT_HASH_BYTES])
{
    crypto_hash_sha256_state state;
    char text[GUID_TEXT];

    qsort(ids, count, sizeof(*ids), compare_ids);
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < count; i++) {
        guid_format(&ids[i], text);
        text[GUID_TEXT - 1] = '\n';
        crypto_hash_sha256_update(&state, (const unsigned char *)text, GUID_TEXT);
    }
    crypto_hash_sha256_final(&state, out);
}

/* NULL: nothing was deleted, or there is no memory. */
static char *make_receipt(struct exchange *ex, struct removal_many *many)
{
    struct receipt receipt = {.reference = NULL};

    if (many->gone == 0)
        return NULL;
    memcpy(receipt.by_state, many->by_state, sizeof(receipt.by_state));
    hash_ids(many->ids, many->gone, receipt.references);
    return report_receipt(ex, &receipt);
}

/* `remaining` is left out if it is below 0. */
static void add_data(struct buf *out, const struct bulk *bulk, int64_t remaining,
                     const char *receipt)
{
    buf_add_str(out, "{\"deleted\": {");
    for (int i = 0; i < REPORT_DELETING; i++)
        buf_add_format(out, "%s\"%s\": %" PRId64, i > 0 ? ", " : "", report_state_name(i),
                       bulk->many.by_state[i]);
    buf_add_char(out, '}');
    if (remaining >= 0)
        buf_add_format(out, ", \"remaining\": %" PRId64, remaining);
    if (bulk->dry) {
        buf_add_str(out, ", \"dryRun\": true");
    } else {
        buf_add_str(out, ", \"receipt\": ");
        json_add_string(out, receipt);
    }
    buf_add_char(out, '}');
}

static void reply(struct exchange *ex, struct bulk *bulk)
{
    struct removal_many *many = &bulk->many;
    int64_t count = 0;
    char *receipt = bulk->dry ? NULL : make_receipt(ex, many);
    char message[96];
    struct buf data;

    for (int i = 0; i < REPORT_DELETING; i++)
        count += many->by_state[i];
    snprintf(message, sizeof(message), "%" PRId64 " report request%s %s.", count,
             count == 1 ? "" : "s",
             bulk->dry    ? "would be deleted"
             : count == 1 ? "has been deleted"
                          : "have been deleted");
    buf_init(&data, RECEIPT_TEXT_MAX + sizeof(message) * 8);
    add_data(&data, bulk, many->rc < 0 ? -1 : bulk->beyond, receipt);
    if (many->rc < 0)
        exchange_reply_error(ex, &many->err, buf_failed(&data) ? NULL : buf_str(&data));
    else
        exchange_reply(ex, true, message, buf_failed(&data) ? NULL : buf_str(&data));
    buf_done(&data);
    free(receipt);
}

/* ---- the steps ---- */

static void many_done(struct removal_many *many)
{
    exchange_wake(many->owner);
}

static void delete_done(struct exchange *ex)
{
    SEAM_STEP("http", "delete_many", "removed");
    reply(ex, ex->state);
}

static void matched(struct exchange *ex)
{
    struct store_match *match = &ex->op.match;
    struct bulk *bulk = ex->state;
    struct removal_many *many = &bulk->many;

    SEAM_STEP("http", "delete_many", "matched");
    bulk->beyond = match->total - (int64_t)match->count;
    if (bulk->dry) {
        memcpy(many->by_state, match->by_state, sizeof(many->by_state));
        reply(ex, bulk);
        return;
    }
    many->ids = match->ids;
    many->count = match->count;
    match->ids = NULL;
    many->user_id = ex->user->id;
    many->state = match->state;
    many->done = many_done;
    many->owner = ex;
    exchange_await(ex, delete_done);
    removal_many_start(ex->services->remover, many);
}

void report_delete_many(struct exchange *ex)
{
    struct queries queries = {.unknown = NULL};
    struct store_match match = {.user_id = ex->user->id};
    struct bulk *bulk;
    bool dry;

    exchange_each_query(ex, note_query, &queries);
    if (read_match(&queries, &match, &dry, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    bulk = calloc(1, sizeof(*bulk));
    if (bulk == NULL) {
        err_set(&ex->err, -E_NOMEM, "No memory to delete the reports.");
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    bulk->dry = dry;
    ex->state = bulk;
    ex->state_free = bulk_free;
    exchange_op(ex, STORE_MATCH)->match = match;
    exchange_post(ex, matched);
}
