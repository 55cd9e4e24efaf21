/* src/http/report_submit.c -- POST /Report: checks a request, accepts it durably, and waits if
 * asked to. */
#include "http/report.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "core/param.h"
#include "http/exchange_impl.h"
#include "http/report_find.h"
#include "http/user.h"

enum {
    KEY_LIFE_MS = 24 * 3600 * 1000,                /* of an Idempotency-Key */
    ACTIVE_JSON_MAX = STORE_ACTIVE_MAX * 1024 + 32 /* room for names of REPORT_NAME_MAX, escaped */
};

/* What the client sent: borrowed from the exchange, from which it is read. */
struct request {
    const char *name, *key;         /* key: NULL without one */
    const json_t *given;            /* the parameters; NULL without any */
    uint8_t hash[STORE_HASH_BYTES]; /* only with a key */
};

/* SHA-256 of what was sent, not of the canonical parameters: `today` would make the same body a
 * different request tomorrow. With other claims it is one. */
static bool hash_request(const char *name, const json_t *given, const char *claims,
                         uint8_t hash[STORE_HASH_BYTES])
{
    char *text = given != NULL ? json_dumps(given, JSON_COMPACT | JSON_SORT_KEYS) : strdup("{}");
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    bool good = text != NULL && sha != NULL && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(sha, name, strlen(name) + 1) == 1 &&
                EVP_DigestUpdate(sha, text, strlen(text)) == 1 &&
                (claims == NULL || EVP_DigestUpdate(sha, claims, strlen(claims)) == 1) &&
                EVP_DigestFinal_ex(sha, hash, NULL) == 1;

    EVP_MD_CTX_free(sha);
    free(text);
    return good;
}

/* 0 with *ret_key NULL if there is no Idempotency-Key. */
static int read_key(struct exchange *ex, const char **ret_key)
{
    const char *key = exchange_header(ex, "Idempotency-Key");
    size_t len = key != NULL ? strlen(key) : 0;

    for (size_t i = 0; i < len; i++) {
        if (key[i] < ' ' || key[i] > '~')
            len = 0;
    }
    if (key != NULL && (len == 0 || len > STORE_KEY_MAX))
        return err_set(&ex->err, -E_INVALID,
                       "Give an Idempotency-Key of 1 to %d printable ASCII characters, such as a "
                       "GUID.",
                       STORE_KEY_MAX);
    *ret_key = key;
    return 0;
}

/* Read the two members of the body; *ret_given is NULL without parameters. */
static int read_body(struct exchange *ex, const char **ret_name, const json_t **ret_given)
{
    const json_t *name = exchange_member(ex, "reportName");
    const json_t *given = exchange_member(ex, "parameters");

    if (!json_is_string(name))
        return err_set(&ex->err, -E_INVALID,
                       "Give 'reportName', a string, as in {\"reportName\": "
                       "\"EntityBalanceReport\", \"parameters\": {\"ProductID\": \"123\"}}.");
    if (given != NULL && !json_is_null(given) && !json_is_object(given))
        return err_set(&ex->err, -E_INVALID,
                       "'parameters' must be an object of strings, as in {\"ProductID\": "
                       "\"123\"}.");
    *ret_name = json_string_value(name);
    *ret_given = json_is_object(given) ? given : NULL;
    return 0;
}

static int read_submit_request(struct exchange *ex, struct request *ret)
{
    struct request request = {0};
    int rc = read_key(ex, &request.key) ?: read_body(ex, &request.name, &request.given);

    if (rc == 0 && request.key != NULL &&
        !hash_request(request.name, request.given, ex->cached_token->session_claims, request.hash))
        rc = err_set(&ex->err, -E_NOMEM, "No memory to hash the request.");
    if (rc == 0)
        *ret = request;
    return rc;
}

/* Check name, permission and parameters; *ret_canonical is the caller's to free(). `version`: of
 * the definition that they fit. */
static int check_request(struct exchange *ex, const struct request *request, char **ret_canonical,
                         char version[DEFINITION_VERSION_TEXT])
{
    const char *name = request->name;
    struct catalog *catalog = ex->services->catalog;
    const struct definition *def = catalog_hold(catalog, name);
    char *canonical;
    int rc;

    if (def == NULL)
        return err_set(&ex->err, -E_UNKNOWN_REPORT,
                       "Unknown report '%.*s'. Names are case-sensitive; GET /Report/Types lists "
                       "the reports you may run.",
                       (int)REPORT_NAME_MAX, name);
    if (!user_may_run(ex->user, name))
        rc = err_set(&ex->err, -E_FORBIDDEN,
                     "You may not run the report '%s'. GET /Report/Types lists the reports you "
                     "may run; the operator can grant more.",
                     name);
    else
        rc = exchange_check_claims(ex, def)
                 ?: params_canonical(def, request->given, store_now_ms(ex->services->store),
                                     &canonical, &ex->err);
    str_copy(version, DEFINITION_VERSION_TEXT, def->version);
    catalog_release(catalog, def);
    if (rc == 0)
        *ret_canonical = canonical;
    return rc;
}

static void reply_submitted(struct exchange *ex, const struct guid *id)
{
    char guid[GUID_TEXT], data[GUID_TEXT + 2];

    guid_format(id, guid);
    snprintf(data, sizeof(data), "\"%s\"", guid);
    exchange_add_header(ex, "Location", "/Report/Status?reference=%s", guid);
    exchange_reply(ex, true, "Report request has been submitted.", data);
}

static void submit_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;

    if (find->found)
        exchange_add_text(ex, "X-Report-State", report_state_name(find->report.state));
    reply_submitted(ex, &find->id);
}

/* The report was accepted, and the answer must say so even if the store cannot report its
 * progress. The operation that failed may be any. */
static void submit_not_found(struct exchange *ex)
{
    reply_submitted(ex, &ex->act.reference);
}

static bool any_runs(const struct report *reports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (reports[i].state == REPORT_PROCESSING)
            return true;
    }
    return false;
}

/* Too many: list them, so that a caller who has lost track can delete one. */
static void reply_limit(struct exchange *ex)
{
    const struct store_submit *submit = &ex->op.submit;
    struct buf data;

    exchange_count_limit(ex, LIMIT_ACTIVE);
    buf_init(&data, ACTIVE_JSON_MAX);
    buf_add_char(&data, '{');
    report_add_active(&data, submit->active, submit->active_count);
    buf_add_char(&data, '}');
    exchange_add_header(ex, MHD_HTTP_HEADER_RETRY_AFTER, "%d",
                        any_runs(submit->active, submit->active_count) ? RETRY_NEAR_S
                                                                       : RETRY_FAR_S);
    err_set(&ex->err, -E_LIMIT,
            "You have %d active reports, the most a user may have; this one was not accepted. "
            "Wait until one has finished, or free a slot at once by deleting a queued one with "
            "DELETE /Report?reference=…; 'data' lists them.",
            submit->active_limit);
    exchange_reply_error(ex, &ex->err, buf_failed(&data) ? NULL : buf_str(&data));
    buf_done(&data);
}

static void reply_key_reused(struct exchange *ex)
{
    exchange_fail(
        ex, -E_KEY_REUSED,
        "This Idempotency-Key was used for another request in the last 24 hours. Send a new "
        "key with a new request, and the same key only with the same body.");
}

/* The report exists: answer at once, or when it has ended, if the client wants to wait for that. */
static void reply_report(struct exchange *ex, const struct guid *id, bool replayed,
                         bool session_holds)
{
    int wait = exchange_prefer_wait(ex, REPORT_WAIT_MAX_S);

    ex->act.reference = *id;
    if (replayed) {
        ex->act.outcome = "replayed";
        exchange_add_header(ex, "Idempotent-Replayed", "true");
    }
    if (replayed || wait > 0)
        ex->otherwise = submit_not_found;
    if (replayed) {
        report_find_ended(ex, id, wait, submit_found);
        return;
    }
    if (wait > 0) {
        report_wait_on(ex, session_holds, submit_found);
        return;
    }
    if (wait == 0)
        exchange_add_text(ex, "Preference-Applied", "wait=0");
    exchange_add_text(ex, "X-Report-State", report_state_name(REPORT_QUEUED));
    reply_submitted(ex, id);
}

/* The only line that names the user of the reference; other report.* lines have the reference
 * only. */
static void log_and_reply(struct exchange *ex, const struct store_submit *submit,
                          bool session_holds)
{
    char reference[GUID_TEXT], address[ADDRESS_TEXT];

    guid_format(&submit->id, reference);
    exchange_address(ex, address);
    log_info("report.submitted", "reference=%s report=%s user=%s address=%s request=%s", reference,
             submit->name, ex->user->name, address, ex->request_id);
    reply_report(ex, &submit->id, false, session_holds);
}

/* A step. */
static void refuse_submit(struct exchange *ex)
{
    exchange_reply_error(ex, &ex->err, NULL);
}

static void submit_done(struct exchange *ex)
{
    const struct store_submit *submit = &ex->op.submit;
    bool session_holds = ex->unchecked;

    if (ex->op.rc == 0 && submit->outcome == SUBMIT_ACCEPTED)
        exchange_checked(ex);
    if (exchange_check_again(ex))
        return;
    if (ex->op.rc < 0) { /* the user no longer exists, or may no longer run it: or at all? */
        ex->err = ex->op.err;
        auth_again(ex, refuse_submit);
    } else if (submit->outcome == SUBMIT_LIMIT)
        reply_limit(ex);
    else if (submit->outcome == SUBMIT_KEY_REUSED)
        reply_key_reused(ex);
    else if (submit->outcome == SUBMIT_REPLAYED)
        reply_report(ex, &submit->id, true, false);
    else
        log_and_reply(ex, submit, session_holds);
}

/* `request` is what the client sent; it lives as long as the exchange. */
static int submit_start(struct exchange *ex, const struct request *request)
{
    struct store_submit *submit;
    struct guid id;
    char *canonical = NULL, version[DEFINITION_VERSION_TEXT];
    int rc = check_request(ex, request, &canonical, version);

    if (rc != 0)
        return rc;
    if (ex->cached_token->session_claims != NULL)
        canonical = report_join_claims(canonical, ex->cached_token->session_claims);
    ex->state = canonical;
    ex->state_free = free;
    if (canonical == NULL)
        return err_set(&ex->err, -E_NOMEM, "No memory for the request.");
    /* What could not be generated now should not be accepted. */
    rc = spool_check(ex->services->spool, false, &ex->err);
    if (rc != 0)
        return rc;
    ex->act.report = request->name;
    submit = &exchange_op(ex, STORE_SUBMIT)->submit;
    submit->id = guid_new();
    submit->user_id = ex->user->id;
    submit->name = request->name;
    submit->parameters = canonical;
    str_copy(submit->version, sizeof(submit->version), version);
    submit->key = request->key;
    memcpy(submit->request_hash, request->hash, sizeof(submit->request_hash));
    submit->now_ms = store_now_ms(ex->services->store);
    submit->key_expires_ms = submit->now_ms + KEY_LIFE_MS;
    submit->as = exchange_access(ex);
    submit->active_limit =
        ex->unchecked ? (int)ex->services->config->active_limit.number : user_active_limit(ex);
    /* A key may be repeated, and answered, at any moment. */
    submit->waits = report_wait_ahead(ex, &submit->id, exchange_prefer_wait(ex, REPORT_WAIT_MAX_S),
                                      request->key == NULL);
    id = submit->id;
    exchange_post(ex, submit_done);
    supervisor_submitted(ex->services->supervisor, &id);
    return 0;
}

static void on_submit_key_found(struct exchange *ex)
{
    const struct store_key *look = &ex->op.key;
    struct request request;

    if (look->outcome == SUBMIT_KEY_REUSED)
        reply_key_reused(ex);
    else if (look->outcome == SUBMIT_REPLAYED)
        reply_report(ex, &look->id, true, false);
    else if (read_submit_request(ex, &request) != 0 || submit_start(ex, &request) != 0)
        exchange_reply_error(ex, &ex->err, NULL);
}

/* The key comes first: its request was accepted, whatever has become of the definition or of the
 * user's grants since. Another body is refused because of the key, even if it could not be
 * accepted. */
static void find_submit_key(struct exchange *ex, const struct request *request)
{
    struct store_key *look = &exchange_op(ex, STORE_KEY)->key;

    look->user_id = ex->user->id;
    look->key = request->key;
    memcpy(look->request_hash, request->hash, sizeof(look->request_hash));
    look->now_ms = store_now_ms(ex->services->store);
    exchange_post(ex, on_submit_key_found);
}

void report_post(struct exchange *ex)
{
    struct request request;

    int rc = read_submit_request(ex, &request);

    if (rc == 0 && request.key != NULL && exchange_check_again(ex))
        return; /* the key is looked up first, which checks nothing */
    if (rc == 0 && request.key != NULL)
        find_submit_key(ex, &request);
    else if (rc == 0)
        rc = submit_start(ex, &request);
    if (rc != 0)
        exchange_reply_error(ex, &ex->err, NULL);
}
