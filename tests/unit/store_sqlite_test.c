/* tests/unit/store_sqlite_test.c -- what only the SQLite store promises: its file and its schema.
 */
#include "contract/store_fixture.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "store/sqlite_statements.h"

/* How often a thread of this program has fsynced; the two below stand before libc's for SQLite. */
static atomic_int fsyncs;

int fdatasync(int fd)
{
    fsyncs++;
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

enum { STATEMENT_COUNT = sizeof(statements) / sizeof(statements[0]) };

/* The steps of a statement's plan, one a line. */
static void read_plan(const struct fixture *f, const char *sql, char plan[1024])
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

        snprintf(plan + len, 1024 - len, "%s\n", sqlite3_column_text(stmt, 3));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static void no_statement_scans_or_sorts_the_reports(void **state)
{
    char plan[1024];

    for (int i = 0; i < STATEMENT_COUNT; i++) {
        read_plan(*state, statements[i].sql, plan);
        if (strstr(plan, "SCAN report ") != NULL || strstr(plan, "SCAN report\n") != NULL ||
            strstr(plan, "TEMP B-TREE") != NULL)
            fail_msg("%s: %s", statements[i].name, plan);
    }
}

/* Otherwise each submit would look at up to the limit of rows, or at all of the user's. */
static void the_limit_is_counted_in_an_index_alone(void **state)
{
    char plan[1024];

    assert_string_equal(statements[0].name, "SUBMIT");
    read_plan(*state, statements[0].sql, plan);
    assert_non_null(strstr(plan, "USING COVERING INDEX report_slot (user_id=?"));
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
        STORE_TEST(the_limit_is_counted_in_an_index_alone),
        STORE_TEST(what_is_durable_is_fsynced_before_done),
        STORE_TEST(what_is_only_visible_costs_no_fsync),
        STORE_TEST(concurrent_submits_share_one_fsync),
    };

    struct fixture fixture = {.backend = &backends[0]};

    if (strcmp(fixture.backend->name, "sqlite") != 0)
        return 1;
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = &fixture;
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
