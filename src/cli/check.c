/* src/cli/check.c -- `reportd check`: what is wrong with report definitions, with file and line. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/config.h"
#include "core/definition.h"
#include "render/json_rows.h"
#include "source/source.h"

struct checker {
    struct config *config; /* NULL: only the files are looked at */
    int definitions, problems;
};

/* One definition against its database. */
struct probe {
    struct checker *checker;
    const struct definition *def;
    struct source *source;
    struct param_value *values; /* every parameter, without a value */
    bool *column_found;         /* as def->columns */
    bool columns_known;         /* every statement that has some could be compiled */
    bool reachable;             /* false: the database is not, which has been told */
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd check [-c FILE] PATH…\n\n"
            "Check report definitions: files, and folders of *.sql files. Every problem is one\n"
            "line, FILE:LINE: what is wrong and what to write. The format: doc/definitions.md.\n\n"
            "  -c FILE   the configuration: open the source of each definition too, compile\n"
            "            every statement and check the names of the columns; without a PATH,\n"
            "            the reports folder of the configuration is checked\n"
            "  --help    print this\n\n"
            "The exit status is 0 if there is no problem, 1 if there is one, 2 for wrong usage.\n");
}

static void on_problem(void *context, const char *text)
{
    struct checker *checker = context;

    checker->problems++;
    printf("%s\n", text);
}

__attribute__((format(printf, 4, 5))) static void
tell(struct checker *checker, const struct definition *def, int line, const char *format, ...)
{
    va_list args;

    checker->problems++;
    printf("%s:%d: ", def->file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* Tell what source or render refused: the detail, which is for the one who writes the SQL, before
 * the words for users. source_query() puts the exact line before the detail. */
static void tell_err(struct probe *probe, int line, const struct err *err)
{
    const char *detail = err->detail;
    int exact = 0, skip = 0;

    if (sscanf(detail, "line %d: %n", &exact, &skip) == 1 && skip > 0) {
        line = exact;
        detail += skip;
    }
    tell(probe->checker, probe->def, line, "%s%s%s", detail, *detail != '\0' ? ". " : "",
         err->text);
}

/* The columns of results or summary: can they be rendered, and which declared ones are there? */
static void probe_columns(struct probe *probe, const struct source_query *query, int line)
{
    size_t count = source_columns(query);
    const char **names = calloc(count + 1, sizeof(*names));
    struct json_rows *rows = NULL;
    struct err err = {0};

    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = source_column_name(query, i);
        for (size_t k = 0; k < probe->def->column_count; k++)
            probe->column_found[k] |= strcmp(probe->def->columns[k].name, names[i]) == 0;
    }
    if (names == NULL)
        tell(probe->checker, probe->def, line, "out of memory");
    else if (json_rows_new(probe->def, names, count, &rows, &err) != 0)
        tell_err(probe, line, &err);
    json_rows_free(rows);
    free(names);
}

/* False: could not. */
static bool begin(struct probe *probe)
{
    const struct source_session session = {.user_name = "check", .reference = "check"};
    struct err err = {0};

    if (source_begin(probe->source, &session, &err) == 0)
        return true;
    tell_err(probe, probe->def->source_line, &err);
    return false;
}

/* A transaction for each: in PostgreSQL one ends with the first statement that does not compile. */
static void probe_statement(struct probe *probe, const struct statement *statement, bool rendered)
{
    struct source_query *query = NULL;
    struct err err = {0};

    if (!probe->reachable || !(probe->reachable = begin(probe)))
        return;
    if (source_query(probe->source, statement, probe->values, probe->def->param_count, &query,
                     &err) != 0) {
        tell_err(probe, statement->line, &err);
        probe->columns_known = probe->columns_known && !rendered;
    } else if (rendered) {
        probe_columns(probe, query, statement->line);
    }
    source_query_free(query);
    source_end(probe->source, &err); /* nothing was read that could have changed */
}

static void probe_statements(struct probe *probe)
{
    const struct definition *def = probe->def;

    for (size_t i = 0; i < def->check_count; i++)
        probe_statement(probe, &def->checks[i].statement, false);
    probe_statement(probe, &def->results, true);
    for (size_t i = 0; i < def->set_count; i++)
        probe_statement(probe, &def->sets[i].statement, true);
    if (def->summary.sql != NULL)
        probe_statement(probe, &def->summary, true);
    for (size_t i = 0; probe->columns_known && probe->reachable && i < def->column_count; i++) {
        if (!probe->column_found[i])
            tell(probe->checker, def, def->columns[i].line,
                 "neither results nor summary has a column '%s'; correct the name or remove this "
                 "line",
                 def->columns[i].name);
    }
}

/* Every statement, compiled by the database with all parameters NULL. */
static void probe_source(struct probe *probe, const char *url)
{
    const struct definition *def = probe->def;
    const struct source_spec spec = {.url = url};
    struct err err = {0};

    if (source_open(&spec, &probe->source, &err) != 0) {
        tell_err(probe, def->source_line, &err);
        return;
    }
    probe_statements(probe);
    source_free(probe->source);
}

/* A definition that parsed. */
static void check_definition(void *context, const struct definition *def)
{
    struct checker *checker = context;
    struct probe probe = {.checker = checker, .def = def, .columns_known = true, .reachable = true};
    const char *url;

    checker->definitions++;
    if (checker->config == NULL)
        return;
    url = config_source_url(checker->config, def->source);
    probe.values = calloc(def->param_count + 1, sizeof(*probe.values));
    probe.column_found = calloc(def->column_count + 1, sizeof(*probe.column_found));
    for (size_t i = 0; probe.values != NULL && i < def->param_count; i++)
        probe.values[i] = (struct param_value){
            .name = def->params[i].name, .type = def->params[i].type, .list = def->params[i].list};
    if (probe.values == NULL || probe.column_found == NULL)
        tell(checker, def, 1, "out of memory");
    else if (url == NULL)
        tell(checker, def, def->source_line,
             "there is no such source in the configuration; add it there or correct the name");
    else
        probe_source(&probe, url);
    free(probe.column_found);
    free(probe.values);
}

static void check_folder(struct checker *checker, const char *folder)
{
    /* The catalog's own look at the sources is left out: check_definition() does it. */
    const struct catalog_spec spec = {.folder = folder, .problem = on_problem, .context = checker};
    struct catalog *catalog;
    struct err err = {0};

    if (catalog_new(&spec, &catalog, &err) != 0) {
        on_problem(checker, err.text);
        return;
    }
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
        check_definition(checker, def);
        definition_free(def);
    } else if (problems.count == 0) {
        on_problem(checker, err.text);
    }
    for (size_t i = 0; i < problems.count; i++) {
        problem_err(&problems.list[i], path, &err);
        on_problem(checker, err.text);
    }
    problems_done(&problems);
}

static int check_all(struct checker *checker, char **paths, int count)
{
    for (int i = 0; i < count; i++)
        check_path(checker, paths[i]);
    if (count == 0)
        check_path(checker, checker->config->reports.text);
    printf("%d definition%s, %d problem%s\n", checker->definitions,
           checker->definitions == 1 ? "" : "s", checker->problems,
           checker->problems == 1 ? "" : "s");
    return checker->problems == 0 ? EXIT_GOOD : EXIT_FAILED;
}

int verb_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *config = NULL;
    struct checker checker = {0};
    struct err err = {0};
    int c, status;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout);
            return EXIT_GOOD;
        }
        if (c != 'c') {
            fprintf(stderr, "try: reportd check --help\n");
            return EXIT_USAGE;
        }
        config = optarg;
    }
    if (config == NULL && optind == argc) {
        fprintf(stderr, "reportd check: which files or folders? try: reportd check --help\n");
        return EXIT_USAGE;
    }
    if (config != NULL && config_load(config, &checker.config, &err) != 0) {
        fprintf(stderr, "reportd check: %s\n", err.text);
        return EXIT_FAILED;
    }
    status = check_all(&checker, argv + optind, argc - optind);
    config_free(checker.config);
    return status;
}
