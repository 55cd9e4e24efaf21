/* tests/unit/store_sqlite_test.c -- what only the SQLite store promises: its file and its schema.
 */
#include "contract/store_fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include "base/str.h"
#include "store/sqlite_statements.h"

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

/* The plan of every statement that looks among many reports uses an index. */
static void no_hot_statement_scans_the_reports(void **state)
{
    static const char *const hot[] = {
#define X(name, sql) "EXPLAIN QUERY PLAN " sql,
        SQLITE_STATEMENTS(X)
#undef X
    };
    struct fixture *f = *state;
    char path[160];
    sqlite3 *db;

    file_path(f, path, "");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
        sqlite3_stmt *stmt;

        assert_int_equal(sqlite3_prepare_v2(db, hot[i], -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
            const char *plan = (const char *)sqlite3_column_text(stmt, 3);

            if (strstr(plan, "SCAN report ") != NULL || str_eq(plan, "SCAN report") ||
                (strstr(plan, "TEMP B-TREE") != NULL && strstr(hot[i], "report") != NULL))
                fail_msg("%s: %s", hot[i], plan);
        }
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
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
        STORE_TEST(no_hot_statement_scans_the_reports),
    };

    return RUN_ON_EVERY_BACKEND(tests);
}
