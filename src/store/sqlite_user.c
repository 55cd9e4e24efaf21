/* src/store/sqlite_user.c -- users and sessions in SQLite. */
#include "store/sqlite_impl.h"

/* Reads a row that starts with SQLITE_USER_COLUMNS. */
static void read_user(struct sql *q, struct user *ret)
{
    *ret = (struct user){.id = sql_get_int(q, 0),
                         .name = sql_get_text(q, 1),
                         .disabled = sql_get_bool(q, 2),
                         .failures = (int)sql_get_int(q, 3),
                         .first_failure_ms = sql_get_int(q, 4),
                         .locked_until_ms = sql_get_int(q, 5),
                         .allow = sql_get_text(q, 6),
                         .grants = sql_get_text(q, 7),
                         .is_operator = sql_get_bool(q, 8),
                         .active_limit = (int)sql_get_int(q, 9),
                         .running_limit = (int)sql_get_int(q, 10),
                         .removed = sql_get_bool(q, 11)};
    if (!sql_is_null(q, 12))
        user_set_identity(ret, &(struct user_identity){.issuer = sql_get_text(q, 12),
                                                       .subject = sql_get_text(q, 13),
                                                       .groups = sql_get_text(q, 14),
                                                       .grants = sql_get_text(q, 15)});
}

/* ---- users ---- */

int sqlite_user_add(struct store_conn *conn, struct store_user_add *arg, struct err *err)
{
    struct sql q =
        sql_start(conn, SQL_USER_ADD, value_text(arg->name), value_text(arg->password_hash),
                  value_text(arg->allow != NULL ? arg->allow : ""),
                  value_text(arg->grants != NULL ? arg->grants : ""), value_bool(arg->is_operator),
                  value_int(arg->active_limit), value_int(arg->running_limit));

    sql_next(&q);
    if (q.rc == SQLITE_CONSTRAINT_UNIQUE) {
        sql_end(&q, err);
        return err_set(err, -E_EXISTS, "There is a user '%s' already.", arg->name);
    }
    arg->id = sqlite3_last_insert_rowid(q.conn->db);
    return sql_end(&q, err);
}

static int end_user_sessions(struct store_conn *conn, int64_t user_id, struct err *err)
{
    store_sessions_ended(conn, user_id);
    return sql_do(conn, err, SQL_SESSION_END_USER, value_int(user_id));
}

/* What the user has queued or running has ended; EXPIRED lists all. Nothing looks the user up by id
 * after that, but other processes may have it cached. */
static int remove_user(struct store_conn *conn, int64_t id, struct err *err)
{
    store_changed(conn, &(struct store_change){.user_id = id, .state = REPORT_DELETING});
    return sql_do(conn, err, SQL_USER_LAST, value_int(id))
               ?: sql_do(conn, err, SQL_API_KEY_REMOVE_USER, value_int(id));
}

/* What has to change together with the user's row. */
static int follow_user_change(struct store_conn *conn, int64_t id,
                              const struct store_user_change *arg, struct err *err)
{
    int rc = 0;

    if (arg->password_hash != NULL || arg->disabled == 0)
        rc = sql_do(conn, err, SQL_ADDRESS_UNLOCK, value_int(id));
    if (rc == 0 && (arg->password_hash != NULL || arg->disabled > 0))
        rc = end_user_sessions(conn, id, err);
    if (rc == 0 && arg->running_limit != 0)
        rc = sqlite_queue_read_user(conn, id, err) ?: sqlite_active_changed(conn, id, err);
    return rc;
}

int sqlite_user_change(struct store_conn *conn, struct store_user_change *arg, struct err *err)
{
    bool unlocks = arg->password_hash != NULL || arg->disabled == 0;
    struct sql q = sql_start(
        conn, SQL_USER_CHANGE, value_text(arg->name), value_text(arg->password_hash),
        value_text(arg->allow), value_text(arg->grants),
        arg->disabled < 0 ? value_null() : value_bool(arg->disabled != 0), value_bool(unlocks),
        arg->operates == 0 ? value_null() : value_bool(arg->operates > 0),
        value_limit(arg->active_limit), value_limit(arg->running_limit),
        value_text(arg->old_grants), value_bool(arg->remove));
    int64_t id = 0;
    bool found;
    int rc;

    arg->ended = 0;
    found = sql_next(&q);
    if (found)
        id = sql_get_int(&q, 0);
    rc = sql_run(&q, err);
    if (rc < 0)
        return rc;
    if (!found)
        return err_set(err, -E_NOT_FOUND, "There is no user '%s'.", arg->name);
    rc = follow_user_change(conn, id, arg, err);
    if (rc == 0 && (arg->disabled > 0 || arg->grants != NULL))
        rc = sqlite_revoke(conn, id, arg, err);
    return rc == 0 && arg->remove ? remove_user(conn, id, err) : rc;
}

int sqlite_user_drop(struct store_conn *conn, struct store_user_drop *arg, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = sql_do(conn, err, SQL_USER_DROP);
    struct sql q;

    if (rc < 0)
        return rc;
    arg->dropped = sqlite3_changes(c->db);
    if (arg->dropped > 0) {
        c->dropped = true; /* see sqlite_maintain() */
        memset(c->owners, 0, sizeof(c->owners));
    }
    q = sql_start(conn, SQL_USERS_REMOVED);
    arg->left = sql_next(&q) ? sql_get_int(&q, 0) : 0;
    return sql_end(&q, err);
}

int sqlite_may_run(struct store_conn *conn, int64_t user_id, const char *name, bool *ret,
                   struct err *err)
{
    struct sql q = sql_start(conn, SQL_GRANTS, value_int(user_id));
    bool found = sql_next(&q);
    struct user user = {0};
    int rc;

    if (found) {
        user.disabled = sql_get_bool(&q, 0);
        user.grants = sql_get_text(&q, 1);
        if (!sql_is_null(&q, 2))
            user_set_identity(&user, &(struct user_identity){.grants = sql_get_text(&q, 2)});
    }
    rc = sql_end(&q, err);
    *ret = rc == 0 && found && user_may_run(&user, name ?: ""); /* without a name there is no such
                                                                 * report */
    user_done(&user);
    return rc < 0 || found ? rc : err_set(err, -E_NOT_FOUND, "There is no such user.");
}

int sqlite_user_find(struct store_conn *conn, struct store_user_find *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_USER_FIND, value_text(arg->name));

    arg->found = sql_next(&q);
    if (arg->found) {
        read_user(&q, &arg->user);
        arg->user.password_hash = sql_get_text(&q, SQLITE_USER_COLUMN_COUNT);
    }
    return sql_end(&q, err);
}

int sqlite_user_list(struct store_conn *conn, struct store_user_list *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_USER_LIST);
    void *users = NULL;

    for (arg->count = 0; sql_next(&q); arg->count++) {
        struct user *user = sql_grow(&q, &users, arg->count, sizeof(*user));

        if (user == NULL)
            break;
        read_user(&q, user);
    }
    arg->users = users;
    return sql_end(&q, err);
}

/* ---- sessions ---- */

/* Count a failed login; the one that reaches the limit locks the account. While it is locked,
 * nothing is counted; after a lock or a window has ended, counting starts again. */
static void count_failure(struct user *user, int64_t now_ms)
{
    if (user_is_locked(user, now_ms))
        return;
    if (user->locked_until_ms != 0 || user->first_failure_ms + USER_FAILURE_WINDOW_MS <= now_ms) {
        user->failures = 0;
        user->first_failure_ms = now_ms;
        user->locked_until_ms = 0;
    }
    user->failures++;
    if (user->failures >= USER_FAILURES_MAX)
        user->locked_until_ms = now_ms + USER_LOCK_MS;
}

/* For an address that the user has logged in from, its own count and lock replace the account's;
 * *ret_known false: the address is unknown. */
static int read_address(struct store_conn *conn, const struct store_login *arg, struct user *user,
                        bool *ret_known, struct err *err)
{
    struct sql q = sql_start(conn, SQL_ADDRESS_FIND, value_int(user->id), value_text(arg->address),
                             value_int(arg->now_ms - USER_ADDRESS_MS));

    *ret_known = sql_next(&q);
    if (*ret_known) {
        user->failures = (int)sql_get_int(&q, 0);
        user->first_failure_ms = sql_get_int(&q, 1);
        user->locked_until_ms = sql_get_int(&q, 2);
    }
    return sql_end(&q, err);
}

static int record_account(struct store_conn *conn, const struct user *user, struct err *err)
{
    return sql_do(conn, err, SQL_LOGIN_NOTE, value_int(user->id), value_int(user->failures),
                  value_int(user->first_failure_ms), value_int(user->locked_until_ms));
}

static int record_failure(struct store_conn *conn, const struct store_login *arg, struct user *user,
                          bool known, struct err *err)
{
    count_failure(user, arg->now_ms);
    if (!known)
        return record_account(conn, user, err);
    return sql_do(conn, err, SQL_ADDRESS_FAILED, value_int(user->id), value_text(arg->address),
                  value_int(user->failures), value_int(user->first_failure_ms),
                  value_int(user->locked_until_ms));
}

static int record_success(struct store_conn *conn, const struct store_login *arg, struct user *user,
                          bool known, struct err *err)
{
    int rc = 0;

    if (!known && user->failures > 0) {
        user->failures = 0;
        user->first_failure_ms = 0;
        user->locked_until_ms = 0;
        rc = record_account(conn, user, err);
    }
    if (rc == 0 && arg->address != NULL)
        rc = sql_do(conn, err, SQL_ADDRESS_KNOWN, value_int(user->id), value_text(arg->address),
                    value_int(arg->now_ms));
    return rc;
}

static int add_session(struct store_conn *conn, const struct store_login *arg, struct err *err)
{
    return sql_do(conn, err, SQL_SESSION_ADD, value_guid(&arg->session), value_int(arg->user_id),
                  value_guid(&arg->access), value_blob(arg->refresh_hash, STORE_HASH_BYTES),
                  value_int(arg->refresh_expires_ms), value_int(arg->now_ms),
                  value_text(arg->address != NULL ? arg->address : ""));
}

/* The user exists: count or clear the failures, and open the session if that is allowed. */
static int login_known(struct store_conn *conn, struct store_login *arg, struct user *user,
                       struct err *err)
{
    bool known;
    int rc = read_address(conn, arg, user, &known, err);

    arg->opened =
        rc == 0 && arg->password_ok && !user->disabled && !user_is_locked(user, arg->now_ms);
    if (rc == 0 && !arg->password_ok)
        rc = record_failure(conn, arg, user, known, err);
    else if (arg->opened)
        rc = record_success(conn, arg, user, known, err) ?: add_session(conn, arg, err);
    return rc;
}

int sqlite_login(struct store_conn *conn, struct store_login *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_LOGIN_FIND, value_int(arg->user_id),
                             value_text(arg->password_ok ? arg->password_hash : NULL));
    struct user user = {0};
    bool found;
    int rc;

    arg->opened = false;
    found = sql_next(&q);
    if (found)
        read_user(&q, &user);
    rc = sql_end(&q, err);
    if (rc == 0 && found)
        rc = login_known(conn, arg, &user, err);
    user_done(&user);
    return rc;
}

static int find_by_key(struct store_conn *conn, struct store_session *arg, struct err *err)
{
    enum { NAME = SQLITE_USER_COLUMN_COUNT, ALLOW, GRANTS, OPERATOR, EXPIRES, USED };
    struct sql q =
        sql_start(conn, SQL_API_KEY_FIND, value_guid(&arg->session), value_bool(arg->any_access),
                  value_blob(arg->key_hash, API_KEY_HASH_BYTES), value_int(arg->now_ms));

    arg->found = sql_next(&q);
    if (arg->found) {
        read_user(&q, &arg->user);
        if (!user_set_key(&arg->user, sql_get_text(&q, NAME), sql_get_text(&q, ALLOW),
                          sql_get_text(&q, GRANTS)))
            q.rc = SQLITE_NOMEM;
        arg->user.is_operator &= sql_get_bool(&q, OPERATOR);
        arg->expires_ms = sql_get_int(&q, EXPIRES);
        arg->used_ms = sql_get_int(&q, USED);
    }
    return sql_end(&q, err);
}

static int find_session(struct store_conn *conn, struct store_session *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_SESSION, value_guid(&arg->session), value_guid(&arg->access),
                             value_bool(arg->any_access), value_int(arg->now_ms - STORE_LEEWAY_MS));

    arg->found = sql_next(&q);
    if (arg->found) {
        arg->replaced = sql_get_bool(&q, SQLITE_USER_COLUMN_COUNT);
        read_user(&q, &arg->user);
    }
    return sql_end(&q, err);
}

int sqlite_session(struct store_conn *conn, struct store_session *arg, struct err *err)
{
    int rc = 0;

    arg->found = false;
    if (!arg->by_key)
        rc = find_session(conn, arg, err);
    if (rc == 0 && (arg->by_key || (arg->any_access && !arg->found)))
        rc = find_by_key(conn, arg, err);
    return rc;
}

int sqlite_sessions(struct store_conn *conn, struct store_sessions *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_SESSIONS, value_int(arg->user_id), value_int(arg->now_ms),
                             value_int(STORE_PAGE_MAX));
    void *items = NULL;

    for (arg->count = 0; sql_next(&q); arg->count++) {
        struct store_user_session *item = sql_grow(&q, &items, arg->count, sizeof(*item));

        if (item == NULL)
            break;
        item->id = sql_get_guid(&q, 0);
        item->created_ms = sql_get_int(&q, 1);
        item->renewed_ms = sql_get_int(&q, 2);
        item->expires_ms = sql_get_int(&q, 3);
        item->address = sql_get_text(&q, 4);
    }
    arg->items = items;
    return sql_end(&q, err);
}

static int exchange(struct store_conn *conn, struct store_rotate *arg, struct err *err)
{
    return sql_do(conn, err, SQL_ROTATE_USE, value_guid(&arg->session), value_int(arg->now_ms))
               ?: sql_do(conn, err, SQL_ROTATE, value_guid(&arg->session),
                         value_guid(&arg->new_access), value_blob(arg->new_hash, STORE_HASH_BYTES),
                         value_int(arg->refresh_expires_ms), value_int(arg->life_ms),
                         value_int(arg->now_ms));
}

/* Reads a row of ROTATE_FIND. */
static enum store_rotate_outcome rotate_outcome(struct sql *q)
{
    enum { PERMITTED = SQLITE_USER_COLUMN_COUNT, LATEST, ACCESS, USED_JUST_NOW };
    bool used = !sql_is_null(q, USED_JUST_NOW);

    if (used && !sql_get_bool(q, USED_JUST_NOW))
        return ROTATE_REUSED;
    if (!sql_get_bool(q, PERMITTED))
        return ROTATE_UNKNOWN;
    if (used)
        return ROTATE_CURRENT;
    return sql_get_bool(q, LATEST) ? ROTATE_DONE : ROTATE_UNKNOWN;
}

int sqlite_rotate(struct store_conn *conn, struct store_rotate *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_ROTATE_FIND, value_guid(&arg->session),
                             value_blob(arg->old_hash, STORE_HASH_BYTES), value_guid(&arg->access),
                             value_int(arg->now_ms), value_bool(arg->any_access),
                             value_int(arg->now_ms - STORE_LEEWAY_MS), value_int(arg->life_ms));
    int rc;

    arg->outcome = ROTATE_UNKNOWN;
    if (sql_next(&q)) {
        arg->outcome = rotate_outcome(&q);
        if (arg->outcome == ROTATE_DONE || arg->outcome == ROTATE_CURRENT)
            read_user(&q, &arg->user);
        else if (arg->outcome == ROTATE_REUSED)
            store_sessions_ended(conn, sql_get_int(&q, 0));
        arg->current = sql_get_guid(&q, SQLITE_USER_COLUMN_COUNT + 2);
        sql_get_blob(&q, SQLITE_USER_COLUMN_COUNT + 4, arg->current_hash, STORE_HASH_BYTES);
        arg->created_ms = sql_get_int(&q, SQLITE_USER_COLUMN_COUNT + 5);
    }
    rc = sql_end(&q, err);
    if (rc == 0 && arg->outcome == ROTATE_REUSED)
        rc = sql_do(conn, err, SQL_SESSION_END, value_guid(&arg->session));
    else if (rc == 0 && arg->outcome == ROTATE_DONE)
        rc = exchange(conn, arg, err);
    return rc;
}

int sqlite_logout(struct store_conn *conn, struct store_logout *arg, struct err *err)
{
    bool by_access = arg->refresh_hash == NULL && arg->user_id == 0;
    struct sql q = sql_start(conn, SQL_LOGOUT, value_guid(&arg->session),
                             by_access ? value_guid(&arg->access) : value_null(),
                             value_blob(arg->refresh_hash, STORE_HASH_BYTES),
                             value_int(arg->now_ms - STORE_LEEWAY_MS), value_int(arg->user_id));

    arg->ended = sql_next(&q);
    if (arg->ended)
        store_sessions_ended(conn, sql_get_int(&q, 0));
    return sql_run(&q, err);
}

int sqlite_sweep(struct store_conn *conn, struct store_sweep *arg, struct err *err)
{
    const struct {
        enum sqlite_statement statement;
        int64_t before_ms;
    } sweeps[] = {{SQL_SWEEP_SESSIONS, arg->now_ms},
                  {SQL_SWEEP_KEYS, arg->now_ms},
                  {SQL_SWEEP_ADDRESSES, arg->now_ms - USER_ADDRESS_MS}};

    arg->removed = 0;
    for (size_t i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
        int rc = sql_do(conn, err, sweeps[i].statement, value_int(sweeps[i].before_ms));

        if (rc < 0)
            return rc;
        arg->removed += sqlite3_changes(((struct sqlite_conn *)conn)->db);
    }
    if (arg->removed > 0)
        ((struct sqlite_conn *)conn)->dropped = true; /* see sqlite_maintain() */
    return 0;
}

int sqlite_sessions_end(struct store_conn *conn, struct store_sessions_end *arg, struct err *err)
{
    sqlite3 *db = ((struct sqlite_conn *)conn)->db;
    int rc = sql_do(conn, err, SQL_SESSIONS_END);

    arg->ended = sqlite3_changes(db);
    arg->suspended = 0;
    if (rc == 0 && arg->suspend_keys) {
        rc = sql_do(conn, err, SQL_API_KEY_SUSPEND);
        arg->suspended = sqlite3_changes(db);
    }
    store_sessions_ended(conn, 0);
    return rc;
}
