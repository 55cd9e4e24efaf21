/* tests/unit/source_test.c -- a source reads one snapshot, and can do nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "source/source.h"
#include "source/sqlite_impl.h"

enum { ROW_MAX = 16, NOBODY = 65534 };

#define FOREVER                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

static const struct source_session session = {.user_name = "ann", .reference = "r"};

struct bench {
    char folder[256];
    struct source *source;
};

static struct source *open_database(const struct bench *b, const char *name, struct err *err)
{
    char url[600];
    struct source_spec spec = {.url = url, .temp_folder = b->folder};
    struct source *source = NULL;

    snprintf(url, sizeof(url), "sqlite:%s/%s", b->folder, name);
    source_open(&spec, &source, err);
    return source;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    folder_make(b->folder);
    sqlite3_close(folder_database(b->folder, "a.db",
                                  "CREATE TABLE t(i, r, s, b);"
                                  "CREATE INDEX t_i ON t(i);"
                                  "INSERT INTO t VALUES (7, 1.5, 'text', x'00ff')"));
    b->source = open_database(b, "a.db", NULL);
    assert_non_null(b->source);
    assert_int_equal(source_begin(b->source, &session, NULL), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    source_end(b->source, NULL);
    source_free(b->source);
    folder_remove(b->folder);
    free(b);
    return 0;
}

static int query(struct source *source, const char *sql, const struct param_value *values,
                 size_t count, struct source_query **ret, struct err *err)
{
    struct statement statement = {.sql = (char *)sql, .line = 10};

    return source_query(source, &statement, values, count, ret, err);
}

/* The integer in the first column of the first row. */
static int64_t number(struct source *source, const char *sql)
{
    struct source_value row[ROW_MAX];
    struct source_query *q;
    struct err err = {0};

    if (query(source, sql, NULL, 0, &q, &err) != 0)
        fail_msg("%s: %s", sql, err.detail);
    assert_int_equal(source_step(q, row, &err), 1);
    assert_int_equal(row[0].kind, SOURCE_INTEGER);
    source_query_free(q);
    return row[0].integer;
}

/* Refused, at the latest when it steps. */
static void refused(struct source *source, const char *sql, const char *text, const char *detail)
{
    struct source_value row[ROW_MAX];
    struct source_query *q = NULL;
    struct err err = {0};
    int rc = query(source, sql, NULL, 0, &q, &err);

    if (rc == 0)
        rc = source_step(q, row, &err);
    source_query_free(q);
    if (rc != -E_SOURCE || strcmp(err.text, text) != 0 || strstr(err.detail, detail) == NULL)
        fail_msg("%s: %d, '%s', '%s'", sql, rc, err.text, err.detail);
}

static void values_come_as_the_database_has_them(void **state)
{
    struct bench *b = *state;
    struct source_value row[ROW_MAX];
    struct source_query *q;

    assert_int_equal(
        query(b->source, "SELECT i AS \"x.y\", r, s, b, NULL FROM t", NULL, 0, &q, NULL), 0);
    assert_int_equal(source_columns(q), 5);
    assert_string_equal(source_column_name(q, 0), "x.y");
    assert_int_equal(source_step(q, row, NULL), 1);
    assert_int_equal(row[0].kind, SOURCE_INTEGER);
    assert_int_equal(row[0].integer, 7);
    assert_int_equal(row[1].kind, SOURCE_REAL);
    assert_true(row[1].real == 1.5);
    assert_int_equal(row[2].kind, SOURCE_TEXT);
    assert_int_equal(row[2].text.len, 4);
    assert_memory_equal(row[2].text.data, "text", 4);
    assert_int_equal(row[3].kind, SOURCE_BLOB);
    assert_memory_equal(row[3].text.data, "\0\xff", 2);
    assert_int_equal(row[4].kind, SOURCE_NULL);
    assert_int_equal(source_step(q, row, NULL), 0);
    source_query_free(q);
}

static void parameters_are_bound_by_name_and_type(void **state)
{
    static const struct param_value values[] = {
        {.name = "Text", .type = PARAM_STRING, .text = (char *)"1"},
        {.name = "Number", .type = PARAM_INTEGER, .text = (char *)"-5"},
        {.name = "Price", .type = PARAM_DECIMAL, .text = (char *)"1.50"},
        {.name = "Whole", .type = PARAM_DECIMAL, .text = (char *)"-9223372036854775808"},
        {.name = "Huge", .type = PARAM_DECIMAL, .text = (char *)"9223372036854775808"},
        {.name = "Long", .type = PARAM_DECIMAL, .text = (char *)"0.12345678901234567890123"},
        {.name = "Day", .type = PARAM_DATE, .text = (char *)"2024-01-12"},
        {.name = "Yes", .type = PARAM_BOOLEAN, .text = (char *)"true"},
        {.name = "No", .type = PARAM_BOOLEAN, .text = (char *)"false"},
        {.name = "None", .type = PARAM_INTEGER},
    };
    static const char sql[] =
        "SELECT typeof(:Text) = 'text' AND :Number = -5 AND typeof(:Number) = 'integer'"
        " AND typeof(:Price) = 'real' AND :Price = 1.50 AND :Price < 1000 AND :Price * 2 = 3"
        " AND typeof(:Whole) = 'integer' AND :Whole = -9223372036854775807 - 1"
        " AND typeof(:Huge) = 'real' AND :Huge = 9223372036854775808"
        " AND :Long = 0.12345678901234567890123 AND :Day = '2024-01-12'"
        " AND :Yes = 1 AND :No = 0 AND :None IS NULL AND :session_user = 'ann'";
    struct bench *b = *state;
    struct source_value row[ROW_MAX];
    struct source_query *q;

    assert_int_equal(query(b->source, sql, values, sizeof(values) / sizeof(values[0]), &q, NULL),
                     0);
    assert_int_equal(source_step(q, row, NULL), 1);
    assert_int_equal(row[0].integer, 1);
    source_query_free(q);
}

/* The texts of the column `column`, one behind the other, of what the query gives. */
static void gives(struct source *source, const char *sql, const struct param_value *list,
                  size_t column, const char *words)
{
    struct source_value row[ROW_MAX];
    struct source_query *q;
    struct err err = {0};
    char all[1000] = "";

    if (query(source, sql, list, 1, &q, &err) != 0)
        fail_msg("%s: %s", sql, err.detail);
    while (source_step(q, row, NULL) == 1)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%.*s;", (int)row[column].text.len,
                 row[column].text.data);
    source_query_free(q);
    if (strstr(all, words) == NULL)
        fail_msg("%s gives %s", sql, all);
}

static void a_list_is_read_as_values_in_parentheses_are(void **state)
{
    const struct param_value numbers = {.name = "L",
                                        .type = PARAM_DECIMAL,
                                        .text = (char *)"7\0002.50\0-9223372036854775808\0"
                                                        "9223372036854775808\0-0",
                                        .list = true,
                                        .count = 5};
    struct bench *b = *state;

    /* Of the same storage class each, and against columns of any affinity. */
    gives(b->source,
          "WITH want(v) AS (VALUES (7), (2.50), (-9223372036854775807 - 1), (9223372036854775808),"
          " (-0)) SELECT count(*) || '' FROM want WHERE v IN (:L) AND typeof(v) IN ('integer', "
          "'real')",
          &numbers, 0, "5;");
    gives(b->source,
          "SELECT (CAST('7' AS TEXT) IN (:L)) || ('7' IN (:L)) || (s IN (:L)) || (i IN (:L)) FROM "
          "(SELECT '7' AS s, i FROM t)",
          &numbers, 0, "1001;");
    /* An index serves as it does IN (7). */
    gives(b->source, "EXPLAIN QUERY PLAN SELECT 1 FROM t WHERE i IN (:L)", &numbers, 3,
          "SEARCH t USING COVERING INDEX t_i (i=?)");
    gives(b->source, "EXPLAIN QUERY PLAN SELECT 1 FROM t WHERE i = 7 AND r IN (:L)", &numbers, 3,
          "LIST SUBQUERY");
}

static void an_error_behind_a_list_has_its_line(void **state)
{
    const struct param_value list = {.name = "L", .type = PARAM_INTEGER, .list = true};
    struct bench *b = *state;
    struct source_query *q;
    struct err err = {0};

    assert_int_equal(
        query(b->source, "SELECT 1\nFROM t WHERE i IN (\n:L)\n AND nope", &list, 1, &q, &err),
        -E_SOURCE);
    assert_non_null(strstr(err.detail, "line 13: "));
}

static void a_parameter_that_is_not_declared_is_refused(void **state)
{
    struct bench *b = *state;

    refused(b->source, "SELECT :Nope", "The report's query failed.",
            "line 10: parameter ':Nope' is not declared");
    refused(b->source, "SELECT ?", "The report's query failed.", "parameter '?' is not declared");
    refused(b->source, "SELECT $session_user", "The report's query failed.", "is not declared");
}

static void only_one_statement_is_taken_and_only_if_it_reads(void **state)
{
    static const char words[] = "The report's query failed.";
    struct bench *b = *state;

    refused(b->source, "SELECT 1; SELECT 2", words, "more than one statement");
    refused(b->source, "SELECT 1; DROP TABLE t", words, "more than one statement");
    refused(b->source, "  -- nothing\n", words, "there is no statement");
    refused(b->source, "", words, "there is no statement");
    assert_int_equal(number(b->source, "SELECT 1; -- a comment /* and more\n  "), 1);
}

/* SQLite sees their PRAGMA only when it runs. */
static void the_tables_of_pragmas_are_refused_before_they_run(void **state)
{
    struct bench *b = *state;
    struct source_query *q;
    struct source *own;
    struct err err = {0};

    assert_int_equal(
        query(b->source, "SELECT count(*) FROM PRAGMA_table_info('t')", NULL, 0, &q, &err),
        -E_SOURCE);
    assert_string_equal(err.text, "The report's query tries to do what a report may not do.");
    sqlite3_close(
        folder_database(b->folder, "own.db", "CREATE TABLE pragma_notes AS SELECT 5 AS n"));
    own = open_database(b, "own.db", NULL);
    assert_int_equal(source_begin(own, &session, NULL), 0);
    assert_int_equal(number(own, "SELECT n FROM pragma_notes"), 5);
    refused(own, "SELECT * FROM pragma_table_info('t')", err.text, "line 10: ");
    source_end(own, NULL);
    source_free(own);
}

static void writing_and_all_else_is_refused_by_the_database(void **state)
{
    static const char *const statements[] = {
        "INSERT INTO t VALUES (1, 1, 1, 1)",
        "DELETE FROM t RETURNING i",
        "UPDATE t SET i = 1",
        "DROP TABLE t",
        "CREATE TABLE u(x)",
        "CREATE TEMP TABLE u(x)",
        "ATTACH 'b.db' AS b",
        "DETACH main",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode = WAL",
        "SELECT * FROM pragma_table_info('t')",
        "COMMIT",
        "BEGIN",
        "SAVEPOINT s",
        "REINDEX t",
        "ANALYZE",
        "EXPLAIN DELETE FROM t",
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        refused(b->source, statements[i],
                "The report's query tries to do what a report may not do.", "line 10: ");
    refused(b->source, "VACUUM", "The report's query failed.", "not a SELECT");
    refused(b->source, "VACUUM INTO 'b.db'", "The report's query failed.", "not a SELECT");
    refused(b->source, "SELECT load_extension('x')", "The report's query failed.",
            "not authorized");
    refused(b->source, "UPDATE sqlite_master SET sql = ''", "The report's query failed.",
            "may not be modified");
    assert_int_equal(number(b->source, "SELECT count(*) FROM t"), 1);
}

static void functions_and_table_functions_can_be_used(void **state)
{
    struct bench *b = *state;

    assert_int_equal(number(b->source, "SELECT sum(value) FROM json_each('[40, 2]')"), 42);
    assert_int_equal(number(b->source, "WITH c(x) AS (SELECT i FROM t UNION ALL SELECT 2) "
                                       "SELECT count(*) OVER (ORDER BY x) FROM c"),
                     1);
}

static void a_full_text_index_can_be_searched(void **state)
{
    struct bench *b = *state;
    struct source *source;

    sqlite3_close(folder_database(b->folder, "text.db",
                                  "CREATE VIRTUAL TABLE f USING fts5(words);"
                                  "INSERT INTO f VALUES ('the quick fox'), ('a lazy dog')"));
    source = open_database(b, "text.db", NULL);
    assert_int_equal(source_begin(source, &session, NULL), 0);
    assert_int_equal(number(source, "SELECT rowid FROM f WHERE f MATCH 'lazy'"), 2);
    source_end(source, NULL);
    source_free(source);
}

static void a_double_quoted_slip_does_not_become_text(void **state)
{
    struct bench *b = *state;

    refused(b->source, "SELECT \"nope\" FROM t", "The report's query failed.", "no such column");
}

static void an_error_names_the_line_of_the_definition(void **state)
{
    struct bench *b = *state;

    refused(b->source, "SELECT i,\n  nope\nFROM t", "The report's query failed.",
            "line 11: sqlite: no such column: nope");
}

static void all_queries_of_a_report_see_the_same_moment(void **state)
{
    struct bench *b = *state;
    sqlite3 *writer = folder_database(b->folder, "wal.db",
                                      "PRAGMA journal_mode = WAL; CREATE TABLE t(i);"
                                      "INSERT INTO t VALUES (1)");
    struct source *source = open_database(b, "wal.db", NULL);

    assert_int_equal(source_begin(source, &session, NULL), 0);
    sqlite3_exec(writer, "INSERT INTO t VALUES (2)", NULL, NULL, NULL);
    assert_int_equal(number(source, "SELECT count(*) FROM t"), 1);
    sqlite3_exec(writer, "INSERT INTO t VALUES (3)", NULL, NULL, NULL);
    assert_int_equal(number(source, "SELECT count(*) FROM t"), 1);
    source_end(source, NULL);
    assert_int_equal(source_begin(source, &session, NULL), 0);
    assert_int_equal(number(source, "SELECT count(*) FROM t"), 3);
    source_end(source, NULL);
    source_free(source);
    sqlite3_close(writer);
}

static void a_closed_database_in_wal_mode_can_be_read(void **state)
{
    struct bench *b = *state;
    struct source *source;

    sqlite3_close(
        folder_database(b->folder, "wal.db", "PRAGMA journal_mode = WAL; CREATE TABLE t(i)"));
    source = open_database(b, "wal.db", NULL);
    assert_int_equal(source_begin(source, &session, NULL), 0);
    assert_int_equal(number(source, "SELECT count(*) FROM t"), 0);
    source_end(source, NULL);
    source_free(source);
}

/* How a file of another user is opened depends on whether that user has it open. */
static void a_wal_that_comes_or_goes_is_a_change(void **state)
{
    struct bench *b = *state;
    char path[600], wal[620];
    struct sqlite_file file;
    int fd;

    sqlite3_close(
        folder_database(b->folder, "wal.db", "PRAGMA journal_mode = WAL; CREATE TABLE t(i)"));
    snprintf(path, sizeof(path), "%s/wal.db", b->folder);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    assert_int_equal(geteuid() == 0 ? chown(path, NOBODY, NOBODY) : chmod(b->folder, 0500), 0);
    assert_true(sqlite_file_identify(&file, path));
    assert_true(file.foreign && file.immutable && sqlite_file_is_same(&file));
    assert_int_equal(chmod(b->folder, 0700), 0);
    fd = creat(wal, 0600);
    assert_int_equal(write(fd, "pages", 5), 5);
    close(fd);
    assert_false(sqlite_file_is_same(&file));
    assert_int_equal(geteuid() == 0 ? 0 : chmod(b->folder, 0500), 0);
    assert_true(sqlite_file_identify(&file, path));
    assert_true(file.foreign && !file.immutable && sqlite_file_is_same(&file));
    assert_int_equal(chmod(b->folder, 0700), 0);
    assert_int_equal(unlink(wal), 0);
    assert_false(sqlite_file_is_same(&file));
}

/* As a user whom the folder's mode binds, even if the tests run as root. */
static int read_unprivileged(const struct bench *b)
{
    struct source *source;
    struct err err = {0};

    if (getuid() == 0 && setuid(NOBODY) != 0)
        return 2;
    source = open_database(b, "a.db", &err);
    if (source == NULL)
        return 1;
    return source_begin(source, &session, &err) == 0 && number(source, "SELECT i FROM t") == 7 ? 0
                                                                                               : 1;
}

static void a_database_in_a_read_only_folder_can_be_read(void **state)
{
    struct bench *b = *state;
    char path[600];
    int status;
    pid_t pid;

    snprintf(path, sizeof(path), "%s/a.db", b->folder);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(b->folder, 0555), 0);
    pid = fork();
    if (pid == 0)
        _exit(read_unprivileged(b));
    waitpid(pid, &status, 0);
    chmod(b->folder, 0700);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void what_is_no_database_says_so_without_its_path(void **state)
{
    struct bench *b = *state;
    struct err err = {0};

    char path[600];

    assert_null(open_database(b, "missing.db", &err));
    assert_int_equal(err.code, -E_SOURCE);
    assert_string_equal(err.text, "The report's database cannot be opened.");
    snprintf(path, sizeof(path), "%s/pipe", b->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(open_database(b, "pipe", &err));
    assert_non_null(strstr(err.detail, "pipe': is not a regular file"));
    assert_null(open_database(b, ".", &err));
    assert_non_null(strstr(err.detail, "': is not a regular file"));
    assert_int_equal(source_open(&(struct source_spec){.url = "sqlite:/dev/null"},
                                 &(struct source *){NULL}, &err),
                     -E_SOURCE); /* not an empty database */
    assert_non_null(strstr(err.detail, "'/dev/null': is not a regular file"));
    assert_int_equal(
        source_open(&(struct source_spec){.url = "oracle:x"}, &(struct source *){NULL}, &err),
        -E_SOURCE);
    assert_string_equal(err.text,
                        "The report's database is of a kind that this server cannot read.");
}

static void *interrupt(void *source)
{
    source_interrupt(source);
    return NULL;
}

static void an_interrupt_stops_what_runs_and_what_starts(void **state)
{
    struct bench *b = *state;
    struct source_value row[ROW_MAX];
    struct source_query *q;
    struct err err = {0};
    pthread_t thread;

    assert_int_equal(query(b->source, FOREVER, NULL, 0, &q, NULL), 0);
    pthread_create(&thread, NULL, interrupt, b->source);
    assert_int_equal(source_step(q, row, &err), -E_CANCELLED);
    pthread_join(thread, NULL);
    source_query_free(q);
    assert_int_equal(query(b->source, "SELECT 1", NULL, 0, &q, &err), 0);
    assert_int_equal(source_step(q, row, &err), -E_CANCELLED);
    source_query_free(q);
    source_end(b->source, NULL);
    assert_int_equal(source_begin(b->source, &session, &err), -E_CANCELLED);
}

static void a_stop_ends_the_wait_for_a_lock(void **state)
{
    struct bench *b = *state;
    sqlite3 *db = folder_database(b->folder, "locked.db", "CREATE TABLE t(i)");
    struct source *source = NULL;
    struct err err = {0};
    atomic_bool stopped = true;
    char url[600];

    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    snprintf(url, sizeof(url), "sqlite:%s/locked.db", b->folder);
    assert_int_equal(
        source_open(&(struct source_spec){.url = url, .stopped = &stopped}, &source, &err),
        -E_CANCELLED);
    assert_null(source);
    sqlite3_close(db);
}

static void after_resume_it_reads_again(void **state)
{
    struct bench *b = *state;

    source_interrupt(b->source);
    source_end(b->source, NULL);
    source_resume(b->source);
    assert_int_equal(source_begin(b->source, &session, NULL), 0);
    assert_int_equal(number(b->source, "SELECT i FROM t"), 7);
}

/* The texts in the first column, joined. */
static void texts(struct source *source, const char *sql, const struct param_value *value,
                  const char *expected)
{
    struct source_value row[ROW_MAX];
    struct source_query *q;
    char text[64] = "";

    assert_int_equal(query(source, sql, value, 1, &q, NULL), 0);
    while (source_step(q, row, NULL) == 1 && row[0].kind == SOURCE_TEXT)
        strncat(text, row[0].text.data, row[0].text.len);
    source_query_free(q);
    assert_string_equal(text, expected);
}

static void a_kept_statement_has_nothing_of_the_report_before(void **state)
{
    static const char sql[] = "SELECT s FROM (SELECT :Name AS s UNION ALL SELECT 'x')";
    static const struct param_value none = {.name = "Name", .type = PARAM_STRING};
    static const struct param_value first = {
        .name = "Name", .type = PARAM_STRING, .text = (char *)"a"};
    static const struct param_value second = {
        .name = "Name", .type = PARAM_STRING, .text = (char *)"b"};
    struct bench *b = *state;
    struct source_value row[ROW_MAX];
    struct source_query *q, *other;
    struct err err;

    assert_int_equal(query(b->source, sql, &first, 1, &q, NULL), 0);
    assert_int_equal(source_step(q, row, NULL), 1); /* and not to its end */
    source_query_free(q);
    texts(b->source, sql, &second, "bx");
    texts(b->source, sql, &none, "");
    assert_int_equal(query(b->source, sql, &first, 1, &q, NULL), 0);
    assert_int_equal(query(b->source, sql, &second, 1, &other, NULL), 0);
    assert_int_equal(source_step(q, row, NULL), 1);
    assert_memory_equal(row[0].text.data, "a", 1);
    source_query_free(q);
    assert_int_equal(source_step(other, row, NULL), 1);
    assert_memory_equal(row[0].text.data, "b", 1);
    source_query_free(other);
    /* Without its value it is refused, whatever it was bound to before. */
    assert_int_equal(query(b->source, sql, NULL, 0, &q, &err), -E_SOURCE);
    source_end(b->source, NULL);
    assert_int_equal(source_begin(b->source,
                                  &(struct source_session){.user_name = "bob", .reference = "r"},
                                  NULL),
                     0);
    texts(b->source, "SELECT :session_user FROM (SELECT :Name)", &first, "bob");
}

static void a_kept_statement_that_was_interrupted_begins_anew(void **state)
{
    static const char sql[] = "SELECT i FROM t UNION ALL SELECT 8 UNION ALL SELECT 9";
    struct bench *b = *state;
    struct source_value row[ROW_MAX];
    struct source_query *q;

    assert_int_equal(query(b->source, sql, NULL, 0, &q, NULL), 0);
    assert_int_equal(source_step(q, row, NULL), 1);
    source_interrupt(b->source);
    assert_int_equal(source_step(q, row, NULL), -E_CANCELLED);
    source_query_free(q);
    source_end(b->source, NULL);
    source_resume(b->source);
    assert_int_equal(source_begin(b->source, &session, NULL), 0);
    assert_int_equal(number(b->source, sql), 7);
}

static size_t column_count(struct source *source, const char *sql)
{
    struct source_query *q;
    size_t count;

    assert_int_equal(query(source, sql, NULL, 0, &q, NULL), 0);
    count = source_columns(q);
    source_query_free(q);
    return count;
}

static void a_kept_statement_is_compiled_anew_for_another_schema(void **state)
{
    struct bench *b = *state;
    sqlite3 *writer = folder_database(b->folder, "a.db", NULL);

    assert_int_equal(column_count(b->source, "SELECT * FROM t"), 4);
    source_end(b->source, NULL);
    assert_int_equal(sqlite3_exec(writer, "ALTER TABLE t ADD COLUMN c", NULL, NULL, NULL), 0);
    assert_int_equal(source_begin(b->source, &session, NULL), 0);
    assert_int_equal(column_count(b->source, "SELECT * FROM t"), 5);
    source_end(b->source, NULL);
    assert_int_equal(sqlite3_exec(writer, "DROP TABLE t", NULL, NULL, NULL), 0);
    assert_int_equal(source_begin(b->source, &session, NULL), 0);
    refused(b->source, "SELECT * FROM t", "The report's query failed.", "no such table: t");
    sqlite3_close(writer);
}

static void any_number_of_statements_can_be_run_in_turn(void **state)
{
    struct bench *b = *state;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            char sql[64];

            snprintf(sql, sizeof(sql), "SELECT i + %d FROM t", i);
            assert_int_equal(number(b->source, sql), 7 + i);
        }
    }
}

/* Interrupts a source about when another thread ends its transaction. */
struct late_cancel {
    struct source *source;
    atomic_int turn; /* the round that may be interrupted; its negative: it has been */
};

enum { LATE_CANCELS = 8000, LATE_SPREAD = 500 /* turns of an empty loop */ };

static void *cancel_late(void *arg)
{
    struct late_cancel *late = arg;

    for (int round = 1; round <= LATE_CANCELS; round++) {
        while (atomic_load(&late->turn) != round)
            sched_yield();
        for (volatile int i = 0; i < round % LATE_SPREAD; i++)
            continue;
        source_interrupt(late->source);
        atomic_store(&late->turn, -round);
    }
    return NULL;
}

static void an_interrupt_at_the_end_leaves_no_transaction_open(void **state)
{
    struct bench *b = *state;
    struct late_cancel late = {.source = b->source};
    pthread_t thread;

    pthread_create(&thread, NULL, cancel_late, &late);
    for (int round = 1; round <= LATE_CANCELS; round++) {
        atomic_store(&late.turn, round);
        source_end(b->source, NULL);
        while (atomic_load(&late.turn) != -round)
            sched_yield();
        source_resume(b->source);
        assert_int_equal(source_begin(b->source, &session, NULL), 0);
    }
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_come_as_the_database_has_them),
        TEST(parameters_are_bound_by_name_and_type),
        TEST(a_list_is_read_as_values_in_parentheses_are),
        TEST(an_error_behind_a_list_has_its_line),
        TEST(a_parameter_that_is_not_declared_is_refused),
        TEST(only_one_statement_is_taken_and_only_if_it_reads),
        TEST(the_tables_of_pragmas_are_refused_before_they_run),
        TEST(writing_and_all_else_is_refused_by_the_database),
        TEST(functions_and_table_functions_can_be_used),
        TEST(a_full_text_index_can_be_searched),
        TEST(a_double_quoted_slip_does_not_become_text),
        TEST(an_error_names_the_line_of_the_definition),
        TEST(all_queries_of_a_report_see_the_same_moment),
        TEST(a_closed_database_in_wal_mode_can_be_read),
        TEST(a_wal_that_comes_or_goes_is_a_change),
        TEST(a_database_in_a_read_only_folder_can_be_read),
        TEST(what_is_no_database_says_so_without_its_path),
        TEST(an_interrupt_stops_what_runs_and_what_starts),
        TEST(a_stop_ends_the_wait_for_a_lock),
        TEST(after_resume_it_reads_again),
        TEST(a_kept_statement_has_nothing_of_the_report_before),
        TEST(a_kept_statement_that_was_interrupted_begins_anew),
        TEST(a_kept_statement_is_compiled_anew_for_another_schema),
        TEST(any_number_of_statements_can_be_run_in_turn),
        TEST(an_interrupt_at_the_end_leaves_no_transaction_open),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
