/* src/cli/check_database.c -- a definition against its database: does every statement compile, may
 * it be run, and do its columns suit their declarations? */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/check.h"
#include "core/param.h"
#include "render/json_rows.h"
#include "render/json_value.h"
#include "source/source.h"

/* One definition against its database. */
struct probe {
    const struct definition *def;
    struct problems *problems;
    enum check_engine engine;
    struct source *source;
    struct param_value *values; /* every parameter, without a value */
    bool *column_found;         /* as def->columns */
    bool *column_alike;         /* there is one whose name is the same but for case */
    bool columns_known;         /* every statement that has some could be compiled */
    bool reachable;             /* false: the database is not, which has been told */
    int line;                   /* of the statement that the database is asked about */
};

/* Tell what source or render refused: the detail, which is for the one who writes the SQL, before
 * the words for users. source_query() puts the exact line before the detail. */
static void tell_err(struct probe *probe, int line, const struct err *err)
{
    const char *detail = err->detail;
    const char *text = str_eq(err->text, "The report's query failed.") ? "" : err->text;
    const char *behind;
    int exact = 0, skip = 0;

    if (sscanf(detail, "line %d: %n", &exact, &skip) == 1 && skip > 0) {
        line = exact;
        detail += skip;
    }
    if (strstr(detail, "operator does not exist: unknown + ") != NULL ||
        strstr(detail, "operator does not exist: text + ") != NULL)
        text = "To join texts, write ||.";
    behind = detail + strlen(detail) - (*detail != '\0');
    problems_add(probe->problems, line, false, "%s%s%s", *detail == '\0' ? err->text : detail,
                 *detail == '\0' || *text == '\0' ? ""
                 : strchr(".?!", *behind) != NULL ? " "
                                                  : ". ",
                 *detail == '\0' ? "" : text);
}

static void on_notice(void *context, const char *text)
{
    struct probe *probe = context;

    if (strstr(text, "(42622)") == NULL) /* a name that is cut: check_sql() knows the line */
        problems_add(probe->problems, probe->line, true, "postgresql: %s", text);
}

/* ---- columns ---- */

/* Is the column declared, and as what it can be? */
static void probe_column(struct probe *probe, const struct source_query *query, size_t i)
{
    const char *name = source_column_name(query, i);
    const struct column *column = definition_column(probe->def, name);
    char type[SOURCE_TYPE_TEXT];
    enum source_kind kind;
    struct err err = {0};

    for (size_t k = 0; k < probe->def->column_count; k++)
        probe->column_alike[k] |= str_eq_nocase(probe->def->columns[k].name, name);
    if (column == NULL)
        return;
    probe->column_found[column - probe->def->columns] = true;
    kind = source_column_type(query, i, type);
    if (json_value_suits(column, kind, type, &err) != 0)
        problems_add(probe->problems, column->line, false, "%s", err.text);
}

/* Those of results, a set or the summary: can they be rendered? */
static void probe_columns(struct probe *probe, const struct statement *statement,
                          const struct source_query *query)
{
    size_t count = source_columns(query);
    const char **names = calloc(count + 1, sizeof(*names));
    struct json_rows *rows = NULL;
    struct err err = {0};

    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = source_column_name(query, i);
        probe_column(probe, query, i);
    }
    if (names == NULL)
        problems_add(probe->problems, probe->line, false, "out of memory");
    else if (json_rows_new(probe->def, statement, names, count, &rows, &err) != 0)
        tell_err(probe, probe->line, &err);
    else
        check_columns(statement, names, count, statement == &probe->def->summary, probe->engine,
                      probe->problems);
    json_rows_free(rows);
    free(names);
}

static void tell_missing(struct probe *probe)
{
    const struct definition *def = probe->def;

    for (size_t i = 0; i < def->column_count; i++) {
        const char *name = def->columns[i].name;

        if (!probe->column_found[i] && probe->column_alike[i])
            problems_add(probe->problems, def->columns[i].line, false,
                         "no column is called '%s', but one differs only in case; write it "
                         "alike, in the SQL in double quotes: AS \"%s\"",
                         name, name);
        else if (!probe->column_found[i])
            problems_add(probe->problems, def->columns[i].line, false,
                         "no statement gives a column '%s'; correct the name or remove this line",
                         name);
    }
}

/* ---- statements ---- */

/* False: could not. */
static bool begin(struct probe *probe)
{
    const struct source_session session = {
        .user_name = "check", .reference = "check", .timezone = probe->def->timezone};
    struct err err = {0};

    if (source_begin(probe->source, &session, &err) == 0)
        return true;
    tell_err(probe, probe->def->source_line, &err);
    return false;
}

/* The query of a parameter's values gives a value and a label. */
static void probe_choices(struct probe *probe, const struct source_query *query,
                          const struct statement *statement)
{
    size_t count = source_columns(query);

    for (size_t i = 0; i < probe->def->param_count; i++) {
        if (&probe->def->params[i].values == statement && (count < 1 || count > 2))
            problems_add(probe->problems, statement->line, false,
                         "'-- values' gives %zu columns; select a value and a label", count);
    }
}

/* A transaction for each: in PostgreSQL one ends with the first statement that does not compile. */
static void probe_statement(struct probe *probe, const struct statement *statement, bool rendered)
{
    struct source_query *query = NULL;
    struct err err = {0};

    if (statement->sql == NULL || !probe->reachable)
        return;
    probe->line = probe->def->source_line;
    probe->reachable = begin(probe);
    if (!probe->reachable)
        return;
    probe->line = statement->line;
    if (source_query(probe->source, statement, probe->values, probe->def->param_count, &query,
                     &err) != 0) {
        tell_err(probe, statement->line, &err);
        probe->columns_known = probe->columns_known && !rendered;
    } else {
        if (rendered)
            probe_columns(probe, statement, query);
        probe_choices(probe, query, statement);
        if (source_rehearse(query, &err) != 0)
            tell_err(probe, statement->line, &err);
    }
    source_query_free(query);
    source_end(probe->source, &err); /* nothing was read that could have changed */
}

static void probe_statements(struct probe *probe)
{
    const struct definition *def = probe->def;

    for (size_t i = 0; i < def->param_count; i++)
        probe_statement(probe, &def->params[i].values, false);
    for (size_t i = 0; i < def->check_count; i++)
        probe_statement(probe, &def->checks[i].statement, false);
    probe_statement(probe, &def->results, true);
    for (size_t i = 0; i < def->set_count; i++)
        probe_statement(probe, &def->sets[i].statement, true);
    probe_statement(probe, &def->summary, true);
    if (probe->columns_known && probe->reachable)
        tell_missing(probe);
}

void check_database(const struct definition *def, enum check_engine engine, const char *url,
                    struct problems *problems)
{
    struct probe probe = {.def = def,
                          .problems = problems,
                          .engine = engine,
                          .columns_known = true,
                          .reachable = true};
    const struct source_spec spec = {.url = url, .notice = on_notice, .context = &probe};
    struct err err = {0};

    probe.values = calloc(def->param_count + 1, sizeof(*probe.values));
    probe.column_found = calloc(def->column_count + 1, sizeof(*probe.column_found));
    probe.column_alike = calloc(def->column_count + 1, sizeof(*probe.column_alike));
    for (size_t i = 0; probe.values != NULL && i < def->param_count; i++)
        probe.values[i] = (struct param_value){
            .name = def->params[i].name, .type = def->params[i].type, .list = def->params[i].list};
    if (probe.values == NULL || probe.column_found == NULL || probe.column_alike == NULL)
        problems_add(problems, 1, false, "out of memory");
    else if (source_open(&spec, &probe.source, &err) != 0)
        tell_err(&probe, def->source_line, &err);
    else
        probe_statements(&probe);
    source_free(probe.source);
    free(probe.column_found);
    free(probe.column_alike);
    free(probe.values);
}
