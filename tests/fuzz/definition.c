/* tests/fuzz/definition.c -- any bytes parse as a definition, or are refused with a line. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/definition.h"
#include "core/sql_text.h"

/* Whatever the text: looking for names in it ends, and stays in it. */
static void find_aliases(const char *sql)
{
    static const char *const names[] = {
        "", "a.b", "c[].d", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.a"};
    bool found[sizeof(names) / sizeof(names[0])] = {0};

    sql_find_aliases(sql, names, sizeof(names) / sizeof(names[0]), found);
}

/* Its own first line is there, below those that stand in `-- with`. */
static void check_statement(const struct statement *statement)
{
    int lines = 0;

    find_aliases(statement->sql);
    for (const char *c = statement->sql; *c != '\0'; c++)
        lines += *c == '\n';
    if (statement->line < 1 || statement->above < 0 || lines < statement->above)
        abort();
}

/* What holds for every definition that was accepted. */
static void check_definition(const struct definition *def)
{
    if (def->name == NULL || def->source == NULL || def->results.sql == NULL ||
        *def->results.sql == '\0')
        abort();
    check_statement(&def->results);
    if (def->summary.sql != NULL)
        check_statement(&def->summary);
    for (size_t i = 0; i < def->set_count; i++) {
        if (def->sets[i].name == NULL || *def->sets[i].name == '\0')
            abort();
        check_statement(&def->sets[i].statement);
    }
    for (size_t i = 0; i < def->param_count; i++) {
        if (definition_param(def, def->params[i].name) != &def->params[i])
            abort();
    }
    for (size_t i = 0; i < def->check_count; i++) {
        if (def->checks[i].message == NULL || def->checks[i].statement.sql == NULL)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definition *def = NULL;
    struct err err = {0};
    int rc = definition_parse("f.sql", (const char *)data, size, &def, &err);

    if (rc == 0) {
        check_definition(def);
        definition_free(def);
    } else if (rc != -E_DEFINITION || strncmp(err.text, "f.sql:", 6) != 0) {
        abort();
    }
    return 0;
}
