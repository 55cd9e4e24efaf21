/* tests/unit/definition_sections_test.c -- the sections of a definition: their order, and what is
 * put before their statements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "definition_text.h"

static void a_section_has_exactly_one_statement(void **state)
{
    (void)state;
    expect_parsed(HEAD BODY " ; -- done\n/* really */\n");
    expect_refused(HEAD BODY ";\nSELECT 2", "t.sql:5: ", "a second statement");
    expect_refused(HEAD BODY ";;", "t.sql:4: ", "a second statement");
    expect_refused(HEAD "-- results\n;", "t.sql:4: ", "is empty");
    expect_refused(HEAD "-- results\n-- nothing\n", "t.sql:3: ", "has no statement");
    expect_refused(HEAD "-- check: x\n" BODY, "t.sql:3: ", "has no statement");
}

static void sections_stand_in_order_and_results_once(void **state)
{
    (void)state;
    expect_refused(HEAD, "t.sql:3: ", "without a '-- results'");
    expect_refused(HEAD "-- check: x\nSELECT 1", "t.sql:4: ", "without a '-- results'");
    expect_refused(HEAD BODY "\n" BODY, "t.sql:5: ", "duplicate");
    expect_refused(HEAD "-- summary\nSELECT 1\n" BODY, "t.sql:3: ", "comes before '-- results'");
    expect_refused(HEAD BODY "\n-- summary\nSELECT 1\n-- summary\nSELECT 1",
                   "t.sql:7: ", "duplicate");
    expect_refused(HEAD BODY "\n-- check: x\nSELECT 1", "t.sql:5: ", "move it up");
    expect_refused(HEAD "SELECT 1;\n" BODY, "t.sql:3: ", "before the first section");
}

/* The results of a definition whose with section begins in line 4 and which begin in line 7. */
static void joins(const char *with, const char *results, const char *expected)
{
    char text[512];
    struct definition *def;

    snprintf(text, sizeof(text), HEAD "-- with\n%s\n\n-- results\n%s\n", with, results);
    def = parsed(text);
    assert_string_equal(def->results.sql, expected);
    definition_free(def);
}

static void what_stands_in_with_goes_before_results_and_summary(void **state)
{
    struct definition *def = parsed(HEAD "-- with\n"
                                         "-- Why.\n"
                                         "a AS (SELECT 1 AS x), -- first\n"
                                         "b AS (SELECT 2)\n"
                                         "-- Nothing more.\n"
                                         "-- check: m\n"
                                         "SELECT 1;\n"
                                         "-- results\n"
                                         "SELECT x\n"
                                         "FROM a;\n"
                                         "-- summary\n"
                                         "WITH c AS (SELECT 3) SELECT * FROM c");

    (void)state;
    assert_int_equal(def->with.line, 5);
    assert_string_equal(def->checks[0].statement.sql, "SELECT 1");
    assert_int_equal(def->checks[0].statement.above, 0);
    assert_string_equal(def->results.sql, "WITH a AS (SELECT 1 AS x), -- first\n"
                                          "b AS (SELECT 2)\n\n\n\n\n SELECT x\nFROM a");
    assert_int_equal(def->results.line, 11);
    assert_int_equal(def->results.above, 6);
    assert_string_equal(def->summary.sql,
                        "WITH a AS (SELECT 1 AS x), -- first\n"
                        "b AS (SELECT 2)\n\n\n\n\n\n\n\n,  c AS (SELECT 3) SELECT * FROM c");
    assert_int_equal(def->summary.line, 14);
    definition_free(def);
}

static void a_statement_with_its_own_with_gets_both(void **state)
{
    (void)state;
    joins("a AS (SELECT 1)", "WITH b AS (SELECT 2) SELECT * FROM a, b",
          "WITH a AS (SELECT 1)\n\n\n,  b AS (SELECT 2) SELECT * FROM a, b");
    joins("a AS (SELECT 1)", "with Recursive b AS (SELECT 2) SELECT 3",
          "WITH RECURSIVE a AS (SELECT 1)\n\n\n,  b AS (SELECT 2) SELECT 3");
    joins("recursive a AS (SELECT 1)", "WITH b AS (SELECT 2) SELECT 3",
          "WITH RECURSIVE  a AS (SELECT 1)\n\n\n,  b AS (SELECT 2) SELECT 3");
    joins("RECURSIVE a AS (SELECT 1)", "SELECT 3",
          "WITH RECURSIVE  a AS (SELECT 1)\n\n\n SELECT 3");
    joins("a AS (SELECT 1)", "WITH -- why\n/* or\n */ RECURSIVE\n b AS (SELECT 2) SELECT 3",
          "WITH RECURSIVE a AS (SELECT 1)\n\n\n\n\n, \n b AS (SELECT 2) SELECT 3");
    joins("a AS (SELECT 1)", "WITH recursives AS (SELECT 2) SELECT 3",
          "WITH a AS (SELECT 1)\n\n\n,  recursives AS (SELECT 2) SELECT 3");
    joins("a AS (SELECT 1)", "withal", "WITH a AS (SELECT 1)\n\n\n withal");
}

static void with_holds_named_queries_and_nothing_else(void **state)
{
    (void)state;
    expect_refused(HEAD "-- with\n" BODY, "t.sql:3: ", "has no statement");
    expect_refused(HEAD "-- with\na AS (SELECT 1);\n" BODY, "t.sql:4: ", "has a semicolon");
    expect_refused(HEAD "-- with\n\nWITH a AS (SELECT 1)\n" BODY,
                   "t.sql:5: ", "leave the word out");
    expect_refused(HEAD "-- with\nSELECT 1\n" BODY, "t.sql:4: ", "name AS (SELECT …)");
    expect_refused(HEAD "-- with\na AS (SELECT 1),\n" BODY, "t.sql:4: ", "ends in a comma");
    expect_refused(HEAD "-- with\na AS (SELECT :P)\n" BODY, "t.sql:4: ", "'-- parameter: P TYPE'");
    expect_refused(HEAD "-- with recursive\na AS (SELECT 1)\n" BODY,
                   "t.sql:3: ", "write '-- with'");
    expect_refused(HEAD "-- With:\na AS (SELECT 1)\n" BODY, "t.sql:3: ", "write '-- with'");
    expect_refused(HEAD BODY "\n-- with\na AS (SELECT 1)", "t.sql:5: ", "move it up");
    expect_refused(HEAD "-- check: m\nSELECT 1\n-- with\na AS (SELECT 1)\n" BODY,
                   "t.sql:5: ", "the order of sections is with, values, checks, results");
    expect_refused(HEAD "-- with\na AS (SELECT 1)\n-- with\nb AS (SELECT 1)\n" BODY,
                   "t.sql:5: ", "duplicate");
    expect_parsed(HEAD "-- parameter: P integer\n-- with\na AS (SELECT :P AS x)\n" BODY);
}

static void values_are_a_select_for_a_parameter(void **state)
{
    struct definition *def =
        parsed(HEAD "-- parameter: A list(integer)\n-- parameter: B string\n"
                    "-- with\na AS (SELECT 1)\n-- values: B\nSELECT :session_user;\n"
                    "-- values: A\nSELECT 1, 'x'\n-- check: m\nSELECT 1\n" BODY
                    " WHERE 1 IN (:A) OR :B = ''");

    (void)state;
    assert_string_equal(def->params[0].values.sql, "SELECT 1, 'x'");
    assert_int_equal(def->params[0].values.line, 10);
    assert_string_equal(def->params[1].values.sql, "SELECT :session_user");
    definition_free(def);
#define ONE(type) HEAD "-- parameter: P " type "\n"
    expect_refused(ONE("string") "-- values: Q\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:4: ", "no parameter of this report");
    expect_refused(ONE("string") "-- values:\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:4: ", "write '-- values: PARAMETER'");
    expect_refused(ONE("string") "-- Values P\nSELECT 1\n-- value: P\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:6: ", "write '-- values: PARAMETER'");
    expect_refused(ONE("boolean") "-- values: P\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:4: ", "is of type boolean");
    expect_refused(ONE("enum(A|B)") "-- values: P\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:4: ", "is of type enum");
    expect_refused(ONE("string") "-- values: P\nSELECT 1\n-- values: P\nSELECT 2\n" BODY
                                 " WHERE :P",
                   "t.sql:6: ", "duplicate");
    expect_refused(ONE("string") "-- values: P\nSELECT 1\nWHERE :P\n" BODY " WHERE :P",
                   "t.sql:6: ", "cannot use :P");
    expect_refused(ONE("string") "-- values: P\n" BODY " WHERE :P",
                   "t.sql:4: ", "has no statement");
    expect_refused(ONE("string") "-- check: m\nSELECT 1\n-- values: P\nSELECT 1\n" BODY " WHERE :P",
                   "t.sql:6: ", "move it up");
    expect_refused(ONE("string") "-- values: P\nSELECT 1\n" BODY, "t.sql:3: ", "P");
}

static void sets_stand_between_results_and_summary(void **state)
{
    struct definition *def = parsed(HEAD "-- with\na AS (SELECT 1)\n" BODY ";\n"
                                         "-- set: byCountry\nSELECT 2;\n"
                                         "-- set: byDay\nSELECT 3\n"
                                         "-- summary\nSELECT 4");

    (void)state;
    assert_int_equal(def->set_count, 2);
    assert_string_equal(def->sets[0].name, "byCountry");
    assert_string_equal(def->sets[0].statement.sql, "WITH a AS (SELECT 1)\n\n\n\n SELECT 2");
    assert_int_equal(def->sets[0].statement.line, 8);
    assert_string_equal(def->sets[1].name, "byDay");
    assert_string_equal(def->sets[1].statement.sql, "WITH a AS (SELECT 1)\n\n\n\n\n\n SELECT 3");
    definition_free(def);
    expect_refused(HEAD "-- set: a\nSELECT 1\n" BODY, "t.sql:3: ", "comes before '-- results'");
    expect_refused(HEAD BODY "\n-- summary\nSELECT 1\n-- set: a\nSELECT 1",
                   "t.sql:7: ", "move it up");
    expect_refused(HEAD BODY "\n-- Set: a\nSELECT 1", "t.sql:5: ", "write '-- set: NAME'");
    expect_refused(HEAD BODY "\n-- sets: a\nSELECT 1", "t.sql:5: ", "write '-- set: NAME'");
    expect_refused(HEAD BODY "\n-- set:\nSELECT 1", "t.sql:5: ", "nothing after the colon");
    expect_refused(HEAD BODY "\n-- set: a\n", "t.sql:5: ", "has no statement");
    expect_parsed(HEAD BODY "\n-- settle: it is a comment\n");
}

static void a_set_has_a_name_of_its_own(void **state)
{
    static const char *const taken[] = {"results",       "summary", "parameters", "reportName",
                                        "generatedDate", "Summary", "twice",      "TWICE"};
    char text[4096];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        snprintf(text, sizeof(text), HEAD BODY "\n-- set: twice\nSELECT 1\n-- set: %s\nSELECT 1",
                 taken[i]);
        expect_refused(text, "t.sql:7: ", "give the set another name");
    }
    expect_refused(HEAD BODY "\n-- set: by country\nSELECT 1",
                   "t.sql:5: ", "is not a valid name for a set");
    expect_refused(HEAD BODY "\n-- set: 2nd\nSELECT 1",
                   "t.sql:5: ", "is not a valid name for a set");
    expect_refused(HEAD BODY "\n-- set: a\"b\nSELECT 1",
                   "t.sql:5: ", "is not a valid name for a set");
    len = (size_t)snprintf(text, sizeof(text), HEAD BODY);
    for (int i = 0; i < DEFINITION_SETS_MAX + 1; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\n-- set: s%d\nSELECT 1", i);
    expect_refused(text, "t.sql:69: ", "more than 32 sets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_has_exactly_one_statement),
        cmocka_unit_test(sections_stand_in_order_and_results_once),
        cmocka_unit_test(what_stands_in_with_goes_before_results_and_summary),
        cmocka_unit_test(a_statement_with_its_own_with_gets_both),
        cmocka_unit_test(with_holds_named_queries_and_nothing_else),
        cmocka_unit_test(values_are_a_select_for_a_parameter),
        cmocka_unit_test(sets_stand_between_results_and_summary),
        cmocka_unit_test(a_set_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
