/* tests/contract/store_fair_test.c -- whose report starts next: what is paused, turns, limits. */
#include "contract/store_fixture.h"

/* ---- pauses ---- */

static void pause_source(struct fixture *f, const char *source, bool paused)
{
    struct store_op op = {.verb = STORE_PAUSE, .pause = {.source = source, .paused = paused}};

    assert_int_equal(run(f->store, &op), 0);
}

static void assert_paused(struct fixture *f, bool all, const char *sources)
{
    struct store_op op = {.verb = STORE_PAUSED};

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.paused.all, all);
    assert_string_equal(op.paused.sources, sources);
    store_op_done(&op);
}

static void nothing_is_claimed_while_all_is_paused(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;

    submit(f, f->ann);
    assert_paused(f, false, "");
    pause_source(f, NULL, true);
    pause_source(f, NULL, true);
    pause_source(f, "shop", true);
    pause_source(f, "@bank", true); /* not a node, although its name begins as that of a pause */
    pause_source(f, "bank", true);
    assert_false(claim(f, &ref));
    reopen_store(f);
    assert_paused(f, true, "@bank\nbank\nshop\n");
    assert_false(claim(f, &ref));
    pause_source(f, NULL, false);
    assert_paused(f, false, "@bank\nbank\nshop\n");
    assert_true(claim(f, &ref));
    pause_source(f, "shop", false);
    assert_paused(f, false, "@bank\nbank\n");
}

/* ---- turns and limits ---- */

enum { USERS = 12, WORKERS = 5, DEPTH = 6, STARTS = 1200 };

/* Claim with what a node may start; zero: nothing. */
static struct store_ref claim_with(struct fixture *f, struct store_claim arg)
{
    struct store_op op = {.verb = STORE_CLAIM, .claim = arg};
    struct store_ref ref = {0};

    op.claim.node = "here";
    op.claim.now_ms = NOW_MS + 1;
    assert_int_equal(run(f->store, &op), 0);
    if (op.claim.found)
        ref = (struct store_ref){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    store_op_done(&op);
    return ref;
}

static bool starts_one(struct fixture *f, struct store_claim arg)
{
    return claim_with(f, arg).attempt > 0;
}

static void assert_next(struct fixture *f, struct guid id)
{
    struct store_ref ref;

    assert_true(claim(f, &ref));
    assert_true(guid_eq(&ref.id, &id));
}

static void who_has_the_fewest_running_comes_first(void **state)
{
    struct fixture *f = *state;
    struct guid ann[3], bob[2];

    for (int i = 0; i < 3; i++)
        ann[i] = submit(f, f->ann);
    assert_next(f, ann[0]);
    assert_next(f, ann[1]);
    for (int i = 0; i < 2; i++)
        bob[i] = submit(f, f->bob);
    assert_next(f, bob[0]);
    assert_next(f, bob[1]);
    assert_next(f, ann[2]);
}

static void among_equals_the_last_start_longest_ago_comes_first(void **state)
{
    struct fixture *f = *state;
    struct store_ref ann, bob;
    struct guid next;

    submit(f, f->ann);
    assert_true(claim(f, &ann));
    submit(f, f->bob);
    assert_true(claim(f, &bob));
    assert_true(finish(f, bob, REPORT_COMPLETE));
    assert_true(finish(f, ann, REPORT_COMPLETE));
    submit(f, f->bob);
    next = submit(f, f->ann);
    reopen_store(f);
    assert_next(f, next);
}

static void of_one_user_the_oldest_of_any_type_comes_first(void **state)
{
    struct fixture *f = *state;
    const char *const names[] = {"Holdings", "Balance", "Holdings", "Accounts", "Balance"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    struct guid ids[COUNT];
    const struct store_claim offer = {.offer = "Accounts\nBalance\nHoldings\n",
                                      .sources = "shop\nshop\nshop\n"};

    for (int i = 0; i < COUNT; i++)
        ids[i] = submit_named(f, names[i], "");
    for (int i = 0; i < COUNT; i++) {
        struct store_ref ref = claim_with(f, offer);

        assert_true(guid_eq(&ref.id, &ids[i]));
        if (i % 2 == 0) /* so that the next one is claimed with and without one running */
            assert_true(finish(f, ref, REPORT_COMPLETE));
    }
}

static void limits_of_running_reports_are_kept(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    struct store_claim two = {.running_limit = 2};
    struct store_op op = {.verb = STORE_USER_CHANGE};

    for (int i = 0; i < 4; i++)
        submit(f, f->ann);
    op.user_change = (struct store_user_change){.name = "Ann", .disabled = -1, .running_limit = 3};
    claim_with(f, two);
    ref = claim_with(f, two);
    assert_false(starts_one(f, two));
    assert_int_equal(run(f->store, &op), 0);
    assert_true(starts_one(f, two));
    assert_false(starts_one(f, two));
    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_true(starts_one(f, two));
}

static void what_is_of_a_full_or_paused_source_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct store_ref first;
    const struct store_limit one = {.source = "shop", .max_running = 1};
    struct store_claim offer = {
        .offer = "Balance\n", .sources = "shop\n", .limits = &one, .limit_count = 1};

    submit(f, f->ann);
    submit(f, f->bob);
    pause_source(f, "shop", true);
    assert_false(starts_one(f, offer));
    pause_source(f, "shop", false);
    first = claim_with(f, offer);
    assert_int_equal(first.attempt, 1);
    assert_false(starts_one(f, offer));
    assert_true(finish(f, first, REPORT_COMPLETE));
    assert_true(starts_one(f, offer));
}

/* ---- a simulation: all users always have something queued ---- */

struct simulation {
    struct fixture *f;
    int64_t users[USERS];
    struct store_ref running[WORKERS];
    int user[WORKERS];
    double starts[USERS];
};

static void simulation_start(struct simulation *s, int worker)
{
    struct store_op op = {.verb = STORE_CLAIM, .claim = {.node = "here", .now_ms = NOW_MS}};

    op.claim.offer = "Balance\n";
    assert_int_equal(run(s->f->store, &op), 0);
    assert_true(op.claim.found);
    s->running[worker] =
        (struct store_ref){.id = op.claim.report.id, .attempt = op.claim.report.attempt};
    for (int i = 0; i < USERS; i++) {
        if (s->users[i] == op.claim.report.user_id)
            s->user[worker] = i;
    }
    s->starts[s->user[worker]]++;
    store_op_done(&op);
    submit(s->f, s->users[s->user[worker]]);
}

/* (sum x)^2 / (n sum x^2): 1 if all have the same (Jain). */
static double jain(const double *x)
{
    double sum = 0, squares = 0;

    for (int i = 0; i < USERS; i++) {
        sum += x[i];
        squares += x[i] * x[i];
    }
    return sum * sum / (USERS * squares);
}

static void every_user_has_as_many_starts_as_the_others(void **state)
{
    struct simulation s = {.f = *state};
    char name[16];

    for (int i = 0; i < USERS; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        s.users[i] = add_user(s.f, name);
    }
    for (int i = 0; i < USERS * DEPTH; i++) /* the last user's come last of all */
        submit(s.f, s.users[i / DEPTH]);
    for (int i = 0; i < WORKERS; i++)
        simulation_start(&s, i);
    for (int i = WORKERS; i < STARTS; i++) {
        int worker = i % WORKERS;

        assert_true(finish(s.f, s.running[worker], REPORT_COMPLETE));
        simulation_start(&s, worker);
    }
    assert_true(jain(s.starts) >= 0.99);
}

/* ---- a submit and its claim in one transaction ---- */

static struct store_op submit_of(int64_t user_id)
{
    struct store_op op = submit_op(user_id);

    op.submit.active_limit = 1000;
    snprintf(op.submit.version, sizeof(op.submit.version), "1");
    return op;
}

static struct store_op claim_of(struct guid token)
{
    struct store_op op = {.verb = STORE_CLAIM};

    op.claim = (struct store_claim){.node = "here",
                                    .now_ms = NOW_MS,
                                    .token = token,
                                    .offer = "Accounts\nAccounts 1\nBalance\nBalance 1\n",
                                    .sources = "bank\nbank\nshop\nshop\n"};
    return op;
}

/* The report that is claimed; zero: none. `between` may be posted between them: NULL is nothing. */
static struct guid claimed_with(struct fixture *f, const struct store_op *submit,
                                struct store_claim limits, const struct store_op *between)
{
    struct store_op ops[3] = {*submit}, *claim = &ops[between != NULL ? 2 : 1];
    struct guid claimed = {0};

    if (between != NULL)
        ops[1] = *between;
    *claim = claim_of(guid_new());
    claim->claim.limits = limits.limits;
    claim->claim.limit_count = limits.limit_count;
    claim->claim.running_limit = limits.running_limit;
    run_as_one_batch(f, ops, between != NULL ? 3 : 2);
    assert_int_equal(ops[0].submit.outcome, SUBMIT_ACCEPTED);
    if (claim->claim.found) {
        assert_int_equal(claim->claim.report.attempt, 1);
        claimed = claim->claim.report.id;
    }
    store_op_done(claim);
    return claimed;
}

static bool starts_with_its_submit(struct fixture *f, int64_t user_id, struct store_claim arg,
                                   const struct store_op *between)
{
    struct store_op op = submit_of(user_id);
    struct guid claimed = claimed_with(f, &op, arg, between);
    struct store_op look = {.verb = STORE_FIND, .find.id = op.submit.id};
    bool started = guid_eq(&claimed, &op.submit.id);

    assert_int_equal(run(f->store, &look), 0);
    assert_int_equal(look.find.report.state, started ? REPORT_PROCESSING : REPORT_QUEUED);
    assert_int_equal(look.find.report.attempt, started);
    assert_int_equal(look.find.report.started_ms, started ? NOW_MS : 0);
    store_op_done(&look);
    return started;
}

static void a_submit_and_its_claim_are_one_start(void **state)
{
    struct fixture *f = *state;
    struct store_op again = {.verb = STORE_CLAIM};
    struct store_ref ref = {.attempt = 1};
    struct store_op op = submit_of(f->ann);
    struct guid next;

    ref.id = claimed_with(f, &op, (struct store_claim){0}, NULL);
    assert_true(guid_eq(&ref.id, &op.submit.id));
    if (f->backend->holds_bytes == NULL) { /* PostgreSQL: no version of the row was queued */
        char *place = postgres_server_text("SELECT ctid FROM reportd.report");

        assert_string_equal(place, "(0,1)\n");
        free(place);
    }
    again.claim = (struct store_claim){.node = "here", .now_ms = NOW_MS};
    assert_int_equal(run(f->store, &again), 0);
    assert_false(again.claim.found);
    assert_true(finish(f, ref, REPORT_COMPLETE));
    submit(f, f->ann);
    next = submit(f, f->bob); /* it was ann's turn */
    assert_next(f, next);
}

static void what_is_queued_comes_before_a_submit_with_its_claim(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit(f, f->bob), claimed;
    struct store_op op = submit_of(f->ann);

    claimed = claimed_with(f, &op, (struct store_claim){0}, NULL);
    assert_true(guid_eq(&claimed, &first));
    assert_next(f, op.submit.id);
}

static void a_submit_with_its_claim_keeps_to_pauses_and_limits(void **state)
{
    struct fixture *f = *state;
    const struct store_op all = {.verb = STORE_PAUSE, .pause = {.paused = true}};
    const struct store_op bank = {.verb = STORE_PAUSE, .pause = {.paused = true, .source = "bank"}};
    const struct store_limit one = {.source = "shop", .max_running = 1};
    const struct store_claim any = {0}, limited = {.limits = &one, .limit_count = 1},
                             few = {.running_limit = 1};
    struct store_ref ref = {0};

    assert_false(starts_with_its_submit(f, f->ann, any, &all));
    assert_false(claim(f, &ref));
    pause_source(f, NULL, false);
    assert_true(claim(f, &ref));
    assert_int_equal(ref.attempt, 1);
    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_true(starts_with_its_submit(f, f->ann, any, &bank));
    pause_source(f, "bank", false);
    assert_false(starts_with_its_submit(f, f->bob, limited, NULL));
    assert_true(claim(f, &ref));
    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_true(starts_with_its_submit(f, f->bob, few, NULL));
    assert_false(starts_with_its_submit(f, f->bob, few, NULL));
}

/* Run the batch, of which the last is a claim that finds the report. */
static void assert_batch_claims(struct fixture *f, struct store_op *ops, int count, struct guid id)
{
    run_as_one_batch(f, ops, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(ops[i].rc, 0);
    assert_true(ops[count - 1].claim.found);
    assert_true(guid_eq(&ops[count - 1].claim.report.id, &id));
    store_op_done(&ops[count - 1]);
}

static void a_claim_that_is_repeated_beside_a_submit_finds_what_it_had_claimed(void **state)
{
    struct fixture *f = *state;
    const struct guid token = guid_new();
    struct store_op lost[] = {submit_of(f->ann), claim_of(token)};
    struct store_op again[] = {submit_of(f->bob), claim_of(token)};

    if (f->backend->holds_bytes != NULL) /* over a network only an answer may be lost */
        return;
    assert_batch_claims(f, lost, 2, lost[0].submit.id);
    assert_batch_claims(f, again, 2, lost[0].submit.id);
    assert_next(f, again[0].submit.id);
}

static void what_is_queued_again_beside_a_submit_comes_first(void **state)
{
    struct fixture *f = *state;
    struct guid of_bob = submit(f, f->bob);
    struct store_op ops[] = {
        {.verb = STORE_REQUEUE, .requeue = {.id = of_bob, .attempt = 1}},
        submit_of(f->ann),
        claim_of(guid_new()),
    };
    struct store_ref ref = {0};

    assert_next(f, of_bob);
    submit(f, f->ann);
    assert_true(claim(f, &ref));
    assert_batch_claims(f, ops, 3, of_bob);
}

struct batch {
    struct fixture *f;
    struct store_op ops[2];
};

static void *run_batch(void *arg)
{
    struct batch *batch = arg;

    run_as_one_batch(batch->f, batch->ops, 2);
    return NULL;
}

/* Ann, who has one running, submits another one with its claim; while that waits for the lock of
 * the claims, for at least so long, `meanwhile` is answered. The claim has to be freed. */
static struct batch batch_behind(struct fixture *f, struct store_op *meanwhile, const char *seconds)
{
    struct fixture other = *f;
    struct batch batch = {f, {submit_of(f->ann), claim_of(guid_new())}};
    struct store_ref ref = {0};
    char sleep[40];
    pthread_t thread;
    PGconn *holder = PQconnectdb(postgres_server.url);

    other.store = open_store(&other);
    submit(f, f->ann);
    assert_true(claim(f, &ref));
    PQclear(PQexec(holder, "BEGIN; SELECT pg_advisory_xact_lock(1380996164, -4)"));
    assert_int_equal(pthread_create(&thread, NULL, run_batch, &batch), 0);
    postgres_server_await(
        "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
    assert_int_equal(run(other.store, meanwhile), 0);
    snprintf(sleep, sizeof(sleep), "SELECT pg_sleep(%s)", seconds);
    postgres_server_exec(sleep);
    PQfinish(holder);
    pthread_join(thread, NULL);
    store_free(other.store);
    return batch;
}

static struct store_op claim_behind(struct fixture *f, struct store_op *meanwhile)
{
    struct batch batch = batch_behind(f, meanwhile, "0");

    assert_int_equal(batch.ops[0].submit.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(batch.ops[1].rc, 0);
    return batch.ops[1];
}

static void a_submit_with_its_claim_keeps_to_a_limit_that_was_answered_before(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_CHANGE,
                          .user_change = {.name = "Ann", .disabled = -1, .running_limit = 1}};
    struct store_op claim;

    if (f->backend->holds_bytes != NULL) /* SQLite: one process writes */
        return;
    claim = claim_behind(f, &op);
    assert_false(claim.claim.found);
    store_op_done(&claim);
}

static void what_was_answered_before_a_submit_with_its_claim_comes_first(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->bob), claim;

    if (f->backend->holds_bytes != NULL) /* SQLite: one process writes */
        return;
    claim = claim_behind(f, &op);
    assert_true(claim.claim.found);
    assert_true(guid_eq(&claim.claim.report.id, &op.submit.id));
    store_op_done(&claim);
}

/* On a busy machine the lock may be held for so long that nobody waits for it any more. */
static void a_claim_that_has_waited_for_long_is_repeated_for_what_comes_first(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->bob);
    struct batch batch;

    if (f->backend->holds_bytes != NULL) /* SQLite: one process writes */
        return;
    do {
        batch = batch_behind(f, &op, "2.1"); /* CONFLICT_MS */
    } while (batch.ops[0].rc < 0 && strstr(batch.ops[0].err.detail, "lock timeout") != NULL);
    assert_int_equal(batch.ops[0].rc, 0);
    assert_int_equal(batch.ops[1].rc, 0);
    store_op_done(&batch.ops[1]);
}

static void a_report_that_its_user_may_not_run_is_held_by_nobody(void **state)
{
    struct fixture *f = *state;
    const struct store_op disable = {
        .verb = STORE_USER_CHANGE,
        .user_change = {.name = "Ann", .disabled = 1, .now_ms = NOW_MS, .retention_ms = DAY_MS}};
    struct store_op op = submit_of(f->ann), look = {.verb = STORE_FIND, .find.id = op.submit.id};
    struct guid claimed = claimed_with(f, &op, (struct store_claim){0}, &disable);

    assert_true(guid_eq(&claimed, &(struct guid){0}));
    assert_int_equal(run(f->store, &look), 0);
    assert_int_equal(look.find.report.state, REPORT_ERROR);
    store_op_done(&look);
    if (f->backend->holds_bytes == NULL) { /* PostgreSQL: no deletion has to wait for a node */
        char *node = postgres_server_text("SELECT coalesce(node, '-') FROM reportd.report");

        assert_string_equal(node, "-\n");
        free(node);
    }
}

/* ---- what a commit waits for ---- */

/* One transaction with the submit of a client that waits, and a claim. Was it on the disk before
 * its answer? */
static bool claim_beside_a_submit(struct fixture *f, struct guid *ret_submitted,
                                  struct guid *ret_claimed)
{
    struct store_op ops[2] = {submit_op(f->bob), {.verb = STORE_CLAIM}};
    char *before = postgres_server_text("SELECT pg_current_wal_insert_lsn()"), *after, sql[128];
    bool waited;

    ops[0].submit.waits = true;
    ops[0].submit.active_limit = 1000;
    ops[1].claim = (struct store_claim){.node = "here", .now_ms = NOW_MS + 1};
    run_as_one_batch(f, ops, 2);
    assert_int_equal(ops[0].rc, 0);
    assert_int_equal(ops[1].rc, 0);
    assert_true(ops[1].claim.found);
    before[strcspn(before, "\n")] = '\0';
    snprintf(sql, sizeof(sql), "SELECT pg_current_wal_flush_lsn() > '%s'", before);
    after = postgres_server_text(sql);
    waited = *after == 't';
    *ret_submitted = ops[0].submit.id;
    *ret_claimed = ops[1].claim.report.id;
    store_op_done(&ops[1]);
    free(before);
    free(after);
    return waited;
}

static void a_claim_is_waited_for_unless_its_submit_is_not_either(void **state)
{
    struct fixture *f = *state;
    struct guid promised, submitted, claimed;
    struct store_ref ref = {0};
    bool waited = true;

    if (f->backend->holds_bytes != NULL) /* SQLite waits for no claim */
        return;
    postgres_server_exec("ALTER SYSTEM SET wal_writer_delay = '10s'");
    postgres_server_exec("SELECT pg_reload_conf(), pg_sleep(0.3)"); /* it wakes once more */
    promised = submit(f, f->ann);
    assert_true(claim_beside_a_submit(f, &submitted, &claimed));
    assert_true(guid_eq(&claimed, &promised));
    assert_true(claim(f, &ref));
    for (int i = 0; waited && i < 20; i++) { /* others may write meanwhile */
        waited = claim_beside_a_submit(f, &submitted, &claimed);
        assert_true(guid_eq(&claimed, &submitted));
    }
    assert_false(waited);
    postgres_server_exec("ALTER SYSTEM RESET wal_writer_delay");
    postgres_server_exec("SELECT pg_reload_conf()");
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_claim_is_waited_for_unless_its_submit_is_not_either),
        STORE_TEST(nothing_is_claimed_while_all_is_paused),
        STORE_TEST(a_claim_that_has_waited_for_long_is_repeated_for_what_comes_first),
        STORE_TEST(who_has_the_fewest_running_comes_first),
        STORE_TEST(among_equals_the_last_start_longest_ago_comes_first),
        STORE_TEST(of_one_user_the_oldest_of_any_type_comes_first),
        STORE_TEST(limits_of_running_reports_are_kept),
        STORE_TEST(what_is_of_a_full_or_paused_source_is_passed_over),
        STORE_TEST(a_submit_and_its_claim_are_one_start),
        STORE_TEST(what_is_queued_comes_before_a_submit_with_its_claim),
        STORE_TEST(a_submit_with_its_claim_keeps_to_pauses_and_limits),
        STORE_TEST(a_claim_that_is_repeated_beside_a_submit_finds_what_it_had_claimed),
        STORE_TEST(what_is_queued_again_beside_a_submit_comes_first),
        STORE_TEST(a_submit_with_its_claim_keeps_to_a_limit_that_was_answered_before),
        STORE_TEST(what_was_answered_before_a_submit_with_its_claim_comes_first),
        STORE_TEST(a_report_that_its_user_may_not_run_is_held_by_nobody),
        STORE_TEST(every_user_has_as_many_starts_as_the_others),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
