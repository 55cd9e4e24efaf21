/* tests/contract/store_user_test.c -- users and sessions in the store, on every backend. */
#include "contract/store_fixture.h"

/* ---- users ---- */

static struct store_op find_user(struct fixture *f, const char *name)
{
    struct store_op op = {.verb = STORE_USER_FIND, .user_find = {.name = name}};

    assert_int_equal(run(f->store, &op), 0);
    return op;
}

static void a_user_is_found_in_any_case(void **state)
{
    struct store_op op = find_user(*state, "aNN");

    assert_true(op.user_find.found);
    assert_string_equal(op.user_find.user.name, "Ann");
    assert_string_equal(op.user_find.user.password_hash, "hash");
    assert_string_equal(op.user_find.user.grants, "*");
    assert_string_equal(op.user_find.user.allow, "");
    assert_false(op.user_find.user.disabled);
    assert_int_equal(op.user_find.user.active_limit, 0);
    store_op_done(&op);
}

static void an_unknown_user_is_not_found(void **state)
{
    struct store_op op = find_user(*state, "Cid");

    assert_false(op.user_find.found);
    store_op_done(&op);
}

static void a_name_is_taken_whatever_its_case(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_ADD};

    op.user_add =
        (struct store_user_add){.name = "ANN", .password_hash = "x", .allow = "", .grants = ""};
    assert_int_equal(store_run(f->store, &op), -E_EXISTS);
    assert_non_null(strstr(op.err.text, "ANN"));
}

static void users_are_listed_by_name(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_LIST};

    add_user(f, "al");
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.user_list.count, 3);
    assert_string_equal(op.user_list.users[0].name, "al");
    assert_string_equal(op.user_list.users[1].name, "Ann");
    assert_string_equal(op.user_list.users[2].name, "Bob");
    assert_null(op.user_list.users[0].password_hash);
    store_op_done(&op);
}

static struct store_op change_op(const char *name)
{
    struct store_op op = {.verb = STORE_USER_CHANGE};

    op.user_change = (struct store_user_change){.name = name, .disabled = -1};
    return op;
}

static void a_change_leaves_the_other_fields(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("ann");

    op.user_change.grants = "Balance";
    assert_int_equal(run(f->store, &op), 0);
    op = change_op("ANN");
    op.user_change.allow = "10.0.0.0/8";
    assert_int_equal(run(f->store, &op), 0);
    op = find_user(f, "Ann");
    assert_string_equal(op.user_find.user.grants, "Balance");
    assert_string_equal(op.user_find.user.allow, "10.0.0.0/8");
    assert_string_equal(op.user_find.user.password_hash, "hash");
    assert_false(op.user_find.user.disabled);
    store_op_done(&op);
}

static void limits_are_set_and_given_up_one_by_one(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("ann");

    op.user_change.active_limit = 30;
    op.user_change.running_limit = 2;
    assert_int_equal(run(f->store, &op), 0);
    op = change_op("ann");
    op.user_change.active_limit = -1;
    assert_int_equal(run(f->store, &op), 0);
    op = find_user(f, "Ann");
    assert_int_equal(op.user_find.user.active_limit, 0);
    assert_int_equal(op.user_find.user.running_limit, 2);
    store_op_done(&op);
}

static void an_unknown_user_cannot_be_changed(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Cid");

    op.user_change.disabled = 1;
    assert_int_equal(store_run(f->store, &op), -E_NOT_FOUND);
    assert_non_null(strstr(op.err.text, "Cid"));
}

/* ---- login ---- */

struct session {
    struct guid id, access;
    uint8_t refresh[STORE_HASH_BYTES];
};

static bool login_from(struct fixture *f, const char *address, bool password_ok, int64_t now_ms,
                       struct session *ret)
{
    struct store_op op = {.verb = STORE_LOGIN};
    struct session session = {.id = guid_new(), .access = guid_new()};

    memcpy(session.refresh, session.id.bytes, GUID_BYTES);
    op.login = (struct store_login){.user_id = f->ann,
                                    .address = address,
                                    .password_ok = password_ok,
                                    .now_ms = now_ms,
                                    .session = session.id,
                                    .access = session.access,
                                    .refresh_expires_ms = now_ms + 30 * DAY_MS};
    memcpy(op.login.refresh_hash, session.refresh, STORE_HASH_BYTES);
    assert_int_equal(run(f->store, &op), 0);
    if (op.login.opened && ret != NULL)
        *ret = session;
    return op.login.opened;
}

/* From no address, such as by a socket of the machine. */
static bool login(struct fixture *f, bool password_ok, int64_t now_ms, struct session *ret)
{
    return login_from(f, NULL, password_ok, now_ms, ret);
}

/* Long after whatever was replaced before. */
static const int64_t much_later_ms = NOW_MS + DAY_MS;

static bool lives_at(struct fixture *f, const struct session *session, bool any_access,
                     int64_t now_ms)
{
    struct store_op op = {.verb = STORE_SESSION};
    bool found;

    op.session = (struct store_session){.session = session->id,
                                        .access = session->access,
                                        .any_access = any_access,
                                        .now_ms = now_ms};
    assert_int_equal(run(f->store, &op), 0);
    found = op.session.found;
    if (found) {
        assert_string_equal(op.session.user.name, "Ann");
        assert_null(op.session.user.password_hash);
    }
    store_op_done(&op);
    return found;
}

static bool lives(struct fixture *f, const struct session *session, bool any_access)
{
    return lives_at(f, session, any_access, much_later_ms);
}

static bool holds(struct fixture *f, const struct session *session)
{
    return lives(f, session, false);
}

static void fail_logins(struct fixture *f, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++)
        assert_false(login(f, false, now_ms, NULL));
}

static void a_login_opens_a_session(void **state)
{
    struct fixture *f = *state;
    struct session session, other;

    assert_true(login(f, true, NOW_MS, &session));
    assert_true(login(f, true, NOW_MS, &other));
    assert_true(holds(f, &session));
    other.id = session.id;
    assert_false(holds(f, &other));
}

static void a_wrong_password_opens_nothing(void **state)
{
    fail_logins(*state, 1, NOW_MS);
}

static void a_user_that_is_gone_cannot_log_in(void **state)
{
    struct fixture *f = *state;

    f->ann = 999;
    assert_false(login(f, true, NOW_MS, NULL));
}

static void three_failures_lock_the_account_for_ten_minutes(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    assert_false(login(f, true, NOW_MS + USER_LOCK_MS - 1, NULL));
    assert_true(login(f, true, NOW_MS + USER_LOCK_MS, NULL));
}

static void two_failures_do_not_lock(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS);
    assert_true(login(f, true, NOW_MS, NULL));
}

static void failures_while_locked_do_not_lengthen_the_lock(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    fail_logins(f, USER_FAILURES_MAX, NOW_MS + USER_LOCK_MS - 1);
    assert_true(login(f, true, NOW_MS + USER_LOCK_MS, NULL));
}

static void success_clears_the_failures(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS);
    assert_true(login(f, true, NOW_MS, NULL));
    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS);
    assert_true(login(f, true, NOW_MS, NULL));
}

static void failures_far_apart_do_not_lock(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS);
    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS + USER_FAILURE_WINDOW_MS);
    assert_true(login(f, true, NOW_MS + USER_FAILURE_WINDOW_MS, NULL));
}

static void after_a_lock_the_count_starts_afresh(void **state)
{
    struct fixture *f = *state;

    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    fail_logins(f, USER_FAILURES_MAX - 1, NOW_MS + USER_LOCK_MS);
    assert_true(login(f, true, NOW_MS + USER_LOCK_MS, NULL));
}

static void a_new_password_lifts_the_lock(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");

    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    op.user_change.password_hash = "other";
    assert_int_equal(run(f->store, &op), 0);
    assert_true(login(f, true, NOW_MS, NULL));
}

static void enabling_lifts_the_lock(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");

    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    op.user_change.disabled = 0;
    assert_int_equal(run(f->store, &op), 0);
    assert_true(login(f, true, NOW_MS, NULL));
}

static void fail_from(struct fixture *f, const char *address, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++)
        assert_false(login_from(f, address, false, now_ms, NULL));
}

static const char owner[] = "192.0.2.1", stranger[] = "2001:db8::1";

static void a_stranger_does_not_lock_out_who_has_logged_in_from_elsewhere(void **state)
{
    struct fixture *f = *state;

    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    fail_from(f, stranger, USER_FAILURES_MAX, NOW_MS);
    assert_false(login_from(f, stranger, true, NOW_MS, NULL));
    assert_false(login(f, true, NOW_MS, NULL));
    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    assert_false(login_from(f, stranger, true, NOW_MS + USER_LOCK_MS - 1, NULL));
    assert_true(login_from(f, stranger, true, NOW_MS + USER_LOCK_MS, NULL));
}

static void failures_from_a_known_address_count_there_only(void **state)
{
    struct fixture *f = *state;

    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    fail_from(f, owner, USER_FAILURES_MAX, NOW_MS);
    fail_from(f, stranger, USER_FAILURES_MAX - 1, NOW_MS);
    assert_false(login_from(f, owner, true, NOW_MS + USER_LOCK_MS - 1, NULL));
    assert_true(login_from(f, stranger, true, NOW_MS, NULL));
    assert_false(login_from(f, owner, true, NOW_MS + USER_LOCK_MS - 1, NULL));
    assert_true(login_from(f, owner, true, NOW_MS + USER_LOCK_MS, NULL));
}

static void a_known_address_counts_as_an_account_does(void **state)
{
    struct fixture *f = *state;

    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    for (int i = 0; i < 2; i++) { /* a success clears */
        fail_from(f, owner, USER_FAILURES_MAX - 1, NOW_MS);
        assert_true(login_from(f, owner, true, NOW_MS, NULL));
    }
    fail_from(f, owner, USER_FAILURES_MAX - 1, NOW_MS); /* far apart */
    fail_from(f, owner, USER_FAILURES_MAX - 1, NOW_MS + USER_FAILURE_WINDOW_MS);
    assert_true(login_from(f, owner, true, NOW_MS + USER_FAILURE_WINDOW_MS, NULL));
}

static void an_address_is_known_for_thirty_days(void **state)
{
    struct fixture *f = *state;
    const int64_t later_ms = NOW_MS + USER_ADDRESS_MS;

    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    fail_from(f, stranger, USER_FAILURES_MAX, later_ms - 1);
    assert_false(login_from(f, owner, true, later_ms, NULL));
    assert_true(login_from(f, owner, true, later_ms - 1, NULL)); /* and so for 30 days more */
    assert_true(login_from(f, owner, true, later_ms, NULL));
}

static void what_lifts_the_lock_lifts_it_for_known_addresses_too(void **state)
{
    struct fixture *f = *state;
    struct store_op op;

    assert_true(login_from(f, owner, true, NOW_MS, NULL));
    for (int i = 0; i < 2; i++) {
        fail_from(f, owner, USER_FAILURES_MAX, NOW_MS);
        assert_false(login_from(f, owner, true, NOW_MS, NULL));
        op = change_op("ANN");
        op.user_change.password_hash = i == 0 ? "other" : NULL;
        op.user_change.disabled = i == 0 ? -1 : 0;
        assert_int_equal(run(f->store, &op), 0);
        fail_from(f, stranger, USER_FAILURES_MAX, NOW_MS);
        assert_true(login_from(f, owner, true, NOW_MS, NULL)); /* it is still known */
    }
}

static void a_sweep_forgets_addresses_of_long_ago(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS + USER_ADDRESS_MS - 1}};
    struct session session;

    assert_true(login_from(f, owner, true, NOW_MS, &session));
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 0);
    op = (struct store_op){.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS + USER_ADDRESS_MS}};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 2); /* and the session, which is as old */
}

static void a_change_of_grants_keeps_the_lock_and_the_sessions(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    fail_logins(f, USER_FAILURES_MAX, NOW_MS);
    op.user_change.grants = "";
    assert_int_equal(run(f->store, &op), 0);
    assert_true(holds(f, &session));
    assert_false(login(f, true, NOW_MS, NULL));
}

static void a_disabled_user_has_no_session_and_gets_none(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    op.user_change.disabled = 1;
    assert_int_equal(run(f->store, &op), 0);
    assert_false(holds(f, &session));
    assert_false(login(f, true, NOW_MS, NULL));
    op = change_op("Ann");
    op.user_change.disabled = 0;
    assert_int_equal(run(f->store, &op), 0);
    assert_false(holds(f, &session));
    assert_true(login(f, true, NOW_MS, NULL));
}

static void a_new_password_ends_the_sessions(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    op.user_change.password_hash = "other";
    assert_int_equal(run(f->store, &op), 0);
    assert_false(holds(f, &session));
}

/* ---- rotation ---- */

/* *ret is the new pair, or, if the outcome is CURRENT, only the access token of the session's. */
static enum store_rotate_outcome rotate_by(struct fixture *f, const struct session *old,
                                           bool any_access, int64_t now_ms, struct session *ret)
{
    struct store_op op = {.verb = STORE_ROTATE};
    struct session new = {.id = old->id, .access = guid_new()};

    memcpy(new.refresh, new.access.bytes, GUID_BYTES);
    op.rotate = (struct store_rotate){.session = old->id,
                                      .access = old->access,
                                      .any_access = any_access,
                                      .new_access = new.access,
                                      .now_ms = now_ms,
                                      .refresh_expires_ms = now_ms + 30 * DAY_MS,
                                      .life_ms = 90 * DAY_MS};
    memcpy(op.rotate.old_hash, old->refresh, STORE_HASH_BYTES);
    memcpy(op.rotate.new_hash, new.refresh, STORE_HASH_BYTES);
    assert_int_equal(run(f->store, &op), 0);
    if (op.rotate.outcome == ROTATE_DONE || op.rotate.outcome == ROTATE_CURRENT) {
        assert_string_equal(op.rotate.user.name, "Ann");
        assert_null(op.rotate.user.password_hash);
        if (op.rotate.outcome == ROTATE_CURRENT)
            new.access = op.rotate.current;
        if (ret != NULL)
            *ret = new;
    }
    store_op_done(&op);
    return op.rotate.outcome;
}

static enum store_rotate_outcome rotate(struct fixture *f, const struct session *old,
                                        int64_t now_ms, struct session *ret)
{
    return rotate_by(f, old, false, now_ms, ret);
}

static void a_new_pair_replaces_the_old(void **state)
{
    struct fixture *f = *state;
    struct session old, new;

    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    assert_false(holds(f, &old));
    assert_true(lives(f, &old, true)); /* its session does */
    assert_true(holds(f, &new));
    assert_int_equal(rotate(f, &new, NOW_MS, NULL), ROTATE_DONE);
}

static void a_refresh_token_used_twice_ends_the_session(void **state)
{
    struct fixture *f = *state;
    struct session old, new;

    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    assert_int_equal(rotate(f, &old, NOW_MS + STORE_LEEWAY_MS, NULL), ROTATE_REUSED);
    assert_false(holds(f, &new));
    assert_false(lives(f, &new, true));
    assert_int_equal(rotate(f, &new, NOW_MS, NULL), ROTATE_UNKNOWN);
}

static void a_pair_may_be_presented_again_for_a_while(void **state)
{
    struct fixture *f = *state;
    struct session old, new, current;

    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    for (int64_t after_ms = 0; after_ms < STORE_LEEWAY_MS; after_ms += STORE_LEEWAY_MS / 2 - 1) {
        assert_int_equal(rotate(f, &old, NOW_MS + after_ms, &current), ROTATE_CURRENT);
        assert_memory_equal(&current.access, &new.access, sizeof(new.access));
        assert_true(lives_at(f, &old, false, NOW_MS + after_ms));
    }
    assert_false(lives_at(f, &old, false, NOW_MS + STORE_LEEWAY_MS));
    assert_true(holds(f, &new));
}

static void pairs_replaced_one_after_the_other_lead_to_the_last(void **state)
{
    struct fixture *f = *state;
    struct session pairs[4], current, mixed;

    assert_true(login(f, true, NOW_MS, &pairs[0]));
    for (int i = 0; i < 3; i++)
        assert_int_equal(rotate(f, &pairs[i], NOW_MS + i, &pairs[i + 1]), ROTATE_DONE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rotate(f, &pairs[i], NOW_MS + 3, &current), ROTATE_CURRENT);
        assert_memory_equal(&current.access, &pairs[3].access, sizeof(current.access));
        assert_true(lives_at(f, &pairs[i], false, NOW_MS + 3));
    }
    /* Of two threads, one may have taken over a half of the new pair. */
    mixed = pairs[3];
    mixed.access = pairs[0].access;
    assert_int_equal(rotate(f, &mixed, NOW_MS + STORE_LEEWAY_MS, NULL), ROTATE_UNKNOWN);
    assert_int_equal(rotate(f, &mixed, NOW_MS + STORE_LEEWAY_MS - 1, NULL), ROTATE_DONE);
}

static void the_leeway_ends_with_the_session(void **state)
{
    struct fixture *f = *state;
    struct store_op op = change_op("Ann");
    struct session old, new;

    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    op.user_change.password_hash = "other";
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(rotate(f, &old, NOW_MS, NULL), ROTATE_UNKNOWN);
    assert_false(lives_at(f, &old, false, NOW_MS));
}

static void a_cookie_needs_no_access_token(void **state)
{
    struct fixture *f = *state;
    struct session old, new, current;

    assert_true(login(f, true, NOW_MS, &old));
    old.access = guid_new();
    assert_int_equal(rotate_by(f, &old, true, NOW_MS, &new), ROTATE_DONE);
    assert_int_equal(rotate_by(f, &old, true, NOW_MS, &current), ROTATE_CURRENT);
    assert_memory_equal(&current.access, &new.access, sizeof(new.access));
    assert_int_equal(rotate(f, &old, NOW_MS, NULL), ROTATE_UNKNOWN);
    assert_int_equal(rotate_by(f, &old, true, NOW_MS + STORE_LEEWAY_MS, NULL), ROTATE_REUSED);
    assert_int_equal(rotate_by(f, &new, true, NOW_MS, NULL), ROTATE_UNKNOWN);
}

/* ---- logout ---- */

static bool end_session(struct fixture *f, struct store_logout logout)
{
    struct store_op op = {.verb = STORE_LOGOUT, .logout = logout};

    assert_int_equal(run(f->store, &op), 0);
    return op.logout.ended;
}

static bool logout(struct fixture *f, const struct session *session, bool by_refresh,
                   int64_t now_ms)
{
    return end_session(f,
                       (struct store_logout){.session = session->id,
                                             .access = session->access,
                                             .refresh_hash = by_refresh ? session->refresh : NULL,
                                             .now_ms = now_ms});
}

static void a_logout_ends_its_session_only(void **state)
{
    struct fixture *f = *state;

    for (int by_refresh = 0; by_refresh < 2; by_refresh++) {
        struct session one, other, wrong;

        assert_true(login(f, true, NOW_MS, &one));
        assert_true(login(f, true, NOW_MS, &other));
        wrong = one;
        wrong.access = other.access;
        memcpy(wrong.refresh, other.refresh, STORE_HASH_BYTES);
        assert_false(logout(f, &wrong, by_refresh, NOW_MS));
        assert_true(holds(f, &one));
        assert_true(logout(f, &one, by_refresh, NOW_MS));
        assert_false(lives(f, &one, true));
        assert_true(holds(f, &other));
        assert_false(logout(f, &one, by_refresh, NOW_MS));
        assert_int_equal(rotate_by(f, &one, true, NOW_MS, NULL), ROTATE_UNKNOWN);
    }
}

static size_t sessions_of(struct fixture *f, int64_t user_id, int64_t now_ms,
                          struct store_user_session *ret_first)
{
    struct store_op op = {.verb = STORE_SESSIONS};
    size_t count;

    op.sessions = (struct store_sessions){.user_id = user_id, .now_ms = now_ms};
    assert_int_equal(run(f->store, &op), 0);
    count = op.sessions.count;
    if (count > 0 && ret_first != NULL)
        *ret_first = op.sessions.items[0]; /* without its address */
    store_op_done(&op);
    return count;
}

static void sessions_are_listed_the_latest_first(void **state)
{
    struct fixture *f = *state;
    struct store_user_session latest;
    struct session one, two;

    assert_true(login_from(f, "192.0.2.7", true, NOW_MS, &one));
    assert_true(login(f, true, NOW_MS + 1, &two));
    assert_int_equal(rotate(f, &two, NOW_MS + DAY_MS, &two), ROTATE_DONE);
    assert_int_equal(sessions_of(f, f->ann, NOW_MS + DAY_MS, &latest), 2);
    assert_true(guid_eq(&latest.id, &two.id));
    assert_int_equal(latest.created_ms, NOW_MS + 1);
    assert_int_equal(latest.renewed_ms, NOW_MS + DAY_MS);
    assert_int_equal(latest.expires_ms, NOW_MS + 31 * DAY_MS);
    assert_int_equal(sessions_of(f, f->ann, NOW_MS + 30 * DAY_MS, NULL), 1); /* without `one` */
    assert_int_equal(sessions_of(f, f->bob, NOW_MS, NULL), 0);
}

static void a_user_ends_own_sessions_only(void **state)
{
    struct fixture *f = *state;
    struct session one, other;

    assert_true(login(f, true, NOW_MS, &one));
    assert_true(login(f, true, NOW_MS, &other));
    assert_false(end_session(f, (struct store_logout){.session = one.id, .user_id = f->bob}));
    assert_true(holds(f, &one));
    assert_true(end_session(f, (struct store_logout){.session = one.id, .user_id = f->ann}));
    assert_false(lives(f, &one, true));
    assert_true(holds(f, &other));
    assert_false(end_session(f, (struct store_logout){.session = one.id, .user_id = f->ann}));
}

static void no_refresh_token_makes_a_session_live_longer(void **state)
{
    struct fixture *f = *state;
    struct store_user_session latest;
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    for (int day = 29; day < 90; day += 29)
        assert_int_equal(rotate(f, &session, NOW_MS + day * DAY_MS, &session), ROTATE_DONE);
    assert_int_equal(sessions_of(f, f->ann, NOW_MS + 87 * DAY_MS, &latest), 1);
    assert_int_equal(latest.expires_ms, NOW_MS + 90 * DAY_MS);
    assert_int_equal(rotate(f, &session, NOW_MS + 90 * DAY_MS, NULL), ROTATE_UNKNOWN);
    assert_int_equal(sessions_of(f, f->ann, NOW_MS + 90 * DAY_MS, NULL), 0);
}

static void a_replaced_pair_logs_out_too(void **state)
{
    struct fixture *f = *state;
    struct session old, new;

    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    assert_false(logout(f, &old, false, NOW_MS + STORE_LEEWAY_MS));
    assert_true(holds(f, &new));
    assert_true(logout(f, &old, false, NOW_MS + STORE_LEEWAY_MS - 1));
    assert_true(login(f, true, NOW_MS, &old));
    assert_int_equal(rotate(f, &old, NOW_MS, &new), ROTATE_DONE);
    assert_true(logout(f, &old, true, NOW_MS + DAY_MS)); /* presented by a thief or by its owner */
    assert_false(lives(f, &new, true));
}

static void a_token_used_long_ago_is_still_recognised(void **state)
{
    struct fixture *f = *state;
    struct session first, new;

    assert_true(login(f, true, NOW_MS, &first));
    assert_int_equal(rotate(f, &first, NOW_MS, &new), ROTATE_DONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rotate(f, &new, NOW_MS + 20 * DAY_MS * i, &new), ROTATE_DONE);
    assert_int_equal(rotate(f, &first, NOW_MS + 41 * DAY_MS, NULL), ROTATE_REUSED);
}

static void another_sessions_refresh_token_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct session mine, other;

    assert_true(login(f, true, NOW_MS, &mine));
    assert_true(login(f, true, NOW_MS, &other));
    memcpy(mine.refresh, other.refresh, STORE_HASH_BYTES);
    assert_int_equal(rotate(f, &mine, NOW_MS, NULL), ROTATE_UNKNOWN);
    assert_true(holds(f, &mine));
    assert_true(holds(f, &other));
}

static void a_refresh_token_needs_the_access_token_of_its_pair(void **state)
{
    struct fixture *f = *state;
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    session.access = guid_new();
    assert_int_equal(rotate(f, &session, NOW_MS, NULL), ROTATE_UNKNOWN);
}

static void an_expired_refresh_token_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct session session;

    assert_true(login(f, true, NOW_MS, &session));
    assert_int_equal(rotate(f, &session, NOW_MS + 30 * DAY_MS, NULL), ROTATE_UNKNOWN);
    assert_int_equal(rotate(f, &session, NOW_MS + 30 * DAY_MS - 1, NULL), ROTATE_DONE);
}

static void a_sweep_removes_expired_sessions(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS + 30 * DAY_MS}};
    struct session used, session;

    assert_true(login(f, true, NOW_MS, &used));
    assert_int_equal(rotate(f, &used, NOW_MS, &session), ROTATE_DONE);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 1);
    assert_false(holds(f, &session));
}

static void all_sessions_end_at_once(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SESSIONS_END};
    struct session one, other;

    assert_true(login(f, true, NOW_MS, &one));
    assert_true(login(f, true, NOW_MS, &other));
    assert_true(holds(f, &one));
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sessions_end.ended, 2);
    assert_false(holds(f, &one));
    assert_false(holds(f, &other));
    assert_true(login(f, true, NOW_MS, &one));
    assert_true(holds(f, &one));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_user_is_found_in_any_case),
        STORE_TEST(an_unknown_user_is_not_found),
        STORE_TEST(a_name_is_taken_whatever_its_case),
        STORE_TEST(users_are_listed_by_name),
        STORE_TEST(a_change_leaves_the_other_fields),
        STORE_TEST(limits_are_set_and_given_up_one_by_one),
        STORE_TEST(an_unknown_user_cannot_be_changed),
        STORE_TEST(a_login_opens_a_session),
        STORE_TEST(a_wrong_password_opens_nothing),
        STORE_TEST(a_user_that_is_gone_cannot_log_in),
        STORE_TEST(three_failures_lock_the_account_for_ten_minutes),
        STORE_TEST(two_failures_do_not_lock),
        STORE_TEST(a_stranger_does_not_lock_out_who_has_logged_in_from_elsewhere),
        STORE_TEST(failures_from_a_known_address_count_there_only),
        STORE_TEST(a_known_address_counts_as_an_account_does),
        STORE_TEST(an_address_is_known_for_thirty_days),
        STORE_TEST(what_lifts_the_lock_lifts_it_for_known_addresses_too),
        STORE_TEST(a_sweep_forgets_addresses_of_long_ago),
        STORE_TEST(failures_while_locked_do_not_lengthen_the_lock),
        STORE_TEST(success_clears_the_failures),
        STORE_TEST(failures_far_apart_do_not_lock),
        STORE_TEST(after_a_lock_the_count_starts_afresh),
        STORE_TEST(a_new_password_lifts_the_lock),
        STORE_TEST(enabling_lifts_the_lock),
        STORE_TEST(a_change_of_grants_keeps_the_lock_and_the_sessions),
        STORE_TEST(a_disabled_user_has_no_session_and_gets_none),
        STORE_TEST(a_new_password_ends_the_sessions),
        STORE_TEST(a_new_pair_replaces_the_old),
        STORE_TEST(a_refresh_token_used_twice_ends_the_session),
        STORE_TEST(a_pair_may_be_presented_again_for_a_while),
        STORE_TEST(pairs_replaced_one_after_the_other_lead_to_the_last),
        STORE_TEST(the_leeway_ends_with_the_session),
        STORE_TEST(a_cookie_needs_no_access_token),
        STORE_TEST(a_logout_ends_its_session_only),
        STORE_TEST(sessions_are_listed_the_latest_first),
        STORE_TEST(a_user_ends_own_sessions_only),
        STORE_TEST(no_refresh_token_makes_a_session_live_longer),
        STORE_TEST(a_replaced_pair_logs_out_too),
        STORE_TEST(a_token_used_long_ago_is_still_recognised),
        STORE_TEST(another_sessions_refresh_token_is_unknown),
        STORE_TEST(a_refresh_token_needs_the_access_token_of_its_pair),
        STORE_TEST(an_expired_refresh_token_is_unknown),
        STORE_TEST(a_sweep_removes_expired_sessions),
        STORE_TEST(all_sessions_end_at_once),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
