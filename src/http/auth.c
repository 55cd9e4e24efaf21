/* src/http/auth.c -- who sends the request: its access token, or its API key. */
#include "http/exchange_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "core/api_key.h"
#include "core/claims.h"
#include "http/external.h"
#include "http/token.h"
#include "store/store.h"

/* The bare token, or `Bearer` and the token; NULL if there is none. */
static const char *given_token(struct exchange *ex)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_AUTHORIZATION);

    if (value != NULL && strncasecmp(value, "Bearer", 6) == 0 && strchr(" ", value[6]) != NULL)
        value += 6 + strspn(value + 6, " "); /* without a token the blank is missing, too */
    return value;
}

void auth_refuse(struct exchange *ex)
{
    const char *token = given_token(ex);

    if (token != NULL && *token != '\0') /* RFC 6750, 3.1 */
        exchange_add_text(ex, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                          "Bearer realm=\"reportd\", error=\"invalid_token\"");
    if (token != NULL && api_key_begins(token))
        exchange_fail(ex, -E_AUTH,
                      "The API key is unknown, removed or expired, or not for this address, or its "
                      "user is disabled: ask an operator for one (reportd key add).");
    else if (ex->claims.external)
        exchange_fail(ex, -E_AUTH,
                      "The token of the identity provider holds, but its user is disabled, or may "
                      "not come from this address: ask an operator.");
    else
        exchange_fail(
            ex, -E_AUTH,
            "The access token is missing, unknown or expired: log in with POST /User/Login (or "
            "POST /User/RefreshToken) and send its accessToken in the header Authorization.");
}

int exchange_check_claims(struct exchange *ex, const struct definition *def)
{
    struct claims claims;
    int rc;

    if (def->claim_count == 0)
        return 0;
    rc = claims_read(ex->cached_token->session_claims, &claims, &ex->err)
             ?: claims_check(&claims, def, &ex->err);
    claims_done(&claims);
    return rc;
}

bool auth_refuse_key(struct exchange *ex)
{
    const char *text = given_token(ex);

    if (text == NULL || !api_key_begins(text))
        return false;
    exchange_fail(ex, -E_FORBIDDEN,
                  "An API key has no password and no session, and can neither log in nor out: "
                  "send it, in the header Authorization, with requests for reports. For this path "
                  "log in with POST /User/Login and send the accessToken.");
    return true;
}

/* ---- API keys ---- */

/* The id of a key serves as its session; the store decides what it may do. */
static bool read_api_key(struct exchange *ex, const char *text, const struct cached_token *known)
{
    uint8_t hash[API_KEY_HASH_BYTES];

    if (!api_key_is(text)) {
        auth_refuse(ex);
        return false;
    }
    ex->claims = (struct token_claims){.expires_s = INT64_MAX / 1000};
    if (known != NULL)
        ex->claims = known->claims;
    else
        api_key_hash(text, hash, &ex->claims.session);
    return true;
}

static void free_use(struct store_op *op)
{
    store_op_done(op);
    free(op);
}

/* No request waits for this, and none is refused because its use cannot be recorded. */
static void note_use(struct exchange *ex)
{
    struct cached_token *key = ex->cached_token;
    long long now_ms = store_now_ms(ex->services->store), used_ms = atomic_load(&key->used_ms);
    struct store_op *op;

    if (now_ms - used_ms < API_KEY_USED_MS ||
        !atomic_compare_exchange_strong(&key->used_ms, &used_ms, now_ms))
        return;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return;
    op->verb = STORE_API_KEY_USED;
    op->api_key_used = (struct store_api_key_used){key->claims.session, now_ms};
    op->done = free_use;
    store_post(ex->services->store, op);
}

/* ---- access tokens ---- */

/* Verify the token, unless it is `known`, or read the key; false: replied, or waits for keys of an
 * identity provider and comes back to `again`. */
static bool read_access_token(struct exchange *ex, const char *text,
                              const struct cached_token *known, exchange_step *again)
{
    int rc = text != NULL ? 1 : 0;

    if (text != NULL && api_key_begins(text))
        return read_api_key(ex, text, known);
    if (known != NULL)
        ex->claims = known->claims;
    else if (text != NULL)
        rc = token_read(ex->services->token_keys, text, &ex->claims);
    if (rc == 0 && text != NULL && external_is(ex, text))
        return external_read(ex, text, again);
    if (rc < 0)
        exchange_fail(ex, rc, "no memory to read a token");
    else if (rc == 0)
        auth_refuse(ex);
    return rc == 1;
}

bool auth_signature(struct exchange *ex)
{
    return (ex->claims.issued_s != 0 ||
            (!auth_refuse_key(ex) && read_access_token(ex, given_token(ex), NULL, NULL))) &&
           !external_refuse(ex, "renew or end your session");
}

/* The addresses of a key, and those of a user whose token an identity provider has made, are
 * checked for each request: there is no login at which to check them. False: replied. */
static bool may_come_from_here(struct exchange *ex)
{
    char address[ADDRESS_TEXT];

    if (ex->user->key == NULL && !ex->claims.external)
        return true;
    if (user_may_come_from(ex->user, &ex->client.address))
        return true;
    exchange_address(ex, address);
    if (ex->user->key != NULL)
        log_warn("key.refused", "request=%s user=%s key=%s address=%s", ex->request_id,
                 ex->user->name, ex->user->key->name, address);
    else
        log_warn("token.refused", "request=%s user=%s address=%s", ex->request_id, ex->user->name,
                 address);
    auth_refuse(ex);
    return false;
}

/* The first request with the token of an identity provider. */
static void record_enrolment(struct exchange *ex)
{
    char address[ADDRESS_TEXT];

    if (!ex->enrolled)
        return;
    ex->enrolled = false;
    exchange_address(ex, address);
    log_info("login.done", "request=%s user=%s address=%s", ex->request_id, ex->user->name,
             address);
    exchange_record(ex, &(struct trail_act){.event = TRAIL_LOGIN, .user = ex->user->name});
}

static void enter_with(struct exchange *ex, struct cached_token *cached_token)
{
    cached_token_release(ex->cached_token); /* from the check before the body */
    ex->cached_token = cached_token;
    ex->user = &cached_token->user;
    if (!may_come_from_here(ex))
        return;
    record_enrolment(ex);
    if (ex->user->key != NULL)
        note_use(ex);
    dispatch(ex);
}

static exchange_step ask_again;

/* The store knows whether the session still exists. */
static void session_found(struct exchange *ex)
{
    const struct store_session *session = &ex->op.session;
    struct cached_token *cached_token;

    if (ex->op.rc == 0 && !session->found && ex->claims.external && !ex->enrolled) {
        external_enrol(ex, given_token(ex), ask_again);
        return;
    }
    if (ex->op.rc != 0 || !session->found) {
        auth_refuse(ex);
        return;
    }
    if (session->expires_ms != 0)
        ex->claims.expires_s = session->expires_ms / 1000;
    cached_token =
        cached_token_new(&ex->claims, &ex->op.session.user, session->replaced ? 0 : ex->version);
    if (cached_token == NULL) {
        exchange_fail(ex, -E_NOMEM, "No memory for the session.");
        return;
    }
    cached_token->session_claims = ex->session_claims;
    ex->session_claims = NULL;
    atomic_store(&cached_token->used_ms, session->used_ms);
    token_cache_keep(ex->services->token_cache, given_token(ex), cached_token, ex->age);
    enter_with(ex, cached_token);
}

static void ask_store(struct exchange *ex)
{
    const char *text = given_token(ex);
    struct store_session *session = &exchange_op(ex, STORE_SESSION)->session;

    *session = (struct store_session){.session = ex->claims.session,
                                      .access = ex->claims.access,
                                      .by_key = api_key_begins(text),
                                      .now_ms = store_now_ms(ex->services->store)};
    if (session->by_key)
        api_key_hash(text, session->key_hash, &session->session);
    exchange_post(ex, session_found);
}

/* Its session is there by now. */
static void ask_again(struct exchange *ex)
{
    ex->version = store_version(ex->services->store, &ex->claims.session);
    ask_store(ex);
}

enum { LEEWAY_S = 60 };

/* Nodes agree on the time only as far as each has synchronized it with the store. */
static bool has_expired(const struct exchange *ex)
{
    const struct store *store = ex->services->store;
    int64_t leeway_s = store_is_shared(store) || ex->claims.external ? LEEWAY_S : 0;

    return ex->claims.expires_s + leeway_s <= store_now_ms(store) / 1000;
}

/* Of a token that is not verified again. False: replied, and released. */
static bool keep_claims(struct exchange *ex, struct cached_token *known)
{
    if (known->session_claims == NULL)
        return true;
    free(ex->session_claims);
    ex->session_claims = strdup(known->session_claims);
    if (ex->session_claims != NULL)
        return true;
    cached_token_release(known);
    exchange_fail(ex, -E_NOMEM, "No memory for the session.");
    return false;
}

/* ---- checked by the first operation of the route ---- */

/* A session of our own that was there before. */
static bool may_join(const struct exchange *ex, const struct cached_token *known)
{
    return ex->route->access == ROUTE_REPORT && ex->body_is == BODY_NONE &&
           known->user.key == NULL && !ex->claims.external && store_is_shared(ex->services->store);
}

const struct store_access *exchange_access(struct exchange *ex)
{
    ex->access = (struct store_access){.session = ex->claims.session,
                                       .access = ex->claims.access,
                                       .now_ms = store_now_ms(ex->services->store)};
    return ex->unchecked ? &ex->access : NULL;
}

void exchange_checked(struct exchange *ex)
{
    ex->unchecked = false;
}

/* Nothing of the first try is left. */
bool exchange_check_again(struct exchange *ex)
{
    if (!ex->unchecked)
        return false;
    ex->unchecked = false;
    ex->user = NULL;
    exchange_drop_state(ex);
    ex->otherwise = NULL;
    ex->act = (struct exchange_act){0};
    ex->header_count = 0;
    exchange_add_long(ex, NULL, NULL);
    transfer_done(ex->transfer);
    ex->transfer = NULL;
    json_decref(ex->body);
    ex->body = NULL;
    ask_store(ex);
    return true;
}

/* Before a body that needs no more right than a token: as everything is checked again after it, it
 * is enough that the token held before. What an old allow-list refuses, the store is asked about.
 */
static bool may_send_body(const struct exchange *ex, const struct cached_token *known)
{
    return ex->body_is == BODY_FOLLOWS &&
           (ex->route->access == ROUTE_TOKEN || ex->route->access == ROUTE_REPORT) &&
           known->user.key == NULL &&
           (!ex->claims.external || user_may_come_from(&known->user, &ex->client.address));
}

/* A cached token need not be verified; its user only if the session may have changed. */
void auth_token(struct exchange *ex)
{
    const char *text = given_token(ex);
    struct cached_token *known;

    ex->age = token_cache_age(ex->services->token_cache);
    known = text != NULL ? token_cache_find(ex->services->token_cache, text) : NULL;
    if (!read_access_token(ex, text, known, auth_token)) {
        cached_token_release(known);
        return;
    }
    if (has_expired(ex)) {
        cached_token_release(known);
        auth_refuse(ex);
        return;
    }
    ex->version = store_version(ex->services->store, &ex->claims.session);
    if (known != NULL &&
        (may_send_body(ex, known) || (ex->version != 0 && known->version == ex->version))) {
        enter_with(ex, known);
        return;
    }
    if (known != NULL && may_join(ex, known)) {
        ex->unchecked = true;
        enter_with(ex, known);
        return;
    }
    if (known != NULL && !keep_claims(ex, known))
        return;
    cached_token_release(known);
    ask_store(ex);
}

/* ---- after a wait ---- */

static void still_there(struct exchange *ex)
{
    if (ex->op.rc == 0 && ex->op.session.found) {
        ex->after_auth(ex);
        return;
    }
    if (ex->otherwise != NULL) { /* what was accepted before is told */
        ex->otherwise(ex);
        return;
    }
    ex->header_count = 0; /* of the answer that is not sent */
    auth_refuse(ex);
}

void auth_again(struct exchange *ex, exchange_step *next)
{
    uint64_t version = store_version(ex->services->store, &ex->claims.session);

    if (version != 0 && version == ex->cached_token->version && !has_expired(ex)) {
        next(ex);
        return;
    }
    ex->after_auth = next;
    exchange_op(ex, STORE_SESSION)->session =
        (struct store_session){.session = ex->claims.session,
                               .any_access = true,
                               .now_ms = store_now_ms(ex->services->store)};
    exchange_post(ex, still_there);
}
