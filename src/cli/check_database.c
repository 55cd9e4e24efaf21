/* src/cli/check_database.c -- checks a definition with its database: does every statement compile,
 * is it permitted, and do its columns fit their declarations? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/check.h"
#include "core/param_check.h"
#include "core/sql_text.h"
#include "render/json_rows.h"
#include "render/json_value.h"
#include "source/source.h"

enum {
    HINT_MAX = 192,         /* bytes */
    COLUMNS_TOLD_MAX = 256, /* if a statement has more, only the first mistake in a name is
                             * reported */
};

/* One definition and its database. */
struct probe {
    const struct definition *def;
    struct problems *problems;
    enum check_engine engine;
    struct source *source;
    struct param_value *values;        /* every parameter and claim, without a value */
    bool *column_found;                /* per declared column, as def->columns */
    bool *column_alike;                /* per declared column: there is one whose name differs only
                                        * in case */
    bool columns_known;                /* every statement with columns could be compiled */
    bool reachable;                    /* false: the database is not reachable, which was
                                        * reported */
    const struct statement *statement; /* the statement that the database is asked about; NULL:
                                        * none */
    int line;                          /* of the statement */
};

/* Does the statement contain the word as a quoted name, other than as an alias? */
static bool has_quoted(const struct statement *statement, const char *word, size_t len)
{
    struct sql_walk walk;
    struct sql_token token;
    bool found = false;

    sql_walk_init(&walk, statement->sql, strlen(statement->sql), 1);
    for (bool as = false; sql_walk_solid(&walk, &token); as = sql_is_word(&token, "as"))
        found |= !as && token.kind == SQL_QUOTED && strchr("\"`", *token.text) != NULL &&
                 token.len == len + 2 && memcmp(token.text + 1, word, len) == 0;
    return found;
}

/* The probable meaning of what the database does not understand; "": unknown. */
static const char *hint(const struct probe *probe, const char *detail, char room[HINT_MAX])
{
    static const char sqlite[] = "no such column: ", postgres[] = "column \"";
    const char *word;
    size_t len;

    if (strstr(detail, "operator does not exist: unknown + ") != NULL ||
        strstr(detail, "operator does not exist: text + ") != NULL)
        return "To join texts, write ||.";
    if (strstr(detail, "unrecognized token: \":\"") != NULL)
        return "SQLite has no x::type; write CAST(x AS type).";
    if (strstr(detail, "\"#\"") != NULL)
        return "A comment begins with --.";
    if (strstr(detail, "‘") != NULL || strstr(detail, "’") != NULL || strstr(detail, "“") != NULL)
        return "Write straight quotes: 'text', \"name\".";
    if ((word = strstr(detail, sqlite)) != NULL)
        len = strcspn(word += strlen(sqlite), " ");
    else if ((word = strstr(detail, postgres)) != NULL && strstr(word, "not exist") != NULL)
        len = strcspn(word += strlen(postgres), "\"");
    else
        return "";
    if (probe->statement == NULL || len > DEFINITION_NAME_MAX ||
        !has_quoted(probe->statement, word, len))
        return "";
    snprintf(room, HINT_MAX, "If it is a text, write it in single quotes: '%.*s'.", (int)len, word);
    return room;
}

/* Report what the source refused: the detail, which is for the author of the SQL, before the
 * message for users. source_query() puts the exact line before the detail. */
static void tell_err(struct probe *probe, int line, const struct err *err)
{
    const char *detail = err->detail, *text = err->text;
    char room[HINT_MAX];
    int exact = 0, skip = 0;

    if (*detail == '\0') {
        problems_add(probe->problems, line, false, "%s", text);
        return;
    }
    if (sscanf(detail, "line %d: %n", &exact, &skip) == 1 && skip > 0) {
        line = exact;
        detail += skip;
    }
    if (str_eq(detail, "sqlite: not authorized (23)")) {
        detail = "the statement is not a SELECT; a report only reads";
        text = "";
    }
    if (str_eq(text, "The report's query failed."))
        text = hint(probe, detail, room);
    problems_add(probe->problems, line, false, "%s%s%s", detail,
                 *text == '\0'                                       ? ""
                 : strchr(".?!", detail[strlen(detail) - 1]) != NULL ? " "
                                                                     : ". ",
                 text);
}

static void on_notice(void *context, const char *text)
{
    struct probe *probe = context;

    if (strstr(text, "(42622)") == NULL) /* a truncated name: check_sql() knows its line */
        problems_add(probe->problems, probe->line, true, "postgresql: %s", text);
}

/* ---- columns ---- */

/* Is the column declared, and does the type fit? */
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

/* The line on which the statement gives the column its name, with AS. */
static int line_of(const struct statement *statement, const char *name)
{
    struct sql_walk walk;
    struct sql_token token;
    size_t len = strlen(name);
    int line = statement->line;

    sql_walk_init(&walk, statement->sql, strlen(statement->sql),
                  statement->line - statement->above);
    for (bool as = false; sql_walk_solid(&walk, &token); as = sql_is_word(&token, "as")) {
        if (as && token.kind == SQL_QUOTED && token.len == len + 2 &&
            memcmp(token.text + 1, name, len) == 0)
            line = token.line;
    }
    return line;
}

/* Do the columns fit together in the JSON? If not, the last of them is reported. */
static bool have_place(struct probe *probe, const char *const *names, size_t count, bool tell)
{
    struct json_rows *rows = NULL;
    struct err err = {0};
    bool good = json_rows_new(probe->def, probe->statement, names, count, &rows, &err) == 0;
    size_t len = strlen(err.text);

    if (!good && tell) /* "The column 'x' appears twice." */
        problems_add(probe->problems, line_of(probe->statement, names[count - 1]), false, "%c%.*s",
                     *err.text == 'T' ? 't' : *err.text, (int)(len > 2 ? len - 2 : len),
                     err.text + 1);
    json_rows_free(rows);
    return good;
}

/* Each column that does not fit is reported, and left out for the columns after it. */
static void tell_names(struct probe *probe, const char **names, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        names[kept] = names[i];
        kept += have_place(probe, names, kept + 1, true);
    }
}

static void check_result_names(struct probe *probe, const char **names, size_t count)
{
    const struct statement *statement = probe->statement;
    bool good = have_place(probe, names, count, count > COLUMNS_TOLD_MAX), arrays = false;

    for (size_t i = 0; i < count; i++)
        arrays |= strstr(names[i], "[]") != NULL;
    if (good || !arrays) /* the order of arrays matters only once the columns fit */
        check_columns(statement, names, count, statement == &probe->def->summary, probe->engine,
                      probe->problems);
    if (!good && count <= COLUMNS_TOLD_MAX)
        tell_names(probe, names, count);
}

/* For results, a set or the summary: can the columns be rendered? */
static void probe_columns(struct probe *probe, const struct source_query *query)
{
    size_t count = source_columns(query);
    const char **names = calloc(count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = source_column_name(query, i);
        probe_column(probe, query, i);
    }
    if (names == NULL)
        problems_add(probe->problems, probe->line, false, "out of memory");
    else
        check_result_names(probe, names, count);
    free(names);
}

static void tell_missing(struct probe *probe)
{
    const struct definition *def = probe->def;

    for (size_t i = 0; i < def->column_count; i++) {
        const char *name = def->columns[i].name;

        if (!probe->column_found[i] && *name == '"')
            problems_add(probe->problems, def->columns[i].line, false,
                         "no statement returns a column '%s'; write the name without quotes", name);
        else if (!probe->column_found[i] && probe->column_alike[i])
            problems_add(probe->problems, def->columns[i].line, false,
                         "no statement returns a column '%s', but one that differs in case; use "
                         "the same case, in the SQL in double quotes: AS \"%s\"",
                         name, name);
        else if (!probe->column_found[i])
            problems_add(probe->problems, def->columns[i].line, false,
                         "no statement returns a column '%s'; correct the name or remove this line",
                         name);
    }
}

/* ---- statements ---- */

/* False: it failed. */
static bool begin_probe(struct probe *probe)
{
    const struct source_session session = {
        .user_name = "check", .reference = "check", .timezone = probe->def->timezone};
    struct err err = {0};

    if (source_begin(probe->source, &session, &err) == 0)
        return true;
    tell_err(probe, probe->def->source_line, &err);
    return false;
}

/* The query for a parameter's values has to return a value and a label. */
static void probe_choices(struct probe *probe, const struct source_query *query,
                          const struct statement *statement)
{
    size_t count = source_columns(query);

    for (size_t i = 0; i < probe->def->param_count; i++) {
        if (&probe->def->params[i].values == statement && (count < 1 || count > 2))
            problems_add(probe->problems, statement->line, false,
                         "'-- values' returns %zu columns; select a value and a label", count);
    }
}

/* One transaction per statement: in PostgreSQL a statement that does not compile ends it. */
static void probe_statement(struct probe *probe, const struct statement *statement, bool rendered)
{
    struct source_query *query = NULL;
    struct err err = {0};

    if (statement->sql == NULL || !probe->reachable)
        return;
    probe->line = probe->def->source_line;
    probe->statement = NULL;
    probe->reachable = begin_probe(probe);
    if (!probe->reachable)
        return;
    probe->line = statement->line;
    probe->statement = statement;
    if (source_query(probe->source, statement, probe->values,
                     probe->def->param_count + probe->def->claim_count, &query, &err) != 0) {
        tell_err(probe, statement->line, &err);
        probe->columns_known = probe->columns_known && !rendered;
    } else {
        if (rendered)
            probe_columns(probe, query);
        probe_choices(probe, query, statement);
        if (source_rehearse(query, &err) != 0)
            tell_err(probe, statement->line, &err);
    }
    source_query_free(query);
    source_end(probe->source, &err); /* cannot matter: no rows were read */
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

    probe.values = calloc(def->param_count + def->claim_count + 1, sizeof(*probe.values));
    probe.column_found = calloc(def->column_count + 1, sizeof(*probe.column_found));
    probe.column_alike = calloc(def->column_count + 1, sizeof(*probe.column_alike));
    for (size_t i = 0; probe.values != NULL && i < def->param_count; i++)
        probe.values[i] = (struct param_value){
            .name = def->params[i].name, .type = def->params[i].type, .list = def->params[i].list};
    for (size_t i = 0; probe.values != NULL && i < def->claim_count; i++)
        probe.values[def->param_count + i] =
            (struct param_value){.name = def->claims[i], .type = PARAM_STRING};
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
