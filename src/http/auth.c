/* src/http/auth.c -- who sends the request: its access token. */
#include "http/exchange_impl.h"

#include <string.h>
#include <strings.h>

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
    exchange_fail(
        ex, -E_AUTH,
        "The access token is missing, unknown or expired: log in with POST /User/Login (or "
        "POST /User/RefreshToken) and send its accessToken in the header Authorization.");
}

/* Verify the token, unless it is `known`; false: replied. */
static bool read_access_token(struct exchange *ex, const char *text,
                              const struct cached_token *known)
{
    int rc = text != NULL ? 1 : 0;

    if (known != NULL)
        ex->claims = known->claims;
    else if (text != NULL)
        rc = token_read(ex->services->token_keys, text, &ex->claims);
    if (rc < 0)
        exchange_fail(ex, rc, "no memory to read a token");
    else if (rc == 0)
        auth_refuse(ex);
    return rc == 1;
}

bool auth_signature(struct exchange *ex)
{
    return ex->claims.issued_s != 0 || read_access_token(ex, given_token(ex), NULL);
}

static void enter_with(struct exchange *ex, struct cached_token *cached_token)
{
    cached_token_release(ex->cached_token); /* from the check before the body */
    ex->cached_token = cached_token;
    ex->user = &cached_token->user;
    dispatch(ex);
}

/* The store knows whether the session still exists. */
static void session_found(struct exchange *ex)
{
    struct cached_token *cached_token;

    if (ex->op.rc != 0 || !ex->op.session.found) {
        auth_refuse(ex);
        return;
    }
    cached_token = cached_token_new(given_token(ex), &ex->claims, &ex->op.session.user,
                                    ex->op.session.replaced ? 0 : ex->version);
    if (cached_token == NULL) {
        exchange_fail(ex, -E_NOMEM, "No memory for the session.");
        return;
    }
    token_cache_keep(ex->services->token_cache, cached_token);
    enter_with(ex, cached_token);
}

static void ask_store(struct exchange *ex)
{
    exchange_op(ex, STORE_SESSION)->session =
        (struct store_session){.session = ex->claims.session,
                               .access = ex->claims.access,
                               .now_ms = store_now_ms(ex->services->store)};
    exchange_post(ex, session_found);
}

enum { LEEWAY_S = 60 };

/* Nodes agree on the time only as far as each has synchronized it with the store. */
static bool has_expired(const struct exchange *ex)
{
    const struct store *store = ex->services->store;
    int64_t leeway_s = store_is_shared(store) ? LEEWAY_S : 0;

    return ex->claims.expires_s + leeway_s <= store_now_ms(store) / 1000;
}

/* A cached token need not be verified; its user only if the session may have changed. */
void auth_token(struct exchange *ex)
{
    const char *text = given_token(ex);
    struct cached_token *known =
        text != NULL ? token_cache_find(ex->services->token_cache, text) : NULL;

    if (!read_access_token(ex, text, known)) {
        cached_token_release(known);
        return;
    }
    if (has_expired(ex)) {
        cached_token_release(known);
        auth_refuse(ex);
        return;
    }
    ex->version = store_version(ex->services->store, &ex->claims.session);
    if (known != NULL && ex->version != 0 && known->version == ex->version) {
        enter_with(ex, known);
        return;
    }
    cached_token_release(known);
    ask_store(ex);
}
