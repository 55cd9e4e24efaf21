/* src/store/postgres_user.c -- users and sessions in PostgreSQL. */
#include <stdlib.h>

#include "store/postgres_impl.h"

/* Reads a row that starts with POSTGRES_USER_COLUMNS. */
static void read_user(struct postgres_conn *c, struct user *ret)
{
    *ret = (struct user){.id = get_int(c, 0),
                         .name = get_text(c, 1),
                         .disabled = get_bool(c, 2),
                         .failures = (int)get_int(c, 3),
                         .first_failure_ms = get_int(c, 4),
                         .locked_until_ms = get_int(c, 5),
                         .allow = get_text(c, 6),
                         .grants = get_text(c, 7),
                         .is_operator = get_bool(c, 8),
                         .active_limit = (int)get_int(c, 9),
                         .running_limit = (int)get_int(c, 10),
                         .removed = get_bool(c, 11)};
    if (!get_null(c, 12))
        user_set_identity(ret, &(struct user_identity){.issuer = get_text(c, 12),
                                                       .subject = get_text(c, 13),
                                                       .groups = get_text(c, 14),
                                                       .grants = get_text(c, 15)});
}

/* ---- users ---- */

void postgres_send_user_add(struct postgres_conn *c, struct store_user_add *arg)
{
    call_run(c, PG_USER_ADD, value_text(arg->name), value_text(arg->password_hash),
             value_text(arg->allow != NULL ? arg->allow : ""),
             value_text(arg->grants != NULL ? arg->grants : ""), value_bool(arg->is_operator),
             value_int(arg->active_limit), value_int(arg->running_limit));
}

int postgres_read_user_add(struct postgres_conn *c, struct store_user_add *arg)
{
    if (!results_next(c))
        return err_set(&c->err, -E_EXISTS, "There is a user '%s' already.", arg->name);
    arg->id = get_int(c, 0);
    return 0;
}

static bool ends_sessions(const struct store_user_change *arg)
{
    return arg->password_hash != NULL || arg->disabled > 0;
}

static bool ends_reports(const struct store_user_change *arg)
{
    return arg->grants != NULL || arg->disabled > 0;
}

void postgres_send_user_change(struct postgres_conn *c, struct store_user_change *arg)
{
    if (ends_reports(arg))
        call_run(c, PG_USER_LOCK, value_text(arg->name));
    call_run(c, PG_USER_CHANGE, value_text(arg->name), value_text(arg->password_hash),
             value_text(arg->allow), value_text(arg->grants),
             arg->disabled < 0 ? value_null() : value_bool(arg->disabled != 0),
             value_bool(arg->password_hash != NULL || arg->disabled == 0) /* lifts a lock */,
             arg->operates == 0 ? value_null() : value_bool(arg->operates > 0),
             value_limit(arg->active_limit), value_limit(arg->running_limit),
             value_text(arg->old_grants), value_bool(arg->remove));
    if (ends_sessions(arg))
        call_run(c, PG_SESSION_END_USER, value_text(arg->name));
    if (ends_reports(arg))
        call_run(c, PG_REVOKE, value_text(arg->name), value_int(arg->now_ms),
                 value_int(arg->retention_ms), value_text(arg->retentions));
    if (arg->remove)
        call_run(c, PG_API_KEY_REMOVE_USER, value_text(arg->name));
}

int postgres_read_revoked(struct postgres_conn *c, int64_t *ret_ended)
{
    struct guid id;

    if (!results_take(c))
        return -E_STORE;
    for (*ret_ended = 0; results_next(c); ++*ret_ended) {
        id = get_guid(c, 0);
        postgres_changed(c, &id, get_int(c, 1), 2, REPORT_ERROR);
    }
    return 0;
}

static int read_ended_sessions(struct postgres_conn *c)
{
    if (!results_take(c))
        return -E_STORE;
    if (results_next(c))
        store_sessions_ended(&c->base, get_int(c, 0));
    return 0;
}

int postgres_read_user_change(struct postgres_conn *c, struct store_user_change *arg)
{
    int64_t id;

    arg->ended = 0;
    if (ends_reports(arg) && !results_take(c))
        return -E_STORE;
    id = results_next(c) ? get_int(c, 0) : 0;
    if (ends_sessions(arg) && read_ended_sessions(c) < 0)
        return -E_STORE;
    if (ends_reports(arg) && postgres_read_revoked(c, &arg->ended) < 0)
        return -E_STORE;
    if (arg->remove && !results_take(c)) /* of the keys */
        return -E_STORE;
    if (arg->remove && id != 0) /* the purgers of all nodes have to be notified */
        store_changed(&c->base, &(struct store_change){.user_id = id, .state = REPORT_DELETING});
    return id != 0 ? 0 : err_set(&c->err, -E_NOT_FOUND, "There is no user '%s'.", arg->name);
}

void postgres_send_user_drop(struct postgres_conn *c, struct store_user_drop *arg)
{
    (void)arg;
    call_run(c, PG_USER_DROP);
    call_run(c, PG_USERS_REMOVED);
}

int postgres_read_user_drop(struct postgres_conn *c, struct store_user_drop *arg)
{
    arg->dropped = results_changed(c);
    if (!results_take(c))
        return -E_STORE;
    arg->left = results_next(c) ? get_int(c, 0) : 0;
    return 0;
}

void postgres_send_user_find(struct postgres_conn *c, struct store_user_find *arg)
{
    call_run(c, PG_USER_FIND, value_text(arg->name));
}

int postgres_read_user_find(struct postgres_conn *c, struct store_user_find *arg)
{
    arg->found = results_next(c);
    if (arg->found) {
        read_user(c, &arg->user);
        arg->user.password_hash = get_text(c, POSTGRES_USER_COLUMN_COUNT);
    }
    return 0;
}

POSTGRES_SENDS(user_list, PG_USER_LIST)

int postgres_read_user_list(struct postgres_conn *c, struct store_user_list *arg)
{
    arg->count = 0;
    arg->users = results_array(c, sizeof(*arg->users));
    if (arg->users == NULL)
        return -E_STORE;
    while (results_next(c)) {
        struct user *user = &arg->users[arg->count++];

        read_user(c, user);
    }
    return 0;
}

/* ---- sessions ---- */

/* The user's row is locked by a separate statement, so that the next one sees every failure that
 * was counted before. */
void postgres_send_login(struct postgres_conn *c, struct store_login *arg)
{
    call_run(c, PG_LOGIN_LOCK, value_int(arg->user_id));
    if (arg->password_ok)
        call_run(c, PG_LOGIN_OPEN, value_int(arg->user_id), value_int(arg->now_ms),
                 value_guid(&arg->session), value_guid(&arg->access),
                 value_blob(arg->refresh_hash, STORE_HASH_BYTES),
                 value_int(arg->refresh_expires_ms), value_text(arg->address),
                 value_int(USER_ADDRESS_MS), value_text(arg->password_hash));
    else
        call_run(c, PG_LOGIN_FAILED, value_int(arg->user_id), value_int(arg->now_ms),
                 value_int(USER_FAILURE_WINDOW_MS), value_int(USER_FAILURES_MAX),
                 value_int(USER_LOCK_MS), value_text(arg->address), value_int(USER_ADDRESS_MS));
}

int postgres_read_login(struct postgres_conn *c, struct store_login *arg)
{
    if (!results_take(c))
        return -E_STORE;
    arg->opened = arg->password_ok && results_next(c) && get_bool(c, 0);
    return 0;
}

/* A session, a key, or either. */
void postgres_send_session(struct postgres_conn *c, struct store_session *arg)
{
    if (!arg->by_key)
        call_run(c, PG_SESSION, value_guid(&arg->session), value_guid(&arg->access),
                 value_bool(arg->any_access), value_int(arg->now_ms - STORE_LEEWAY_MS));
    if (arg->by_key || arg->any_access)
        call_run(c, PG_API_KEY_FIND, value_guid(&arg->session), value_bool(arg->any_access),
                 value_blob(arg->key_hash, API_KEY_HASH_BYTES), value_int(arg->now_ms));
}

static int read_by_key(struct postgres_conn *c, struct store_session *arg)
{
    enum { NAME = POSTGRES_USER_COLUMN_COUNT, ALLOW, GRANTS, OPERATOR, EXPIRES, USED };

    arg->found = results_next(c);
    if (!arg->found)
        return 0;
    read_user(c, &arg->user);
    if (!user_set_key(&arg->user, get_text(c, NAME), get_text(c, ALLOW), get_text(c, GRANTS)))
        return results_no_memory(c);
    arg->user.is_operator &= get_bool(c, OPERATOR);
    arg->expires_ms = get_int(c, EXPIRES);
    arg->used_ms = get_int(c, USED);
    return 0;
}

int postgres_read_session(struct postgres_conn *c, struct store_session *arg)
{
    if (arg->by_key)
        return read_by_key(c, arg);
    arg->found = results_next(c);
    if (arg->found) {
        arg->replaced = get_bool(c, POSTGRES_USER_COLUMN_COUNT);
        read_user(c, &arg->user);
    }
    if (!arg->any_access)
        return 0;
    if (!results_take(c))
        return -E_STORE;
    return arg->found ? 0 : read_by_key(c, arg);
}

void postgres_send_sessions(struct postgres_conn *c, struct store_sessions *arg)
{
    call_run(c, PG_SESSIONS, value_int(arg->user_id), value_int(arg->now_ms),
             value_int(STORE_PAGE_MAX));
}

int postgres_read_sessions(struct postgres_conn *c, struct store_sessions *arg)
{
    arg->count = 0;
    arg->items = results_array(c, sizeof(*arg->items));
    if (arg->items == NULL)
        return -E_STORE;
    while (results_next(c)) {
        struct store_user_session *item = &arg->items[arg->count++];

        item->id = get_guid(c, 0);
        item->created_ms = get_int(c, 1);
        item->renewed_ms = get_int(c, 2);
        item->expires_ms = get_int(c, 3);
        item->address = get_text(c, 4);
    }
    return 0;
}

void postgres_send_rotate(struct postgres_conn *c, struct store_rotate *arg)
{
    call_run(c, PG_ROTATE_LOCK, value_guid(&arg->session));
    call_run(c, PG_ROTATE, value_guid(&arg->session), value_blob(arg->old_hash, STORE_HASH_BYTES),
             value_guid(&arg->access), value_int(arg->now_ms), value_guid(&arg->new_access),
             value_blob(arg->new_hash, STORE_HASH_BYTES), value_int(arg->refresh_expires_ms),
             value_bool(arg->any_access), value_int(arg->now_ms - STORE_LEEWAY_MS),
             value_int(arg->life_ms));
}

/* Numbered as in the statement. */
enum { OUTCOME_DONE_BEFORE = 4 };
_Static_assert(ROTATE_DONE == 0 && ROTATE_UNKNOWN == 1 && ROTATE_REUSED == 2 && ROTATE_CURRENT == 3,
               "the statement answers with these numbers");

int postgres_read_rotate(struct postgres_conn *c, struct store_rotate *arg)
{
    int64_t outcome = ROTATE_UNKNOWN;

    if (!results_take(c))
        return -E_STORE;
    if (results_next(c)) {
        outcome = get_int(c, POSTGRES_USER_COLUMN_COUNT);
        arg->current = get_guid(c, POSTGRES_USER_COLUMN_COUNT + 1);
        get_blob(c, POSTGRES_USER_COLUMN_COUNT + 2, arg->current_hash, STORE_HASH_BYTES);
        arg->created_ms = get_int(c, POSTGRES_USER_COLUMN_COUNT + 3);
    }
    arg->outcome =
        outcome == OUTCOME_DONE_BEFORE ? ROTATE_DONE : (enum store_rotate_outcome)outcome;
    if (arg->outcome == ROTATE_DONE || arg->outcome == ROTATE_CURRENT)
        read_user(c, &arg->user);
    else if (arg->outcome == ROTATE_REUSED)
        store_sessions_ended(&c->base, get_int(c, 0));
    return 0;
}

/* If an earlier try ended the session and its answer was lost, the session no longer exists. */
void postgres_send_logout(struct postgres_conn *c, struct store_logout *arg)
{
    bool by_refresh = arg->refresh_hash != NULL;

    call_run(c, PG_LOGOUT, value_guid(&arg->session),
             by_refresh || arg->user_id != 0 ? value_null() : value_guid(&arg->access),
             by_refresh ? value_blob(arg->refresh_hash, STORE_HASH_BYTES) : value_null(),
             value_int(arg->now_ms - STORE_LEEWAY_MS), value_int(arg->user_id));
}

int postgres_read_logout(struct postgres_conn *c, struct store_logout *arg)
{
    arg->ended = results_changed(c) > 0 || c->again;
    if (results_next(c))
        store_sessions_ended(&c->base, get_int(c, 0));
    return 0;
}

/* The locks that SUBMIT takes, which a read-only database refuses. */
POSTGRES_SENDS(probe, PG_PROBE)

POSTGRES_READS_NOTHING(probe)

void postgres_send_sweep(struct postgres_conn *c, struct store_sweep *arg)
{
    call_run(c, PG_SWEEP_SESSIONS, value_int(arg->now_ms));
    call_run(c, PG_SWEEP_KEYS, value_int(arg->now_ms));
    call_run(c, PG_SWEEP_ADDRESSES, value_int(arg->now_ms - USER_ADDRESS_MS));
    call_run(c, PG_SWEEP_PROGRESS);
    call_run(c, PG_SWEEP_TRANSFERS);
    call_run(c, PG_SWEEP_WRITERS);
    call_run(c, PG_SWEEP_WAITING);
}

int postgres_read_sweep(struct postgres_conn *c, struct store_sweep *arg)
{
    arg->removed = results_changed(c);
    if (!results_take(c))
        return -E_STORE;
    arg->removed += results_changed(c);
    if (!results_take(c))
        return -E_STORE;
    arg->removed += results_changed(c);
    for (int i = 0; i < 4; i++) { /* the others are not counted */
        if (!results_take(c))
            return -E_STORE;
    }
    return 0;
}

void postgres_send_sessions_end(struct postgres_conn *c, struct store_sessions_end *arg)
{
    call_run(c, PG_SESSIONS_END);
    if (arg->suspend_keys)
        call_run(c, PG_API_KEY_SUSPEND);
}

int postgres_read_sessions_end(struct postgres_conn *c, struct store_sessions_end *arg)
{
    arg->ended = results_changed(c);
    arg->suspended = 0;
    store_sessions_ended(&c->base, 0);
    if (!arg->suspend_keys)
        return 0;
    if (!results_take(c))
        return -E_STORE;
    arg->suspended = results_changed(c);
    return 0;
}
