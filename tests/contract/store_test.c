/* tests/contract/store_test.c -- reports in the store: every verb, every outcome, every backend. */
#include "contract/store_fixture.h"

/* ---- submit ---- */

static void a_submitted_report_is_queued(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);
    struct store_op op = find(f, id, f->ann);
    const struct report *report = &op.find.report;

    assert_true(op.find.found);
    assert_int_equal(report->state, REPORT_QUEUED);
    assert_int_equal(op.find.position, 1);
    assert_string_equal(report->name, "Balance");
    assert_string_equal(report->parameters, "{\"ProductID\":\"1\"}");
    assert_int_equal(report->user_id, f->ann);
    assert_int_equal(report->submitted_ms, NOW_MS);
    assert_int_equal(report->attempt, 0);
    assert_int_equal(report->expires_ms, 0);
    assert_null(report->message);
    store_op_done(&op);
}

static void parameters_are_given_only_when_asked_for(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_FIND};

    op.find = (struct store_find){.id = submit(f, f->ann), .user_id = f->ann};
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.find.found);
    assert_null(op.find.report.parameters);
    store_op_done(&op);
}

static enum store_submit_outcome submit_limited(struct fixture *f, int limit)
{
    struct store_op op = submit_op(f->ann);

    op.submit.active_limit = limit;
    assert_int_equal(run(f->store, &op), 0);
    if (op.submit.outcome == SUBMIT_LIMIT)
        assert_int_equal(state_of(f, op.submit.id, f->ann), -1);
    store_op_done(&op);
    return op.submit.outcome;
}

static void the_limit_refuses_and_names_the_active_reports(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit(f, f->ann), second = submit(f, f->ann);
    struct store_op op = submit_op(f->ann);

    op.submit.active_limit = 2;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_LIMIT);
    assert_int_equal(op.submit.active_count, 2);
    assert_true(guid_eq(&op.submit.active[0].id, &first));
    assert_true(guid_eq(&op.submit.active[1].id, &second));
    assert_int_equal(state_of(f, op.submit.id, f->ann), -1);
    store_op_done(&op);
}

static void the_limit_counts_a_users_own_reports_only(void **state)
{
    struct fixture *f = *state;

    submit(f, f->bob);
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED);
    assert_int_equal(submit_limited(f, 1), SUBMIT_LIMIT);
}

static void a_finished_report_frees_its_slot(void **state)
{
    struct fixture *f = *state;

    report_in(f, f->ann, REPORT_COMPLETE);
    report_in(f, f->ann, REPORT_ERROR);
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED);
}

static void a_deleted_queued_report_frees_its_slot_at_once(void **state)
{
    struct fixture *f = *state;

    tombstone(f, submit(f, f->ann), f->ann);
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED);
}

static void a_deleted_running_report_keeps_its_slot_until_it_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);

    tombstone(f, ref.id, f->ann);
    assert_int_equal(submit_limited(f, 1), SUBMIT_LIMIT);
    delete_row(f, ref.id);
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED);
}

static void a_deleted_report_is_not_named_among_the_active(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    tombstone(f, report_in(f, f->ann, REPORT_PROCESSING).id, f->ann);
    op.submit.active_limit = 1;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_LIMIT);
    assert_int_equal(op.submit.active_count, 0);
    store_op_done(&op);
}

static void a_report_of_no_user_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(999);

    assert_int_equal(store_run(f->store, &op), -E_NOT_FOUND);
}

/* ---- idempotency keys ---- */

static struct store_op keyed_op(int64_t user_id, const char *key, uint8_t body)
{
    struct store_op op = submit_op(user_id);

    op.submit.key = key;
    memset(op.submit.request_hash, body, STORE_HASH_BYTES);
    return op;
}

static struct store_submit submit_keyed(struct fixture *f, struct store_op op)
{
    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&op);
    return op.submit;
}

static void the_same_key_and_body_answer_the_first_report(void **state)
{
    struct fixture *f = *state;
    struct store_submit first = submit_keyed(f, keyed_op(f->ann, "k", 1));
    struct store_submit second = submit_keyed(f, keyed_op(f->ann, "k", 1));

    assert_int_equal(first.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(second.outcome, SUBMIT_REPLAYED);
    assert_true(guid_eq(&first.id, &second.id));
}

static void a_replay_is_answered_even_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct store_op op = keyed_op(f->ann, "k", 1);

    submit_keyed(f, keyed_op(f->ann, "k", 1));
    op.submit.active_limit = 1;
    assert_int_equal(submit_keyed(f, op).outcome, SUBMIT_REPLAYED);
}

static void the_same_key_with_another_body_is_refused(void **state)
{
    struct fixture *f = *state;

    submit_keyed(f, keyed_op(f->ann, "k", 1));
    assert_int_equal(submit_keyed(f, keyed_op(f->ann, "k", 2)).outcome, SUBMIT_KEY_REUSED);
}

static struct store_key look(struct fixture *f, int64_t user_id, uint8_t body, int64_t now_ms)
{
    struct store_op op = {.verb = STORE_KEY};

    op.key = (struct store_key){.user_id = user_id, .key = "k", .now_ms = now_ms};
    memset(op.key.request_hash, body, STORE_HASH_BYTES);
    assert_int_equal(run(f->store, &op), 0);
    return op.key;
}

static void a_look_at_a_key_tells_what_a_submit_would_find(void **state)
{
    struct fixture *f = *state;
    struct store_submit first = submit_keyed(f, keyed_op(f->ann, "k", 1));
    struct store_key same = look(f, f->ann, 1, NOW_MS + DAY_MS - 1);

    assert_int_equal(same.outcome, SUBMIT_REPLAYED);
    assert_true(guid_eq(&same.id, &first.id));
    assert_int_equal(look(f, f->ann, 2, NOW_MS).outcome, SUBMIT_KEY_REUSED);
    assert_int_equal(look(f, f->bob, 1, NOW_MS).outcome, SUBMIT_ACCEPTED);
    assert_int_equal(look(f, f->ann, 1, NOW_MS + DAY_MS).outcome, SUBMIT_ACCEPTED);
    tombstone(f, first.id, f->ann);
    assert_int_equal(look(f, f->ann, 1, NOW_MS).outcome, SUBMIT_ACCEPTED);
}

static void a_key_is_its_users_own(void **state)
{
    struct fixture *f = *state;

    submit_keyed(f, keyed_op(f->ann, "k", 1));
    assert_int_equal(submit_keyed(f, keyed_op(f->bob, "k", 2)).outcome, SUBMIT_ACCEPTED);
}

static void an_expired_key_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct store_op later = keyed_op(f->ann, "k", 2);

    submit_keyed(f, keyed_op(f->ann, "k", 1));
    later.submit.now_ms = NOW_MS + DAY_MS;
    later.submit.key_expires_ms = NOW_MS + 2 * DAY_MS;
    assert_int_equal(submit_keyed(f, later).outcome, SUBMIT_ACCEPTED);
    later.submit.id = guid_new();
    assert_int_equal(submit_keyed(f, later).outcome, SUBMIT_REPLAYED);
}

static void the_key_of_a_deleted_report_is_free(void **state)
{
    struct fixture *f = *state;
    struct store_submit first = submit_keyed(f, keyed_op(f->ann, "k", 1));

    tombstone(f, first.id, f->ann);
    assert_int_equal(submit_keyed(f, keyed_op(f->ann, "k", 1)).outcome, SUBMIT_ACCEPTED);
    delete_row(f, first.id);
    assert_int_equal(submit_keyed(f, keyed_op(f->ann, "k", 1)).outcome, SUBMIT_REPLAYED);
}

static void simultaneous_twins_make_one_report(void **state)
{
    struct fixture *f = *state;
    struct store_op twins[] = {keyed_op(f->ann, "k", 1), keyed_op(f->ann, "k", 1)};

    run_as_one_batch(f, twins, 2);
    assert_int_equal(twins[0].submit.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(twins[1].submit.outcome, SUBMIT_REPLAYED);
    assert_true(guid_eq(&twins[0].submit.id, &twins[1].submit.id));
}

/* ---- claim, position ---- */

static void an_empty_queue_gives_nothing(void **state)
{
    struct store_ref ref;

    assert_false(claim(*state, &ref));
}

static void the_oldest_report_is_claimed_first(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit(f, f->ann), second = submit(f, f->bob);
    struct store_ref ref;

    assert_true(claim(f, &ref));
    assert_true(guid_eq(&ref.id, &first));
    assert_true(claim(f, &ref));
    assert_true(guid_eq(&ref.id, &second));
    assert_false(claim(f, &ref));
}

static void a_claim_brings_what_the_worker_needs(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_CLAIM};

    submit(f, f->ann);
    op.claim = (struct store_claim){.node = "here", .now_ms = NOW_MS + 5};
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.claim.found);
    assert_string_equal(op.claim.report.user_name, "Ann");
    assert_string_equal(op.claim.report.parameters, "{\"ProductID\":\"1\"}");
    assert_int_equal(op.claim.report.state, REPORT_PROCESSING);
    assert_int_equal(op.claim.report.attempt, 1);
    assert_int_equal(op.claim.report.started_ms, NOW_MS + 5);
    store_op_done(&op);
}

static int64_t position_of(struct fixture *f, struct guid id)
{
    struct store_op op = find(f, id, f->ann);

    assert_true(op.find.found);
    store_op_done(&op);
    return op.find.position;
}

static void the_position_counts_the_reports_before(void **state)
{
    enum { COUNT = 1300 }; /* several of the blocks the queue may be counted by */
    struct fixture *f = *state;
    static struct guid ids[COUNT];
    struct store_ref ref;

    for (int i = 0; i < COUNT; i++)
        ids[i] = submit(f, f->ann);
    assert_int_equal(position_of(f, ids[0]), 1);
    assert_int_equal(position_of(f, ids[COUNT - 1]), COUNT);
    assert_true(claim(f, &ref));
    tombstone(f, ids[600], f->ann);
    assert_int_equal(position_of(f, ids[0]), 0);
    assert_int_equal(position_of(f, ids[1]), 1);
    assert_int_equal(position_of(f, ids[599]), 599);
    assert_int_equal(position_of(f, ids[601]), 600);
    assert_true(requeue(f, ref, false));
    assert_int_equal(position_of(f, ids[0]), 1);
    assert_int_equal(position_of(f, ids[COUNT - 1]), COUNT - 1);
}

/* ---- finish, requeue: the fence ---- */

static void a_complete_report_has_its_figures(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_COMPLETE);
    struct store_op op = find(f, ref.id, f->ann);

    assert_int_equal(op.find.report.state, REPORT_COMPLETE);
    assert_int_equal(op.find.report.rows, 7);
    assert_int_equal(op.find.report.bytes, 70);
    assert_int_equal(op.find.report.footer, 30);
    assert_int_equal(op.find.report.finished_ms, NOW_MS + 2);
    assert_int_equal(op.find.report.expires_ms, NOW_MS + DAY_MS);
    assert_int_equal(op.find.report.digest[2], 3);
    assert_null(op.find.report.message);
    assert_int_equal(op.find.position, 0);
    store_op_done(&op);
}

static void a_failed_report_has_its_message(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_ERROR);
    struct store_op op = find(f, ref.id, f->ann);

    assert_int_equal(op.find.report.state, REPORT_ERROR);
    assert_string_equal(op.find.report.message, "It did not work.");
    assert_int_equal(op.find.report.digest[2], 0);
    store_op_done(&op);
}

static void a_lost_attempt_can_do_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_ref old = report_in(f, f->ann, REPORT_PROCESSING), new;

    assert_true(requeue(f, old, false));
    assert_true(claim(f, &new));
    assert_int_equal(new.attempt, 2);
    assert_false(finish(f, old, REPORT_COMPLETE));
    assert_false(requeue(f, old, true));
    assert_int_equal(state_of(f, old.id, f->ann), REPORT_PROCESSING);
    assert_true(finish(f, new, REPORT_COMPLETE));
}

static void a_report_is_finished_once(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_COMPLETE);

    assert_false(finish(f, ref, REPORT_ERROR));
    assert_false(requeue(f, ref, false));
    assert_int_equal(state_of(f, ref.id, f->ann), REPORT_COMPLETE);
}

static void a_deleted_report_cannot_be_published(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);

    tombstone(f, ref.id, f->ann);
    assert_false(finish(f, ref, REPORT_COMPLETE));
    assert_false(requeue(f, ref, false));
    assert_int_equal(state_of(f, ref.id, f->ann), -1);
}

static void a_requeued_report_has_its_old_place(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING), again;

    submit(f, f->ann);
    assert_true(requeue(f, ref, false));
    assert_true(claim(f, &again));
    assert_true(guid_eq(&again.id, &ref.id));
}

static void only_a_failed_worker_counts_as_a_failure(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_op op;

    assert_true(requeue(f, ref, true));
    assert_true(claim(f, &ref));
    assert_true(requeue(f, ref, false));
    op = find(f, ref.id, f->ann);
    assert_int_equal(op.find.report.failures, 1);
    assert_int_equal(op.find.report.attempt, 2);
    assert_int_equal(op.find.report.started_ms, 0);
    store_op_done(&op);
}

/* ---- progress ---- */

static void tell_progress(struct fixture *f, struct store_ref ref, int64_t rows)
{
    struct store_op op = {.verb = STORE_PROGRESS};

    op.progress = (struct store_progress){ref.id, ref.attempt, rows, rows * 10};
    assert_int_equal(run(f->store, &op), 0);
}

static int64_t rows_of(struct fixture *f, struct guid id)
{
    struct store_op op = find(f, id, f->ann);
    int64_t rows = op.find.report.rows;

    assert_int_equal(op.find.report.bytes, rows * 10);
    store_op_done(&op);
    return rows;
}

static void progress_is_seen_while_processing(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);

    assert_int_equal(rows_of(f, ref.id), 0);
    tell_progress(f, ref, 3);
    assert_int_equal(rows_of(f, ref.id), 3);
    tell_progress(f, ref, 5);
    assert_int_equal(rows_of(f, ref.id), 5);
}

static void progress_of_a_lost_attempt_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct store_ref old = report_in(f, f->ann, REPORT_PROCESSING), new;

    tell_progress(f, old, 3);
    requeue(f, old, false);
    assert_int_equal(rows_of(f, old.id), 0);
    assert_true(claim(f, &new));
    assert_int_equal(rows_of(f, old.id), 0);
    tell_progress(f, old, 4);
    assert_int_equal(rows_of(f, old.id), 0);
    finish(f, new, REPORT_COMPLETE);
    tell_progress(f, new, 6);
    assert_int_equal(rows_of(f, old.id), 7);
}

/* ---- find, list ---- */

static void only_its_user_or_the_start_up_finds_a_report(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);

    assert_int_equal(state_of(f, id, f->bob), -1);
    assert_int_equal(state_of(f, guid_new(), f->ann), -1);
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
    assert_int_equal(state_of(f, id, 0), REPORT_QUEUED);
}

static struct store_op list(struct fixture *f, int state, int64_t page, int page_size)
{
    struct store_op op = {.verb = STORE_LIST};

    op.list = (struct store_list){
        .user_id = f->ann, .state = state, .page = page, .page_size = page_size};
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

static void a_list_is_paged_newest_first(void **state)
{
    struct fixture *f = *state;
    struct guid ids[5];
    struct store_op op;

    for (int i = 0; i < 5; i++) {
        ids[i] = submit(f, f->ann);
        submit(f, f->bob);
    }
    op = list(f, -1, 2, 2);
    assert_int_equal(op.list.total, 5);
    assert_int_equal(op.list.count, 2);
    assert_true(guid_eq(&op.list.reports[0].id, &ids[2]));
    assert_true(guid_eq(&op.list.reports[1].id, &ids[1]));
    store_op_done(&op);
    op = list(f, -1, 4, 2);
    assert_int_equal(op.list.total, 5);
    assert_int_equal(op.list.count, 0);
    store_op_done(&op);
}

static void a_list_may_be_of_one_state(void **state)
{
    struct fixture *f = *state;
    struct store_ref complete = report_in(f, f->ann, REPORT_COMPLETE);
    struct store_op op;

    tombstone(f, report_in(f, f->ann, REPORT_COMPLETE).id, f->ann);
    submit(f, f->ann);
    op = list(f, REPORT_COMPLETE, 1, 10);
    assert_int_equal(op.list.total, 1);
    assert_int_equal(op.list.count, 1);
    assert_true(guid_eq(&op.list.reports[0].id, &complete.id));
    store_op_done(&op);
    op = list(f, -1, 1, 10);
    assert_int_equal(op.list.total, 2);
    store_op_done(&op);
    op = list(f, REPORT_DELETING, 1, 10);
    assert_int_equal(op.list.total, 0);
    assert_int_equal(op.list.count, 0);
    store_op_done(&op);
}

/* ---- deletion ---- */

static void every_state_can_be_deleted(void **state)
{
    struct fixture *f = *state;

    for (int s = REPORT_QUEUED; s <= REPORT_ERROR; s++) {
        struct store_ref ref = report_in(f, f->ann, (enum report_state)s);
        struct store_tombstone marked = tombstone(f, ref.id, f->ann);

        assert_true(marked.found);
        assert_int_equal(marked.was, s);
        assert_int_equal(marked.attempt, ref.attempt);
        assert_int_equal(state_of(f, ref.id, f->ann), -1);
    }
}

static void a_deleted_queued_report_is_never_claimed(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;

    tombstone(f, submit(f, f->ann), f->ann);
    assert_false(claim(f, &ref));
}

static void only_its_user_or_the_purge_can_delete_a_report(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);

    assert_false(tombstone(f, id, f->bob).found);
    assert_false(tombstone(f, guid_new(), f->ann).found);
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
    assert_true(tombstone(f, id, 0).found);
}

static void a_report_is_deleted_once(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);

    assert_true(tombstone(f, id, f->ann).found);
    assert_false(tombstone(f, id, f->ann).found);
    assert_false(tombstone(f, id, 0).found);
}

static struct store_deleting deleting(struct fixture *f)
{
    static struct store_ref refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_DELETING, .deleting = {.refs = refs}};

    assert_int_equal(run(f->store, &op), 0);
    return op.deleting;
}

static void what_is_deleting_is_known_until_it_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);
    char user[USER_NAME_MAX + 1];
    struct store_op op = {.verb = STORE_DELETE_ROW, .delete_row = {.id = ref.id, .user = user}};

    assert_int_equal(deleting(f).count, 0);
    tombstone(f, ref.id, f->ann);
    assert_int_equal(deleting(f).count, 1);
    assert_true(guid_eq(&deleting(f).refs[0].id, &ref.id));
    assert_int_equal(deleting(f).refs[0].attempt, 1);
    assert_false(deleting(f).refs[0].recent);
    assert_int_equal(run(f->store, &op), 0);
    assert_string_equal(user, "Ann");
    assert_int_equal(deleting(f).count, 0);
    assert_int_equal(run(f->store, &op), 0);
    assert_string_equal(user, "");
}

static void a_report_that_is_not_deleting_is_not_dropped(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);

    delete_row(f, id);
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
}

/* ---- housekeeping ---- */

static struct store_expired expired(struct fixture *f, int64_t now_ms)
{
    static struct store_ref refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_EXPIRED, .expired = {.now_ms = now_ms, .refs = refs}};

    assert_int_equal(run(f->store, &op), 0);
    return op.expired;
}

static void finished_reports_expire_in_their_time(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_COMPLETE);

    report_in(f, f->ann, REPORT_QUEUED);
    assert_int_equal(expired(f, NOW_MS).count, 0);
    assert_int_equal(expired(f, NOW_MS).next_ms, NOW_MS + DAY_MS);
    assert_int_equal(expired(f, NOW_MS + DAY_MS).count, 1);
    assert_int_equal(expired(f, NOW_MS + DAY_MS).next_ms, 0);
    assert_true(guid_eq(&expired(f, NOW_MS + DAY_MS).refs[0].id, &ref.id));
    assert_int_equal(expired(f, NOW_MS + DAY_MS).refs[0].attempt, 1);
    tombstone(f, ref.id, 0);
    assert_int_equal(expired(f, NOW_MS + DAY_MS).count, 0);
}

static void more_expired_than_fit_come_in_turns(void **state)
{
    struct fixture *f = *state;
    struct store_expired found;

    for (int i = 0; i < STORE_BATCH_MAX + 1; i++)
        report_in(f, f->ann, REPORT_ERROR);
    found = expired(f, NOW_MS + DAY_MS);
    assert_int_equal(found.count, STORE_BATCH_MAX);
    assert_int_equal(found.next_ms, NOW_MS + DAY_MS);
    for (size_t i = 0; i < found.count; i++)
        tombstone(f, found.refs[i].id, 0);
    assert_int_equal(expired(f, NOW_MS + DAY_MS).count, 1);
}

static void recovery_requeues_what_was_processing(void **state)
{
    struct fixture *f = *state;
    struct store_ref done = report_in(f, f->ann, REPORT_COMPLETE);
    struct store_ref first = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_ref second = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_op op = {.verb = STORE_RECOVER, .recover = {.node = "here"}};

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.recover.requeued, 2);
    assert_int_equal(state_of(f, done.id, f->ann), REPORT_COMPLETE);
    assert_int_equal(state_of(f, second.id, f->ann), REPORT_QUEUED);
    assert_false(finish(f, first, REPORT_COMPLETE));
    op = find(f, first.id, f->ann);
    assert_int_equal(op.find.report.failures, 0);
    assert_int_equal(op.find.position, 1);
    store_op_done(&op);
}

/* Whatever becomes of them meanwhile, in the order they were submitted in, and each once. */
static void a_list_has_active_and_finished_reports_by_their_age(void **state)
{
    enum { COUNT = 6 };
    struct fixture *f = *state;
    struct guid ids[COUNT];
    struct store_ref ref;

    for (int i = 0; i < COUNT; i++)
        ids[i] = submit(f, f->ann);
    submit(f, f->bob);
    assert_true(claim(f, &ref));
    assert_true(claim(f, &ref)); /* ids[1]: complete; ids[0] runs on */
    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_true(claim(f, &ref));
    assert_true(finish(f, ref, REPORT_ERROR));
    tombstone(f, ids[4], f->ann);
    for (int page = 1; page <= COUNT; page++) {
        static const int expected[] = {5, 3, 2, 1, 0};
        struct store_op op = {.verb = STORE_LIST};

        op.list = (struct store_list){.user_id = f->ann, .state = -1, .page = page, .page_size = 1};
        assert_int_equal(run(f->store, &op), 0);
        assert_int_equal(op.list.total, COUNT - 1);
        assert_int_equal(op.list.count, page < COUNT);
        if (page < COUNT)
            assert_true(guid_eq(&op.list.reports[0].id, &ids[expected[page - 1]]));
        store_op_done(&op);
    }
}

static void stats_count_every_state(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_STATS};

    report_in(f, f->ann, REPORT_ERROR);
    report_in(f, f->ann, REPORT_COMPLETE);
    report_in(f, f->bob, REPORT_COMPLETE);
    tombstone(f, report_in(f, f->bob, REPORT_COMPLETE).id, f->bob);
    tombstone(f, report_in(f, f->ann, REPORT_PROCESSING).id, f->ann);
    delete_row(f, deleting(f).refs[0].id);
    report_in(f, f->ann, REPORT_PROCESSING);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.stats.oldest_ms, 0);
    report_in(f, f->ann, REPORT_QUEUED);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.stats.oldest_ms, NOW_MS);
    assert_int_equal(op.stats.by_state[REPORT_QUEUED], 1);
    assert_int_equal(op.stats.by_state[REPORT_PROCESSING], 1);
    assert_int_equal(op.stats.by_state[REPORT_COMPLETE], 2);
    assert_int_equal(op.stats.by_state[REPORT_ERROR], 1);
    assert_int_equal(op.stats.by_state[REPORT_DELETING], 1);
}

static void a_sweep_removes_expired_keys(void **state)
{
    struct fixture *f = *state;
    struct store_submit first = submit_keyed(f, keyed_op(f->ann, "k", 1));
    struct store_op op = {.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS + DAY_MS - 1}};

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 0);
    op.sweep.now_ms = NOW_MS + DAY_MS;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 1);
    assert_int_equal(state_of(f, first.id, f->ann), REPORT_QUEUED);
    assert_int_equal(submit_keyed(f, keyed_op(f->ann, "k", 2)).outcome, SUBMIT_ACCEPTED);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_submitted_report_is_queued),
        STORE_TEST(parameters_are_given_only_when_asked_for),
        STORE_TEST(the_limit_refuses_and_names_the_active_reports),
        STORE_TEST(the_limit_counts_a_users_own_reports_only),
        STORE_TEST(a_finished_report_frees_its_slot),
        STORE_TEST(a_deleted_queued_report_frees_its_slot_at_once),
        STORE_TEST(a_deleted_running_report_keeps_its_slot_until_it_is_dropped),
        STORE_TEST(a_deleted_report_is_not_named_among_the_active),
        STORE_TEST(a_report_of_no_user_is_refused),
        STORE_TEST(the_same_key_and_body_answer_the_first_report),
        STORE_TEST(a_replay_is_answered_even_at_the_limit),
        STORE_TEST(the_same_key_with_another_body_is_refused),
        STORE_TEST(a_look_at_a_key_tells_what_a_submit_would_find),
        STORE_TEST(a_key_is_its_users_own),
        STORE_TEST(an_expired_key_is_forgotten),
        STORE_TEST(the_key_of_a_deleted_report_is_free),
        STORE_TEST(simultaneous_twins_make_one_report),
        STORE_TEST(an_empty_queue_gives_nothing),
        STORE_TEST(the_oldest_report_is_claimed_first),
        STORE_TEST(a_claim_brings_what_the_worker_needs),
        STORE_TEST(the_position_counts_the_reports_before),
        STORE_TEST(a_complete_report_has_its_figures),
        STORE_TEST(a_failed_report_has_its_message),
        STORE_TEST(a_lost_attempt_can_do_nothing),
        STORE_TEST(a_report_is_finished_once),
        STORE_TEST(a_deleted_report_cannot_be_published),
        STORE_TEST(a_requeued_report_has_its_old_place),
        STORE_TEST(only_a_failed_worker_counts_as_a_failure),
        STORE_TEST(progress_is_seen_while_processing),
        STORE_TEST(progress_of_a_lost_attempt_is_ignored),
        STORE_TEST(only_its_user_or_the_start_up_finds_a_report),
        STORE_TEST(a_list_is_paged_newest_first),
        STORE_TEST(a_list_may_be_of_one_state),
        STORE_TEST(every_state_can_be_deleted),
        STORE_TEST(a_deleted_queued_report_is_never_claimed),
        STORE_TEST(only_its_user_or_the_purge_can_delete_a_report),
        STORE_TEST(a_report_is_deleted_once),
        STORE_TEST(what_is_deleting_is_known_until_it_is_dropped),
        STORE_TEST(a_report_that_is_not_deleting_is_not_dropped),
        STORE_TEST(finished_reports_expire_in_their_time),
        STORE_TEST(more_expired_than_fit_come_in_turns),
        STORE_TEST(recovery_requeues_what_was_processing),
        STORE_TEST(a_list_has_active_and_finished_reports_by_their_age),
        STORE_TEST(stats_count_every_state),
        STORE_TEST(a_sweep_removes_expired_keys),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
