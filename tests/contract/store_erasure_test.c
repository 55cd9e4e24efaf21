/* tests/contract/store_erasure_test.c -- what an audit sees of the store, and what a deletion
 * leaves in it. */
#include "contract/store_fixture.h"

/* ---- scan ---- */

static struct store_scan scan_after(struct fixture *f, struct guid after)
{
    static struct store_scanned reports[STORE_SCAN_MAX];
    struct store_op op = {.verb = STORE_SCAN, .scan = {.after = after, .reports = reports}};

    assert_int_equal(run(f->store, &op), 0);
    return op.scan;
}

static void a_scan_of_an_empty_store_is_empty(void **state)
{
    assert_int_equal(scan_after(*state, (struct guid){0}).count, 0);
}

static void a_scan_sees_the_reports_of_all_users_in_every_state(void **state)
{
    struct fixture *f = *state;
    struct store_ref refs[REPORT_STATE_COUNT];
    struct store_scan scan;

    for (int i = REPORT_COMPLETE; i <= REPORT_DELETING; i++)
        refs[i] = report_in(f, f->ann, i == REPORT_DELETING ? REPORT_COMPLETE : i);
    tombstone(f, refs[REPORT_DELETING].id, f->ann);
    refs[REPORT_PROCESSING] = report_in(f, f->bob, REPORT_PROCESSING);
    refs[REPORT_QUEUED] = report_in(f, f->bob, REPORT_QUEUED);
    scan = scan_after(f, (struct guid){0});
    assert_int_equal(scan.count, REPORT_STATE_COUNT);
    for (size_t i = 0; i < scan.count; i++) {
        const struct store_scanned *seen = &scan.reports[i];

        assert_true(guid_eq(&seen->id, &refs[seen->state].id));
        assert_int_equal(seen->attempt, refs[seen->state].attempt);
        refs[seen->state].id = (struct guid){0}; /* each state once */
    }
}

static void a_scan_tells_size_and_expiry(void **state)
{
    struct fixture *f = *state;
    struct store_scan scan;

    report_in(f, f->ann, REPORT_COMPLETE);
    scan = scan_after(f, (struct guid){0});
    assert_int_equal(scan.reports[0].bytes, 100);
    assert_int_equal(scan.reports[0].expires_ms, NOW_MS + DAY_MS);
    assert_false(scan.reports[0].sealed);
}

static void a_scan_comes_in_pages_that_miss_nothing(void **state)
{
    struct fixture *f = *state;
    struct guid after = {0};
    struct store_scan scan;
    size_t seen = 0;

    for (int i = 0; i < STORE_SCAN_MAX + 3; i++)
        submit(f, f->ann);
    do {
        scan = scan_after(f, after);
        for (size_t i = 0; i < scan.count; i++) {
            assert_true(memcmp(after.bytes, scan.reports[i].id.bytes, GUID_BYTES) < 0);
            after = scan.reports[i].id;
        }
        seen += scan.count;
    } while (scan.count == STORE_SCAN_MAX);
    assert_int_equal(seen, STORE_SCAN_MAX + 3);
}

/* ---- the key of a result ---- */

/* With the key that CLAIM gave or, if that gave none, this one. */
static uint8_t key[REPORT_KEY_BYTES];

static struct guid finish_sealed(struct fixture *f)
{
    struct store_ref ref = report_in(f, f->ann, REPORT_PROCESSING);
    struct store_op op = find(f, ref.id, f->ann);

    memcpy(key, "the key of one encrypted result", sizeof(key));
    if (op.find.report.key[0] != 0 || op.find.report.key[1] != 0)
        memcpy(key, op.find.report.key, sizeof(key));
    store_op_done(&op);
    op = (struct store_op){.verb = STORE_FINISH};

    op.finish = (struct store_finish){.id = ref.id,
                                      .attempt = ref.attempt,
                                      .state = REPORT_COMPLETE,
                                      .key = key,
                                      .sealed = true,
                                      .now_ms = NOW_MS,
                                      .expires_ms = NOW_MS + DAY_MS};
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.finish.moved);
    return ref.id;
}

static void the_key_of_a_result_is_found_with_it(void **state)
{
    struct fixture *f = *state;
    struct store_op op = find(f, finish_sealed(f), f->ann);

    assert_true(op.find.report.sealed);
    assert_memory_equal(op.find.report.key, key, sizeof(key));
    assert_true(scan_after(f, (struct guid){0}).reports[0].sealed);
    store_op_done(&op);
}

static void a_plain_result_has_no_key(void **state)
{
    struct fixture *f = *state;
    struct store_op op = find(f, report_in(f, f->ann, REPORT_COMPLETE).id, f->ann);

    assert_false(op.find.report.sealed);
    store_op_done(&op);
}

/* ---- what a deletion leaves ---- */

enum { MANY = 1200 };

static void marker_of(int i, char out[32])
{
    snprintf(out, 32, "marker-%05d-marker", i);
}

/* A report with a marker in its parameters, which are of any length, so that pages are split where
 * they may be. */
static struct guid submit_marked(struct fixture *f, int i)
{
    char marker[32], parameters[400];
    struct store_op op = submit_op(f->ann);

    marker_of(i, marker);
    snprintf(parameters, sizeof(parameters), "{\"A\":\"%s\",\"B\":\"%0*d\",\"C\":\"%s\"}", marker,
             1 + i * 37 % 300, i, marker);
    op.submit.parameters = parameters;
    op.submit.active_limit = MANY;
    assert_int_equal(run(f->store, &op), 0);
    return op.submit.id;
}

/* Rows grow when they are finished, which moves their neighbours to other pages; then some go. */
static void nothing_of_a_deleted_report_is_left_among_many(void **state)
{
    struct fixture *f = *state;
    static struct guid ids[MANY];
    struct store_ref ref;
    char marker[32];

    if (f->backend->holds_bytes == NULL)
        skip();
    for (int i = 0; i < MANY; i++)
        ids[i] = submit_marked(f, i);
    for (int i = 0; i < MANY && claim(f, &ref); i++)
        finish(f, ref, i % 2 == 0 ? REPORT_COMPLETE : REPORT_ERROR);
    for (int i = 0; i < MANY; i += 3) {
        tombstone(f, ids[i], f->ann);
        delete_row(f, ids[i]);
    }
    store_free(f->store); /* folds the log into the file */
    f->store = NULL;
    for (int i = 0; i < MANY; i++) {
        marker_of(i, marker);
        assert_int_equal(f->backend->holds_bytes(f, marker, strlen(marker)), i % 3 != 0);
        assert_int_equal(f->backend->holds_bytes(f, ids[i].bytes, GUID_BYTES), i % 3 != 0);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(a_scan_of_an_empty_store_is_empty),
        STORE_TEST(a_scan_sees_the_reports_of_all_users_in_every_state),
        STORE_TEST(a_scan_tells_size_and_expiry),
        STORE_TEST(a_scan_comes_in_pages_that_miss_nothing),
        STORE_TEST(the_key_of_a_result_is_found_with_it),
        STORE_TEST(a_plain_result_has_no_key),
        STORE_TEST(nothing_of_a_deleted_report_is_left_among_many),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
