/* tests/fuzz/definition.c -- any bytes parse as a definition, or are refused with a line. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/definition.h"

/* What holds for every definition that was accepted. */
static void check_definition(const struct definition *def)
{
    if (def->name == NULL || def->source == NULL || def->results.sql == NULL ||
        *def->results.sql == '\0' || def->results.line < 1)
        abort();
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
