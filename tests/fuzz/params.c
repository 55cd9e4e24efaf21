/* tests/fuzz/params.c -- any JSON is made canonical or refused, and what is canonical stays so. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/param.h"

static const char text[] = "-- report: R\n-- source: s\n"
                           "-- parameter: i integer\n-- parameter: d date default today\n"
                           "-- parameter: s string\n-- parameter: n decimal\n"
                           "-- parameter: b boolean default false\n-- parameter: e enum(A|B)\n"
                           "-- parameter: l list(string)\n-- parameter: m list(decimal)\n"
                           "-- parameter: t timestamp default '2024-01-12 14:04'\n"
                           "-- parameter: u list(timestamp) min 1900-01-01T00:00:00Z\n"
                           "-- parameter: c string matching \"[a-z]{2}(x|y)*\"\n"
                           "-- timezone: Australia/Sydney\n"
                           "-- results\nSELECT :i, :d, :s, :n, :b, :e, :t, :c WHERE :s IN (:l) OR "
                           ":n IN (:m) OR :t IN (:u)\n";

/* The canonical form, yours to free(); NULL: refused. */
static char *canonical(const struct definition *def, const char *json, size_t len)
{
    json_t *given = json_loadb(json, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    struct err err = {0};
    char *got = NULL;

    if (given != NULL && params_canonical(def, given, 0, &got, &err) != 0 &&
        (err.code != -E_PARAM || *err.text == '\0'))
        abort();
    json_decref(given);
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct definition *def;
    struct err err;
    char *once, *twice;

    if (definition_parse("f.sql", text, sizeof(text) - 1, &def, &err) != 0)
        abort();
    once = canonical(def, (const char *)data, size);
    if (once != NULL) {
        struct param_value *values;

        twice = canonical(def, once, strlen(once));
        if (twice == NULL || strcmp(once, twice) != 0 ||
            params_values(def, once, &values, &err) != 0)
            abort();
        params_free(values, def->param_count);
        free(twice);
    }
    free(once);
    definition_free(def);
    return 0;
}
