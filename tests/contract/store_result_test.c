/* tests/contract/store_result_test.c -- small results, which an embedded store keeps itself. */
#include "contract/store_fixture.h"

#include <sqlite3.h>

enum { LARGE = 50000 }; /* many pages */

static const char marker[] = "{\"a result\":\"with a marker\"}";

static bool finish_with(struct fixture *f, struct store_ref ref, const void *result, size_t len)
{
    struct store_op op = {.verb = STORE_FINISH};

    op.finish = (struct store_finish){.id = ref.id,
                                      .attempt = ref.attempt,
                                      .state = REPORT_COMPLETE,
                                      .bytes = (int64_t)len,
                                      .now_ms = NOW_MS,
                                      .expires_ms = NOW_MS + DAY_MS,
                                      .result = result,
                                      .result_len = len};
    assert_int_equal(run(f->store, &op), 0);
    return op.finish.moved;
}

/* A complete report that has `marker` as its result. */
static struct store_ref complete(struct fixture *f)
{
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);

    assert_true(finish_with(f, ref, marker, strlen(marker)));
    return ref;
}

/* store_op_done() it. */
static struct store_op find_result(struct fixture *f, struct guid id)
{
    struct store_op op = {.verb = STORE_FIND};

    op.find = (struct store_find){.id = id, .user_id = f->ann, .want_result = true};
    assert_int_equal(run(f->store, &op), 0);
    return op;
}

/* The rows of small_result. */
static int kept(struct fixture *f)
{
    char path[160];
    sqlite3_stmt *count;
    sqlite3 *db;
    int n;

    snprintf(path, sizeof(path), "%s/store.db", f->dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM small_result", -1, &count, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    n = sqlite3_column_int(count, 0);
    sqlite3_finalize(count);
    sqlite3_close(db);
    return n;
}

static void a_result_is_found_by_who_wants_it(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = complete(f);
    struct store_op with = find_result(f, ref.id), without = find(f, ref.id, f->ann);

    assert_true(with.find.report.in_row && without.find.report.in_row);
    assert_int_equal(with.find.result_len, strlen(marker));
    assert_memory_equal(with.find.result, marker, strlen(marker));
    assert_null(without.find.result);
    store_op_done(&with);
    store_op_done(&without);
}

static void a_large_result_is_the_same_after_a_new_start(void **state)
{
    static char result[LARGE];
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_op op;

    for (int i = 0; i < LARGE; i++)
        result[i] = (char)(i * 31 % 251);
    assert_true(finish_with(f, ref, result, LARGE));
    reopen_store(f);
    op = find_result(f, ref.id);
    assert_int_equal(op.find.result_len, LARGE);
    assert_memory_equal(op.find.result, result, LARGE);
    store_op_done(&op);
}

static void a_report_whose_result_is_a_file_has_none_in_its_row(void **state)
{
    struct fixture *f = *state;
    struct store_op op = find_result(f, report_in(f, f->ann, REPORT_COMPLETE).id);

    assert_false(op.find.report.in_row);
    assert_null(op.find.result);
    store_op_done(&op);
}

static void an_attempt_that_lost_the_report_keeps_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_ref old = report_in(f, f->ann, REPORT_PROCESSING), ref;

    assert_true(requeue(f, old, false));
    assert_false(finish_with(f, old, marker, strlen(marker)));
    assert_true(claim(f, &ref));
    assert_false(finish_with(f, old, marker, strlen(marker)));
    assert_int_equal(kept(f), 0);
    assert_true(finish_with(f, ref, marker, strlen(marker)));
    assert_int_equal(kept(f), 1);
}

static void an_error_keeps_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_op op = {.verb = STORE_FINISH};

    op.finish = (struct store_finish){.id = ref.id,
                                      .attempt = ref.attempt,
                                      .state = REPORT_ERROR,
                                      .message = "It did not work.",
                                      .result = marker,
                                      .result_len = strlen(marker)};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(kept(f), 0);
    op = find_result(f, ref.id);
    assert_false(op.find.report.in_row);
    store_op_done(&op);
}

static void a_mark_erases_at_once_what_has_no_file(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = complete(f);
    struct store_ref refs[STORE_BATCH_MAX];
    struct store_op deleting = {.verb = STORE_DELETING, .deleting = {.refs = refs}};
    struct store_tombstone marked = tombstone(f, ref.id, f->ann);

    assert_true(marked.found && marked.in_row);
    assert_int_equal(state_of(f, ref.id, 0), -1);
    assert_int_equal(kept(f), 0);
    assert_int_equal(run(f->store, &deleting), 0);
    assert_int_equal(deleting.deleting.count, 1);
    assert_false(tombstone(f, ref.id, f->ann).found);
    delete_row(f, ref.id);
    assert_int_equal(run(f->store, &deleting), 0);
    assert_int_equal(deleting.deleting.count, 0);
}

static void a_mark_tells_what_may_have_files(void **state)
{
    struct fixture *f = *state;

    assert_false(tombstone(f, report_in(f, f->ann, REPORT_COMPLETE).id, f->ann).in_row);
    assert_false(tombstone(f, report_in(f, f->ann, REPORT_ERROR).id, f->ann).in_row);
    assert_false(tombstone(f, report_in(f, f->ann, REPORT_PROCESSING).id, f->ann).in_row);
}

static void counts_and_slots_are_right_after_a_drop(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_STATS};

    struct guid id = complete(f).id;

    tombstone(f, id, f->ann);
    delete_row(f, id);
    complete(f);
    assert_int_equal(run(f->store, &op), 0);
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        assert_int_equal(op.stats.by_state[i], i == REPORT_COMPLETE);
}

static void a_scan_tells_the_size_of_a_result_in_a_row(void **state)
{
    struct fixture *f = *state;
    struct store_scanned reports[STORE_SCAN_MAX];
    struct store_op op = {.verb = STORE_SCAN, .scan = {.reports = reports}};

    complete(f);
    report_in(f, f->ann, REPORT_COMPLETE);
    assert_int_equal(run(f->store, &op), 0);
    assert_true(reports[0].in_row);
    assert_int_equal(reports[0].row_bytes, strlen(marker));
    assert_false(reports[1].in_row);
}

static void the_bytes_of_a_deleted_result_are_gone_soon(void **state)
{
    static char result[LARGE];
    struct fixture *f = *state;
    struct store_ref ref = complete(f), large = report_in(f, f->ann, REPORT_PROCESSING);

    memset(result, ' ', LARGE);
    memcpy(result + LARGE - strlen(marker), marker, strlen(marker));
    assert_true(finish_with(f, large, result, LARGE));
    assert_true(f->backend->holds_bytes(f, marker, strlen(marker)));
    tombstone(f, ref.id, f->ann);
    tombstone(f, large.id, f->ann);
    await_without(f, marker);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_result_is_found_by_who_wants_it),
        STORE_TEST(a_large_result_is_the_same_after_a_new_start),
        STORE_TEST(a_report_whose_result_is_a_file_has_none_in_its_row),
        STORE_TEST(an_attempt_that_lost_the_report_keeps_nothing),
        STORE_TEST(an_error_keeps_nothing),
        STORE_TEST(a_mark_erases_at_once_what_has_no_file),
        STORE_TEST(a_mark_tells_what_may_have_files),
        STORE_TEST(counts_and_slots_are_right_after_a_drop),
        STORE_TEST(a_scan_tells_the_size_of_a_result_in_a_row),
        STORE_TEST(the_bytes_of_a_deleted_result_are_gone_soon),
    };

    return RUN_ON_BACKEND("sqlite", tests);
}
