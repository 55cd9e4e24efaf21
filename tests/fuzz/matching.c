/* tests/fuzz/matching.c -- limits of a value: a list takes exactly those that a scalar takes. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/param.h"

enum { TEXT_MAX = 16 << 10 };

/* The report of one parameter P, of which `rest` is what stands behind its type; NULL: no such. */
static struct definition *definition_of(const char *before, const char *type, const char *after,
                                        const char *rest, const char *where)
{
    static char text[TEXT_MAX];
    struct definition *def = NULL;
    struct err err;
    int len = snprintf(text, sizeof(text),
                       "-- report: R\n-- source: s\n-- parameter: P %s%s%s%s\n-- results\nSELECT 1 "
                       "WHERE 1 %s\n",
                       before, type, after, rest, where);

    if (len < 0 || len >= TEXT_MAX || definition_parse("f.sql", text, (size_t)len, &def, &err) != 0)
        return NULL;
    return def;
}

/* The canonical value of P, or NULL: refused. */
static char *taken(const struct definition *def, const char *value)
{
    json_t *given = json_pack("{s:s}", "P", value), *read;
    char *canonical = NULL, *ret = NULL;
    struct err err = {0};

    if (params_canonical(def, given, 0, &canonical, &err) == 0) {
        read = json_loads(canonical, 0, NULL);
        ret = strdup(json_string_value(json_object_get(read, "P")));
        json_decref(read);
    } else if (err.code != -E_PARAM || *err.text == '\0') {
        abort();
    }
    free(canonical);
    json_decref(given);
    return ret;
}

/* The same value alone and in a list of one, written as JSON: both taken or both refused. */
static void compare(const struct definition *one, const struct definition *list, const char *value)
{
    json_t *array = json_pack("[s]", value);
    char *text = array != NULL ? json_dumps(array, JSON_COMPACT) : NULL;
    char *alone, *listed, *again;

    json_decref(array);
    if (text == NULL) /* it is not UTF-8 */
        return;
    alone = taken(one, value);
    listed = taken(list, text);
    /* Empty is no value for most types, and a list's has at most as many bytes as it has itself. */
    if ((alone == NULL) != (listed == NULL) && strlen(text) <= 4096 && *value != '\0')
        abort();
    again = listed != NULL ? taken(list, listed) : NULL;
    if (listed != NULL && (again == NULL || strcmp(listed, again) != 0))
        abort();
    free(again);
    free(alone);
    free(listed);
    free(text);
}

/* The first line is a type and its limits, the others are values. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    char *rest = strchrnul(text, '\n'), *value = *rest == '\n' ? rest + 1 : rest;
    char *type_end, *limits, *next;
    struct definition *one, *list;

    *rest = '\0';
    type_end = text + strcspn(text, " \t");
    limits = *type_end != '\0' ? type_end + 1 : type_end;
    *type_end = '\0';
    one = definition_of("", text, " ", limits, "= :P");
    list = definition_of("list(", text, ") ", limits, "IN (:P)");
    for (; one != NULL && list != NULL && *value != '\0'; value = next) {
        next = strchrnul(value, '\n');
        if (*next == '\n')
            *next++ = '\0';
        compare(one, list, value);
    }
    definition_free(one);
    definition_free(list);
    free(text);
    return 0;
}
