/* tests/contract/store_many_test.c -- many reports of one user: found, marked and dropped in
 * batches, on every backend. */
#include "contract/store_fixture.h"

/* store_op_done() it. */
static struct store_op match(struct fixture *f, struct store_match arg)
{
    struct store_op op = {.verb = STORE_MATCH};

    op.match = arg;
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

static struct store_op tombstone_many(struct fixture *f, int state, struct store_marked *reports,
                                      size_t count)
{
    struct store_op op = {.verb = STORE_TOMBSTONE_MANY};

    op.tombstone_many = (struct store_tombstone_many){
        .user_id = f->ann, .state = state, .token = guid_new(), .reports = reports, .count = count};
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

static void delete_rows(struct fixture *f, struct store_marked *reports, size_t count)
{
    struct store_op op = {.verb = STORE_DELETE_ROWS};

    op.delete_rows = (struct store_delete_rows){.reports = reports, .count = count};
    assert_int_equal(run(f->store, &op), 0);
}

static int64_t count_in(struct fixture *f, enum report_state state)
{
    struct store_op op = {.verb = STORE_STATS};

    assert_int_equal(run(f->store, &op), 0);
    return op.stats.by_state[state];
}

static void a_match_has_the_users_own_oldest_first(void **state)
{
    struct fixture *f = *state;
    struct guid complete = report_in(f, f->ann, REPORT_COMPLETE).id;
    struct guid error = report_in(f, f->ann, REPORT_ERROR).id, queued = submit(f, f->ann);
    struct store_op op;

    submit(f, f->bob);
    op = match(f, (struct store_match){.user_id = f->ann, .state = -1});
    assert_int_equal(op.match.count, 3);
    assert_int_equal(op.match.total, 3);
    assert_true(guid_eq(&op.match.ids[0], &complete));
    assert_true(guid_eq(&op.match.ids[1], &error));
    assert_true(guid_eq(&op.match.ids[2], &queued));
    assert_int_equal(op.match.by_state[REPORT_COMPLETE], 1);
    assert_int_equal(op.match.by_state[REPORT_ERROR], 1);
    assert_int_equal(op.match.by_state[REPORT_QUEUED], 1);
    store_op_done(&op);
}

static void a_match_keeps_to_state_name_and_time(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);
    struct guid other;

    op.submit.active_limit = 100;
    op.submit.name = "Other";
    op.submit.now_ms = NOW_MS + 10;
    assert_int_equal(run(f->store, &op), 0);
    other = op.submit.id;
    submit(f, f->ann);
    report_in(f, f->ann, REPORT_PROCESSING);
    op = match(f, (struct store_match){.user_id = f->ann, .state = REPORT_COMPLETE});
    assert_int_equal(op.match.total, 0);
    store_op_done(&op);
    op = match(f, (struct store_match){.user_id = f->ann, .state = -1, .name = "Other"});
    assert_int_equal(op.match.total, 1);
    assert_true(guid_eq(&op.match.ids[0], &other));
    store_op_done(&op);
    op = match(f, (struct store_match){.user_id = f->ann, .state = -1, .before_ms = NOW_MS + 10});
    assert_int_equal(op.match.total, 2);
    store_op_done(&op);
    op = match(f, (struct store_match){.user_id = f->ann, .state = -1, .before_ms = NOW_MS + 11});
    assert_int_equal(op.match.total, 3);
    store_op_done(&op);
}

static void marked_reports_are_dead_and_dropped_ones_gone(void **state)
{
    struct fixture *f = *state;
    struct store_marked reports[4];
    struct guid ids[4];

    for (int i = 0; i < 4; i++) {
        struct store_ref ref = report_in(f, f->ann, (enum report_state)(3 - i));

        reports[i] = (struct store_marked){.id = ref.id};
        ids[i] = ref.id;
    }
    tombstone_many(f, -1, reports, 4);
    for (int i = 0; i < 4; i++) {
        struct store_op find = {.verb = STORE_FIND};

        assert_true(reports[i].found);
        assert_int_equal(reports[i].was, 3 - i);
        assert_int_equal(reports[i].attempt, 3 - i == REPORT_QUEUED ? 0 : 1);
        find.find = (struct store_find){.id = ids[i], .user_id = f->ann};
        assert_int_equal(run(f->store, &find), 0);
        assert_false(find.find.found);
        store_op_done(&find);
    }
    assert_int_equal(count_in(f, REPORT_DELETING), 4);
    delete_rows(f, reports, 4);
    assert_int_equal(count_in(f, REPORT_DELETING), 0);
    for (int i = 0; i < 4; i++)
        assert_string_equal(reports[i].user, "Ann");
    delete_rows(f, reports, 1); /* it is gone already */
    assert_string_equal(reports[0].user, "");
}

static void what_is_not_the_users_own_or_has_left_the_state_is_not_marked(void **state)
{
    struct fixture *f = *state;
    struct store_marked reports[5] = {{.id = submit(f, f->bob)}, {.id = guid_new()}};
    struct guid dead = submit(f, f->ann);

    reports[2].id = dead;
    tombstone(f, dead, f->ann);
    reports[3].id = report_in(f, f->ann, REPORT_COMPLETE).id;
    reports[4].id = submit(f, f->ann);
    tombstone_many(f, REPORT_QUEUED, reports, 5);
    for (int i = 0; i < 4; i++)
        assert_false(reports[i].found);
    assert_true(reports[4].found);
    delete_rows(f, &reports[3], 1); /* it lives */
    assert_int_equal(count_in(f, REPORT_COMPLETE), 1);
    assert_int_equal(count_in(f, REPORT_QUEUED), 1); /* bob's */
}

static void a_batch_of_the_largest_size_is_marked_and_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_marked reports[STORE_MANY_MAX];

    for (int i = 0; i < STORE_MANY_MAX; i++)
        reports[i] = (struct store_marked){.id = submit(f, f->ann)};
    tombstone_many(f, -1, reports, STORE_MANY_MAX);
    for (int i = 0; i < STORE_MANY_MAX; i++)
        assert_true(reports[i].found);
    assert_int_equal(count_in(f, REPORT_QUEUED), 0);
    delete_rows(f, reports, STORE_MANY_MAX);
    assert_int_equal(count_in(f, REPORT_DELETING), 0);
}

static void a_slot_is_free_when_a_queued_report_is_marked_and_a_running_one_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_ref running = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_marked reports[2] = {{.id = running.id}, {.id = submit(f, f->ann)}};
    struct store_op op = submit_op(f->ann);

    tombstone_many(f, -1, reports, 2);
    op.submit.active_limit = 1;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_LIMIT);
    store_op_done(&op);
    delete_rows(f, reports, 1);
    op = submit_op(f->ann);
    op.submit.active_limit = 1;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_match_has_the_users_own_oldest_first),
        STORE_TEST(a_match_keeps_to_state_name_and_time),
        STORE_TEST(marked_reports_are_dead_and_dropped_ones_gone),
        STORE_TEST(what_is_not_the_users_own_or_has_left_the_state_is_not_marked),
        STORE_TEST(a_batch_of_the_largest_size_is_marked_and_dropped),
        STORE_TEST(a_slot_is_free_when_a_queued_report_is_marked_and_a_running_one_dropped),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
