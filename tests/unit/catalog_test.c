/* tests/unit/catalog_test.c -- the catalog follows its folder, and keeps what a broken file had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/catalog.h"

enum { RELOADS = 50, READERS = 3 };

struct fixture {
    char folder[64];
    struct catalog *catalog;
    int problems;
    char problem[1024]; /* the last one */
};

static int source_known(void *context, const char *source)
{
    (void)context;
    return strcmp(source, "s") == 0;
}

static void on_problem(void *context, const char *text)
{
    struct fixture *f = context;

    f->problems++;
    snprintf(f->problem, sizeof(f->problem), "%s", text);
}

static void path_of(const struct fixture *f, const char *file, char path[128])
{
    snprintf(path, 128, "%s/%s", f->folder, file);
}

static void put_text(const struct fixture *f, const char *file, const char *text)
{
    char path[128];
    FILE *out;

    path_of(f, file, path);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* A definition of `name` that selects `value`. */
static void put(const struct fixture *f, const char *file, const char *name, const char *value)
{
    char text[256];

    snprintf(text, sizeof(text), "-- report: %s\n-- source: s\n-- results\nSELECT %s\n", name,
             value);
    put_text(f, file, text);
}

static void drop(const struct fixture *f, const char *file)
{
    char path[128];

    path_of(f, file, path);
    assert_int_equal(unlink(path), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/catalog_test.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    catalog_free(f->catalog);
    snprintf(command, sizeof(command), "rm -r %s", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void open_catalog(struct fixture *f)
{
    const struct catalog_spec spec = {
        .folder = f->folder, .source_known = source_known, .problem = on_problem, .context = f};
    struct err err;

    assert_int_equal(catalog_new(&spec, &f->catalog, &err), 0);
}

static int reload(struct fixture *f)
{
    struct err err;

    f->problems = 0;
    return catalog_reload(f->catalog, NULL, NULL, &err);
}

static void expect_report(struct fixture *f, const char *name, const char *sql)
{
    const struct definition *def = catalog_hold(f->catalog, name);

    if (sql == NULL) {
        assert_null(def);
        return;
    }
    assert_non_null(def);
    assert_string_equal(def->results.sql, sql);
    catalog_release(f->catalog, def);
}

static void add_name(void *context, const struct definition *def)
{
    strcat(context, def->name);
    strcat(context, " ");
}

static void expect_names(struct fixture *f, const char *want)
{
    char names[256] = "";

    catalog_each(f->catalog, add_name, names);
    assert_string_equal(names, want);
}

static void an_empty_folder_is_fine(void **state)
{
    struct fixture *f = *state;

    open_catalog(f);
    expect_names(f, "");
    expect_report(f, "A", NULL);
    assert_int_equal(reload(f), 0);
}

static void a_missing_folder_is_an_error(void **state)
{
    struct fixture *f = *state;
    const struct catalog_spec spec = {.folder = "/nonexistent/reports"};
    struct catalog *catalog = NULL;
    struct err err;

    (void)f;
    assert_int_equal(catalog_new(&spec, &catalog, &err), -E_IO);
    assert_non_null(strstr(err.text, "/nonexistent/reports"));
    assert_null(catalog);
}

static void definitions_are_given_in_order_of_name(void **state)
{
    struct fixture *f = *state;

    put(f, "1.sql", "Zebra", "1");
    put(f, "2.sql", "Ant", "2");
    put(f, "3.sql", "Mole", "3");
    open_catalog(f);
    expect_names(f, "Ant Mole Zebra ");
    expect_report(f, "Mole", "SELECT 3");
    expect_report(f, "mole", NULL);
}

static void only_visible_regular_sql_files_count(void **state)
{
    struct fixture *f = *state;
    char path[128];

    put(f, "a.sql", "A", "1");
    put(f, "b.sql.bak", "B", "1");
    put(f, ".c.sql", "C", "1");
    put(f, ".sql", "D", "1");
    path_of(f, "d.sql", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(f, "e.sql", path);
    assert_int_equal(symlink("b.sql.bak", path), 0);
    open_catalog(f);
    expect_names(f, "A B ");
    assert_int_equal(f->problems, 0);
}

static void broken_files_are_told_and_left_out(void **state)
{
    struct fixture *f = *state;
    char path[128];

    put(f, "a.sql", "A", "1");
    put_text(f, "b.sql", "-- report: A\n-- results\nSELECT 1");
    path_of(f, "c.sql", path);
    assert_int_equal(symlink("nowhere", path), 0);
    open_catalog(f);
    expect_names(f, "A ");
    assert_int_equal(f->problems, 2);
    assert_non_null(strstr(f->problem, "c.sql: "));
}

static void a_source_that_is_not_configured_is_a_problem(void **state)
{
    struct fixture *f = *state;

    put_text(f, "a.sql", "-- report: A\n-- source: other\n-- results\nSELECT 1\n");
    open_catalog(f);
    expect_names(f, "");
    assert_int_equal(f->problems, 1);
    assert_non_null(strstr(f->problem, "a.sql:2: there is no source 'other'"));
}

static void of_two_files_with_one_name_the_second_is_a_problem(void **state)
{
    struct fixture *f = *state;

    put(f, "b.sql", "A", "2");
    put(f, "a.sql", "A", "1");
    open_catalog(f);
    expect_report(f, "A", "SELECT 1");
    assert_int_equal(f->problems, 1);
    assert_non_null(strstr(f->problem, "b.sql:1: report 'A' is already defined in "));
}

static void a_reload_adds_changes_and_removes(void **state)
{
    struct fixture *f = *state;

    put(f, "a.sql", "A", "1");
    put(f, "b.sql", "B", "1");
    open_catalog(f);
    put(f, "a.sql", "A", "2");
    drop(f, "b.sql");
    put(f, "c.sql", "C", "1");
    assert_int_equal(reload(f), 0);
    expect_names(f, "A C ");
    expect_report(f, "A", "SELECT 2");
}

static void a_broken_file_keeps_its_old_definition(void **state)
{
    struct fixture *f = *state;

    put(f, "a.sql", "A", "1");
    put(f, "b.sql", "B", "1");
    open_catalog(f);
    put_text(f, "a.sql", "-- report: A\n-- results\nSELECT 1");
    put(f, "b.sql", "B", "2");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reload(f), 1);
        assert_int_equal(f->problems, 1);
        expect_report(f, "A", "SELECT 1");
        expect_report(f, "B", "SELECT 2");
    }
    put(f, "a.sql", "A", "3");
    assert_int_equal(reload(f), 0);
    expect_report(f, "A", "SELECT 3");
}

static void an_old_definition_gives_way_to_another_files_name(void **state)
{
    struct fixture *f = *state;

    put(f, "b.sql", "B", "1");
    open_catalog(f);
    put_text(f, "b.sql", "-- report: A\n-- results\nSELECT 1");
    put(f, "a.sql", "B", "2");
    assert_int_equal(reload(f), 1);
    expect_names(f, "B ");
    expect_report(f, "B", "SELECT 2");
}

static void a_folder_that_goes_leaves_everything(void **state)
{
    struct fixture *f = *state;
    char away[80];

    put(f, "a.sql", "A", "1");
    open_catalog(f);
    snprintf(away, sizeof(away), "%s.away", f->folder);
    assert_int_equal(rename(f->folder, away), 0);
    assert_int_equal(reload(f), -E_IO);
    expect_report(f, "A", "SELECT 1");
    assert_int_equal(rename(away, f->folder), 0);
}

static void what_is_held_outlives_reloads(void **state)
{
    struct fixture *f = *state;
    const struct definition *def;

    put(f, "a.sql", "A", "1");
    open_catalog(f);
    def = catalog_hold(f->catalog, "A");
    assert_non_null(def);
    drop(f, "a.sql");
    assert_int_equal(reload(f), 0);
    expect_report(f, "A", NULL);
    assert_string_equal(def->results.sql, "SELECT 1");
    catalog_release(f->catalog, def);
    catalog_release(f->catalog, NULL);
}

struct readers {
    struct catalog *catalog;
    atomic_bool stop;
    atomic_int misses;
};

static void *read_on(void *context)
{
    struct readers *readers = context;

    while (!atomic_load(&readers->stop)) {
        const struct definition *def = catalog_hold(readers->catalog, "A");

        if (def == NULL || strcmp(def->name, "A") != 0)
            atomic_fetch_add(&readers->misses, 1);
        catalog_release(readers->catalog, def);
    }
    return NULL;
}

static void readers_and_reloads_do_not_hurt_each_other(void **state)
{
    struct fixture *f = *state;
    struct readers readers = {0};
    pthread_t threads[READERS];

    put(f, "a.sql", "A", "1");
    open_catalog(f);
    readers.catalog = f->catalog;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
    for (int i = 0; i < RELOADS; i++)
        assert_int_equal(reload(f), 0);
    atomic_store(&readers.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&readers.misses), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_folder_is_fine),
        TEST(a_missing_folder_is_an_error),
        TEST(definitions_are_given_in_order_of_name),
        TEST(only_visible_regular_sql_files_count),
        TEST(broken_files_are_told_and_left_out),
        TEST(a_source_that_is_not_configured_is_a_problem),
        TEST(of_two_files_with_one_name_the_second_is_a_problem),
        TEST(a_reload_adds_changes_and_removes),
        TEST(a_broken_file_keeps_its_old_definition),
        TEST(an_old_definition_gives_way_to_another_files_name),
        TEST(a_folder_that_goes_leaves_everything),
        TEST(what_is_held_outlives_reloads),
        TEST(readers_and_reloads_do_not_hurt_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
