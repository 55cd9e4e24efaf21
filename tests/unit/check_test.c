/* tests/unit/check_test.c -- `reportd check` finds every problem of every file, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/verbs.h"

#define HEAD(name) "-- report: " name "\n-- source: shop\n"

struct fixture {
    char folder[64], config[96], reports[96];
    char output[16384]; /* of the last run */
};

static void put(const struct fixture *f, const char *file, const char *text)
{
    char path[192];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", f->folder, file);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char path[96];
    sqlite3 *db;

    strcpy(f->folder, "/tmp/check_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->config, sizeof(f->config), "%s/reportd.conf", f->folder);
    snprintf(f->reports, sizeof(f->reports), "%s/reports", f->folder);
    assert_int_equal(mkdir(f->reports, 0700), 0);
    put(f, "reportd.conf", "source shop {\n    url = \"sqlite:shop.db\"\n}\n");
    snprintf(path, sizeof(path), "%s/shop.db", f->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE item (id, cents)", NULL, NULL, NULL), 0);
    sqlite3_close(db);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Run the verb with up to three arguments; its output goes to f->output. */
static int check(struct fixture *f, const char *a, const char *b, const char *c)
{
    char *argv[] = {(char *)"check", (char *)a, (char *)b, (char *)c, NULL};
    int argc = 1, status, copy = dup(STDOUT_FILENO);
    FILE *out = tmpfile();

    while (argv[argc] != NULL)
        argc++;
    assert_non_null(out);
    fflush(stdout);
    dup2(fileno(out), STDOUT_FILENO);
    optind = 0; /* getopt begins anew */
    status = verb_check(argc, argv);
    fflush(stdout);
    dup2(copy, STDOUT_FILENO);
    close(copy);
    rewind(out);
    f->output[fread(f->output, 1, sizeof(f->output) - 1, out)] = '\0';
    fclose(out);
    return status;
}

static void expect_output(const struct fixture *f, const char *words)
{
    if (strstr(f->output, words) == NULL)
        fail_msg("no '%s' in:\n%s", words, f->output);
}

static void good_definitions_pass(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql",
        HEAD("A") "-- parameter: ID integer required\n-- column: items[].cents decimal(2)\n"
                  "-- column: total decimal(2)\n"
                  "-- check: No :ID.\nSELECT 1 FROM item WHERE id = :ID;\n"
                  "-- results\nSELECT id, cents AS \"items[].cents\" FROM item ORDER BY id;\n"
                  "-- summary\nSELECT sum(cents) AS total, :session_user AS who FROM item;\n");
    assert_int_equal(check(f, "-c", f->config, f->reports), EXIT_GOOD);
    assert_string_equal(f->output, "1 definition, 0 problems\n");
    assert_int_equal(check(f, "-c", f->config, NULL), EXIT_GOOD);
    assert_string_equal(f->output, "1 definition, 0 problems\n");
}

static void every_broken_file_is_told(void **state)
{
    struct fixture *f = *state;
    char folder[128];

    put(f, "reports/a.sql", HEAD("A") "-- tiemout: 1s\n-- results\nSELECT 1");
    put(f, "reports/b.sql", HEAD("B") "-- results\nSELECT :x");
    put(f, "reports/c.sql", HEAD("C") "-- results\nSELECT 1 AS n");
    put(f, "reports/d.sql", HEAD("C") "-- results\nSELECT 1 AS n");
    snprintf(folder, sizeof(folder), "%s//", f->reports);
    assert_int_equal(check(f, folder, "/nonexistent/x.sql", NULL), EXIT_FAILED);
    expect_output(f, "/reports/a.sql:3: ");
    expect_output(f, "/reports/b.sql:4: ");
    expect_output(f, "/reports/d.sql:1: report 'C' is already defined");
    expect_output(f, "/nonexistent/x.sql: ");
    expect_output(f, "4 definitions, 4 problems\n");
}

static void without_a_configuration_no_database_is_asked(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql", "-- report: A\n-- source: other\n-- results\nSELECT x FROM nowhere");
    assert_int_equal(check(f, f->reports, NULL, NULL), EXIT_GOOD);
}

static void the_database_finds_what_the_text_does_not_show(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql",
        HEAD("A") "-- column: id json\n-- check: x\nSELECT 1\nFROM nowhere;\n-- results\nSELECT "
                  "id,\n  nix FROM item");
    put(f, "reports/b.sql", HEAD("B") "-- results\nDELETE FROM item");
    put(f, "reports/c.sql", "-- report: C\n-- source: other\n-- results\nSELECT 1 AS n");
    assert_int_equal(check(f, "-c", f->config, f->reports), EXIT_FAILED);
    expect_output(f, "no such table: nowhere");
    expect_output(f, "/reports/a.sql:9: ");
    expect_output(f, "no such column: nix");
    expect_output(f, "/reports/b.sql:4: ");
    expect_output(f, "/reports/c.sql:2: there is no source 'other' in the configuration");
    expect_output(f, "3 definitions, 4 problems\n");
}

static void columns_must_fit_and_declared_ones_exist(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql",
        HEAD("A") "-- column: cents decimal(2)\n-- column: Cents json\n"
                  "-- results\nSELECT 1 AS \"a[].b\", 2 AS \"c[].d\"\n"
                  "-- summary\nSELECT sum(cents) AS cents FROM item");
    assert_int_equal(check(f, "-c", f->config, f->reports), EXIT_FAILED);
    expect_output(f, "/reports/a.sql:6: ");
    expect_output(f, "'c[].d'");
    expect_output(
        f, "/reports/a.sql:4: no statement returns a column 'Cents', but one that differs in case");
    expect_output(f, "1 definition, 2 problems\n");
}

static void a_source_that_cannot_be_opened_is_a_problem(void **state)
{
    struct fixture *f = *state;

    put(f, "reportd.conf", "source shop {\n    url = \"sqlite:gone.db\"\n}\n");
    put(f, "reports/a.sql", HEAD("A") "-- results\nSELECT 1");
    assert_int_equal(check(f, "-c", f->config, f->reports), EXIT_FAILED);
    expect_output(f, "/reports/a.sql:2: ");
}

static void a_warning_fails_only_strictly(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql", HEAD("A") "-- results\nSELECT id FROM item WHERE id = NULL");
    assert_int_equal(check(f, f->reports, NULL, NULL), EXIT_GOOD);
    expect_output(f, "/reports/a.sql:4: warning: a comparison with NULL is never true");
    expect_output(f, "1 definition, 0 problems, 1 warning\n");
    assert_int_equal(check(f, "--strict", f->reports, NULL), EXIT_FAILED);
}

static void what_is_not_read_is_told(void **state)
{
    struct fixture *f = *state;
    char path[128];

    assert_int_equal(check(f, f->reports, NULL, NULL), EXIT_FAILED);
    expect_output(f, "/reports: this folder has no definition; add a file");
    snprintf(path, sizeof(path), "%s/old.sql", f->reports);
    assert_int_equal(mkdir(path, 0700), 0);
    put(f, "reports/B.SQL", HEAD("B") "-- results\nSELECT 1 AS n");
    assert_int_equal(check(f, f->reports, NULL, NULL), EXIT_FAILED);
    expect_output(f, "/reports/old.sql: warning: this subfolder is not read");
    expect_output(f, "/reports/B.SQL: warning: this file is not read; rename it");
    expect_output(f, "0 definitions, 1 problem, 2 warnings\n");
    put(f, "reports/a.sql", HEAD("A") "-- results\nSELECT 1 AS n");
    assert_int_equal(check(f, f->reports, NULL, NULL), EXIT_GOOD);
}

static void a_problem_of_with_is_told_once(void **state)
{
    struct fixture *f = *state;

    put(f, "reports/a.sql",
        HEAD("A") "-- with\nt AS (SELECT nix FROM item)\n-- results\nSELECT * FROM t\n"
                  "-- summary\nSELECT count(*) AS n FROM t");
    assert_int_equal(check(f, "-c", f->config, f->reports), EXIT_FAILED);
    expect_output(f, "/reports/a.sql:4: sqlite: no such column: nix");
    expect_output(f, "1 definition, 1 problem\n");
}

static void help_is_help_and_nothing_is_wrong_usage(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(check(f, "--help", NULL, NULL), EXIT_GOOD);
    expect_output(f, "usage: reportd check");
    assert_int_equal(check(f, NULL, NULL, NULL), EXIT_USAGE);
    assert_int_equal(check(f, "--nonsense", NULL, NULL), EXIT_USAGE);
    assert_int_equal(check(f, "-c", "/nonexistent.conf", NULL), EXIT_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(good_definitions_pass),
        TEST(every_broken_file_is_told),
        TEST(without_a_configuration_no_database_is_asked),
        TEST(the_database_finds_what_the_text_does_not_show),
        TEST(columns_must_fit_and_declared_ones_exist),
        TEST(a_source_that_cannot_be_opened_is_a_problem),
        TEST(a_warning_fails_only_strictly),
        TEST(what_is_not_read_is_told),
        TEST(a_problem_of_with_is_told_once),
        TEST(help_is_help_and_nothing_is_wrong_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
