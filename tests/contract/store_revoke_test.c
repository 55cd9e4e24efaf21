/* tests/contract/store_revoke_test.c -- what a user may not do any more: reports that were to
 * run, a login that was under way; on every backend. */
#include "contract/store_fixture.h"

enum { KEPT_MS = 1000, KEPT_SHORTER_MS = 500 };

/* Ann may run `grants` only (NULL: as before), or nothing any more. Returns how many have ended. */
static int64_t take_rights(struct fixture *f, const char *grants, int disabled)
{
    struct store_op op = {.verb = STORE_USER_CHANGE};

    op.user_change = (struct store_user_change){.name = "ann",
                                                .grants = grants,
                                                .disabled = disabled,
                                                .now_ms = NOW_MS,
                                                .retention_ms = KEPT_MS,
                                                .retentions = "{\"Short\":500}"};
    assert_int_equal(run(f->store, &op), 0);
    return op.user_change.ended;
}

static void assert_ended(struct fixture *f, struct guid id, int64_t kept_ms)
{
    struct store_op op = find(f, id, f->ann);

    assert_true(op.find.found);
    assert_int_equal(op.find.report.state, REPORT_ERROR);
    assert_string_equal(op.find.report.message, report_not_permitted);
    assert_int_equal(op.find.report.finished_ms, NOW_MS);
    assert_int_equal(op.find.report.expires_ms, NOW_MS + kept_ms);
    store_op_done(&op);
}

static void what_its_user_may_not_run_any_more_ends(void **state)
{
    struct fixture *f = *state;
    struct guid running = submit_named(f, "Short", ""), kept, queued, other;
    struct store_ref ref = {0};

    assert_true(claim(f, &ref) && guid_eq(&ref.id, &running));
    kept = submit_named(f, "Kept", "");
    queued = submit_named(f, "Balance", "");
    other = submit(f, f->bob);
    assert_int_equal(take_rights(f, "Kept", -1), 2);
    assert_ended(f, running, KEPT_SHORTER_MS);
    assert_ended(f, queued, KEPT_MS);
    assert_int_equal(state_of(f, kept, f->ann), REPORT_QUEUED);
    assert_int_equal(state_of(f, other, f->bob), REPORT_QUEUED);
    assert_false(finish(f, ref, REPORT_COMPLETE));
    assert_false(requeue(f, ref, false));
    assert_ended(f, running, KEPT_SHORTER_MS);
    assert_int_equal(take_rights(f, NULL, 1), 1);
    assert_int_equal(take_rights(f, "*", 0), 0);
    assert_ended(f, kept, KEPT_MS);
    assert_true(tombstone(f, running, f->ann).was == REPORT_ERROR);
}

/* Claim on the source, which is full with one. */
static bool claim_one_of(struct fixture *f, struct store_ref *ret)
{
    const struct store_limit one = {.source = "shop", .max_running = 1};
    struct store_op op = {.verb = STORE_CLAIM,
                          .claim = {.node = "here",
                                    .offer = "Balance\n",
                                    .sources = "shop\n",
                                    .limits = &one,
                                    .limit_count = 1}};

    assert_int_equal(run(f->store, &op), 0);
    *ret = (struct store_ref){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    return op.claim.found;
}

static int64_t running_on_shop(struct fixture *f)
{
    struct store_op op = {.verb = STORE_OVERVIEW};
    int64_t running = 0;

    assert_int_equal(run(f->store, &op), 0);
    for (size_t i = 0; i < op.overview.source_count; i++) {
        assert_string_equal(op.overview.sources[i].name, "shop");
        running += op.overview.sources[i].running;
    }
    store_op_done(&op);
    return running;
}

static void what_has_ended_has_its_worker_until_its_query_stops(void **state)
{
    struct fixture *f = *state;
    struct store_ref ended, next;

    submit(f, f->ann);
    submit(f, f->bob);
    assert_true(claim_one_of(f, &ended));
    assert_int_equal(take_rights(f, NULL, 1), 1);
    assert_int_equal(running_on_shop(f), 1);
    assert_false(claim_one_of(f, &next));
    assert_false(requeue(f, ended, false)); /* the node says that nothing of it runs any more */
    assert_int_equal(running_on_shop(f), 0);
    assert_true(claim_one_of(f, &next));
    assert_int_equal(running_on_shop(f), 1);
    tombstone(f, next.id, f->bob);
    assert_int_equal(running_on_shop(f), 1);
    delete_row(f, next.id);
    assert_int_equal(running_on_shop(f), 0);
}

static void what_has_ended_holds_no_slot(void **state)
{
    struct fixture *f = *state;
    struct store_op op;

    submit(f, f->ann);
    take_rights(f, "", -1);
    take_rights(f, "*", -1);
    op = submit_op(f->ann);
    op.submit.active_limit = 1;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
}

static void a_submit_that_comes_too_late_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    take_rights(f, "Kept", -1);
    assert_int_equal(store_run(f->store, &op), -E_FORBIDDEN);
    assert_int_equal(state_of(f, op.submit.id, f->ann), -1);
    take_rights(f, NULL, 1);
    op = submit_op(f->ann);
    op.submit.name = "Kept";
    assert_int_equal(store_run(f->store, &op), -E_FORBIDDEN);
}

static bool login_as(struct fixture *f, const char *hash, const struct store_access *session)
{
    struct store_op op = {.verb = STORE_LOGIN};

    op.login = (struct store_login){.user_id = f->ann,
                                    .password_ok = true,
                                    .password_hash = hash,
                                    .now_ms = NOW_MS,
                                    .session = session->session,
                                    .access = session->access,
                                    .refresh_expires_ms = NOW_MS + DAY_MS};
    assert_int_equal(run(f->store, &op), 0);
    return op.login.opened;
}

static struct store_access new_session(void)
{
    return (struct store_access){
        .session = guid_new(), .access = guid_new(), .now_ms = NOW_MS + DAY_MS};
}

static bool login_with(struct fixture *f, const char *hash)
{
    struct store_access session = new_session();

    return login_as(f, hash, &session);
}

/* ---- sessions that an operation checks itself ---- */

/* An outcome, or what it is refused with. */
static int submit_as(struct fixture *f, const struct store_access *session, int limit)
{
    struct store_op op = submit_op(f->ann);
    int rc;

    op.submit.as = session;
    op.submit.active_limit = limit;
    rc = store_run(f->store, &op);
    if (rc == 0)
        rc = op.submit.outcome;
    store_op_done(&op);
    return rc;
}

static bool is_found_as(struct fixture *f, struct guid id, const struct store_access *session)
{
    struct store_op op = {.verb = STORE_FIND};
    bool found;

    op.find = (struct store_find){.id = id, .user_id = f->ann, .as = session};
    assert_int_equal(run(f->store, &op), 0);
    found = op.find.found;
    store_op_done(&op);
    return found;
}

static bool is_marked_as(struct fixture *f, struct guid id, const struct store_access *session)
{
    struct store_op op = {.verb = STORE_TOMBSTONE};

    op.tombstone = (struct store_tombstone){.id = id, .user_id = f->ann, .as = session};
    assert_int_equal(run(f->store, &op), 0);
    return op.tombstone.found;
}

static void assert_does_nothing(struct fixture *f, struct guid id,
                                const struct store_access *session)
{
    assert_int_not_equal(submit_as(f, session, 10), SUBMIT_ACCEPTED);
    assert_false(is_found_as(f, id, session));
    assert_false(is_marked_as(f, id, session));
}

/* An embedded store checks nothing: there the look-up of a session costs no transaction. */
static void nothing_is_done_for_a_session_that_does_not_hold(void **state)
{
    struct fixture *f = *state;
    struct store_access session = new_session(), other = session;
    struct store_op logout = {.verb = STORE_LOGOUT};
    struct guid id = submit(f, f->ann);

    if (!store_is_shared(f->store))
        return;
    assert_true(login_as(f, "hash", &session));
    other.access = guid_new();
    assert_does_nothing(f, id, &other);
    assert_int_equal(submit_as(f, &session, 10), SUBMIT_ACCEPTED);
    assert_true(is_found_as(f, id, &session));
    logout.logout = (struct store_logout){.session = session.session, .access = session.access};
    assert_int_equal(run(f->store, &logout), 0);
    assert_does_nothing(f, id, &session);
    session = new_session();
    assert_true(login_as(f, "hash", &session));
    assert_true(is_marked_as(f, id, &session));
}

static void nothing_is_done_for_a_user_who_is_disabled(void **state)
{
    struct fixture *f = *state;
    struct store_access session = new_session();
    struct store_op change = {.verb = STORE_USER_CHANGE};
    struct guid id = submit(f, f->ann);

    if (!store_is_shared(f->store))
        return;
    assert_true(login_as(f, "hash", &session));
    change.user_change = (struct store_user_change){.name = "ann", .disabled = 1};
    assert_int_equal(run(f->store, &change), 0);
    assert_does_nothing(f, id, &session);
}

static void a_limit_of_the_users_own_counts_where_the_session_is_checked(void **state)
{
    struct fixture *f = *state;
    struct store_access session = new_session();
    struct store_op change = {.verb = STORE_USER_CHANGE};

    if (!store_is_shared(f->store))
        return;
    assert_true(login_as(f, "hash", &session));
    change.user_change =
        (struct store_user_change){.name = "ann", .disabled = -1, .active_limit = 2};
    assert_int_equal(run(f->store, &change), 0);
    assert_int_equal(submit_as(f, &session, 1), SUBMIT_ACCEPTED);
    assert_int_equal(submit_as(f, &session, 1), SUBMIT_ACCEPTED);
    assert_int_equal(submit_as(f, &session, 10), SUBMIT_LIMIT);
}

static void a_password_that_was_replaced_meanwhile_opens_nothing(void **state)
{
    struct store_op op = {.verb = STORE_USER_CHANGE};

    assert_true(login_with(*state, "hash"));
    op.user_change =
        (struct store_user_change){.name = "ann", .password_hash = "new", .disabled = -1};
    assert_int_equal(run(((struct fixture *)*state)->store, &op), 0);
    assert_false(login_with(*state, "hash"));
    assert_true(login_with(*state, "new"));
}

static struct store_user_drop drop_users(struct fixture *f)
{
    struct store_op op = {.verb = STORE_USER_DROP};

    assert_int_equal(run(f->store, &op), 0);
    return op.user_drop;
}

static void a_removed_user_goes_with_the_last_report_and_nobody_gets_the_id(void **state)
{
    struct fixture *f = *state;
    int64_t cid = add_user(f, "Cid");
    struct store_ref complete = report_in(f, cid, REPORT_COMPLETE);
    struct store_ref error = report_in(f, cid, REPORT_ERROR);
    struct store_ref others = report_in(f, f->ann, REPORT_COMPLETE);
    struct store_ref refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_USER_CHANGE};
    struct guid ids[] = {complete.id, error.id, submit(f, cid)};

    op.user_change = (struct store_user_change){
        .name = "CID", .disabled = 1, .remove = true, .now_ms = NOW_MS, .retention_ms = DAY_MS};
    assert_int_equal(run(f->store, &op), 0);
    op = (struct store_op){.verb = STORE_EXPIRED, .expired = {.now_ms = 0, .refs = refs}};
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.expired.removing);
    assert_int_equal(op.expired.count, 3); /* though none has expired */
    assert_int_equal(op.expired.next_ms, NOW_MS + DAY_MS);
    op.expired.now_ms = INT64_MAX;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.expired.count, 4); /* each once */
    op = (struct store_op){.verb = STORE_USER_CHANGE, .user_change = {.name = "Cid"}};
    assert_int_equal(store_run(f->store, &op), -E_NOT_FOUND);
    assert_int_equal(drop_users(f).left, 1);
    for (int i = 0; i < 3; i++) {
        tombstone(f, ids[i], cid);
        assert_int_equal(drop_users(f).dropped, 0);
        delete_row(f, ids[i]);
    }
    assert_int_equal(drop_users(f).dropped, 1);
    assert_int_equal(drop_users(f).left, 0);
    assert_true(add_user(f, "Cid") > cid);
    assert_int_equal(state_of(f, others.id, f->ann), REPORT_COMPLETE);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(what_its_user_may_not_run_any_more_ends),
        STORE_TEST(what_has_ended_has_its_worker_until_its_query_stops),
        STORE_TEST(what_has_ended_holds_no_slot),
        STORE_TEST(a_password_that_was_replaced_meanwhile_opens_nothing),
        STORE_TEST(nothing_is_done_for_a_session_that_does_not_hold),
        STORE_TEST(nothing_is_done_for_a_user_who_is_disabled),
        STORE_TEST(a_limit_of_the_users_own_counts_where_the_session_is_checked),
        STORE_TEST(a_submit_that_comes_too_late_is_refused),
        STORE_TEST(a_removed_user_goes_with_the_last_report_and_nobody_gets_the_id),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
