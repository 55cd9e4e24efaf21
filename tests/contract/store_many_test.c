/* tests/contract/store_many_test.c -- many reports of one user: found, marked and dropped in
 * batches; and reports of all users: listed; on every backend. */
#include "contract/store_fixture.h"

#include "store/postgres_statements.h"

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

/* ---- of all users ---- */

struct listing {
    struct guid ids[64];
    size_t count;
};

/* All pages of a list of all users, two reports at a time. */
static struct listing list_all(struct fixture *f, struct store_list filter)
{
    struct listing all = {.count = 0};
    int64_t total = 1;

    filter.page_size = 2;
    for (filter.page = 1; (filter.page - 1) * 2 < total; filter.page++) {
        struct store_op op = {.verb = STORE_LIST, .list = filter};

        assert_int_equal(run(f->store, &op), 0);
        total = op.list.total;
        assert_int_equal(op.list.count, total >= filter.page * 2 ? 2 : total % 2);
        for (size_t i = 0; i < op.list.count; i++) {
            assert_non_null(op.list.reports[i].user_name);
            all.ids[all.count++] = op.list.reports[i].id;
        }
        store_op_done(&op);
    }
    assert_int_equal(all.count, total);
    return all;
}

/* MATCH has the same filters, and reads every report. */
static void assert_lists_what_matches(struct fixture *f, struct store_list filter)
{
    struct store_op op = match(f, (struct store_match){.state = filter.state,
                                                       .user = filter.user,
                                                       .types = filter.types,
                                                       .name = filter.name});
    struct listing all = list_all(f, filter);

    assert_int_equal(all.count, op.match.total);
    for (size_t i = 0; i < all.count; i++)
        assert_true(guid_eq(&all.ids[i], &op.match.ids[all.count - 1 - i]));
    store_op_done(&op);
}

/* Of two types each: queued, running, complete, failed and marked ones, in turn. */
static void make_reports_of_two_types(struct fixture *f)
{
    enum { COUNT = 8 };
    static const char *const names[] = {"Balance", "Other"};
    struct guid marked = guid_new();
    struct store_ref ref;

    for (int i = 0; i < 3 * COUNT; i++) {
        marked = submit_named(f, names[i % 2], "");
        submit(f, f->bob);
        if (i >= COUNT && i % 4 != 0)
            assert_true(claim(f, &ref));
        if (i >= COUNT && i % 4 > 1)
            assert_true(finish(f, ref, i % 4 == 2 ? REPORT_COMPLETE : REPORT_ERROR));
    }
    tombstone(f, marked, f->ann);
    tombstone(f, ref.id, 0);
}

static void a_list_of_all_users_has_what_matches_newest_first(void **state)
{
    static const char *const names[] = {NULL, "Balance", "Other", "None"};
    static const char *const types[] = {NULL, "Other\n", "Balance\nOther\n", "None\n", ""};
    static const char *const users[] = {NULL, "ann", "nobody"};
    struct fixture *f = *state;

    make_reports_of_two_types(f);
    for (int i = 0; i < 4 * 5 * 3 * 5; i++)
        assert_lists_what_matches(f, (struct store_list){.name = names[i % 4],
                                                         .types = types[i / 4 % 5],
                                                         .user = users[i / 20 % 3],
                                                         .state = i / 60 - 1});
}

#define PLAN_OF(name, types, sql) [PLAN_##name] = (sql),
enum {
#define X(name, types, sql) PLAN_##name,
    POSTGRES_STATEMENTS(X)
#undef X
};
static const char *const postgres_sql[] = {POSTGRES_STATEMENTS(PLAN_OF)};

/* How PostgreSQL runs a list with these values, whether or not it plans for them. */
static void assert_reads_by(const char *index, int statement, const char *values)
{
    static const char *const modes[] = {"force_generic_plan", "force_custom_plan"};

    for (int i = 0; i < 2; i++) {
        char *sql, *plan;

        assert_true(asprintf(&sql,
                             "SET search_path = reportd; SET plan_cache_mode = %s; PREPARE p"
                             " (bigint, text, text, text, bigint, bigint, bigint, bigint) AS %s;"
                             " EXPLAIN EXECUTE p (%s, 100, 0, 4096, 1000)",
                             modes[i], postgres_sql[statement], values) > 0);
        plan = postgres_server_text(sql);
        if (strstr(plan, index) == NULL || strstr(plan, "Seq Scan on report") != NULL ||
            strstr(plan, "report_pkey on report o") != NULL)
            fail_msg("%s", plan);
        free(plan);
        free(sql);
    }
}

/* However many there are: of a type that is frequent, one that is rare, or of one user. */
static void a_page_of_all_users_reads_no_more_than_a_page_in_postgresql(void **state)
{
    struct fixture *f = *state;

    if (f->backend->holds_bytes != NULL)
        return; /* for SQLite: tests/unit/store_sqlite_test.c */
    postgres_server_exec(
        "INSERT INTO reportd.report (id, user_id, state, slot, submitted_ms, name)"
        " SELECT gen_random_uuid(), i % 50, 2, false, 1, CASE i WHEN 1 THEN 'Rare' ELSE 'Often' END"
        " FROM generate_series(1, 20000) AS i; ANALYZE reportd.report");
    assert_reads_by("report_of_type", PLAN_LIST_KINDS, "-1, 'Often', NULL, NULL");
    assert_reads_by("report_of_type", PLAN_LIST_KINDS, "-1, 'Rare', NULL, NULL");
    assert_reads_by("report_of_type", PLAN_LIST_KINDS, "3, NULL, NULL, NULL");
    assert_reads_by("report_of_user", PLAN_LIST_ONES, "-1, NULL, NULL, 'ann'");
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
        STORE_TEST(a_list_of_all_users_has_what_matches_newest_first),
        STORE_TEST(a_page_of_all_users_reads_no_more_than_a_page_in_postgresql),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
