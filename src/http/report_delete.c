/* src/http/report_delete.c -- DELETE /Report and DELETE /Report/List, and the operators' versions,
 * which delete the reports of any user; they are answered when references, queries and files are
 * gone. Their receipts, and GET /.well-known/jwks.json. */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "http/admin.h"
#include "http/query.h"
#include "http/receipt.h"
#include "http/report.h"
#include "http/report_find.h"
#include "http/report_result.h"

/* ---- receipts ---- */

enum {
    ERASED_S = 5, /* until an embedded store has overwritten the freed pages and truncated its
                   * log */
    KEYS_MAX = RECEIPT_KEYS_MAX * 256,
    USUAL_BYTES = 1024, /* of a receipt */
};

/* With PostgreSQL: the next rotation of erase.key begins within `erase_after` and takes at most as
 * long again; doc/cluster.md says how to choose `erase_after` for this. */
static int64_t erased_within_s(const struct services *services)
{
    return store_is_shared(services->store) ? 2 * services->config->erase_after.number / 1000
                                            : ERASED_S;
}

/* Fill in node, times and user, or the operator who asked for others, and sign the receipt: yours
 * to free(). NULL: out of memory, which is logged; the deletion stands. */
static char *issue_receipt(struct exchange *ex, struct receipt *receipt)
{
    struct buf text;
    char *taken;

    if (ex->route->access == ROUTE_OPERATOR)
        receipt->operator_name = ex->user->name;
    else
        receipt->user = ex->user->name;
    receipt->node = ex->services->node;
    receipt->now_s = store_now_ms(ex->services->store) / 1000;
    receipt->erased_s = receipt->now_s + erased_within_s(ex->services);
    buf_init(&text, RECEIPT_TEXT_MAX);
    buf_reserve(&text, USUAL_BYTES);
    receipt_issue(ex->services->receipt_keys, receipt, &text);
    taken = buf_take(&text);
    if (taken == NULL)
        log_error("receipt.lost", "request=%s error=out of memory", ex->request_id);
    return taken;
}

void report_keys(struct exchange *ex)
{
    struct buf text;

    buf_init(&text, KEYS_MAX);
    receipt_keys_publish(ex->services->receipt_keys, &text);
    if (buf_failed(&text))
        exchange_fail(ex, -E_NOMEM, "no memory for the keys of receipts");
    else
        exchange_reply_json(ex, buf_str(&text));
    buf_done(&text);
}

/* ---- one report ---- */

struct one {
    struct deletion deletion;
    char address[ADDRESS_TEXT];
    char *owner; /* NULL: the user who asks */
};

static void one_free(void *state)
{
    struct one *one = state;

    free(one->owner);
    free(one);
}

/* For log and trail; `address` has room for ADDRESS_TEXT. */
static struct deletion_asker asker(struct exchange *ex, char *address)
{
    exchange_address(ex, address);
    return (struct deletion_asker){
        .user = ex->user->name, .address = address, .request = ex->request_id};
}

static void on_deleted(struct deletion *deletion)
{
    exchange_wake(deletion->owner);
}

static void reply_deleted(struct exchange *ex, const struct one *one)
{
    struct receipt receipt = {.reference = &one->deletion.id,
                              .state = one->deletion.was,
                              .user = one->owner != NULL ? one->owner : ex->user->name};

    exchange_add_long(ex, "X-Deletion-Receipt", issue_receipt(ex, &receipt));
    exchange_reply(ex, true, "Report request has been deleted.", NULL);
}

static void delete_done(struct exchange *ex)
{
    const struct one *one = ex->state;
    const struct deletion *deletion = &one->deletion;

    SEAM_STEP("http", "delete", "removed");
    if (deletion->rc != -E_UNKNOWN_REFERENCE)
        exchange_checked(ex); /* what may have been done is not begun again */
    if (exchange_check_again(ex))
        return;
    ex->act.recorded = deletion->rc == 0;
    if (deletion->rc == 0)
        reply_deleted(ex, one);
    else if (deletion->rc == -E_UNKNOWN_REFERENCE)
        report_reply_unknown(ex);
    else
        exchange_reply_error(ex, &deletion->err, NULL);
}

/* `owner`: taken over; NULL: only a report of the user who asks is deleted. */
static void start_deletion(struct exchange *ex, const struct guid *id, char *owner)
{
    struct one *one = exchange_new_state(ex, sizeof(*one), one_free);
    struct deletion *deletion;

    if (one == NULL) {
        free(owner);
        return;
    }
    one->owner = owner;
    ex->act.reference = *id;
    ex->act.subject = owner != NULL && !str_eq(owner, ex->user->name) ? owner : NULL;
    deletion = &one->deletion;
    deletion->id = *id;
    deletion->user_id = owner != NULL ? 0 : ex->user->id;
    deletion->as = exchange_access(ex);
    deletion->asker = asker(ex, one->address);
    deletion->done = on_deleted;
    deletion->owner = ex;
    exchange_await(ex, delete_done);
    deletion_start(ex->services->purger, deletion);
}

/* A result never changes: if the request names the current one, that is what is deleted. */
static void delete_found(struct exchange *ex)
{
    struct store_find *find = &ex->op.find;
    struct guid id = find->id;
    char *owner = find->report.user_name;

    if (!find->found) {
        report_reply_unknown(ex);
    } else if (result_may_be_deleted(ex, &find->report)) {
        find->report.user_name = NULL;
        start_deletion(ex, &id, owner);
    }
}

void report_delete(struct exchange *ex)
{
    struct guid id;

    if (!report_reference(ex, &id))
        return;
    if (result_is_conditional(ex))
        report_find(ex, &id, delete_found);
    else
        start_deletion(ex, &id, NULL);
}

void admin_delete(struct exchange *ex)
{
    struct guid id;

    if (!report_reference(ex, &id))
        return;
    exchange_op(ex, STORE_FIND)->find.id = id;
    exchange_post(ex, delete_found);
}

/* ---- many reports: the request ---- */

/* The last two are for operators. */
enum query { STATE, REPORT_NAME, BEFORE, DRY_RUN, OWN_COUNT, USER = OWN_COUNT, SOURCE, ALL_COUNT };
static const char *const query_names[ALL_COUNT] = {"State",  "ReportName", "Before",
                                                   "dryRun", "User",       "Source"};

static int read_match(const char *values[QUERY_MAX], struct store_match *ret, bool *ret_dry,
                      struct err *err)
{
    const char *before = values[BEFORE], *dry = values[DRY_RUN];
    bool chosen = false;

    for (int i = 0; i < ALL_COUNT; i++)
        chosen = chosen || (i != DRY_RUN && values[i] != NULL);
    if (!chosen)
        return err_set(err, -E_INVALID,
                       "Select the reports: give State, ReportName or Before, or several of them.");
    if (query_state(values[STATE], &ret->state, err) < 0 ||
        query_name(values[REPORT_NAME], &ret->name, err) < 0)
        return -E_INVALID;
    if (before != NULL && (!clock_parse(before, &ret->before_ms) || ret->before_ms == 0))
        return err_set(err, -E_INVALID,
                       "Before must be a UTC time such as 2026-01-31T00:00:00Z, or a date such as "
                       "2026-01-31.");
    if (dry != NULL && !str_eq(dry, "1") && !str_eq(dry, "0"))
        return err_set(err, -E_INVALID, "dryRun must be 1 or 0.");
    *ret_dry = str_eq(dry, "1");
    return 0;
}

/* ret_types, which `ret` borrows, is yours to free(). */
static int read_delete_request(struct exchange *ex, struct store_match *ret, char **ret_types,
                               bool *ret_dry)
{
    bool all = ex->route->access == ROUTE_OPERATOR;
    const char *values[QUERY_MAX];
    struct err err;
    int rc = query_read(ex, query_names, all ? ALL_COUNT : OWN_COUNT, values, &err)
                 ?: read_match(values, ret, ret_dry, &err)
                 ?: admin_types_of(ex, values[SOURCE], ret_types, &err);

    ret->user_id = all ? 0 : ex->user->id;
    ret->user = values[USER];
    ret->types = *ret_types;
    return rc == 0 ? 0 : err_set(&ex->err, rc, "%s Nothing was deleted.", err.text);
}

/* ---- many reports: the answer ---- */

struct bulk {
    struct deletion_many many;
    char address[ADDRESS_TEXT];
    const char *owner; /* the owner of the reports; NULL: several users */
    char *types;       /* report types that match; NULL: any */
    int64_t beyond;    /* matching reports beyond the limit of one request */
    bool dry;
};

static void bulk_free(void *state)
{
    struct bulk *bulk = state;

    free(bulk->many.ids);
    free(bulk->types);
    free(bulk);
}

static int compare_guids(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct guid));
}

/* In the order of their texts, which is the order of their bytes. */
static void hash_ids(struct guid *ids, size_t count, uint8_t out[RECEIPT_HASH_BYTES])
{
    crypto_hash_sha256_state state;
    char text[GUID_TEXT];

    qsort(ids, count, sizeof(*ids), compare_guids);
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < count; i++) {
        guid_format(&ids[i], text);
        text[GUID_TEXT - 1] = '\n';
        crypto_hash_sha256_update(&state, (const unsigned char *)text, GUID_TEXT);
    }
    crypto_hash_sha256_final(&state, out);
}

/* NULL: nothing was deleted, or out of memory. */
static char *make_receipt(struct exchange *ex, struct bulk *bulk)
{
    struct receipt receipt = {.reference = NULL, .user = bulk->owner};
    struct deletion_many *many = &bulk->many;

    if (many->gone == 0)
        return NULL;
    memcpy(receipt.by_state, many->by_state, sizeof(receipt.by_state));
    hash_ids(many->ids, many->gone, receipt.references);
    return issue_receipt(ex, &receipt);
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

static void reply_many(struct exchange *ex, struct bulk *bulk)
{
    struct deletion_many *many = &bulk->many;
    int64_t count = 0;
    char *receipt = bulk->dry ? NULL : make_receipt(ex, bulk);
    char message[96];
    struct buf data;

    ex->act.recorded = bulk->dry || many->gone > 0;
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

/* ---- many reports: the steps ---- */

static void on_many_deleted(struct deletion_many *many)
{
    exchange_wake(many->owner);
}

static void delete_many_done(struct exchange *ex)
{
    SEAM_STEP("http", "delete_many", "removed");
    reply_many(ex, ex->state);
}

static void matched(struct exchange *ex)
{
    struct store_match *match = &ex->op.match;
    struct bulk *bulk = ex->state;
    struct deletion_many *many = &bulk->many;

    SEAM_STEP("http", "delete_many", "matched");
    bulk->beyond = match->total - (int64_t)match->count;
    if (bulk->dry) {
        memcpy(many->by_state, match->by_state, sizeof(many->by_state));
        reply_many(ex, bulk);
        return;
    }
    many->ids = match->ids;
    many->count = match->count;
    match->ids = NULL;
    many->user_id = match->user_id;
    many->asker = asker(ex, bulk->address);
    many->state = match->state;
    many->done = on_many_deleted;
    many->owner = ex;
    exchange_await(ex, delete_many_done);
    deletion_many_start(ex->services->purger, many);
}

void report_delete_many(struct exchange *ex)
{
    struct store_match match = {0};
    struct bulk *bulk;
    char *types = NULL;
    bool dry = false;

    if (result_is_conditional(ex)) {
        exchange_fail(ex, -E_PRECONDITION,
                      "A list has no ETag and no date that If-Match, If-None-Match or "
                      "If-Unmodified-Since could name: nothing was deleted.");
        return;
    }
    if (read_delete_request(ex, &match, &types, &dry) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    bulk = exchange_new_state(ex, sizeof(*bulk), bulk_free);
    if (bulk == NULL) {
        free(types);
        return;
    }
    bulk->dry = dry;
    bulk->types = types;
    bulk->owner = match.user_id != 0 ? ex->user->name : match.user;
    exchange_op(ex, STORE_MATCH)->match = match;
    exchange_post(ex, matched);
}
