/* src/http/user_session.c -- GET /User/Sessions and DELETE /User/Session: where the user is logged
 * in. */
#include "http/user.h"

#include "base/json.h"
#include "http/exchange_impl.h"
#include "http/external.h"
#include "http/login_cookie.h"
#include "http/query.h"

static void add_listed_session(struct buf *out, const struct store_user_session *session,
                               bool is_current)
{
    char id[GUID_TEXT];

    guid_format(&session->id, id);
    buf_add_char(out, '{');
    json_add_member(out, "id", id);
    json_add_time(out, "createdAt", session->created_ms);
    json_add_time(out, "renewedAt", session->renewed_ms);
    json_add_time(out, "expiresAt", session->expires_ms);
    json_add_member(out, "address", session->address[0] != '\0' ? session->address : NULL);
    json_add_bool(out, "current", is_current);
    buf_add_char(out, '}');
}

static void sessions_listed(struct exchange *ex)
{
    const struct store_sessions *sessions = &ex->op.sessions;
    struct buf text;

    exchange_begin_records(&text, sessions->count);
    buf_add_char(&text, '[');
    for (size_t i = 0; i < sessions->count; i++) {
        if (i > 0)
            buf_add_char(&text, ',');
        add_listed_session(&text, &sessions->items[i],
                           guid_eq(&sessions->items[i].id, &ex->claims.session));
    }
    buf_add_char(&text, ']');
    exchange_end_records(ex, &text);
}

void user_sessions(struct exchange *ex)
{
    exchange_op(ex, STORE_SESSIONS)->sessions = (struct store_sessions){
        .user_id = ex->user->id, .now_ms = store_now_ms(ex->services->store)};
    exchange_post(ex, sessions_listed);
}

static void reply_unknown(struct exchange *ex)
{
    exchange_fail(ex, -E_UNKNOWN_SESSION,
                  "You have no session with this id: GET /User/Sessions lists them.");
}

static void session_ended(struct exchange *ex)
{
    if (!ex->op.logout.ended) {
        reply_unknown(ex);
        return;
    }
    if (login_cookie_is_of(ex, &ex->op.logout.session))
        login_cookie_set(ex, NULL);
    exchange_reply(ex, true, "The session has ended.", NULL);
}

void user_session_end(struct exchange *ex)
{
    struct store_logout logout = {.user_id = ex->user->id,
                                  .now_ms = store_now_ms(ex->services->store)};
    const char *text;

    ex->act.change = "end session";
    if (external_refuse(ex, "end your session"))
        return;
    if (query_one(ex, "id", &text, &ex->err) != 0 || text == NULL || *text == '\0') {
        exchange_fail(ex, -E_INVALID,
                      "Give one query parameter 'id': that of a session, as GET /User/Sessions "
                      "lists them.");
        return;
    }
    if (!guid_parse(text, &logout.session)) {
        reply_unknown(ex);
        return;
    }
    exchange_op(ex, STORE_LOGOUT)->logout = logout;
    exchange_post(ex, session_ended);
}
