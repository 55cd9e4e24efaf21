/* tests/unit/store_sqlite_test.c -- what only the SQLite store promises: its file and its schema.
 */
#include "contract/store_fixture.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "store/sqlite_statements.h"

/* How often a thread of this program has fsynced; the two below stand before libc's for SQLite. */
static atomic_int fsyncs;
static atomic_bool fails; /* the next fdatasync() does */

int fdatasync(int fd)
{
    fsyncs++;
    if (atomic_exchange(&fails, false)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    fsyncs++;
    return (int)syscall(SYS_fsync, fd);
}

static void file_path(const struct fixture *f, char path[160], const char *end)
{
    snprintf(path, 160, "%s/store.db%s", f->dir, end);
}

static void exec_sql(const struct fixture *f, const char *sql)
{
    char path[160];
    sqlite3 *db;

    file_path(f, path, "");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int reopen_err(struct fixture *f, struct err *err)
{
    return store_open(&(struct store_spec){.url = f->url, .create = true}, &f->store, err);
}

static void close_store(struct fixture *f)
{
    store_free(f->store);
    f->store = NULL;
}

/* As a server has it. */
static void reopen_alone(struct fixture *f)
{
    close_store(f);
    assert_int_equal(
        store_open(&(struct store_spec){.url = f->url, .alone = true}, &f->store, NULL), 0);
}

static void only_the_owner_may_read_the_files(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;
    struct stat st;
    char path[160];

    submit(f, f->ann);
    for (int i = 0; i < 3; i++) {
        file_path(f, path, ends[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;

    close_store(f);
    exec_sql(f, "PRAGMA user_version = 999");
    assert_int_equal(reopen_err(f, &err), -E_STORE);
    assert_non_null(strstr(err.text, "newer"));
    assert_non_null(strstr(err.text, "999"));
}

static void another_programs_database_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char path[160];

    close_store(f);
    file_path(f, path, "");
    unlink(path);
    exec_sql(f, "CREATE TABLE theirs (x)");
    assert_int_equal(reopen_err(f, &err), -E_STORE);
    assert_non_null(strstr(err.text, "another program's"));
    exec_sql(f, "SELECT x FROM theirs");
    file_path(f, path, "-wal");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char path[160];
    FILE *file;

    close_store(f);
    file_path(f, path, "");
    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(reopen_err(f, &err), -E_STORE);
    assert_non_null(strstr(err.text, "not a database"));
}

static void a_bare_path_is_sqlite(void **state)
{
    struct fixture *f = *state;
    struct err err;

    close_store(f);
    memmove(f->url, f->url + strlen("sqlite:"), strlen(f->url) - strlen("sqlite:") + 1);
    assert_int_equal(reopen_err(f, &err), 0);
    submit(f, f->ann);
}

static void a_folder_that_is_missing_is_named(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    struct err err;

    assert_int_equal(
        store_open(&(struct store_spec){.url = "/nowhere/at/all.db", .create = true}, &store, &err),
        -E_STORE);
    assert_non_null(strstr(err.text, "/nowhere/at/all.db"));
    (void)f;
}

struct statement {
    const char *name, *sql;
};

static const struct statement statements[] = {
#define X(name, sql) {#name, "EXPLAIN QUERY PLAN " sql},
    SQLITE_STATEMENTS(X)
#undef X
};

enum { STATEMENT_COUNT = sizeof(statements) / sizeof(statements[0]), PLAN_MAX = 4096 };

/* The steps of a statement's plan, one a line. */
static void read_plan(const struct fixture *f, const char *sql, char plan[PLAN_MAX])
{
    char path[160];
    sqlite3_stmt *stmt;
    sqlite3 *db;

    plan[0] = '\0';
    file_path(f, path, "");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        size_t len = strlen(plan);

        assert_in_range(len, 0, PLAN_MAX - 256); /* nothing is cut off */
        snprintf(plan + len, PLAN_MAX - len, "%s\n", sqlite3_column_text(stmt, 3));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* Over the reports of all users: what a filter leaves is counted, too. */
static bool is_of_operators(const char *name)
{
    static const char *const names[] = {"LIST_ALL", "MATCH_ALL", "MATCH_ONES", "RUNNING",
                                        "BUSIEST"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void no_statement_scans_or_sorts_the_reports(void **state)
{
    char plan[PLAN_MAX];

    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (is_of_operators(statements[i].name))
            continue;
        read_plan(*state, statements[i].sql, plan);
        if (strstr(plan, "SCAN report ") != NULL || strstr(plan, "SCAN report\n") != NULL ||
            (strstr(plan, "report") != NULL && strstr(plan, "TEMP B-TREE") != NULL))
            fail_msg("%s: %s", statements[i].name, plan);
    }
}

static long wal_frames(const struct fixture *f)
{
    enum { HEADER = 32, FRAME = 24 + 4096 };
    char path[160];
    struct stat st;

    file_path(f, path, "-wal");
    assert_int_equal(stat(path, &st), 0);
    return (st.st_size - HEADER) / FRAME;
}

/* Nothing that a submit writes may lie where its user's id falls: then each of a group would write
 * pages of its own. */
static void a_group_of_submits_writes_few_pages_whoever_submits(void **state)
{
    enum { COUNT = 64, USERS = 1000, STORED = 20000, FEW = 20 };
    struct fixture *f = *state;
    struct store_op ops[COUNT];
    char sql[512];
    long before;

    close_store(f);
    snprintf(
        sql, sizeof(sql),
        "WITH RECURSIVE n (i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO user (id, name, password_hash) SELECT i, i, '' FROM n;"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO report (id, user_id, state, slot, submitted_ms, name, parameters)"
        " SELECT CAST(1000000000000000 + i AS BLOB), 1 + i %% %d, 2 * (i & 1), 1 - (i & 1), 0, "
        "'', '' FROM n",
        USERS, STORED, USERS);
    exec_sql(f, sql);
    assert_int_equal(reopen_err(f, NULL), 0);
    /* Twice: the log is emptied behind the first batch. */
    submit(f, f->ann);
    submit(f, f->ann);
    before = wal_frames(f);
    for (int i = 0; i < COUNT; i++) {
        ops[i] = submit_op(1 + i * (USERS / COUNT));
        ops[i].submit.active_limit = 1000;
    }
    run_as_one_batch(f, ops, COUNT);
    assert_int_equal(ops[COUNT - 1].submit.outcome, SUBMIT_ACCEPTED);
    assert_in_range(wal_frames(f) - before, 3, FEW);
}

/* How many pages a claim of a server writes when so many reports are queued. Of several claims the
 * least: now and then a row has grown out of its page. */
static long pages_of_a_claim(struct fixture *f, int queued)
{
    struct store_ref ref;
    char sql[512];
    long least = LONG_MAX;

    close_store(f);
    snprintf(sql, sizeof(sql),
             "DELETE FROM report; DELETE FROM tally; INSERT INTO tally VALUES (0, %d);"
             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO report (id, user_id, state, slot, submitted_ms, name, parameters)"
             " SELECT CAST(1000000000000000 + i AS BLOB), 1 + i %% 2, 0, 1, 0, '', '' FROM n",
             queued, queued);
    exec_sql(f, sql);
    reopen_alone(f);
    assert_true(claim(f, &ref));
    assert_true(claim(f, &ref)); /* the log is emptied behind the first one */
    for (int i = 0; i < 8; i++) {
        long before = wal_frames(f);

        assert_true(claim(f, &ref));
        if (wal_frames(f) - before < least)
            least = wal_frames(f) - before;
    }
    return least;
}

static void a_claim_writes_no_more_with_a_long_queue(void **state)
{
    assert_int_equal(pages_of_a_claim(*state, 100000), pages_of_a_claim(*state, 10));
}

static int64_t position_of(struct fixture *f, struct guid id)
{
    struct store_op op = find(f, id, f->ann);

    assert_true(op.find.found);
    store_op_done(&op);
    return op.find.position;
}

/* Blocks of 64, 64^2 and 64^3 seq. */
static void a_place_in_the_queue_is_found_across_blocks_of_every_size(void **state)
{
    enum { COUNT = 200 };
    struct fixture *f = *state;
    struct guid ids[COUNT];
    struct store_ref ref;

    ids[0] = submit(f, f->ann);
    ids[1] = submit(f, f->ann);
    close_store(f);
    exec_sql(f, "UPDATE report SET seq = 3 * 262144 + 5 * 4096 - 100 WHERE seq = 2;"
                "DELETE FROM tally; INSERT INTO tally VALUES (0, 2),"
                " (1 << 58, 1), (2 << 58, 1), (3 << 58, 1),"
                " ((1 << 58) + 3 * 4096 + 4 * 64 + 62, 1), ((2 << 58) + 3 * 64 + 4, 1),"
                " ((3 << 58) + 3, 1)");
    assert_int_equal(reopen_err(f, NULL), 0);
    for (int i = 2; i < COUNT; i++)
        ids[i] = submit(f, f->ann);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(position_of(f, ids[i]), i + 1);
    assert_true(claim(f, &ref));
    assert_true(guid_eq(&ref.id, &ids[0]));
    tombstone(f, ids[100], f->ann);
    assert_int_equal(position_of(f, ids[99]), 99);
    assert_int_equal(position_of(f, ids[COUNT - 1]), COUNT - 2);
}

static int64_t number(const struct fixture *f, const char *sql)
{
    char path[160];
    sqlite3_stmt *stmt;
    sqlite3 *db;
    int64_t n;

    file_path(f, path, "");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* The queue wanders on: what it leaves behind would be read at every look. */
static void an_empty_queue_leaves_no_tallies(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 200; i++)
        tombstone(f, submit(f, f->ann), f->ann);
    assert_int_equal(number(f, "SELECT count(*) FROM tally WHERE node > 4"), 0);
    assert_int_equal(number(f, "SELECT n FROM tally WHERE node = 4"), 200);
}

static enum store_submit_outcome submit_limited(struct fixture *f, int limit)
{
    struct store_op op = submit_op(f->ann);
    enum store_submit_outcome outcome;

    op.submit.active_limit = limit;
    assert_int_equal(run(f->store, &op), 0);
    outcome = op.submit.outcome;
    store_op_done(&op);
    return outcome;
}

/* As `reportd fsck` does beside a server. */
static void a_slot_that_another_process_frees_is_free(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    struct guid id = submit(f, f->ann);

    assert_int_equal(submit_limited(f, 1), SUBMIT_LIMIT);
    other.store = open_store(&other);
    tombstone(&other, id, 0);
    delete_row(&other, id);
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED);
    assert_int_equal(submit_limited(f, 1), SUBMIT_LIMIT);
    assert_int_equal(submit_limited(&other, 1), SUBMIT_LIMIT);
    store_free(other.store);
}

static void a_slot_let_go_in_a_batch_is_free_in_the_same(void **state)
{
    struct fixture *f = *state;
    struct guid first = submit(f, f->ann);
    struct store_op ops[] = {{.verb = STORE_TOMBSTONE, .tombstone = {.id = first}},
                             submit_op(f->ann),
                             submit_op(f->ann)};

    ops[1].submit.active_limit = ops[2].submit.active_limit = 1;
    run_as_one_batch(f, ops, 3);
    assert_int_equal(ops[1].submit.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(ops[2].submit.outcome, SUBMIT_LIMIT);
    assert_int_equal(ops[2].submit.active_count, 1);
    store_op_done(&ops[2]);
}

/* What schemas 3 to 11 have made out of schema 2, undone. */
static const char to_schema_2[] =
    "ALTER TABLE user DROP COLUMN operator; ALTER TABLE user DROP COLUMN turn; DROP TABLE paused;"
    "DROP TABLE changed_user; DROP TABLE api_key;"
    "ALTER TABLE user DROP COLUMN active_limit; ALTER TABLE user DROP COLUMN running_limit;"
    "DROP INDEX user_removed; ALTER TABLE user DROP COLUMN removed;"
    "DROP INDEX report_of_type; DROP INDEX user_subject; ALTER TABLE user DROP COLUMN issuer; DROP "
    "TABLE user_group;"
    "ALTER TABLE user DROP COLUMN subject; ALTER TABLE user DROP COLUMN member_of;"
    "ALTER TABLE user DROP COLUMN member_s;"
    "DROP TABLE small_result; ALTER TABLE report DROP COLUMN in_row;"
    "ALTER TABLE report DROP COLUMN footer;"
    "ALTER TABLE used_refresh DROP COLUMN access; ALTER TABLE used_refresh DROP COLUMN used_ms;"
    "ALTER TABLE session DROP COLUMN created_ms; ALTER TABLE session DROP COLUMN renewed_ms;"
    "ALTER TABLE session DROP COLUMN address;"
    "DROP TABLE tally; DROP INDEX report_of_user;"
    "CREATE INDEX report_of_user ON report (user_id);"
    "CREATE INDEX report_slot ON report (user_id, slot) WHERE slot = 1;"
    "CREATE TABLE report_count (state INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "CREATE TABLE queue_block (block INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER report_comes AFTER INSERT ON report BEGIN SELECT 1; END;"
    "CREATE TRIGGER report_moves AFTER INSERT ON report BEGIN SELECT 1; END;"
    "CREATE TRIGGER report_leaves_queue AFTER INSERT ON report BEGIN SELECT 1; END;"
    "CREATE TRIGGER report_returns AFTER INSERT ON report BEGIN SELECT 1; END;"
    "CREATE TRIGGER report_goes AFTER INSERT ON report BEGIN SELECT 1; END;"
    "DROP TABLE identity; DROP TABLE ledger; DROP TABLE login_address;"
    "PRAGMA user_version = 2";

/* As `reportd user` does, in a process of its own. */
static void change_user(struct fixture *f, struct store_user_change change)
{
    struct store_op op = {.verb = STORE_USER_CHANGE, .user_change = change};
    struct store *other = open_store(f);

    op.user_change.now_ms = NOW_MS;
    op.user_change.retention_ms = DAY_MS;
    assert_int_equal(run(other, &op), 0);
    store_free(other);
}

static void what_another_process_ends_is_out_of_the_queue(void **state)
{
    struct fixture *f = *state;
    struct guid bob;
    struct store_ref ref;

    reopen_alone(f);
    submit(f, f->ann);
    submit(f, f->ann);
    bob = submit(f, f->bob);
    change_user(f, (struct store_user_change){.name = "ann", .disabled = 1});
    assert_int_equal(number(f, "SELECT count(*) FROM changed_user"), 1);
    assert_true(claim(f, &ref) && guid_eq(&ref.id, &bob));
    assert_int_equal(number(f, "SELECT count(*) FROM changed_user"), 0);
    assert_false(claim(f, &ref));
    change_user(f, (struct store_user_change){.name = "ann", .disabled = 0});
    assert_int_equal(submit_limited(f, 1), SUBMIT_ACCEPTED); /* the slots are free again */
}

static void a_limit_that_another_process_sets_holds(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;

    reopen_alone(f);
    submit(f, f->ann);
    submit(f, f->ann);
    assert_true(claim(f, &ref));
    change_user(f, (struct store_user_change){.name = "ann", .disabled = -1, .running_limit = 1});
    assert_false(claim(f, &ref));
    change_user(f, (struct store_user_change){.name = "ann", .disabled = -1, .running_limit = 2});
    assert_true(claim(f, &ref));
}

static void a_claim_that_is_rolled_back_leaves_its_source_free(void **state)
{
    const struct store_limit one = {.source = "shop", .max_running = 1};
    struct fixture *f = *state;
    struct store_op op = {
        .verb = STORE_CLAIM,
        .claim = {.offer = "Balance\n", .sources = "shop\n", .limits = &one, .limit_count = 1}};

    submit(f, f->ann);
    exec_sql(f, "CREATE TRIGGER no_turn BEFORE UPDATE OF turn ON user"
                " BEGIN SELECT RAISE(ABORT, 'no'); END");
    assert_int_equal(run(f->store, &op), -E_STORE);
    exec_sql(f, "DROP TRIGGER no_turn");
    assert_int_equal(run(f->store, &op), 0);
    assert_true(op.claim.found);
    assert_int_equal(op.claim.report.attempt, 1);
    store_op_done(&op);
}

static void a_store_of_schema_2_is_brought_up_to_date(void **state)
{
    struct fixture *f = *state;
    struct store_op op = {.verb = STORE_STATS};
    struct guid last;

    report_in(f, f->ann, REPORT_COMPLETE);
    report_in(f, f->ann, REPORT_PROCESSING);
    for (int i = 0; i < 70; i++)
        last = submit(f, f->ann);
    close_store(f);
    exec_sql(f, to_schema_2);
    assert_int_equal(reopen_err(f, NULL), 0);
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.stats.by_state[REPORT_QUEUED], 70);
    assert_int_equal(op.stats.by_state[REPORT_PROCESSING], 1);
    assert_int_equal(op.stats.by_state[REPORT_COMPLETE], 1);
    assert_int_equal(op.stats.by_state[REPORT_DELETING], 0);
    assert_int_equal(position_of(f, last), 70);
    assert_int_equal(submit_limited(f, 71), SUBMIT_LIMIT);
    assert_int_equal(submit_limited(f, 72), SUBMIT_ACCEPTED);
}

static int64_t records_of_the_ledger(struct fixture *f)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int64_t records;

    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.ledgers.count, 1);
    records = op.ledgers.items[0].records;
    store_op_done(&op);
    return records;
}

static int delete_counted(struct fixture *f, struct guid id, struct guid ledger, int64_t records)
{
    struct store_op op = {.verb = STORE_DELETE_ROW};

    op.delete_row = (struct store_delete_row){.id = id, .counted = {ledger, records}};
    return run(f->store, &op);
}

/* Nor does the row go if the count cannot be noted. */
static void a_row_goes_with_the_count_of_the_ledger(void **state)
{
    struct fixture *f = *state;
    struct store_ledger ledger = {.id = guid_new(), .place = "here"};
    struct store_op op = {.verb = STORE_LEDGER_NOTE, .ledger_note = {&ledger, 0}};
    struct guid ids[2];

    assert_int_equal(run(f->store, &op), 0);
    for (int i = 0; i < 2; i++) {
        ids[i] = report_in(f, f->ann, REPORT_COMPLETE).id;
        assert_true(tombstone(f, ids[i], f->ann).found);
    }
    assert_int_equal(delete_counted(f, ids[0], guid_new(), 7), -E_STORE);
    op = (struct store_op){.verb = STORE_STATS};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(op.stats.by_state[REPORT_DELETING], 2);
    assert_int_equal(delete_counted(f, ids[0], ledger.id, 7), 0);
    assert_int_equal(records_of_the_ledger(f), 7);
    op = (struct store_op){.verb = STORE_DELETE_ROWS};
    op.delete_rows = (struct store_delete_rows){
        (struct store_marked[]){{.id = ids[0]}, {.id = ids[1]}}, 2, {ledger.id, 6}};
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(records_of_the_ledger(f), 7); /* it never falls */
}

/* Also after a commit that was only visible, which switches the setting. */
static void what_is_durable_is_fsynced_before_done(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    int before;

    submit(f, f->ann);
    assert_true(claim(f, &ref));
    before = fsyncs;
    submit(f, f->ann);
    assert_int_equal(fsyncs, before + 1);
}

static void what_is_only_visible_costs_no_fsync(void **state)
{
    struct fixture *f = *state;
    struct store_ref ref;
    int before;

    submit(f, f->ann);
    submit(f, f->ann); /* as below */
    before = fsyncs;
    assert_true(claim(f, &ref));
    assert_true(requeue(f, ref, false));
    assert_int_equal(fsyncs, before);
}

static void a_report_that_is_waited_for_is_fsynced_when_it_is_settled(void **state)
{
    struct fixture *f = *state;
    struct store_op op = submit_op(f->ann);
    int before;

    submit(f, f->ann);
    submit(f, f->ann); /* as below */
    before = fsyncs;
    op.submit.waits = true;
    assert_int_equal(run(f->store, &op), 0);
    assert_int_equal(fsyncs, before);
    assert_false(settle(f, &op.submit));
    assert_int_equal(fsyncs, before + 1);
    assert_false(settle(f, &op.submit)); /* now it is */
    assert_int_equal(fsyncs, before + 1);
    submit(f, f->ann);
    assert_int_equal(fsyncs, before + 2);
}

/* In the database's file alone, without the log. */
static bool is_in_the_database(const struct fixture *f, struct guid id)
{
    char path[160], url[200];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    bool found;

    file_path(f, path, "");
    snprintf(url, sizeof(url), "file:%s?immutable=1", path);
    assert_int_equal(sqlite3_open_v2(url, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT 1 FROM report WHERE id = ?", -1, &stmt, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob(stmt, 1, id.bytes, GUID_BYTES, SQLITE_STATIC);
    found = sqlite3_step(stmt) == SQLITE_ROW;
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return found;
}

/* The kernel drops what it could not write, so the next sync of the log proves nothing. */
static void after_a_sync_that_failed_the_log_is_moved_into_the_database(void **state)
{
    struct fixture *f = *state;
    struct store_op waits = submit_op(f->ann), refused = submit_op(f->ann);

    waits.submit.waits = true;
    assert_int_equal(run(f->store, &waits), 0);
    assert_false(is_in_the_database(f, waits.submit.id));
    fails = true;
    assert_int_equal(run(f->store, &refused), -E_STORE);
    submit(f, f->ann);
    assert_true(is_in_the_database(f, waits.submit.id));
    assert_false(is_in_the_database(f, refused.submit.id));
    assert_false(settle(f, &waits.submit));
}

static void concurrent_submits_share_one_fsync(void **state)
{
    enum { COUNT = 50 };
    struct fixture *f = *state;
    struct store_op ops[COUNT];
    int before;

    /* Twice: the log is emptied, with fsyncs of its own, behind the first batch. */
    submit(f, f->ann);
    submit(f, f->ann);
    for (int i = 0; i < COUNT; i++) {
        ops[i] = submit_op(f->ann);
        ops[i].submit.active_limit = 1000;
    }
    before = fsyncs;
    run_as_one_batch(f, ops, COUNT);
    assert_int_equal(ops[COUNT - 1].submit.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(fsyncs, before + 1);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        STORE_TEST(only_the_owner_may_read_the_files),
        STORE_TEST(a_newer_schema_is_refused),
        STORE_TEST(another_programs_database_is_refused_and_left_alone),
        STORE_TEST(a_file_that_is_no_database_is_refused),
        STORE_TEST(a_bare_path_is_sqlite),
        STORE_TEST(a_folder_that_is_missing_is_named),
        STORE_TEST(no_statement_scans_or_sorts_the_reports),
        STORE_TEST(a_group_of_submits_writes_few_pages_whoever_submits),
        STORE_TEST(a_claim_writes_no_more_with_a_long_queue),
        STORE_TEST(a_place_in_the_queue_is_found_across_blocks_of_every_size),
        STORE_TEST(an_empty_queue_leaves_no_tallies),
        STORE_TEST(a_slot_let_go_in_a_batch_is_free_in_the_same),
        STORE_TEST(a_slot_that_another_process_frees_is_free),
        STORE_TEST(what_another_process_ends_is_out_of_the_queue),
        STORE_TEST(a_limit_that_another_process_sets_holds),
        STORE_TEST(a_claim_that_is_rolled_back_leaves_its_source_free),
        STORE_TEST(a_store_of_schema_2_is_brought_up_to_date),
        STORE_TEST(a_row_goes_with_the_count_of_the_ledger),
        STORE_TEST(what_is_durable_is_fsynced_before_done),
        STORE_TEST(what_is_only_visible_costs_no_fsync),
        STORE_TEST(a_report_that_is_waited_for_is_fsynced_when_it_is_settled),
        STORE_TEST(after_a_sync_that_failed_the_log_is_moved_into_the_database),
        STORE_TEST(concurrent_submits_share_one_fsync),
    };

    struct fixture fixture = {.backend = &backends[0]};

    if (strcmp(fixture.backend->name, "sqlite") != 0)
        return 1;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = &fixture;
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
