/* src/cli/check.c -- `reportd check`: reports what is wrong with report definitions, with file and
 * line. */
#include "cli/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/config.h"
#include "core/param.h"
#include "core/rights.h"
#include "http/tls.h"

/* The report that a file in the folder defines. */
struct entry {
    char *name, *file;
};

struct checker {
    struct config *config; /* NULL: only the files are checked */
    size_t definitions, problems, warnings;
    struct entry *entries; /* of the folder that is being checked */
    size_t entry_count;
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd check [-c FILE] [--strict] [PATH…]\n\n"
            "Check report definitions: files, and folders of *.sql files. Each problem is one\n"
            "line, FILE:LINE: what is wrong and what to write. A 'warning:' names what works\n"
            "but is probably not intended. The format: doc/definitions.md.\n\n"
            "  -c, --config FILE  the configuration: also check in each definition's\n"
            "                     database that every statement compiles and may be run,\n"
            "                     and which columns it returns; without a PATH, check the\n"
            "                     reports folder of the configuration\n"
            "  --strict           a warning counts as a problem\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if there is no problem, 1 if there is one, 2 for wrong\n"
            "usage.\n");
}

static void tell_problem(struct checker *checker, const char *text)
{
    checker->problems++;
    say_line(stdout, "%s", text);
}

/* In order of line, whether the parser or the database has found them. */
static void print_problems(struct checker *checker, const char *file, struct problems *problems)
{
    problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++)
        say_line(stdout, "%s:%d: %s%s", file, problems->list[i].line,
                 problems->list[i].warning ? "warning: " : "", problems->list[i].text);
    if (problems->dropped > 0)
        say_line(stdout, "%s: and %zu more", file, problems->dropped);
    checker->problems += problems->errors;
    checker->warnings += problems->count + problems->dropped - problems->errors;
}

/* Two reports in one folder cannot have the same name. */
static void check_twin(struct checker *checker, const struct definition *def,
                       struct problems *problems)
{
    struct entry *entries;

    for (size_t i = 0; i < checker->entry_count; i++) {
        if (str_eq(checker->entries[i].name, def->name))
            problems_add(problems, def->name_line, false,
                         "report '%.40s' is already defined in %s; give one of them another name",
                         def->name, checker->entries[i].file);
    }
    entries = realloc(checker->entries, (checker->entry_count + 1) * sizeof(*entries));
    if (entries == NULL)
        return;
    checker->entries = entries;
    entries[checker->entry_count++] =
        (struct entry){.name = strdup(def->name), .file = strdup(def->file)};
}

/* Only a warning, since on another day the default may be within the limits. */
static void check_defaults(const struct definition *def, struct problems *problems)
{
    struct err err = {0};
    struct buf value;

    buf_init(&value, ERR_TEXT_MAX);
    for (size_t i = 0; i < def->param_count; i++) {
        const struct param *param = &def->params[i];

        if (param->default_value != NULL &&
            param_default(def, param, clock_now_ms(), &value, &err) == -E_PARAM)
            problems_add(problems, param->line, true,
                         "today the default of '%s', %.40s, is not within its min and max, so that "
                         "a request has to give the parameter; change the limits or the default",
                         param->name, param->default_value);
        buf_reset(&value);
    }
    buf_done(&value);
}

static bool passes_on(const struct config *config, const char *claim)
{
    size_t len = strlen(claim);

    for (size_t i = 0; i < config->issuer_count; i++) {
        const char *name = config_find_claim(config->issuers[i].session_claims, claim, len);

        if (name != NULL && memcmp(claim, name, len) == 0)
            return true;
    }
    return false;
}

static void check_claims(const struct checker *checker, const struct definition *def,
                         struct problems *problems)
{
    for (size_t i = 0; i < def->claim_count && checker->config != NULL; i++) {
        const char *claim = def->claims[i] + strlen(DEFINITION_CLAIM_PREFIX);

        if (!passes_on(checker->config, claim))
            problems_add(problems, def->name_line, true,
                         "nobody can run this report: no issuer of the configuration has '%s' in "
                         "its session_claims",
                         claim);
    }
}

/* Check a definition that was parsed. */
static void check_definition(struct checker *checker, const struct definition *def,
                             struct problems *problems)
{
    const char *url =
        checker->config != NULL ? config_source_url(checker->config, def->source) : NULL;
    enum check_engine engine = url == NULL                   ? CHECK_UNKNOWN
                               : str_starts(url, "postgres") ? CHECK_POSTGRES
                                                             : CHECK_SQLITE;

    check_defaults(def, problems);
    check_sql(def, engine, problems);
    check_claims(checker, def, problems);
    if (url != NULL)
        check_database(def, engine, url, problems);
    else if (checker->config != NULL)
        problems_add(problems, def->source_line, false,
                     "there is no source '%.40s' in the configuration; add it there or correct the "
                     "name",
                     def->source);
    if (checker->config != NULL && def->retention_ms > checker->config->retention.number)
        problems_add(problems, def->retention_line, true,
                     "this retention is longer than the configuration's, which applies; shorten "
                     "it, or remove this line");
}

/* In a folder, its other files matter too. */
static void check_definition_file(struct checker *checker, const char *path, bool in_folder)
{
    const char *zone = checker->config != NULL ? config_timezone(checker->config) : NULL;
    struct problems problems = {0};
    struct definition *def = NULL;
    struct err err = {0};
    int rc = definition_load(path, &problems, &def, &err);

    checker->definitions += rc == 0 || rc == -E_DEFINITION;
    if (rc == 0)
        rc = definition_set_timezone(def, zone, &err);
    if (rc != 0 && problems.count == 0)
        tell_problem(checker, err.text);
    if (rc == 0 && in_folder)
        check_twin(checker, def, &problems);
    if (rc == 0)
        check_definition(checker, def, &problems);
    print_problems(checker, path, &problems);
    problems_done(&problems);
    definition_free(def);
}

/* ---- folders ---- */

/* A file that is not a definition, but may have been meant as one, is reported. */
static void check_entry(struct checker *checker, const char *path)
{
    const char *why = "this subfolder is not read; move its files into the reports folder";
    size_t len = strlen(path);
    struct stat st;
    bool found = stat(path, &st) == 0;

    if (!found || !S_ISDIR(st.st_mode)) {
        if (len <= 4 || !str_eq_nocase(path + len - 4, ".sql"))
            return;
        if (str_eq(path + len - 4, ".sql")) {
            /* A dangling link is read, and its problem is reported. */
            if (!found || S_ISREG(st.st_mode))
                check_definition_file(checker, path, true);
            return;
        }
        why = "this file is not read; rename it so that its name ends in .sql";
    }
    checker->warnings++;
    say_line(stdout, "%s: warning: %s", path, why);
}

static void forget_entries(struct checker *checker)
{
    for (size_t i = 0; i < checker->entry_count; i++) {
        free(checker->entries[i].name);
        free(checker->entries[i].file);
    }
    free(checker->entries);
    checker->entries = NULL;
    checker->entry_count = 0;
}

/* Check the files that a server would read, in its order, and report those that it would ignore. */
static void check_definition_folder(struct checker *checker, const char *folder)
{
    size_t len = strlen(folder), before = checker->definitions;
    struct dirent **names;
    char path[4096];
    struct err err = {0};
    int n = scandir(folder, &names, NULL, alphasort);

    if (n < 0) {
        err_errno(&err, -E_IO, "the folder %s cannot be read", folder);
        tell_problem(checker, err.text);
        return;
    }
    while (len > 1 && folder[len - 1] == '/')
        len--;
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.' && snprintf(path, sizeof(path), "%.*s/%s", (int)len, folder,
                                                   names[i]->d_name) < (int)sizeof(path))
            check_entry(checker, path);
        free(names[i]);
    }
    free(names);
    forget_entries(checker);
    if (checker->definitions > before)
        return;
    checker->problems++;
    say_line(stdout, "%.*s: this folder has no definition; add a file whose name ends in .sql",
             (int)len, folder);
}

static void check_path(struct checker *checker, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        check_definition_folder(checker, path);
    else
        check_definition_file(checker, path, false);
}

/* Check what would keep serve from starting. */
static void check_serving(struct checker *checker)
{
    const struct config *config = checker->config;
    struct tls *tls = NULL;
    struct err err = {0};

    if (rights_check(config, &err) < 0 || catalog_check_rights(config->reports.text, &err) < 0)
        tell_problem(checker, err.text);
    if (tls_open(config->tls_certificate.text, config->tls_key.text, &tls, &err) < 0)
        tell_problem(checker, err.text);
    tls_free(tls);
}

static int check_all(struct checker *checker, bool strict, char **paths, int count)
{
    for (int i = 0; i < count; i++)
        check_path(checker, paths[i]);
    if (checker->config != NULL)
        check_serving(checker);
    if (count == 0 && checker->config != NULL)
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
        say_line(stderr, "reportd check: %s", err.text);
        return EXIT_FAILED;
    }
    status = check_all(&checker, strict, argv + optind, argc - optind);
    config_free(checker.config);
    return status;
}
