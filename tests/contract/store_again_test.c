/* tests/contract/store_again_test.c -- operations that are repeated, since nobody knows what became
 * of the try before, or since its session was ended. */
#include "contract/store_fixture.h"

/* ---- what may be committed already ---- */

static void an_end_that_is_told_twice_stands(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = running_on(f, "a");

    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_true(finish(f, ref, REPORT_COMPLETE));
    assert_false(finish(f, ref, REPORT_ERROR));
    assert_int_equal(state_of(f, ref.id, f->ann), REPORT_COMPLETE);
}

/* The first try is that of a session whose client has lost the connection. */
static void an_end_that_is_told_again_waits_for_the_commit_of_the_first_try(void **state)
{
    static const uint8_t key[REPORT_KEY_BYTES];
    struct fixture *f = *state;
    struct store_ref ref = running_on(f, "a");
    PGconn *first = PQconnectdb(postgres_server.url);
    struct countdown finished = LATCH(1);
    struct store_op op = {
        .verb = STORE_FINISH, .done = done_latch, .owner = &finished, .again = true};

    op.finish = (struct store_finish){.id = ref.id,
                                      .attempt = ref.attempt,
                                      .state = REPORT_COMPLETE,
                                      .key = key,
                                      .now_ms = NOW_MS + 2,
                                      .expires_ms = NOW_MS + DAY_MS};
    PQclear(PQexec(first, "BEGIN; UPDATE reportd.report SET state = 2, slot = false, node = NULL"));
    store_post(f->store, &op);
    postgres_server_await("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
    PQclear(PQexec(first, "COMMIT"));
    PQfinish(first);
    latch_await(&finished);
    assert_int_equal(op.rc, 0);
    assert_true(op.finish.moved);
}

static void a_report_submitted_twice_is_one(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    op.submit.active_limit = 1;
    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&op);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
    store_op_done(&op);
}

/* Somebody who saw it in a list may have deleted it before the second try. */
static void a_submit_that_is_repeated_does_not_bring_the_report_back(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);
    struct guid id = op.submit.id;

    assert_int_equal(run(f->store, &op), 0);
    op.again = true;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
    tombstone(f, id, f->ann);
    delete_row(f, id);
    op.again = true;
    assert_int_equal(run(f->store, &op), -E_STORE);
    assert_int_equal(op.err.code, -E_DOUBT);
    assert_int_equal(state_of(f, id, f->ann), -1);
    store_op_done(&op);
}

/* As if the answer to the mark had been lost, or another operation had marked it meanwhile. */
static void a_deletion_that_is_repeated_finds_its_own_mark_only(void **state)
{
    struct fixture *f = *state;
    struct guid id = submit(f, f->ann);
    struct store_op first = {.verb = STORE_TOMBSTONE, .tombstone = {.id = id}}, second = first;

    assert_int_equal(run(f->store, &first), 0);
    assert_true(first.tombstone.found);
    first.again = second.again = true;
    second.tombstone.token = guid_new();
    assert_int_equal(run(f->store, &second), -E_STORE);
    assert_int_equal(second.err.code, -E_DOUBT);
    assert_false(second.tombstone.found);
    assert_int_equal(run(f->store, &first), 0);
    assert_true(first.tombstone.found);
    assert_int_equal(first.tombstone.was, REPORT_QUEUED);
}

/* ---- what a session takes along ---- */

static const char ended[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                            " WHERE application_name = 'reportd'";

static void a_session_that_was_ended_is_replaced_unseen(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        struct guid id = submit(f, f->ann);

        postgres_server_exec(ended);
        assert_int_equal(state_of(f, id, f->ann), REPORT_QUEUED);
        postgres_server_exec(ended);
        assert_true(tombstone(f, id, f->ann).found);
    }
}

static int process_that_writes(void)
{
    char *text = postgres_server_text("SELECT pid FROM pg_stat_activity"
                                      " WHERE application_name = 'reportd'"
                                      " ORDER BY state_change DESC LIMIT 1");
    int pid = atoi(text);

    assert_true(pid > 0);
    free(text);
    return pid;
}

/* The session that writes hangs. It is given up after a while, and what it was sent is run by
 * another one. Only if the machine was busy, so that it was no longer certain that the session is
 * there, it was sent nothing. */
static int hang(struct fixture *f)
{
    struct store_op probe = {.verb = STORE_PROBE};
    int pid;

    submit(f, f->ann);
    pid = process_that_writes();
    assert_int_equal(run(f->store, &probe), 0); /* notifies nobody: the session is idle again */
    kill(pid, SIGSTOP);
    return pid;
}

static void go_on(int pid)
{
    char sql[80];

    kill(pid, SIGCONT);
    snprintf(sql, sizeof(sql), "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %d", pid);
    postgres_server_await(sql);
}

static void assert_none(const char *sql)
{
    char *text = postgres_server_text(sql);

    assert_int_equal(atoi(text), 0);
    free(text);
}

static void a_session_that_hung_submits_nothing_when_it_goes_on(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);
    int pid = hang(f);

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.submit.outcome, SUBMIT_ACCEPTED);
    tombstone(f, op.submit.id, f->ann);
    delete_row(f, op.submit.id);
    go_on(pid);
    assert_int_equal(state_of(f, op.submit.id, f->ann), -1);
}

/* The rows of `writer` are kept for a day. */
static void a_session_that_hung_for_days_submits_nothing_when_it_goes_on(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann), sweep = {.verb = STORE_SWEEP};
    int pid = hang(f);

    assert_int_equal(run(f->store, &op), 0);
    tombstone(f, op.submit.id, f->ann);
    delete_row(f, op.submit.id);
    postgres_server_exec("UPDATE reportd.writer SET seen = seen - interval '2 days'");
    sweep.sweep.now_ms = NOW_MS;
    assert_int_equal(run(f->store, &sweep), 0);
    assert_none("SELECT count(*) FROM reportd.writer");
    go_on(pid);
    assert_int_equal(state_of(f, op.submit.id, f->ann), -1);
    submit(f, f->ann); /* under a new row */
}

static const char row[] = "SELECT id FROM reportd.writer";

static void assert_replaced(char *old)
{
    char *now = postgres_server_text(row);

    assert_string_not_equal(old, now);
    assert_none("SELECT count(*) - 1 FROM reportd.writer");
    free(old);
    free(now);
}

/* Such a row lets nothing in: what comes may be from a process that has ended. */
static void an_old_row_of_a_connection_is_replaced(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 2; i++) {
        char *old;

        submit(f, f->ann);
        old = postgres_server_text(row);
        postgres_server_exec(i == 0 ? "UPDATE reportd.writer SET seen = seen - interval '1 minute'"
                                    : "UPDATE reportd.writer SET seen = seen + interval '1 hour'");
        submit(f, f->ann);
        assert_replaced(old);
    }
}

/* Its row is replaced first. */
static void a_session_that_hangs_after_a_silence_refuses_nothing(void **state)
{
    struct fixture *f = *state;
    char *old;
    int pid;

    submit(f, f->ann);
    old = postgres_server_text(row);
    postgres_server_await("SELECT clock_timestamp() - seen > interval '6 seconds'"
                          " FROM reportd.writer");
    pid = process_that_writes();
    kill(pid, SIGSTOP);
    submit(f, f->ann);
    go_on(pid);
    assert_replaced(old);
}

static struct store_op key_op(void)
{
    return (struct store_op){.verb = STORE_API_KEY_ADD,
                             .api_key_add = {.id = guid_new(),
                                             .name = "k",
                                             .user = "Ann",
                                             .grants = "*",
                                             .allow = "",
                                             .now_ms = NOW_MS}};
}

static struct store_op grant_op(const char *grants)
{
    return (struct store_op){.verb = STORE_USER_CHANGE,
                             .user_change = {.name = "Bob", .grants = grants}};
}

static void a_key_that_was_removed_does_not_come_back_with_a_session_that_hung(void **state)
{
    struct fixture *f = *state;
    struct store_op op = key_op(), gone = {.verb = STORE_API_KEY_REMOVE};
    int pid = hang(f);

    gone.api_key_remove.name = "k";
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(run(f->store, &gone), 0);
    go_on(pid);
    assert_none("SELECT count(*) FROM reportd.api_key");
}

static void an_ended_login_does_not_come_back_with_a_session_that_hung(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_LOGIN}, out = {.verb = STORE_SESSIONS_END};
    int pid = hang(f);

    op.login = (struct store_login){.user_id = f->ann,
                                    .password_ok = true,
                                    .now_ms = NOW_MS,
                                    .session = guid_new(),
                                    .access = guid_new(),
                                    .refresh_expires_ms = NOW_MS + DAY_MS};
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.login.opened);
    assert_int_equal(run(f->store, &out), 0);
    go_on(pid);
    assert_none("SELECT count(*) FROM reportd.session");
}

static void a_grant_that_was_taken_back_does_not_come_back_with_a_session_that_hung(void **state)
{
    struct fixture *f = *state;
    struct store_op op = grant_op("Secret"), back = grant_op("");
    int pid = hang(f);

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(run(f->store, &back), 0);
    go_on(pid);
    assert_none("SELECT count(*) FROM reportd.account WHERE grants = 'Secret'");
}

/* No session can be opened for so long that the batch is given up: whether it was carried out is
 * not found out. */
static void a_grant_does_not_come_back_with_a_session_of_which_nothing_was_found_out(void **state)
{
    struct fixture *f = *state;
    struct store_op op = grant_op("Secret"), back = grant_op("");
    char *text =
        postgres_server_text("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
    int server = atoi(text), pid = hang(f);

    free(text);
    kill(server, SIGSTOP);
    assert_int_equal(run(f->store, &op), -E_STORE);
    assert_int_equal(op.err.code, -E_DOUBT);
    kill(server, SIGCONT);
    while (run(f->store, &back) < 0)
        continue; /* not connected yet */
    go_on(pid);
    assert_none("SELECT count(*) FROM reportd.account WHERE grants = 'Secret'");
}

/* Removals are by name. */
static void a_key_added_anew_does_not_go_with_the_removal_of_a_session_that_hung(void **state)
{
    struct fixture *f = *state;
    struct store_op add = key_op(), gone = {.verb = STORE_API_KEY_REMOVE};
    int pid;

    gone.api_key_remove.name = "k";
    assert_int_equal(run(f->store, &add), 0);
    pid = hang(f);
    assert_int_equal(run(f->store, &gone), 0);
    add.api_key_add.id = guid_new();
    assert_int_equal(run(f->store, &add), 0);
    go_on(pid);
    assert_none("SELECT 1 - count(*) FROM reportd.api_key");
}

/* An earlier try has added it, and another node has removed it since. */
static void a_key_is_not_added_a_second_time(void **state)
{
    struct fixture *f = *state;
    struct store_op op = key_op();

    op.again = true;
    assert_int_equal(run(f->store, &op), -E_STORE);
    assert_int_equal(op.err.code, -E_DOUBT);
    assert_none("SELECT count(*) FROM reportd.api_key");
}

/* What ended the session may have been a crash, with which the report is gone. */
static void a_report_that_is_gone_with_the_session_of_its_submit_may_be_lost(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);

    op.submit.waits = true;
    assert_int_equal(run(f->store, &op), 0);
    postgres_server_exec(ended);
    assert_false(settle(f, &op.submit));
    tombstone(f, op.submit.id, f->ann);
    delete_row(f, op.submit.id);
    assert_true(settle(f, &op.submit));
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(an_end_that_is_told_twice_stands),
        STORE_TEST(an_end_that_is_told_again_waits_for_the_commit_of_the_first_try),
        STORE_TEST(a_report_submitted_twice_is_one),
        STORE_TEST(a_submit_that_is_repeated_does_not_bring_the_report_back),
        STORE_TEST(a_deletion_that_is_repeated_finds_its_own_mark_only),
        STORE_TEST(a_session_that_was_ended_is_replaced_unseen),
        STORE_TEST(a_session_that_hung_submits_nothing_when_it_goes_on),
        STORE_TEST(a_session_that_hung_for_days_submits_nothing_when_it_goes_on),
        STORE_TEST(an_old_row_of_a_connection_is_replaced),
        STORE_TEST(a_session_that_hangs_after_a_silence_refuses_nothing),
        STORE_TEST(a_key_that_was_removed_does_not_come_back_with_a_session_that_hung),
        STORE_TEST(an_ended_login_does_not_come_back_with_a_session_that_hung),
        STORE_TEST(a_grant_that_was_taken_back_does_not_come_back_with_a_session_that_hung),
        STORE_TEST(a_grant_does_not_come_back_with_a_session_of_which_nothing_was_found_out),
        STORE_TEST(a_key_added_anew_does_not_go_with_the_removal_of_a_session_that_hung),
        STORE_TEST(a_key_is_not_added_a_second_time),
        STORE_TEST(a_report_that_is_gone_with_the_session_of_its_submit_may_be_lost),
    };

    return RUN_ON_BACKEND("postgresql", tests);
}
