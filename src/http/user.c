/* src/http/user.c -- POST /User/Login, /User/RefreshToken and /User/Logout: passwords and sessions.
 */
#include "http/user.h"

#include <openssl/sha.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "core/api_key.h"
#include "http/exchange_impl.h"
#include "http/login_cookie.h"
#include "http/metrics.h"
#include "http/password_work.h"
#include "http/query.h"
#include "http/token.h"

enum {
    LOGGED_NAME_MAX = 64,
    LOGGED_UNKNOWN_MAX = 17, /* with its NUL */
    SECRET_MAX = 255,        /* bytes of a refresh token that are examined */
    ANSWER_MAX = 2 * TOKEN_TEXT_MAX,
};
static const int64_t refresh_life_ms = INT64_C(30) * 24 * 3600 * 1000;

/* A login or refresh in progress: what must outlive the steps; cleared at the end. */
struct login {
    struct password_work check;
    char name[USER_NAME_MAX + 1];
    enum metrics_login refusal;      /* why the login is refused; LOGIN_OPENED: it is not */
    struct guid session, access;     /* of the new access token */
    int64_t ends_ms;                 /* when the session ends, at the latest */
    bool cookie;                     /* the refresh token is a cookie, not in a body */
    char refresh[LOGIN_COOKIE_TEXT]; /* the new refresh token, and … */
    const uint8_t *wanted_hash;      /* … the hash that it must have; NULL: any */
};

static void login_free(void *state)
{
    sodium_memzero(state, sizeof(struct login));
    free(state);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void hash_token(const char *token, uint8_t out[STORE_HASH_BYTES])
{
    SHA256((const unsigned char *)token, strlen(token), out);
}

/* Make the refresh token that belongs to the access token; 0: it does not have the wanted hash. */
static int make_refresh_with(void *context, const struct token_key *key)
{
    struct login *login = context;
    char secret[TOKEN_SECRET_TEXT];
    uint8_t hash[STORE_HASH_BYTES];

    token_secret(key, &login->session, &login->access, secret);
    if (login->cookie)
        login_cookie_format(&login->session, secret, login->refresh);
    else
        str_copy(login->refresh, sizeof(login->refresh), secret);
    sodium_memzero(secret, sizeof(secret));
    hash_token(login->refresh, hash);
    return login->wanted_hash == NULL || sodium_memcmp(hash, login->wanted_hash, sizeof(hash)) == 0;
}

static void make_refresh(struct exchange *ex, struct login *login)
{
    token_keys_sign(ex->services->token_keys, make_refresh_with, login);
}

/* Make the refresh token again that another request, on any node, was answered with; false: none of
 * our keys made it. */
static bool find_refresh(struct exchange *ex, struct login *login,
                         const struct store_rotate *rotate)
{
    login->access = rotate->current;
    login->wanted_hash = rotate->current_hash;
    return token_keys_find(ex->services->token_keys, make_refresh_with, login) == 1;
}

/* {"accessToken", "refreshToken"}, without an envelope; a cookie is not in the body. */
static void reply_pair(struct exchange *ex, const char *user, const struct login *login)
{
    int64_t now_s = store_now_ms(ex->services->store) / 1000;
    struct token_claims claims = {.session = login->session,
                                  .access = login->access,
                                  .issued_s = now_s,
                                  .expires_s =
                                      earlier(now_s + TOKEN_LIFE_S, login->ends_ms / 1000)};
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    buf_add_str(&answer, "{\"accessToken\": \"");
    token_issue(ex->services->token_keys, user, &claims, &answer);
    if (login->cookie)
        buf_add_str(&answer, "\"}");
    else
        buf_add_format(&answer, "\", \"refreshToken\": \"%s\"}", login->refresh);
    if (buf_failed(&answer)) {
        exchange_fail(ex, -E_NOMEM, "no memory to sign an access token");
    } else {
        if (login->cookie)
            login_cookie_set(ex, login->refresh);
        exchange_reply_json(ex, buf_str(&answer));
        sodium_memzero(answer.data, answer.len);
    }
    buf_done(&answer);
}

static void refuse_login(struct exchange *ex)
{
    exchange_fail(
        ex, -E_AUTH,
        "Login failed: check username and password. After %d failures an account is locked "
        "for %d minutes.",
        USER_FAILURES_MAX, USER_LOCK_MS / 60000);
}

/* Only the beginning of the text entered as a name is logged: it may be a password. */
static void log_login(struct exchange *ex, const struct login *login)
{
    bool opened = ex->op.rc == 0 && ex->op.login.opened;
    enum metrics_login outcome = opened                           ? LOGIN_OPENED
                                 : login->refusal != LOGIN_OPENED ? login->refusal
                                 : login->check.verified != 1     ? LOGIN_PASSWORD
                                 : ex->op.rc != 0                 ? LOGIN_STORE
                                                                  : LOGIN_LOCKED;
    char name[LOGGED_NAME_MAX];

    metrics_login(server_metrics(ex->server), outcome);
    ex->act.recorded = true;
    str_copy(name, login->check.hash[0] != '\0' ? sizeof(name) : LOGGED_UNKNOWN_MAX, login->name);
    str_drop_cut(name);
    if (opened)
        log_info("login.done", "request=%s user=%s address=%s", ex->request_id, name,
                 login->check.address);
    else
        log_warn("login.refused", "request=%s user=%s address=%s reason=%s", ex->request_id, name,
                 login->check.address, metrics_login_names[outcome]);
    exchange_record(ex,
                    &(struct trail_act){.event = TRAIL_LOGIN,
                                        .user = name,
                                        .outcome = opened ? NULL : metrics_login_names[outcome]});
}

static void login_recorded(struct exchange *ex)
{
    const struct login *login = ex->state;

    log_login(ex, login);
    if (ex->op.rc == 0 && ex->op.login.opened)
        reply_pair(ex, login->name, login);
    else
        refuse_login(ex);
}

/* Record the outcome, also for an unknown user (user_id 0), so that every refusal takes the same
 * path. The only difference left is one fsync, a hundredth of the work for the password. */
static void password_checked(struct exchange *ex)
{
    struct login *login = ex->state;
    struct store_login *op;

    if (login->check.verified < 0) { /* our failure, not the user's */
        exchange_reply_error(ex, &login->check.err, NULL);
        return;
    }
    op = &exchange_op(ex, STORE_LOGIN)->login;
    *op = password_work_login(ex, &login->check);
    login->session = op->session;
    login->access = op->access;
    make_refresh(ex, login);
    login->ends_ms = op->now_ms + ex->services->config->session_life.number;
    op->refresh_expires_ms = earlier(op->now_ms + refresh_life_ms, login->ends_ms);
    hash_token(login->refresh, op->refresh_hash);
    exchange_post(ex, login_recorded);
}

/* Known or unknown, allowed or not, local or of an identity provider: the same work from here on,
 * so that the duration reveals nothing. */
static void user_looked_up(struct exchange *ex)
{
    struct login *login = ex->state;
    const struct store_user_find *find = &ex->op.user_find;
    bool known = ex->op.rc == 0 && find->found;
    const struct user *user = known && find->user.identity == NULL ? &find->user : NULL;

    password_work_take_user(ex, &login->check, user);
    login->refusal = user == NULL                ? LOGIN_UNKNOWN
                     : user->disabled            ? LOGIN_DISABLED
                     : login->check.user_id != 0 ? LOGIN_OPENED
                                                 : LOGIN_ADDRESS;
    if (user != NULL)
        str_copy(login->name, sizeof(login->name), user->name);
    password_work_start(ex, &login->check, password_checked);
}

/* ?cookie=1; false: replied. */
static bool read_cookie_wish(struct exchange *ex, bool *ret)
{
    const char *value;
    int rc = query_one(ex, "cookie", &value, &ex->err);

    *ret = rc == 0 && str_eq(value, "1");
    if (rc == 0 && value != NULL && !*ret && !str_eq(value, "0"))
        rc = err_set(&ex->err, -E_INVALID, "cookie must be 1, or be left out.");
    if (rc < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return false;
    }
    /* Another site's page must not log its visitors in as another user. */
    return !*ret || login_cookie_check_origin(ex);
}

void user_login(struct exchange *ex)
{
    struct login *login = exchange_new_state(ex, sizeof(*login), login_free);

    if (login == NULL || auth_refuse_key(ex) || !read_cookie_wish(ex, &login->cookie) ||
        !password_work_take(ex, "username", login->name, sizeof(login->name)) ||
        !password_work_take(ex, "password", login->check.password, sizeof(login->check.password)))
        return;
    /* Neither counted as a failure nor logged as a name. */
    if (api_key_is(login->name) || api_key_is(login->check.password)) {
        exchange_fail(ex, -E_FORBIDDEN,
                      "An API key does not log in: send it, in the header Authorization, with each "
                      "request (reportctl login --key-file FILE does so).");
        return;
    }
    exchange_op(ex, STORE_USER_FIND)->user_find.name = login->name;
    exchange_post(ex, user_looked_up);
}

static void token_rotated(struct exchange *ex)
{
    struct login *login = ex->state;
    const struct store_rotate *rotate = &ex->op.rotate;
    bool again = rotate->outcome == ROTATE_CURRENT;

    if (ex->op.rc != 0 || (rotate->outcome != ROTATE_DONE && !again) || rotate->user.disabled ||
        !user_may_come_from(&rotate->user, &ex->client.address)) {
        auth_refuse(ex);
        return;
    }
    login->ends_ms = rotate->created_ms + ex->services->config->session_life.number;
    if (again && !find_refresh(ex, login, rotate))
        exchange_fail(ex, -E_BUSY,
                      "Another node has made the current tokens with a key that this one does not "
                      "have yet: try again in a moment.");
    else
        reply_pair(ex, rotate->user.name, login);
}

/* Read the given refresh token: from the body, or, if there is none, from the cookie. False:
 * replied. */
static bool read_refresh(struct exchange *ex, struct login *login, struct store_rotate *rotate)
{
    char given[SECRET_MAX + 1];
    struct login_cookie cookie;

    login->cookie = exchange_member(ex, "refreshToken") == NULL && login_cookie_is_given(ex);
    if (login->cookie) {
        if (!login_cookie_read(ex, &cookie))
            return false;
        rotate->session = cookie.session;
        rotate->any_access = true;
        memcpy(rotate->old_hash, cookie.hash, sizeof(cookie.hash));
        return true;
    }
    if (!auth_signature(ex) || !password_work_take(ex, "refreshToken", given, sizeof(given)))
        return false;
    if (strchr(given, '.') != NULL) { /* a cookie: its session continues by cookie only */
        auth_refuse(ex);
        return false;
    }
    rotate->session = ex->claims.session;
    rotate->access = ex->claims.access;
    hash_token(given, rotate->old_hash);
    sodium_memzero(given, sizeof(given));
    return true;
}

void user_refresh(struct exchange *ex)
{
    struct login *login = exchange_new_state(ex, sizeof(*login), login_free);
    struct store_rotate rotate = {.now_ms = store_now_ms(ex->services->store),
                                  .life_ms = ex->services->config->session_life.number};

    if (login == NULL || !read_refresh(ex, login, &rotate))
        return;
    login->session = rotate.session;
    login->access = rotate.new_access = guid_new();
    make_refresh(ex, login);
    hash_token(login->refresh, rotate.new_hash);
    rotate.refresh_expires_ms = rotate.now_ms + refresh_life_ms;
    exchange_op(ex, STORE_ROTATE)->rotate = rotate;
    exchange_post(ex, token_rotated);
}

static void logged_out(struct exchange *ex)
{
    const struct store_logout *logout = &ex->op.logout;

    /* Another user may have logged in since, in another tab: that cookie stays. */
    if (login_cookie_is_of(ex, &logout->session))
        login_cookie_set(ex, NULL);
    if (ex->op.rc == 0 && logout->ended)
        exchange_reply(ex, true, "You are logged out.", NULL);
    else
        auth_refuse(ex);
}

void user_logout(struct exchange *ex)
{
    struct store_logout logout = {.now_ms = store_now_ms(ex->services->store)};
    struct login_cookie *cookie;

    if (exchange_header(ex, MHD_HTTP_HEADER_AUTHORIZATION) != NULL) {
        if (!auth_signature(ex))
            return;
        logout.session = ex->claims.session;
        logout.access = ex->claims.access;
    } else {
        cookie = exchange_new_state(ex, sizeof(*cookie), free);
        if (cookie == NULL || !login_cookie_read(ex, cookie))
            return;
        logout.session = cookie->session;
        logout.refresh_hash = cookie->hash;
    }
    exchange_op(ex, STORE_LOGOUT)->logout = logout;
    exchange_post(ex, logged_out);
}
