/* tests/fuzz/check.c -- whatever a definition says, `reportd check` reads its SQL to the end. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "cli/check.h"
#include "cli/check_shape.h"

enum { COLUMNS_MAX = 64 };

static const char *const names[] = {
    "a",     "b",        "a[].b",    "a[].b[].c", "count(*)", "?column?",
    "a.b",   "",         "x\"y",     "[",         "rowid",    "a name that is longer than most",
    "count", "a[].c[].", "\xc3\xa4",
};

/* As many columns as the statement seems to have, called at random. */
static void check_statement(const struct statement *statement, size_t seed,
                            struct problems *problems)
{
    const char *columns[COLUMNS_MAX];
    struct shape shape;
    size_t count;

    if (statement->sql == NULL)
        return;
    if (!shape_init(&shape, statement))
        abort();
    count = shape.item_count < COLUMNS_MAX ? shape.item_count : COLUMNS_MAX;
    shape_done(&shape);
    for (size_t i = 0; i < count; i++)
        columns[i] = names[(seed + i * 7) % (sizeof(names) / sizeof(names[0]))];
    check_columns(statement, columns, count, seed % 3 == 0,
                  seed % 2 ? CHECK_POSTGRES : CHECK_SQLITE, problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problems problems = {0};
    struct definition *def = NULL;
    struct err err = {0};

    if (definition_parse("f.sql", (const char *)data, size, &def, &err) != 0)
        return 0;
    for (int engine = CHECK_UNKNOWN; engine <= CHECK_POSTGRES; engine++)
        check_sql(def, (enum check_engine)engine, &problems);
    check_statement(&def->results, size, &problems);
    check_statement(&def->summary, size + 1, &problems);
    for (size_t i = 0; i < def->set_count; i++)
        check_statement(&def->sets[i].statement, size + i, &problems);
    problems_done(&problems);
    definition_free(def);
    return 0;
}
