/* tests/definition_text.h -- a definition in a test: it parses, or is refused with these words. */
#ifndef TESTS_DEFINITION_TEXT_H
#define TESTS_DEFINITION_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/definition.h"

#define HEAD "-- report: R\n-- source: s\n"
#define BODY "-- results\nSELECT 1"

static inline struct definition *parsed(const char *text)
{
    struct definition *def = NULL;
    struct err err = {0};

    if (definition_parse("t.sql", text, strlen(text), &def, &err) != 0)
        fail_msg("refused: %s\n%s", err.text, text);
    return def;
}

static inline void expect_parsed(const char *text)
{
    definition_free(parsed(text));
}

/* A problem must begin with `place` and contain `words`. */
static inline void expect_refused_bytes(const char *text, size_t len, const char *place,
                                        const char *words)
{
    struct definition *def = (void *)1;
    struct problems problems = {0};
    struct err first = {0}, err = {0};
    bool found = false;

    if (definition_parse_all("t.sql", text, len, &problems, &def, &first) != -E_DEFINITION)
        fail_msg("not refused: %s", text);
    assert_ptr_equal(def, (void *)1);
    for (size_t i = 0; i < problems.count; i++) {
        problem_err(&problems.list[i], "t.sql", &err);
        assert_true(i > 0 || strcmp(err.text, first.text) == 0);
        found |= strncmp(err.text, place, strlen(place)) == 0 && strstr(err.text, words) != NULL;
    }
    if (!found)
        fail_msg("no \"%s … %s …\" but \"%s\" of\n%s", place, words, first.text, text);
    problems_done(&problems);
}

static inline void expect_refused(const char *text, const char *place, const char *words)
{
    expect_refused_bytes(text, strlen(text), place, words);
}

#endif
