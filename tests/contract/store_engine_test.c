/* tests/contract/store_engine_test.c -- the store under many callers, bad operations and sudden
 * death, on every backend. */
#include "contract/store_fixture.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- batches ---- */

/* The backend refuses a report without a name as trouble of its own. */
static struct store_op bad_op(int64_t user_id)
{
    struct store_op op = submit_op(user_id);

    op.submit.name = NULL;
    return op;
}

static void a_bad_operation_does_not_fail_its_neighbours(void **state)
{
    struct fixture *f = *state;
    struct store_op ops[] = {submit_op(f->ann), bad_op(f->ann), submit_op(f->bob)};
    struct guid ids[] = {ops[0].submit.id, ops[1].submit.id, ops[2].submit.id};

    run_as_one_batch(f, ops, 3);
    assert_int_equal(ops[0].rc, 0);
    assert_int_equal(ops[1].rc, -E_STORE);
    assert_int_equal(ops[2].rc, 0);
    assert_int_equal(state_of(f, ids[0], f->ann), REPORT_QUEUED);
    assert_int_equal(state_of(f, ids[1], f->ann), -1);
    assert_int_equal(state_of(f, ids[2], f->bob), REPORT_QUEUED);
}

static void a_replay_that_is_tried_again_still_answers(void **state)
{
    struct fixture *f = *state;
    struct store_op ops[] = {submit_op(f->ann), submit_op(f->ann), bad_op(f->ann)};

    ops[0].submit.key = "k";
    ops[1].submit.key = "k";
    run_as_one_batch(f, ops, 3);
    assert_int_equal(ops[0].submit.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(ops[1].submit.outcome, SUBMIT_REPLAYED);
    assert_true(guid_eq(&ops[1].submit.id, &ops[0].submit.id));
    assert_int_equal(ops[2].rc, -E_STORE);
}

static void what_a_rolled_back_attempt_found_is_found_anew(void **state)
{
    struct fixture *f = *state;
    struct store_op ops[] = {{.verb = STORE_CLAIM}, submit_op(f->ann), bad_op(f->ann)};
    struct guid id = submit(f, f->ann);

    ops[1].submit.active_limit = 1;
    run_as_one_batch(f, ops, 3);
    assert_true(ops[0].claim.found);
    assert_int_equal(ops[0].claim.report.attempt, 1);
    assert_true(guid_eq(&ops[0].claim.report.id, &id));
    assert_int_equal(ops[1].submit.outcome, SUBMIT_LIMIT);
    assert_int_equal(ops[1].submit.active_count, 1);
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
}

/* Stats by state, as text: queued, processing, complete, error, deleting. */
static void assert_stats(struct fixture *f, const char *expected)
{
    struct store_op op = {.verb = STORE_STATS};
    char text[128];

    assert_int_equal(run(f->store, &op), 0);
    snprintf(text, sizeof(text), "%ld %ld %ld %ld %ld", (long)op.stats.by_state[REPORT_QUEUED],
             (long)op.stats.by_state[REPORT_PROCESSING], (long)op.stats.by_state[REPORT_COMPLETE],
             (long)op.stats.by_state[REPORT_ERROR], (long)op.stats.by_state[REPORT_DELETING]);
    assert_string_equal(text, expected);
}

static void counts_slots_and_places_are_right_after_a_rollback(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit(f, f->ann);
    struct store_op ops[] = {submit_op(f->ann),
                             {.verb = STORE_CLAIM},
                             {.verb = STORE_TOMBSTONE, .tombstone = {.id = first}},
                             bad_op(f->ann)};
    struct guid second = ops[0].submit.id;
    struct store_op more;

    run_as_one_batch(f, ops, 4);
    assert_true(guid_eq(&ops[1].claim.report.id, &first));
    store_op_done(&ops[1]);
    assert_stats(f, "1 0 0 0 1");
    more = find(f, second, f->ann);
    assert_int_equal(more.find.position, 1);
    store_op_done(&more);
    more = submit_op(f->ann);
    more.submit.active_limit = 3; /* the one that is queued, and the deleted one that ran */
    assert_int_equal(run(f->store, &more), 0);
    assert_int_equal(more.submit.outcome, SUBMIT_ACCEPTED);
    more = submit_op(f->ann);
    more.submit.active_limit = 3;
    assert_int_equal(run(f->store, &more), 0);
    assert_int_equal(more.submit.outcome, SUBMIT_LIMIT);
    assert_int_equal(more.submit.active_count, 2);
    store_op_done(&more);
}

static void counts_slots_and_places_are_right_in_a_store_opened_again(void **state)
{
    struct fixture *f = *state;
    struct store_ref running;
    struct store_op op;
    struct guid queued;

    report_in(f, f->ann, REPORT_COMPLETE);
    report_in(f, f->ann, REPORT_ERROR);
    running = report_in(f, f->ann, REPORT_PROCESSING);
    submit(f, f->ann);
    queued = submit(f, f->ann);
    reopen_store(f);
    assert_stats(f, "2 1 1 1 0");
    op = find(f, queued, f->ann);
    assert_int_equal(op.find.position, 2);
    store_op_done(&op);
    op = submit_op(f->ann);
    op.submit.active_limit = 3;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_LIMIT);
    store_op_done(&op);
    assert_true(finish(f, running, REPORT_COMPLETE));
    op = submit_op(f->ann);
    op.submit.active_limit = 3;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
}

static void trouble_is_told_to_people_and_in_detail_to_the_log(void **state)
{
    struct fixture *f = *state;
    struct store_op op = bad_op(f->ann);

    assert_int_equal(store_run(f->store, &op), -E_STORE);
    assert_non_null(strstr(op.err.text, "The store is unavailable"));
    assert_null(strstr(op.err.text, "report."));
    assert_string_not_equal(op.err.detail, "");
}

/* ---- listeners, reading what was written ---- */

struct witness {
    struct fixture *f;
    struct store_change changes[8];
    int count, count_at_done, state_at_done;
    struct countdown latch;
};

static void record_change(void *context, const struct store_change *change)
{
    struct witness *witness = context;

    witness->changes[witness->count++] = *change;
}

static void read_in_done(struct store_op *op)
{
    struct witness *witness = op->owner;

    witness->count_at_done = witness->count;
    witness->state_at_done = state_of(witness->f, op->submit.id, op->submit.user_id);
    latch_down(&witness->latch);
}

static void done_comes_after_the_commit_and_the_listeners(void **state)
{
    struct fixture *f = *state;
    struct witness witness = {.f = f, .latch = LATCH(1)};
    struct store_op op = submit_op(f->ann);

    store_listen(f->store, record_change, &witness);
    op.done = read_in_done;
    op.owner = &witness;
    store_post(f->store, &op);
    latch_await(&witness.latch);
    assert_int_equal(witness.state_at_done, REPORT_QUEUED);
    assert_int_equal(witness.count_at_done, 1);
}

static void every_move_is_told(void **state)
{
    struct fixture *f = *state;
    struct witness witness = {.f = f};
    static const enum report_state moves[] = {REPORT_QUEUED,   REPORT_PROCESSING,
                                              REPORT_QUEUED,   REPORT_PROCESSING,
                                              REPORT_COMPLETE, REPORT_DELETING};
    struct store_ref ref;

    store_listen(f->store, record_change, &witness);
    ref = report_in(f, f->ann, REPORT_PROCESSING);
    requeue(f, ref, false);
    finish(f, ref, REPORT_COMPLETE);
    claim(f, &ref);
    finish(f, ref, REPORT_COMPLETE);
    tombstone(f, ref.id, f->ann);
    tombstone(f, ref.id, f->ann);
    delete_row(f, ref.id);
    assert_int_equal(witness.count, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(witness.changes[i].state, moves[i]);
        assert_int_equal(witness.changes[i].user_id, f->ann);
        assert_string_equal(witness.changes[i].user, "Ann");
        assert_true(guid_eq(&witness.changes[i].id, &ref.id));
    }
}

static void what_was_rolled_back_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct witness witness = {.f = f};
    struct store_op ops[] = {submit_op(f->ann), bad_op(f->ann)};

    store_listen(f->store, record_change, &witness);
    run_as_one_batch(f, ops, 2);
    assert_int_equal(witness.count, 1);
}

/* ---- many threads ---- */

enum { THREADS = 32, EACH = 8 };

struct crowd {
    struct fixture *f;
    pthread_barrier_t start;
    pthread_mutex_t mutex;
    int accepted, limited, claimed;
    struct guid ids[THREADS * EACH];
};

static void run_crowd(struct crowd *crowd, void *(*member)(void *))
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&crowd->start, NULL, THREADS);
    pthread_mutex_init(&crowd->mutex, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, member, crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crowd->start);
    pthread_mutex_destroy(&crowd->mutex);
}

static void *submit_some(void *arg)
{
    struct crowd *crowd = arg;

    pthread_barrier_wait(&crowd->start);
    for (int i = 0; i < EACH; i++) {
        struct store_op op = submit_op(crowd->f->ann);

        store_run(crowd->f->store, &op);
        pthread_mutex_lock(&crowd->mutex);
        crowd->accepted += op.rc == 0 && op.submit.outcome == SUBMIT_ACCEPTED;
        crowd->limited += op.rc == 0 && op.submit.outcome == SUBMIT_LIMIT;
        pthread_mutex_unlock(&crowd->mutex);
        store_op_done(&op);
    }
    return NULL;
}

static void the_limit_is_exact_under_any_concurrency(void **state)
{
    struct crowd crowd = {.f = *state};

    run_crowd(&crowd, submit_some);
    assert_int_equal(crowd.accepted, 10);
    assert_int_equal(crowd.limited, THREADS * EACH - 10);
}

static void *claim_some(void *arg)
{
    struct crowd *crowd = arg;

    pthread_barrier_wait(&crowd->start);
    for (;;) {
        struct store_op op = {.verb = STORE_CLAIM, .claim = {.node = "here", .now_ms = NOW_MS}};

        op.claim.offer = "Balance\nStock\n";
        if (store_run(crowd->f->store, &op) != 0 || !op.claim.found)
            return NULL;
        pthread_mutex_lock(&crowd->mutex);
        crowd->ids[crowd->claimed++] = op.claim.report.id;
        pthread_mutex_unlock(&crowd->mutex);
        store_op_done(&op);
    }
}

static void a_report_is_claimed_by_one_worker_only(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd = {.f = f};

    for (int i = 0; i < THREADS * EACH; i++)
        submit_named(f, i % 3 == 0 ? "Stock" : "Balance", "");
    run_crowd(&crowd, claim_some);
    assert_int_equal(crowd.claimed, THREADS * EACH);
    for (int i = 0; i < crowd.claimed; i++) {
        for (int j = 0; j < i; j++)
            assert_false(guid_eq(&crowd.ids[i], &crowd.ids[j]));
    }
}

/* ---- durability ---- */

static void everything_is_there_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct store_ref complete = report_in(f, f->ann, REPORT_COMPLETE);
    struct store_ref gone = report_in(f, f->ann, REPORT_COMPLETE);
    struct guid queued = submit(f, f->ann);

    tombstone(f, gone.id, f->ann);
    reopen_store(f);
    assert_int_equal(state_of(f, complete.id, f->ann), REPORT_COMPLETE);
    assert_int_equal(state_of(f, queued, f->ann), REPORT_QUEUED);
    assert_int_equal(state_of(f, gone.id, f->ann), -1);
}

/* In the child: submit for ever, writing each accepted id to the pipe. */
static void submit_until_killed(struct fixture *f, int fd)
{
    struct store *store = open_store(f);

    for (;;) {
        struct store_op op = submit_op(f->ann);

        op.submit.active_limit = 1000000;
        if (store_run(store, &op) != 0 || write(fd, op.submit.id.bytes, GUID_BYTES) != GUID_BYTES)
            _exit(1);
    }
}

static void an_accepted_report_survives_kill_9(void **state)
{
    struct fixture *f = *state;
    struct guid ids[20];
    int fds[2], status;
    pid_t child;

    store_free(f->store);
    f->store = NULL;
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        submit_until_killed(f, fds[1]);
    close(fds[1]);
    for (int i = 0; i < 20; i++)
        assert_int_equal(read(fds[0], ids[i].bytes, GUID_BYTES), GUID_BYTES);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(fds[0]);
    f->store = open_store(f);
    for (int i = 0; i < 20; i++)
        assert_int_equal(state_of(f, ids[i], f->ann), REPORT_QUEUED);
}

static void the_bytes_of_a_deleted_report_are_gone_soon(void **state)
{
    static const char marker[] = "a-marker-to-look-for";
    struct fixture *f = *state;

    if (f->backend->holds_bytes == NULL)
        skip();
    /* Twice: the second deletion comes too soon for housekeeping right after it. */
    for (int i = 0; i < 2; i++) {
        struct store_op op = submit_op(f->ann);

        op.submit.parameters = "{\"ProductID\":\"a-marker-to-look-for\"}";
        assert_int_equal(run(f->store, &op), 0);
        assert_true(f->backend->holds_bytes(f, marker, strlen(marker)));
        tombstone(f, op.submit.id, f->ann);
        delete_row(f, op.submit.id);
        await_without(f, marker);
    }
}

/* ---- opening ---- */

static void another_process_may_write_users_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_store(f);
    struct store_op op = {.verb = STORE_USER_CHANGE};

    submit(f, f->ann);
    op.user_change = (struct store_user_change){.name = "Ann", .grants = "Balance", .disabled = -1};
    assert_int_equal(run(other, &op), 0);
    submit(f, f->ann);
    op = (struct store_op){.verb = STORE_USER_FIND, .user_find = {.name = "Ann"}};
    assert_int_equal(run(f->store, &op), 0);
    assert_string_equal(op.user_find.user.grants, "Balance");
    store_op_done(&op);
    store_free(other);
}

static int try_open(const char *url, bool create, struct err *err)
{
    struct store *store = NULL;
    int rc = store_open(
        &(struct store_spec){.url = url, .create = create, .erase_key = postgres_server.erase_key},
        &store, err);

    store_free(store);
    return rc;
}

static void a_store_is_not_made_unless_asked_for(void **state)
{
    struct fixture *f = *state;
    struct err err;

    store_free(f->store);
    f->store = NULL;
    f->backend->remove(f);
    f->backend->make(f);
    assert_int_equal(try_open(f->url, false, &err), -E_NOT_FOUND);
    assert_non_null(strstr(err.text, "There is no store"));
    assert_int_equal(try_open(f->url, true, &err), 0);
    assert_int_equal(try_open(f->url, false, &err), 0);
}

static void an_unknown_kind_of_store_is_refused(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(try_open("oracle:x", true, &err), -E_STORE);
    assert_non_null(strstr(err.text, "'oracle'"));
}

static void a_probe_succeeds_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);
    struct store_op op = {.verb = STORE_PROBE};

    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&op);
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
    reopen_store(f);
    assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
}

static void a_report_that_is_waited_for_can_be_settled_while_it_is_there(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    op.submit.waits = true;
    assert_int_equal(run(f->store, &op), 0);
    assert_false(settle(f, &op.submit));
    assert_int_equal(state_of(f, op.submit.id, f->ann), REPORT_QUEUED);
    reopen_store(f);
    assert_false(settle(f, &op.submit));
    assert_int_equal(state_of(f, op.submit.id, f->ann), REPORT_QUEUED);
}

static void a_report_that_was_deleted_is_not_lost(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    op.submit.waits = true;
    assert_int_equal(run(f->store, &op), 0);
    tombstone(f, op.submit.id, f->ann);
    assert_false(settle(f, &op.submit));
    delete_row(f, op.submit.id);
    assert_false(settle(f, &op.submit));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_report_that_is_waited_for_can_be_settled_while_it_is_there),
        STORE_TEST(a_report_that_was_deleted_is_not_lost),
        STORE_TEST(a_probe_succeeds_and_changes_nothing),
        STORE_TEST(a_bad_operation_does_not_fail_its_neighbours),
        STORE_TEST(a_replay_that_is_tried_again_still_answers),
        STORE_TEST(what_a_rolled_back_attempt_found_is_found_anew),
        STORE_TEST(counts_slots_and_places_are_right_after_a_rollback),
        STORE_TEST(counts_slots_and_places_are_right_in_a_store_opened_again),
        STORE_TEST(trouble_is_told_to_people_and_in_detail_to_the_log),
        STORE_TEST(done_comes_after_the_commit_and_the_listeners),
        STORE_TEST(every_move_is_told),
        STORE_TEST(what_was_rolled_back_is_not_told),
        STORE_TEST(the_limit_is_exact_under_any_concurrency),
        STORE_TEST(a_report_is_claimed_by_one_worker_only),
        STORE_TEST(everything_is_there_after_reopening),
        STORE_TEST(an_accepted_report_survives_kill_9),
        STORE_TEST(the_bytes_of_a_deleted_report_are_gone_soon),
        STORE_TEST(another_process_may_write_users_meanwhile),
        STORE_TEST(a_store_is_not_made_unless_asked_for),
        STORE_TEST(an_unknown_kind_of_store_is_refused),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
