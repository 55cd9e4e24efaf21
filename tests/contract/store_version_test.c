/* tests/contract/store_version_test.c -- what is remembered with a version is never older than the
 * store.
 */
#include "contract/store_fixture.h"

#include <stdatomic.h>

#include "store/store.h"

enum { REPORTS = 48, READERS = 3 };

static uint64_t stamp_of(struct fixture *f, struct guid id)
{
    return store_version(f->store, &id);
}

static struct guid complete_report(struct fixture *f)
{
    return report_in(f, f->ann, REPORT_COMPLETE).id;
}

/* By another connection, as `reportd user` would. */
static void change_user_elsewhere(struct fixture *f)
{
    struct store *store = open_store(f);
    struct store_op op = {.verb = STORE_USER_CHANGE};

    op.user_change = (struct store_user_change){.name = "Ann", .grants = "", .disabled = -1};
    assert_int_equal(run(store, &op), 0);
    store_free(store);
}

static void a_stamp_stays_while_nothing_changes(void **state)
{
    struct fixture *f = *state;
    struct guid id = complete_report(f);
    uint64_t version = stamp_of(f, id);

    assert_int_not_equal(version, 0);
    assert_int_equal(state_of(f, id, f->ann), REPORT_COMPLETE);
    assert_int_equal(stamp_of(f, id), version);
}

static void a_deletion_changes_the_stamp(void **state)
{
    struct fixture *f = *state;
    struct guid id = complete_report(f);
    uint64_t version = stamp_of(f, id);

    tombstone(f, id, f->ann);
    assert_int_not_equal(stamp_of(f, id), version);
    assert_int_not_equal(stamp_of(f, id), 0);
}

static void every_move_changes_the_stamp(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref = {.id = submit(f, f->ann)};
    uint64_t queued = stamp_of(f, ref.id), processing;

    claim(f, &ref);
    processing = stamp_of(f, ref.id);
    assert_int_not_equal(processing, queued);
    finish(f, ref, REPORT_ERROR);
    assert_int_not_equal(stamp_of(f, ref.id), processing);
}

/* Each shard has many reports: of a dozen, most are in another one than the deleted. */
static void a_deletion_leaves_most_other_stamps(void **state)
{
    struct fixture *f = *state;
    struct guid gone = complete_report(f), others[12];
    uint64_t versions[12];
    int kept = 0;

    for (int i = 0; i < 12; i++)
        others[i] = complete_report(f);
    for (int i = 0; i < 12; i++)
        versions[i] = stamp_of(f, others[i]);
    tombstone(f, gone, f->ann);
    delete_row(f, gone);
    for (int i = 0; i < 12; i++)
        kept += stamp_of(f, others[i]) == versions[i];
    assert_in_range(kept, 10, 12);
}

static void a_write_of_another_process_changes_every_stamp(void **state)
{
    struct fixture *f = *state;
    struct guid id = complete_report(f);
    uint64_t version = stamp_of(f, id);

    change_user_elsewhere(f);
    assert_int_not_equal(stamp_of(f, id), version);
    version = stamp_of(f, id);
    assert_int_not_equal(version, 0);
    assert_int_equal(stamp_of(f, id), version);
}

/* What the writer finds when it begins may not be taken for its own. */
static void a_write_of_another_process_before_ours_changes_every_stamp(void **state)
{
    struct fixture *f = *state;
    struct guid id = complete_report(f);
    uint64_t version = stamp_of(f, id);

    change_user_elsewhere(f);
    submit(f, f->bob);
    assert_int_not_equal(stamp_of(f, id), version);
}

static void a_write_that_finds_nothing_changes_no_stamp(void **state)
{
    struct fixture *f = *state;
    struct guid id = complete_report(f);
    uint64_t version = stamp_of(f, id);

    assert_false(tombstone(f, guid_new(), f->ann).found);
    assert_int_equal(stamp_of(f, id), version);
}

static void rotate(struct fixture *f, struct guid session)
{
    struct store_op op = {.verb = STORE_ROTATE};

    op.rotate = (struct store_rotate){.session = session, .now_ms = NOW_MS, .life_ms = 1};
    assert_int_equal(run(f->store, &op), 0);
    store_op_done(&op);
}

static void a_refresh_changes_the_stamp_of_its_session(void **state)
{
    struct fixture *f = *state;
    struct guid session = guid_new();
    uint64_t version = stamp_of(f, session);

    rotate(f, session);
    assert_int_not_equal(stamp_of(f, session), version);
}

static void a_logout_changes_the_stamp_of_its_session(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_LOGOUT};
    struct guid session = guid_new();
    uint64_t version = stamp_of(f, session);

    op.logout = (struct store_logout){.session = session, .now_ms = NOW_MS};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_not_equal(stamp_of(f, session), version);
}

static void a_change_of_a_user_changes_every_stamp(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_USER_CHANGE};
    struct guid session = guid_new();
    uint64_t version = stamp_of(f, session);

    op.user_change = (struct store_user_change){.name = "Bob", .disabled = 1};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_not_equal(stamp_of(f, session), version);
}

static void sweeping_sessions_changes_every_stamp(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_SWEEP, .sweep = {.now_ms = NOW_MS}};
    struct guid session = guid_new();
    uint64_t version = stamp_of(f, session);

    assert_int_equal(run(f->store, &op), 0);
    assert_int_not_equal(stamp_of(f, session), version);
}

/* ---- under fire ---- */

struct field {
    struct fixture *f;
    struct guid ids[REPORTS];
    atomic_bool gone[REPORTS]; /* the deletion was answered */
    atomic_int left;
    atomic_int hits, lies;
};

/* What a server does: answer from memory while the version is the same, else ask and remember. */
static void *remember(void *arg)
{
    struct field *field = arg;
    uint64_t remembered[REPORTS] = {0};

    for (unsigned round = 0; atomic_load(&field->left) > 0; round++) {
        unsigned i = round * 7 % REPORTS;
        bool gone = atomic_load(&field->gone[i]);
        uint64_t version = store_version(field->f->store, &field->ids[i]);
        struct store_op op = {.verb = STORE_FIND};

        if (version != 0 && version == remembered[i]) {
            atomic_fetch_add(&field->hits, 1);
            atomic_fetch_add(&field->lies, gone);
            continue;
        }
        op.find = (struct store_find){.id = field->ids[i], .user_id = field->f->ann};
        store_run(field->f->store, &op);
        remembered[i] = op.rc == 0 && op.find.found ? version : 0;
        store_op_done(&op);
    }
    return NULL;
}

static void *delete_all(void *arg)
{
    struct field *field = arg;

    for (int i = 0; i < REPORTS; i++) {
        tombstone(field->f, field->ids[i], field->f->ann);
        atomic_store(&field->gone[i], true);
        atomic_fetch_sub(&field->left, 1);
    }
    return NULL;
}

/* Another process that deletes, now and then at the same moment. */
static void *delete_all_elsewhere(void *arg)
{
    struct field *field = arg;
    struct store *store = open_store(field->f);

    for (int i = REPORTS - 1; i >= 0; i--) {
        struct store_op op = {.verb = STORE_TOMBSTONE};

        op.tombstone = (struct store_tombstone){.id = field->ids[i], .user_id = field->f->ann};
        store_run(store, &op);
        if (op.rc == 0)
            atomic_store(&field->gone[i], true);
    }
    store_free(store);
    return NULL;
}

static void nothing_deleted_is_remembered_whoever_deletes_it(void **state)
{
    struct field field = {.f = *state, .left = REPORTS};
    pthread_t readers[READERS], here, elsewhere;

    for (int i = 0; i < REPORTS; i++)
        field.ids[i] = complete_report(field.f);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, remember, &field), 0);
    assert_int_equal(pthread_create(&here, NULL, delete_all, &field), 0);
    assert_int_equal(pthread_create(&elsewhere, NULL, delete_all_elsewhere, &field), 0);
    pthread_join(here, NULL);
    pthread_join(elsewhere, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&field.lies), 0);
    assert_true(atomic_load(&field.hits) > 0);
}

/* ---- many nodes ---- */

static void a_store_of_many_nodes_has_no_stamps(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(stamp_of(f, guid_new()), 0);
}

int main(void)
{
    struct CMUnitTest embedded[] = {
        STORE_TEST(a_stamp_stays_while_nothing_changes),
        STORE_TEST(a_deletion_changes_the_stamp),
        STORE_TEST(every_move_changes_the_stamp),
        STORE_TEST(a_deletion_leaves_most_other_stamps),
        STORE_TEST(a_write_of_another_process_changes_every_stamp),
        STORE_TEST(a_write_of_another_process_before_ours_changes_every_stamp),
        STORE_TEST(a_write_that_finds_nothing_changes_no_stamp),
        STORE_TEST(a_refresh_changes_the_stamp_of_its_session),
        STORE_TEST(a_logout_changes_the_stamp_of_its_session),
        STORE_TEST(a_change_of_a_user_changes_every_stamp),
        STORE_TEST(sweeping_sessions_changes_every_stamp),
        STORE_TEST(nothing_deleted_is_remembered_whoever_deletes_it),
    };
    struct CMUnitTest shared[] = {STORE_TEST(a_store_of_many_nodes_has_no_stamps)};

    return RUN_ON_BACKEND("sqlite", embedded) | RUN_ON_BACKEND("postgresql", shared);
}
