/* src/http/user_password.c -- POST /User/Password: a user changes the password. */
#include "http/user.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/exchange_impl.h"
#include "http/external.h"
#include "http/login_cookie.h"
#include "http/password_work.h"

static void change_free(void *state)
{
    sodium_memzero(state, sizeof(struct password_work));
    free(state);
}

static void refuse_change(struct exchange *ex)
{
    const struct password_work *change = ex->state;

    log_warn("password.refused", "request=%s user=%s address=%s", ex->request_id, ex->user->name,
             change->address);
    exchange_fail(ex, -E_FORBIDDEN,
                  "The password was not changed: \"oldPassword\" is wrong, or the account is "
                  "locked (for %d minutes after %d failures).",
                  USER_LOCK_MS / 60000, USER_FAILURES_MAX);
}

static void password_changed(struct exchange *ex)
{
    const struct password_work *change = ex->state;

    if (ex->op.rc == -E_NOT_FOUND) { /* removed meanwhile */
        auth_refuse(ex);
        return;
    }
    log_info("password.changed", "request=%s user=%s address=%s", ex->request_id, ex->user->name,
             change->address);
    if (login_cookie_is_of(ex, &ex->claims.session))
        login_cookie_set(ex, NULL);
    exchange_reply(ex, true,
                   "Your password has been changed, and all your sessions have ended: log in "
                   "with the new one.",
                   NULL);
}

/* All sessions end, including the one that the check has opened. */
static void old_password_recorded(struct exchange *ex)
{
    const struct password_work *change = ex->state;

    if (ex->op.rc != 0 || !ex->op.login.opened) {
        refuse_change(ex);
        return;
    }
    exchange_op(ex, STORE_USER_CHANGE)->user_change = (struct store_user_change){
        .name = ex->user->name, .password_hash = change->new_hash, .disabled = -1};
    exchange_post(ex, password_changed);
}

/* A failure counts like that of a login, so that nobody can try passwords with a token. */
static void old_password_checked(struct exchange *ex)
{
    struct password_work *change = ex->state;
    struct store_login *op;

    if (change->verified < 0) { /* our failure, not the user's */
        exchange_reply_error(ex, &change->err, NULL);
        return;
    }
    if (change->verified == 1 && change->new_hash[0] == '\0') {
        exchange_fail(ex, -E_NOMEM, "no memory for a password");
        return;
    }
    op = &exchange_op(ex, STORE_LOGIN)->login;
    *op = password_work_login(ex, change);
    randombytes_buf(op->refresh_hash, sizeof(op->refresh_hash)); /* belongs to no token */
    op->refresh_expires_ms = op->now_ms;
    exchange_post(ex, old_password_recorded);
}

static void old_hash_found(struct exchange *ex)
{
    struct password_work *change = ex->state;

    if (ex->op.rc != 0 || !ex->op.user_find.found) {
        auth_refuse(ex);
        return;
    }
    password_work_take_user(ex, change, &ex->op.user_find.user);
    password_work_start(ex, change, old_password_checked);
}

void user_password(struct exchange *ex)
{
    struct password_work *work;

    if (external_refuse(ex, "change your password"))
        return;
    work = exchange_new_state(ex, sizeof(*work), change_free);
    if (work == NULL)
        return;
    ex->act.change = "password";
    if (!password_work_take(ex, "oldPassword", work->password, sizeof(work->password)) ||
        !password_work_take(ex, "newPassword", work->new_password, sizeof(work->new_password)))
        return;
    if (password_check(work->new_password, ex->user->name, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    exchange_op(ex, STORE_USER_FIND)->user_find.name = ex->user->name;
    exchange_post(ex, old_hash_found);
}
