/* src/http/auth.c -- who asks: the access token of a request. */
#include "http/exchange_impl.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "http/token.h"

void auth_refuse(struct exchange *ex)
{
    err_set(&ex->err, -E_AUTH,
            "The access token is missing, unknown or expired: log in with POST /User/Login (or "
            "POST /User/RefreshToken) and send its accessToken in the header Authorization.");
    exchange_reply_error(ex, &ex->err, NULL);
}

/* The raw token, or `Bearer` and the token; NULL if there is none. */
static const char *given_token(struct exchange *ex)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_AUTHORIZATION);

    if (value != NULL && strncasecmp(value, "Bearer ", 7) == 0)
        value += 7 + strspn(value + 7, " ");
    return value;
}

static bool read_given(struct exchange *ex, struct token_claims *claims)
{
    const char *text = given_token(ex);

    if (text == NULL || !token_read(ex->services->key, text, claims))
        return false;
    ex->session = claims->session;
    ex->access = claims->access;
    return true;
}

bool auth_signature(struct exchange *ex)
{
    struct token_claims claims;
    bool good = read_given(ex, &claims);

    if (!good)
        auth_refuse(ex);
    return good;
}

/* The store knows whether the session still lives. */
static void session_found(struct exchange *ex)
{
    if (ex->op.rc != 0 || !ex->op.session.found) {
        auth_refuse(ex);
        return;
    }
    ex->user = ex->op.session.user;
    ex->op.session.user = (struct user){0};
    exchange_op(ex, STORE_SESSION);
    admit_enter(ex);
}

void auth_token(struct exchange *ex)
{
    struct token_claims claims;

    if (!read_given(ex, &claims) || claims.expires_s <= clock_now_ms() / 1000) {
        auth_refuse(ex);
        return;
    }
    exchange_op(ex, STORE_SESSION)->session =
        (struct store_session){.session = ex->session, .access = ex->access};
    exchange_post(ex, session_found);
}

bool auth_is_loopback(struct exchange *ex)
{
    static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    const char *plain;

    exchange_address(ex, text);
    plain = strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
    if (inet_pton(AF_INET, plain, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && memcmp(&v6, &loopback, sizeof(v6)) == 0;
}
