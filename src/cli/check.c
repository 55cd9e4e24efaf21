/* src/cli/check.c -- `reportd check`: what is wrong with report definitions, with file and line. */
#include "cli/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/config.h"

struct checker {
    struct config *config; /* NULL: only the files are looked at */
    size_t definitions, problems, warnings;
};

static void usage(FILE *out)
{
    fprintf(out, "usage: reportd check [-c FILE] [--strict] PATH…\n\n"
                 "Check report definitions: files, and folders of *.sql files. Every problem is\n"
                 "one line, FILE:LINE: what is wrong and what to write; what works but is\n"
                 "probably not intended is a 'warning:'. The format: doc/definitions.md.\n\n"
                 "  -c, --config FILE  the configuration: ask the database of each definition\n"
                 "                     too, whether every statement compiles and may be run, and\n"
                 "                     which columns it gives; without a PATH, the reports folder\n"
                 "                     of the configuration is checked\n"
                 "  --strict           a warning counts as a problem\n"
                 "  -h, --help         print this\n\n"
                 "The exit status is 0 if there is no problem, 1 if there is one, 2 for wrong\n"
                 "usage.\n");
}

static void on_problem(void *context, const char *text)
{
    struct checker *checker = context;

    checker->problems++;
    printf("%s\n", text);
}

static void on_warning(struct checker *checker, const char *folder, const char *name,
                       const char *why)
{
    checker->warnings++;
    printf("%s/%s: warning: %s\n", folder, name, why);
}

/* By line, as the parser and the database have found them. */
static void print_problems(struct checker *checker, const char *file, struct problems *problems)
{
    problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++)
        printf("%s:%d: %s%s\n", file, problems->list[i].line,
               problems->list[i].warning ? "warning: " : "", problems->list[i].text);
    if (problems->dropped > 0)
        printf("%s: and %zu more\n", file, problems->dropped);
    checker->problems += problems->errors;
    checker->warnings += problems->count + problems->dropped - problems->errors;
}

/* A definition that parsed. */
static void check_definition(void *context, const struct definition *def)
{
    struct checker *checker = context;
    const char *url =
        checker->config != NULL ? config_source_url(checker->config, def->source) : NULL;
    enum check_engine engine = url == NULL                   ? CHECK_UNKNOWN
                               : str_starts(url, "postgres") ? CHECK_POSTGRES
                                                             : CHECK_SQLITE;
    struct problems problems = {0};

    checker->definitions++;
    check_sql(def, engine, &problems);
    if (url != NULL)
        check_database(def, engine, url, &problems);
    else if (checker->config != NULL)
        problems_add(&problems, def->source_line, false,
                     "there is no source '%.40s' in the configuration; add it there or correct the "
                     "name",
                     def->source);
    if (checker->config != NULL && def->retention_ms > checker->config->retention.number)
        problems_add(&problems, def->retention_line, true,
                     "the configuration's retention is shorter than this one, and holds; shorten "
                     "this one, or remove the line");
    print_problems(checker, def->file, &problems);
    problems_done(&problems);
}

/* ---- folders ---- */

/* What the catalog passes over. */
static void check_entry(struct checker *checker, const char *folder, const char *name,
                        size_t *definitions)
{
    size_t len = strlen(name);
    char path[4096];
    struct stat st;

    if (name[0] == '.' || snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
        return;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        on_warning(checker, folder, name,
                   "a folder inside of the reports folder is not read; move its files up");
    else if (len > 4 && str_eq(name + len - 4, ".sql"))
        ++*definitions;
    else if (len > 4 && str_eq_nocase(name + len - 4, ".sql"))
        on_warning(checker, folder, name, "is not read; the name must end in .sql");
}

static void check_entries(struct checker *checker, const char *folder)
{
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort);
    size_t definitions = 0;

    for (int i = 0; i < n; i++) {
        check_entry(checker, folder, names[i]->d_name, &definitions);
        free(names[i]);
    }
    if (n < 0)
        return;
    free(names);
    if (definitions > 0)
        return;
    checker->problems++;
    printf("%s: there is no definition; put a file here whose name ends in .sql\n", folder);
}

static const char *timezone_of(const struct checker *checker)
{
    return checker->config != NULL ? config_timezone(checker->config) : NULL;
}

static void check_folder(struct checker *checker, const char *folder)
{
    /* The catalog's own look at the sources is left out: check_definition() does it. */
    const struct catalog_spec spec = {.folder = folder,
                                      .timezone = timezone_of(checker),
                                      .problem = on_problem,
                                      .context = checker};
    struct catalog *catalog;
    struct err err = {0};

    if (catalog_new(&spec, &catalog, &err) != 0) {
        on_problem(checker, err.text);
        return;
    }
    check_entries(checker, folder);
    catalog_each(catalog, check_definition, checker);
    catalog_free(catalog);
}

static void check_path(struct checker *checker, const char *path)
{
    struct problems problems = {0};
    struct definition *def;
    struct err err = {0};
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        check_folder(checker, path);
        return;
    }
    if (definition_load(path, &problems, &def, &err) == 0) {
        if (definition_set_timezone(def, timezone_of(checker), &err) == 0)
            check_definition(checker, def);
        else
            on_problem(checker, err.text);
        definition_free(def);
    } else if (problems.count == 0) {
        on_problem(checker, err.text);
    }
    print_problems(checker, path, &problems);
    problems_done(&problems);
}

static int check_all(struct checker *checker, bool strict, char **paths, int count)
{
    for (int i = 0; i < count; i++)
        check_path(checker, paths[i]);
    if (count == 0)
        check_path(checker, checker->config->reports.text);
    printf("%zu definition%s, %zu problem%s", checker->definitions,
           checker->definitions == 1 ? "" : "s", checker->problems,
           checker->problems == 1 ? "" : "s");
    if (checker->warnings > 0)
        printf(", %zu warning%s", checker->warnings, checker->warnings == 1 ? "" : "s");
    printf("\n");
    return checker->problems == 0 && !(strict && checker->warnings > 0) ? EXIT_GOOD : EXIT_FAILED;
}

int verb_check(int argc, char **argv)
{
    const char *config = NULL;
    struct checker checker = {0};
    struct err err = {0};
    bool strict = false;
    const struct verb_option options[] = {
        {.name = "config", .text = &config}, {.name = "strict", .flag = &strict}, {0}};
    int status = options_read(&(struct verb_line){"check", usage, options}, argc, argv);

    if (status != 0)
        return status - 1;
    if (config == NULL && optind == argc)
        return options_wrong("check", "which files or folders?");
    if (config != NULL && config_load(config, &checker.config, &err) != 0) {
        fprintf(stderr, "reportd check: %s\n", err.text);
        return EXIT_FAILED;
    }
    status = check_all(&checker, strict, argv + optind, argc - optind);
    config_free(checker.config);
    return status;
}
