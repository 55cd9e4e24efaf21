/* tests/contract/store_node_test.c -- several nodes on one store: leases, takeover, deletions that
 * wait, and what the connections of one node and of others do at the same time. */
#include "contract/store_fixture.h"

enum { LEASE_MS = 60 * 1000 };

static struct store_heartbeat beat_for(struct fixture *f, const char *node, bool begin,
                                       int64_t lease_ms)
{
    static struct store_ref running[STORE_RUNNING_MAX];
    struct store_op op = {.verb = STORE_HEARTBEAT};

    op.heartbeat = (struct store_heartbeat){
        .node = node, .host = "test", .begin = begin, .lease_ms = lease_ms, .running = running};
    assert_int_equal(run(f->store, &op), 0);
    return op.heartbeat;
}

static struct store_heartbeat beat(struct fixture *f, const char *node, bool begin)
{
    return beat_for(f, node, begin, LEASE_MS);
}

/* As if its lease had run out: it goes at the next heartbeat of whoever, this one's own if no
 * other. */
static void let_die(struct fixture *f, const char *node)
{
    beat_for(f, node, false, 0);
}

/* What a node with this offer is given; zero: nothing. */
static struct guid claimed(struct fixture *f, const char *offer)
{
    struct store_op op = claim_op("a", guid_new());
    struct guid id = {0};

    op.claim.offer = offer;
    assert_int_equal(run(f->store, &op), 0);
    if (op.claim.found)
        id = op.claim.report.id;
    store_op_done(&op);
    return id;
}

static void assert_claimed(struct fixture *f, const char *offer, struct guid id)
{
    struct guid got = claimed(f, offer);

    assert_true(guid_eq(&got, &id));
}

/* Submit and claim; the queue must be empty. */
static bool held(struct fixture *f, struct guid id)
{
    struct store_op op = {.verb = STORE_HELD, .held = {.id = id}};

    assert_int_equal(run(f->store, &op), 0);
    return op.held.held;
}

/* ---- leases ---- */

static void a_node_lives_from_its_first_heartbeat_on(void **state)
{
    struct fixture *f = *state;

    assert_true(beat(f, "a", true).alive);
    assert_true(beat(f, "a", true).alive);
    assert_true(beat(f, "a", false).alive);
}

static struct store_nodes nodes(struct fixture *f)
{
    struct store_op op = {.verb = STORE_NODES};

    assert_int_equal(run(f->store, &op), 0);
    return op.nodes;
}

static void living_nodes_are_counted_with_the_longest_lease(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(nodes(f).count, 0);
    beat_for(f, "a", true, LEASE_MS);
    beat_for(f, "b", true, 10 * LEASE_MS);
    assert_int_equal(nodes(f).count, 2);
    assert_true(nodes(f).wait_ms > 9 * LEASE_MS && nodes(f).wait_ms <= 10 * LEASE_MS);
    let_die(f, "b");
    assert_int_equal(nodes(f).count, 1);
}

static void a_heartbeat_names_what_the_node_runs(void **state)
{
    struct fixture *f = *state;
    struct store_heartbeat told;
    struct store_ref ref;

    beat(f, "a", true);
    beat(f, "b", true);
    ref = running_on(f, "a");
    told = beat(f, "a", false);
    assert_int_equal(told.count, 1);
    assert_true(guid_eq(&told.running[0].id, &ref.id));
    assert_int_equal(told.running[0].attempt, 1);
    assert_int_equal(beat(f, "b", false).count, 0);
    assert_false(told.running[0].deleted);
    tombstone(f, ref.id, f->ann);
    told = beat(f, "a", false);
    assert_int_equal(told.count, 1);
    assert_true(guid_eq(&told.running[0].id, &ref.id) && told.running[0].deleted);
    assert_false(requeue(f, ref, false));
    assert_int_equal(beat(f, "a", false).count, 0);
}

static void the_reports_of_a_dead_node_are_taken_back(void **state)
{
    struct fixture *f = *state;
    struct store_ref lost, kept;
    struct store_op op;

    beat(f, "a", true);
    beat(f, "b", true);
    lost = running_on(f, "a");
    kept = running_on(f, "b");
    assert_int_equal(beat(f, "b", false).requeued, 0);
    let_die(f, "a");
    assert_int_equal(state_of(f, lost.id, f->ann), REPORT_QUEUED);
    assert_int_equal(state_of(f, kept.id, f->ann), REPORT_PROCESSING);
    assert_false(finish(f, lost, REPORT_COMPLETE));
    op = find(f, lost.id, f->ann);
    assert_int_equal(op.find.report.failures, 0);
    assert_int_equal(op.find.report.attempt, 1);
    assert_int_equal(op.find.position, 1);
    store_op_done(&op);
}

static void a_node_that_was_given_up_is_told_so(void **state)
{
    struct fixture *f = *state;

    beat(f, "a", true);
    let_die(f, "a");
    assert_false(beat(f, "a", false).alive);
    assert_true(beat(f, "a again", true).alive);
}

static void recovery_takes_from_the_living_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_RECOVER, .recover = {.node = "new"}};
    struct store_ref ref, orphan;

    beat(f, "a", true);
    ref = running_on(f, "a");
    orphan = running_on(f, "nobody");
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.recover.requeued, 1);
    assert_int_equal(state_of(f, ref.id, f->ann), REPORT_PROCESSING);
    assert_int_equal(state_of(f, orphan.id, f->ann), REPORT_QUEUED);
}

/* ---- deletions that wait ---- */

static void a_deletion_knows_that_a_node_holds_the_report(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref, done, refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_DELETING, .deleting = {.refs = refs}};

    beat(f, "a", true);
    done = running_on(f, "a");
    finish(f, done, REPORT_COMPLETE);
    ref = running_on(f, "a");
    assert_false(tombstone(f, done.id, f->ann).held);
    assert_true(tombstone(f, ref.id, f->ann).held);
    assert_false(held(f, done.id));
    assert_true(held(f, ref.id));
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.deleting.count, 1);
    assert_true(guid_eq(&refs[0].id, &done.id));
    assert_false(refs[0].recent);
}

static void another_node_may_be_deleting_what_is_recent(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref, refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_DELETING,
                          .deleting = {.refs = refs, .recent_ms = INT32_MAX}};

    beat(f, "a", true);
    ref = running_on(f, "a");
    finish(f, ref, REPORT_COMPLETE);
    tombstone(f, ref.id, f->ann);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.deleting.count, 1);
    assert_true(refs[0].recent);
}

/* Who waits for the end of the transfer finishes the deletion. */
static void what_a_living_node_still_sends_is_not_taken_up(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref, refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_DELETING, .deleting = {.refs = refs}};
    char id[GUID_TEXT], sql[200];

    beat(f, "a", true);
    ref = running_on(f, "a");
    finish(f, ref, REPORT_COMPLETE);
    guid_format(&ref.id, id);
    snprintf(sql, sizeof(sql), "INSERT INTO reportd.transfer VALUES (gen_random_uuid(), '%s', 'a')",
             id);
    postgres_server_exec(sql);
    assert_true(tombstone(f, ref.id, f->ann).held);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.deleting.count, 0);
    postgres_server_exec("DELETE FROM reportd.transfer");
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.deleting.count, 1);
}

struct heard {
    int released;
    struct guid id;
};

static void record_release(void *context, const struct store_change *change)
{
    struct heard *heard = context;

    if (change->released) {
        heard->released++;
        heard->id = change->id;
        assert_int_equal(change->state, REPORT_DELETING);
    }
}

static void the_end_of_the_attempt_lets_go_of_the_report(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};

    beat(f, "a", true);
    store_listen(f->store, record_release, &heard);
    for (int i = 0; i < 2; i++) {
        struct store_ref ref = running_on(f, "a");

        tombstone(f, ref.id, f->ann);
        assert_int_equal(heard.released, i);
        if (i == 0)
            assert_false(finish(f, ref, REPORT_COMPLETE));
        else
            assert_false(requeue(f, ref, false));
        assert_int_equal(heard.released, i + 1);
        assert_true(guid_eq(&heard.id, &ref.id));
        assert_false(held(f, ref.id));
        assert_int_equal(state_of(f, ref.id, 0), -1);
    }
}

static void the_death_of_its_node_lets_go_of_the_report(void **state)
{
    struct fixture *f = *state;
    struct heard heard = {0};
    struct store_ref ref;

    beat(f, "a", true);
    ref = running_on(f, "a");
    tombstone(f, ref.id, f->ann);
    store_listen(f->store, record_release, &heard);
    let_die(f, "a");
    assert_int_equal(heard.released, 1);
    assert_false(held(f, ref.id));
    assert_int_equal(state_of(f, ref.id, 0), -1);
}

/* ---- what was in doubt ---- */

static void a_claim_repeated_with_its_token_gives_the_same_report(void **state)
{
    struct fixture *f = *state;
    struct store_op first = claim_op("a", guid_new()), again;
    struct store_op other = claim_op("b", first.claim.token);

    beat(f, "a", true);
    submit(f, f->ann);
    submit(f, f->ann);
    again = first;
    assert_int_equal(run(f->store, &first), 0);
    assert_int_equal(run(f->store, &again), 0);
    assert_int_equal(run(f->store, &other), 0);
    assert_true(guid_eq(&first.claim.report.id, &again.claim.report.id));
    assert_int_equal(again.claim.report.attempt, 1);
    assert_string_equal(again.claim.report.parameters, first.claim.report.parameters);
    assert_false(guid_eq(&first.claim.report.id, &other.claim.report.id));
    store_op_done(&first);
    store_op_done(&again);
    store_op_done(&other);
}

/* ---- what holds up others ---- */

static void a_sweep_takes_a_limited_number_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS}};

    postgres_server_exec(
        "INSERT INTO reportd.session (id, user_id, access, refresh_hash, expires_ms)"
        " SELECT gen_random_uuid(), a.id, gen_random_uuid(), '', 1"
        " FROM generate_series(1, 1500), reportd.account a WHERE a.name = 'Ann'");
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, STORE_SWEEP_MAX);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.sweep.removed, 500);
}

/* ---- several connections, several stores ---- */

static struct store_change heard_change;
static struct countdown heard_latch;

static void note_heard(void *context, const struct store_change *change)
{
    (void)context;
    if (change == NULL || !change->heard)
        return;
    heard_change = *change;
    latch_down(&heard_latch);
}

static void another_nodes_changes_are_heard(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_store(f);
    struct store_op op = submit_op(f->ann);
    struct err err = {0};

    heard_latch = (struct countdown)LATCH(1);
    store_listen(f->store, note_heard, NULL);
    assert_int_equal(store_subscribe(f->store, &err), 0);
    assert_int_equal(run(other, &op), 0);
    latch_await(&heard_latch);
    store_unsubscribe(f->store);
    assert_true(guid_eq(&heard_change.id, &op.submit.id));
    assert_int_equal(heard_change.user_id, f->ann);
    assert_int_equal(heard_change.state, REPORT_QUEUED);
    store_free(other);
}

enum { STORES = 3, THREADS = 8, EACH = 12 };

struct crowd {
    struct fixture *f;
    struct store *stores[STORES];
    struct guid ids[THREADS * EACH];
    _Atomic int next, accepted, failed;
};

struct member {
    struct crowd *crowd;
    int number;
    pthread_t thread;
};

/* Everything at once, in another order on each thread: submit, claim, finish, delete. */
static void *live(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;

    for (int i = 0; i < EACH; i++) {
        struct store *store = crowd->stores[(member->number + i) % STORES];
        int64_t user = (member->number + i) % 2 == 0 ? crowd->f->ann : crowd->f->bob;
        struct store_op op = submit_op(user), end = claim_op("a", guid_new());

        crowd->failed += store_run(store, &op) != 0;
        crowd->accepted += op.submit.outcome == SUBMIT_ACCEPTED;
        store_op_done(&op);
        crowd->failed += store_run(store, &end) != 0;
        if (end.claim.found) {
            struct store_ref ref = {.id = end.claim.report.id, .attempt = end.claim.report.attempt};

            store_op_done(&end);
            end = (struct store_op){.verb = STORE_TOMBSTONE, .tombstone = {.id = ref.id}};
            crowd->failed += store_run(store, &end) != 0;
            end = (struct store_op){.verb = STORE_DELETE_ROW, .delete_row = {.id = ref.id}};
            crowd->failed += store_run(store, &end) != 0;
        }
        store_op_done(&end);
    }
    return NULL;
}

static int64_t stat_of(struct fixture *f, enum report_state state)
{
    struct store_op op = {.verb = STORE_STATS};

    assert_int_equal(run(f->store, &op), 0);
    return op.stats.by_state[state];
}

static void stores_and_connections_at_once_neither_lose_nor_fail(void **state)
{
    struct crowd crowd = {.f = *state};
    struct member members[THREADS];

    crowd.f->connections = 6;
    beat(crowd.f, "a", true);
    for (int i = 0; i < STORES; i++)
        crowd.stores[i] = open_store(crowd.f);
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct member){.crowd = &crowd, .number = i};
        assert_int_equal(pthread_create(&members[i].thread, NULL, live, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(members[i].thread, NULL);
    assert_int_equal(crowd.failed, 0);
    assert_int_equal(stat_of(crowd.f, REPORT_PROCESSING), 0);
    assert_true(stat_of(crowd.f, REPORT_QUEUED) <= THREADS);
    for (int i = 0; i < STORES; i++)
        store_free(crowd.stores[i]);
}

static void *submit_many(void *arg)
{
    struct member *member = arg;
    struct crowd *crowd = member->crowd;

    for (int i = 0; i < EACH; i++) {
        struct store_op op = submit_op(crowd->f->ann);

        crowd->failed += store_run(crowd->stores[(member->number + i) % STORES], &op) != 0;
        crowd->accepted += op.submit.outcome == SUBMIT_ACCEPTED;
        store_op_done(&op);
    }
    return NULL;
}

static void the_limit_is_exact_across_stores(void **state)
{
    struct crowd crowd = {.f = *state};
    struct member members[THREADS];

    crowd.f->connections = 6;
    for (int i = 0; i < STORES; i++)
        crowd.stores[i] = open_store(crowd.f);
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct member){.crowd = &crowd, .number = i};
        assert_int_equal(pthread_create(&members[i].thread, NULL, submit_many, &members[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(members[i].thread, NULL);
    assert_int_equal(crowd.failed, 0);
    assert_int_equal(crowd.accepted, 10);
    assert_int_equal(stat_of(crowd.f, REPORT_QUEUED), 10);
    for (int i = 0; i < STORES; i++)
        store_free(crowd.stores[i]);
}

/* ---- the schema ---- */

static void *open_and_close(void *arg)
{
    store_free(open_store(arg));
    return NULL;
}

static void many_nodes_may_make_the_store_at_the_same_time(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];

    store_free(f->store);
    f->store = NULL;
    postgres_server_exec("DROP SCHEMA reportd CASCADE");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, f), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    f->store = open_store(f);
    assert_true(add_user(f, "Ann") > 0);
}

static void a_newer_schema_is_refused_but_not_to_who_has_it_open(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct err err;

    postgres_server_exec("INSERT INTO reportd.schema_version VALUES (1000)");
    assert_int_equal(store_open(&(struct store_spec){.url = f->url,
                                                     .create = true,
                                                     .erase_key = postgres_server.erase_key},
                                &other, &err),
                     -E_STORE);
    assert_non_null(strstr(err.text, "schema 1000, newer than this program's"));
    submit(f, f->ann);
}

static void a_database_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct err err;

    (void)f;
    assert_int_equal(store_open(&(struct store_spec){.url = "postgresql://127.0.0.1:1/nowhere",
                                                     .create = true,
                                                     .erase_key = postgres_server.erase_key},
                                &store, &err),
                     -E_STORE);
    assert_non_null(strstr(err.text, "Cannot open the store in PostgreSQL"));
    assert_non_null(strstr(err.text, "127.0.0.1"));
}

/* ---- sealed rows ---- */

/* Users come in their order: a login of the first one stands before the submit of the second. */
static void a_submit_is_sealed_wherever_it_stands_in_its_batch(void **state)
{
    struct fixture *f = *state;
    struct store_op ops[2] = {{.verb = STORE_LOGIN}, submit_op(f->bob)}, op;

    ops[0].login = (struct store_login){.user_id = f->ann, .now_ms = NOW_MS};
    run_as_one_batch(f, ops, 2);
    assert_int_equal(ops[0].rc, 0);
    assert_int_equal(ops[1].rc, 0);
    op = find(f, ops[1].submit.id, f->bob);
    assert_string_equal(op.find.report.parameters, ops[1].submit.parameters);
    store_op_done(&op);
}

/* Keys are words. */
static const void *word_of(const void *keys, size_t i, size_t *ret_len)
{
    const char *word = keys;

    for (; i > 0 && word != NULL; i--)
        word = strchr(word, ' ') != NULL ? strchr(word, ' ') + 1 : NULL;
    *ret_len = word != NULL ? strcspn(word, " ") : 0;
    return word;
}

static int try_key(struct fixture *f, const char *keys, struct err *err)
{
    const struct store_key_file file = {
        .name = "receipt.key", .path = "/etc/receipt.key", .key = word_of, .keys = keys};

    return store_check_key(f->store, &file, err);
}

static void a_key_file_that_the_other_nodes_do_not_have_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(try_key(f, "first", NULL), 0);
    assert_int_equal(try_key(f, "first", NULL), 0);
    assert_int_equal(try_key(f, "another", &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "copy receipt.key from one of them to '/etc/receipt.key'"));
    assert_int_equal(try_key(f, "third second first", NULL), 0); /* has replaced it */
    assert_int_equal(try_key(f, "third", NULL), 0);
    assert_int_equal(try_key(f, "first", &err), -E_CONFIG);
    assert_int_equal(try_key(f, "second first", &err), -E_CONFIG);
}

/* ---- the database goes and comes back ---- */

static void without_the_database_operations_fail_and_with_it_they_work(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);

    postgres_server_order("stop SIGINT");
    for (int i = 0; i < 10; i++) {
        struct store_op op = submit_op(f->ann);

        assert_int_equal(store_run(f->store, &op), -E_STORE);
        assert_non_null(strstr(op.err.text, "The store is unavailable"));
        store_op_done(&op);
    }
    postgres_server_order("start");
    while (true) {
        struct store_op op = {.verb = STORE_STATS};

        if (store_run(f->store, &op) == 0)
            break;
    }
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
    assert_int_equal(stat_of(f, REPORT_QUEUED), 1);
}

/* ---- what a node can run ---- */

static const struct guid nothing;

static void a_node_is_given_the_oldest_report_that_it_offers_to_run(void **state)
{
    struct fixture *f = *state;
    struct guid stock = submit_named(f, "Stock", "1"), old = submit_named(f, "Balance", "1");
    struct guid new = submit_named(f, "Balance", "2"), any = submit_named(f, "Balance", "");

    assert_claimed(f, "", nothing);
    assert_claimed(f, "Other\nOther 1\n", nothing);
    assert_claimed(f, "Stock\nStock 2\n", nothing);
    assert_claimed(f, "Balance\nBalance 2\nOther\n", new);
    assert_claimed(f, "Balance\nBalance 1\nStock\nStock 1\n", stock);
    assert_claimed(f, "Balance\nBalance 1\nStock\nStock 1\n", old);
    assert_claimed(f, "Balance\nBalance 2\n", any);
    assert_claimed(f, "Balance\nBalance 2\nStock\nStock 1\n", nothing);
}

static void offer(struct fixture *f, const char *node, const char *text, int64_t lease_ms)
{
    struct store_ref running[STORE_RUNNING_MAX];
    struct store_op op = {.verb = STORE_HEARTBEAT};

    op.heartbeat = (struct store_heartbeat){.node = node,
                                            .host = "test",
                                            .offer = text,
                                            .begin = true,
                                            .lease_ms = lease_ms,
                                            .running = running};
    assert_int_equal(run(f->store, &op), 0);
}

static void what_a_living_node_offers_is_left_to_it(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit_named(f, "Balance", "1");

    offer(f, "has it", "Balance\nBalance 1\n", LEASE_MS);
    for (int i = 0; i < 5; i++)
        offer(f, "has not", "Balance\nBalance 2\n", 0);
    assert_claimed(f, "Balance\nBalance 2\n", nothing);
    assert_claimed(f, "Balance\nBalance 1\n", id);
}

/* A lease of no time is over at the next heartbeat, and so are six of them. */
static void what_nobody_offers_gives_way_first_to_any_version_and_then_to_any_node(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit_named(f, "Balance", "1"), second = submit_named(f, "Balance", "1");
    struct store_op op = claim_op("a", guid_new());

    offer(f, "a", "Balance\nBalance 2\n", 0); /* notes it */
    assert_claimed(f, "Balance\nBalance 2\n", nothing);
    offer(f, "a", "Balance\nBalance 2\n", 0);
    assert_claimed(f, "Balance\nBalance 2\n", first);
    finish(f, (struct store_ref){.id = first, .attempt = 1}, REPORT_COMPLETE);
    offer(f, "a", "Stock\n", 0);
    assert_claimed(f, "Stock\n", nothing);
    offer(f, "a", "Stock\n", 0);
    op.claim.offer = "Stock\n";
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.claim.found && op.claim.stray);
    assert_true(guid_eq(&op.claim.report.id, &second));
    store_op_done(&op);
}

/* Who comes back in time finds what waits for it. */
static void what_is_offered_again_is_not_noted_any_more(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit_named(f, "Balance", "1");

    offer(f, "a", "Stock\n", 0);
    offer(f, "has it", "Balance\nBalance 1\n", 1000);
    offer(f, "a", "Stock\n", LEASE_MS);
    let_die(f, "has it");
    offer(f, "a", "Stock\n", LEASE_MS);
    offer(f, "a", "Stock\n", LEASE_MS);
    assert_claimed(f, "Balance\nBalance 2\n", nothing);
    assert_claimed(f, "Balance 1\n", id);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_node_lives_from_its_first_heartbeat_on),
        STORE_TEST(living_nodes_are_counted_with_the_longest_lease),
        STORE_TEST(a_heartbeat_names_what_the_node_runs),
        STORE_TEST(the_reports_of_a_dead_node_are_taken_back),
        STORE_TEST(a_node_that_was_given_up_is_told_so),
        STORE_TEST(recovery_takes_from_the_living_nothing),
        STORE_TEST(a_deletion_knows_that_a_node_holds_the_report),
        STORE_TEST(another_node_may_be_deleting_what_is_recent),
        STORE_TEST(the_end_of_the_attempt_lets_go_of_the_report),
        STORE_TEST(the_death_of_its_node_lets_go_of_the_report),
        STORE_TEST(a_claim_repeated_with_its_token_gives_the_same_report),
        STORE_TEST(a_node_is_given_the_oldest_report_that_it_offers_to_run),
        STORE_TEST(what_a_living_node_offers_is_left_to_it),
        STORE_TEST(what_nobody_offers_gives_way_first_to_any_version_and_then_to_any_node),
        STORE_TEST(what_is_offered_again_is_not_noted_any_more),
        STORE_TEST(what_a_living_node_still_sends_is_not_taken_up),
        STORE_TEST(a_sweep_takes_a_limited_number_at_a_time),
        STORE_TEST(another_nodes_changes_are_heard),
        STORE_TEST(stores_and_connections_at_once_neither_lose_nor_fail),
        STORE_TEST(the_limit_is_exact_across_stores),
        STORE_TEST(many_nodes_may_make_the_store_at_the_same_time),
        STORE_TEST(a_newer_schema_is_refused_but_not_to_who_has_it_open),
        STORE_TEST(a_database_that_is_not_there_is_named),
        STORE_TEST(a_submit_is_sealed_wherever_it_stands_in_its_batch),
        STORE_TEST(a_key_file_that_the_other_nodes_do_not_have_is_refused),
        STORE_TEST(without_the_database_operations_fail_and_with_it_they_work),
    };

    return RUN_ON_BACKEND("postgresql", tests);
}
