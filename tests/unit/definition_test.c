/* tests/unit/definition_test.c -- a definition says what it says, or its error says what to write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "core/definition.h"
#include "core/sql_text.h"
#include "definition_text.h"

/* The problems of the text, "LINE: …" each, are exactly those. */
static void expect_problems(const char *text, const char *wanted)
{
    struct definition *def;
    struct problems problems = {0};
    struct err err = {0};
    struct buf told;

    buf_init(&told, 1 << 16);
    assert_int_equal(definition_parse_all("t.sql", text, strlen(text), &problems, &def, &err),
                     -E_DEFINITION);
    for (size_t i = 0; i < problems.count; i++)
        buf_add_format(&told, "%d: %s\n", problems.list[i].line, problems.list[i].text);
    assert_string_equal(buf_str(&told), wanted);
    buf_done(&told);
    problems_done(&problems);
}

static void the_example_of_the_format_is_read_whole(void **state)
{
    struct definition *def =
        parsed("-- report: EntityBalanceReport\n"
               "-- description: Balance of every entity.\n"
               "-- source: registry\n"
               "-- parameter: ProductID integer required      \"The product to report on\"\n"
               "-- parameter: ToDate date default today       \"Balances as at this date\"\n"
               "-- parameter: IncludeClosingBalances boolean default false\n"
               "-- timeout: 10m\n"
               "-- row limit: 1000\n"
               "-- size limit: 64K\n"
               "-- column: totalBalance decimal(2)\n"
               "-- column: accounts[].balance decimal(18)\n"
               "\n"
               "-- check: Product :ProductID does not exist.\n"
               "SELECT 1 FROM product WHERE product_id = :ProductID;\n"
               "\n"
               "-- results\n"
               "-- A remark.\n"
               "SELECT :ToDate AS a, -- another :Remark\n"
               "       :IncludeClosingBalances AS b;\n"
               "\n"
               "-- summary\n"
               "SELECT 1 AS c\n");

    (void)state;
    assert_string_equal(def->name, "EntityBalanceReport");
    assert_string_equal(def->description, "Balance of every entity.");
    assert_string_equal(def->source, "registry");
    assert_int_equal(def->name_line, 1);
    assert_int_equal(def->source_line, 3);
    assert_int_equal(def->timeout_ms, 600000);
    assert_int_equal(def->row_limit, 1000);
    assert_int_equal(def->size_limit, 65536);
    assert_int_equal(def->param_count, 3);
    assert_true(def->params[0].required);
    assert_int_equal(def->params[0].type, PARAM_INTEGER);
    assert_null(def->params[0].default_value);
    assert_string_equal(def->params[0].description, "The product to report on");
    assert_string_equal(def->params[1].default_value, "today");
    assert_false(def->params[2].required);
    assert_string_equal(def->params[2].description, "");
    assert_int_equal(def->column_count, 2);
    assert_int_equal(definition_column(def, "accounts[].balance")->scale, 18);
    assert_int_equal(def->columns[1].line, 11);
    assert_int_equal(def->check_count, 1);
    assert_string_equal(def->checks[0].message, "Product :ProductID does not exist.");
    assert_string_equal(def->checks[0].statement.sql,
                        "SELECT 1 FROM product WHERE product_id = :ProductID");
    assert_int_equal(def->checks[0].statement.line, 14);
    assert_string_equal(def->results.sql, "SELECT :ToDate AS a, -- another :Remark\n"
                                          "       :IncludeClosingBalances AS b");
    assert_int_equal(def->results.line, 18);
    assert_string_equal(def->summary.sql, "SELECT 1 AS c");
    assert_int_equal(def->summary.line, 22);
    definition_free(def);
}

static void the_least_definition_is_a_name_a_source_and_results(void **state)
{
    struct definition *def = parsed(HEAD BODY);

    (void)state;
    assert_string_equal(def->description, "");
    assert_null(def->summary.sql);
    assert_int_equal(def->timeout_ms, 0);
    definition_free(def);
}

static void line_ends_of_windows_and_a_byte_order_mark_are_fine(void **state)
{
    struct definition *def =
        parsed("\xef\xbb\xbf-- report: R\r\n-- source: s\r\n-- results\r\nSELECT 1;\r\n");

    (void)state;
    assert_string_equal(def->name, "R");
    assert_string_equal(def->results.sql, "SELECT 1");
    definition_free(def);
}

static void plain_comments_and_links_are_no_annotations(void **state)
{
    (void)state;
    expect_parsed("-- Report of all things, as agreed with sales.\n"
                  "-- https://example.org/why\n"
                  "--\n"
                  "-- What this is about and for whom: everybody.\n"
                  "/* report: no\n-- summary\n*/\n" HEAD BODY);
}

static void every_problem_is_told_once_and_in_order(void **state)
{
    char many[PROBLEMS_MAX * 20], *at = many;
    struct problems problems = {0};
    struct definition *def;
    struct err err = {0};

    (void)state;
    expect_problems(
        "-- source: s t\n-- parameter: a int\n-- parameter: b date\n-- timeout: 5\n"
        "-- check:\nSELECT 1 FROM t WHERE x = :x OR y = :x;\n"
        "-- results\nSELECT 1; SELECT :z, :a; SELECT 3\n"
        "-- row limit: 0\n-- results\nSELECT 1\n-- Summary\nSELECT 1\n",
        "1: 's t' is not a valid name for a source; write the one word that the configuration "
        "calls it by\n"
        "1: the report has no name; write '-- report: NAME' at the top\n"
        "2: 'int' is not a parameter type; write integer\n"
        "3: nothing uses parameter 'b'; use :b in the SQL or remove this line\n"
        "4: '5' is not a valid timeout; write a number and its unit, such as 500ms, 30s, 10m or "
        "2h, at most 7d\n"
        "5: '-- check:' has nothing after the colon; write '-- check: MESSAGE'\n"
        "6: :x is not declared; add '-- parameter: x TYPE' at the top of the file, or "
        "correct the name\n"
        "8: '-- results' has a second statement; write one per section, with at most one "
        "semicolon, at its end\n"
        "8: :z is not declared; add '-- parameter: z TYPE' at the top of the file, or "
        "correct the name\n"
        "9: '-- row limit: 0' comes after '-- results'; annotations belong at the top "
        "of the file, before the first section\n"
        "10: duplicate '-- results'; remove one, or combine them\n"
        "12: '-- Summary' is not understood; write '-- summary'\n");
    /* What is read in spite of a problem is no second one. */
    expect_problems("SELECT :a\n-- parameter: a integer\n" HEAD,
                    "1: SQL comes before the first section; write '-- results' (or '-- check: "
                    "MESSAGE') above it\n"
                    "2: '-- parameter: a integer' comes after 'the first SQL'; annotations belong "
                    "at the top of the file, before the first section\n"
                    "3: '-- report: R' comes after 'the first SQL'; annotations belong at the top "
                    "of the file, before the first section\n"
                    "4: '-- source: s' comes after 'the first SQL'; annotations belong at the top "
                    "of the file, before the first section\n");
    expect_problems(HEAD "-- parameter: a date\n-- results\nSELECT 'x\n, :a FROM t\n-- summary\n",
                    "5: the quote or comment that begins here is never closed; close it\n");
    for (int i = 0; i < PROBLEMS_MAX + 5; i++)
        at += sprintf(at, "-- timeout %d\n", i);
    assert_int_equal(definition_parse_all("t.sql", many, strlen(many), &problems, &def, &err),
                     -E_DEFINITION);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_int_equal(problems.errors, PROBLEMS_MAX + 8); /* no name, no source, no results */
    assert_int_equal(problems.dropped, 8);
    problems_done(&problems);
}

static void a_misspelt_annotation_is_refused_with_the_right_one(void **state)
{
    (void)state;
    expect_refused(HEAD "-- tiemout: 5m\n" BODY, "t.sql:3: ", "write '-- timeout: …'");
    expect_parsed(HEAD "-- author: A. Uthor\n-- see also: the wiki\n-- tiemouts: 5m\n" BODY);
    expect_refused(HEAD "-- timout: 5m\n" BODY, "t.sql:3: ", "write '-- timeout: …'");
    expect_refused(HEAD "-- row limits: 5\n" BODY, "t.sql:3: ", "is not understood");
    expect_refused("-- Report: R\n-- source: s\n" BODY, "t.sql:1: ", "is not understood");
    expect_refused(HEAD "-- timeout 5m\n" BODY, "t.sql:3: ", "the colon is missing");
    expect_refused(HEAD "-- description:\n" BODY, "t.sql:3: ", "has no value");
}

static void a_misspelt_section_is_refused(void **state)
{
    static const char *const slips[] = {
        "-- Results",   "-- result",   "-- results:", "-- RESULTS:", "-- check",
        "-- checks: x", "-- Check: x", "-- check:",   "-- Summary"};

    (void)state;
    for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), HEAD "%s\nSELECT 1", slips[i]);
        expect_refused(text, "t.sql:3: ", "write");
        snprintf(text, sizeof(text), HEAD BODY "\n%s\nSELECT 1", slips[i]);
        expect_refused(text, "t.sql:5: ", "");
    }
}

static void an_annotation_behind_a_section_is_refused(void **state)
{
    (void)state;
    expect_refused(HEAD BODY " AS a\n-- column: a json\n", "t.sql:5: ", "before the first section");
}

static void name_and_source_are_required(void **state)
{
    (void)state;
    expect_refused("-- source: s\n" BODY, "t.sql:1: ", "'-- report: NAME'");
    expect_refused("-- report: R\n" BODY, "t.sql:1: ", "'-- source: NAME'");
    expect_refused("", "t.sql:1: ", "'-- report: NAME'");
}

static void an_annotation_that_stands_once_may_not_stand_twice(void **state)
{
    static const char *const twice[] = {"report: A",   "source: b",    "description: c",
                                        "timeout: 1s", "row limit: 1", "size limit: 1K"};

    (void)state;
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), "-- %s\n-- %s\n" BODY, twice[i], twice[i]);
        expect_refused(text, "t.sql:2: ", "duplicate");
    }
}

static void a_report_has_a_plain_name(void **state)
{
    static const char *const bad[] = {"1a", "_a", "a-b", "a b", "\xc3\xa4", "a\"b", "a/b"};
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "-- report: %s\n-- source: s\n" BODY, bad[i]);
        expect_refused(text, "t.sql:1: ", "is not a valid name for a report");
    }
    snprintf(text, sizeof(text), "-- report: %0128d\n-- source: s\n" BODY, 1);
    memset(text + 11, 'a', 128);
    expect_parsed(text);
    snprintf(text, sizeof(text), "-- report: %0129d\n-- source: s\n" BODY, 1);
    memset(text + 11, 'a', 129);
    expect_refused(text, "t.sql:1: ", "at most 128");
}

static void limits_and_timeout_are_numbers_above_zero(void **state)
{
    static const char *const bad[] = {"timeout: 0",   "timeout: 5",     "timeout: 8d",
                                      "timeout: -1s", "row limit: 0",   "row limit: 1K",
                                      "row limit: x", "size limit: -1", "size limit: 1 K"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), HEAD "-- %s\n" BODY, bad[i]);
        expect_refused(text, "t.sql:3: ", "write a number");
    }
}

static struct definition *with_parameter(const char *rest)
{
    char text[1000];

    snprintf(text, sizeof(text), HEAD "-- parameter: P %s\n" BODY " + :P", rest);
    return parsed(text);
}

static void refused_parameter(const char *rest, const char *words)
{
    char text[1000];

    snprintf(text, sizeof(text), HEAD "-- parameter: %s\n" BODY " + :P", rest);
    expect_refused(text, "t.sql:3: ", words);
}

static void a_default_may_be_quoted(void **state)
{
    static const char *const cases[][2] = {
        {"string default abc", "abc"},      {"string default 'a b' \"d\"", "a b"},
        {"string default 'it''s'", "it's"}, {"string default ''", ""},
        {"string default today", "today"},  {"integer default -5", "-5"},
        {"decimal default 1.50", "1.50"},   {"date default 2024-02-29", "2024-02-29"},
        {"enum(A|B) default B", "B"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct definition *def = with_parameter(cases[i][0]);

        assert_string_equal(def->params[0].default_value, cases[i][1]);
        definition_free(def);
    }
}

static void a_default_must_be_of_its_type(void **state)
{
    static const char *const bad[] = {
        "P integer default x", "P integer default today", "P date default 2024-02-30",
        "P boolean default 1", "P enum(A|B) default C",   "P decimal default 1e5",
        "P string default 'x", "P integer default ''",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused_parameter(bad[i], "is not a valid default");
    refused_parameter("P string default", "'default' is not followed by a value");
    refused_parameter("P string default \"x\"", "a default is written without double quotes");
}

static void an_enum_lists_its_values(void **state)
{
    struct definition *def =
        with_parameter("enum(Deposit| Not started |C) required \"d \"\"e\"\"\"");

    (void)state;
    assert_int_equal(def->params[0].allowed_count, 3);
    assert_string_equal(def->params[0].allowed[1], "Not started");
    assert_true(def->params[0].required);
    assert_string_equal(def->params[0].description, "d \"e\"");
    definition_free(def);
    refused_parameter("P enum(A||B)", "is empty");
    refused_parameter("P enum()", "is empty");
    refused_parameter("P enum(A|B|A)", "duplicate");
    refused_parameter("P enum(A|B", "is not closed");
    refused_parameter("P enum(A)B", "is not closed");
    refused_parameter("P enum", "type");
}

static void a_list_is_of_scalar_values(void **state)
{
    struct definition *def = parsed(HEAD "-- parameter: A list(integer) default 1,2\n"
                                         "-- parameter: B list(enum(x y|z)) default '' \"of ()\"\n"
                                         "-- parameter: C list(string) required\n" BODY
                                         " WHERE 1 IN (:A) OR 'x' NOT IN (:B) AND :C IS NOT NULL");

    (void)state;
    assert_true(def->params[0].list);
    assert_int_equal(def->params[0].type, PARAM_INTEGER);
    assert_string_equal(def->params[0].default_value, "1,2");
    assert_int_equal(def->params[1].allowed_count, 2);
    assert_string_equal(def->params[1].default_value, "");
    assert_string_equal(def->params[1].description, "of ()");
    assert_true(def->params[2].required);
    definition_free(def);
    refused_parameter("A list", "'list' is not a parameter type");
    refused_parameter("A list(integer", "list of 'A' is not closed; write list(integer)");
    refused_parameter("A list(integer)required", "list of 'A' is not closed");
    refused_parameter("A list(enum(a|b)", "list of 'A' is not closed");
    refused_parameter("A list(list(integer))", "a list cannot hold lists");
    refused_parameter("A list(int)", "'int' is not a parameter type");
    refused_parameter(
        "A list(integer) default 1,x",
        "'1,x' is not a valid default for 'A'; use a list with commas, each value an integer");
    refused_parameter("A list(date) default today", "is not a valid default for 'A'");
}

static void a_list_stands_only_where_it_means_something(void **state)
{
    static const char *const good[] = {
        "SELECT 1 WHERE 1 IN (:L)",
        "SELECT 1 WHERE 1 not\n in /* */ ( -- x\n :L )",
        "SELECT :L IS NULL",
        "SELECT 1, :L is not null",
        "SELECT 1 WHERE (:L IS NULL OR 1 IN (:L)) AND NOT :L IS NULL",
        "SELECT CASE WHEN :L IS NULL THEN 1 END",
    };
    static const char *const wrong[] = {
        "SELECT :L",
        "SELECT 1 WHERE 1 = :L",
        "SELECT 1 WHERE 1 IN :L",
        "SELECT 1 WHERE 1 IN (2, :L)",
        "SELECT 1 WHERE 1 IN (:L, 2)",
        "SELECT 1 WHERE 1 IN (:L || '')",
        "SELECT 1 WHERE f(:L)",
        "SELECT 1 WHERE \"IN\" (:L)",
        "SELECT 1 WHERE 1 = :L IS NULL",
        "SELECT (:L) IS NULL",
        "SELECT 1 WHERE :L IS",
        "SELECT 1 WHERE :L IS NOT",
        "SELECT 1 WHERE 1 IN (:L) OR count(:L) > 1",
        "SELECT 1 WHERE 1 IN (:L",
    };
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(text, sizeof(text), HEAD "-- parameter: L list(integer)\n-- results\n%s", good[i]);
        expect_parsed(text);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), HEAD "-- parameter: L list(integer)\n-- results\n\n%s",
                 wrong[i]);
        expect_refused(text, "t.sql:6: ", ":L is a list; write IN (:L), NOT IN (:L) or :L IS NULL");
    }
}

static void a_parameter_line_has_nothing_it_does_not_know(void **state)
{
    (void)state;
    refused_parameter("P", "has no type; write one");
    refused_parameter("P int", "write integer");
    refused_parameter("P intger", "type");
    refused_parameter("integer P", "the name comes before the type; write P integer");
    refused_parameter(":P integer", "without a colon before its name; write P");
    refused_parameter("P integer Required", "is not understood");
    refused_parameter("P integer required default 5", "is required, so its default is never used");
    refused_parameter("P integer required \"a", "in double quotes");
    refused_parameter("P integer \"a\" required", "in double quotes");
    refused_parameter("9P integer", "is not a valid name for a parameter");
    refused_parameter("session_user string", "session_user");
    expect_refused(HEAD "-- parameter: P integer\n-- parameter: P date\n" BODY "+ :P",
                   "t.sql:4: ", "duplicate parameter");
}

static void columns_have_a_type(void **state)
{
    struct definition *def = parsed(HEAD "-- column: a.b decimal(0)\n-- column: Two Words  json\n"
                                         "-- column: c boolean\n-- column: d string\n"
                                         "-- column: e scaled(18)\n" BODY);

    (void)state;
    assert_int_equal(definition_column(def, "a.b")->type, COLUMN_DECIMAL);
    assert_int_equal(definition_column(def, "Two Words")->type, COLUMN_JSON);
    assert_int_equal(definition_column(def, "c")->type, COLUMN_BOOLEAN);
    assert_int_equal(definition_column(def, "d")->type, COLUMN_STRING);
    assert_int_equal(definition_column(def, "e")->type, COLUMN_SCALED);
    assert_int_equal(definition_column(def, "e")->scale, 18);
    assert_null(definition_column(def, "D"));
    definition_free(def);
    expect_refused(HEAD "-- column: a decimal(19)\n" BODY, "t.sql:3: ", "from 0 to 18");
    expect_refused(HEAD "-- column: a decimal\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a decimal(-1)\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a decimal(2)x\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a scaled()\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a scaled(+2)\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a scaled(19)\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a money\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: json\n" BODY, "t.sql:3: ", "a type");
    expect_refused(HEAD "-- column: a json\n-- column: a json\n" BODY, "t.sql:4: ", "duplicate");
}

static struct definition *with_column(const char *rest)
{
    char text[512];

    snprintf(text, sizeof(text), HEAD "-- column: %s\n" BODY, rest);
    return parsed(text);
}

/* NULL for what is not there. */
static void declares(const char *rest, const char *name, int type, const char *label,
                     const char *unit)
{
    struct definition *def = with_column(rest);
    const struct column *column = &def->columns[0];

    assert_int_equal(def->column_count, 1);
    assert_string_equal(column->name, name);
    assert_int_equal(column->type, type);
    assert_int_equal(column->label != NULL, label != NULL);
    assert_int_equal(column->unit != NULL, unit != NULL);
    if (label != NULL)
        assert_string_equal(column->label, label);
    if (unit != NULL)
        assert_string_equal(column->unit, unit);
    definition_free(def);
}

static void a_column_has_a_label_and_a_unit(void **state)
{
    (void)state;
    declares("balance decimal(2) \"Closing balance\" AUD", "balance", COLUMN_DECIMAL,
             "Closing balance", "AUD");
    declares("a[].b scaled(4)\t\"B\"", "a[].b", COLUMN_SCALED, "B", NULL);
    declares("my total json  \"Sum: \"all\"\"  %", "my total", COLUMN_JSON, "Sum: \"all\"", "%");
    declares("a json \"Say \"\"hi\"\", \"\"\" %", "a", COLUMN_JSON, "Say \"hi\", \"", "%");
    declares("day \"Day of the order\"", "day", COLUMN_ANY, "Day of the order", NULL);
    declares("my  day \"Day\" UTC", "my  day", COLUMN_ANY, "Day", "UTC");
    declares("units decimal(2) units", "units", COLUMN_DECIMAL, NULL, "units");
    declares("my total decimal(2)", "my total", COLUMN_DECIMAL, NULL, NULL);
    declares("json \"JSON\"", "json", COLUMN_ANY, "JSON", NULL);
    declares("e string \"\"", "e", COLUMN_STRING, "", NULL);
    declares("a decimal(2) json", "a decimal(2)", COLUMN_JSON, NULL, NULL);
    expect_refused(HEAD "-- column: a Decimal(2) \"A\"\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a decimal(19) \"A\"\n" BODY, "t.sql:3: ", "type");
    expect_refused(HEAD "-- column: a decimal(2) \"A\" AUD each\n" BODY,
                   "t.sql:3: ", "is not a valid unit");
    expect_refused(HEAD "-- column: a decimal(2) \"A\" "
                        "123456789012345678901234567890123\n" BODY,
                   "t.sql:3: ", "at most 32 bytes");
    expect_refused(HEAD "-- column: a decimal(2) \"A\n" BODY, "t.sql:3: ", "the label");
    expect_refused(HEAD "-- column: \"A\"\n" BODY, "t.sql:3: ", "a label");
    expect_refused(HEAD "-- column: a json \"A\"\n-- column: a \"B\"\n" BODY,
                   "t.sql:4: ", "duplicate");
}

static void a_retention_is_a_time(void **state)
{
    struct definition *def = parsed(HEAD "-- retention: 90m\n" BODY);

    (void)state;
    assert_int_equal(def->retention_ms, 5400000);
    definition_free(def);
    expect_refused(HEAD "-- retention: 1\n" BODY, "t.sql:3: ", "is not a valid retention");
    expect_refused(HEAD "-- retention: 999ms\n" BODY, "t.sql:3: ", "from 1s to 365d");
    expect_refused(HEAD "-- retention: 366d\n" BODY, "t.sql:3: ", "is not a valid retention");
    expect_refused(HEAD "-- retention: 1h\n-- retention: 2h\n" BODY, "t.sql:4: ", "duplicate");
}

static void a_name_that_is_not_declared_is_refused_with_its_line(void **state)
{
    (void)state;
    expect_refused(HEAD BODY "\n + :Prodct\n", "t.sql:5: ", "'-- parameter: Prodct TYPE'");
    expect_refused(HEAD "-- check: Is :Who there?\nSELECT 1\n" BODY, "t.sql:3: ", ":Who");
    expect_refused(HEAD "-- check: :session_user may not.\nSELECT 1\n" BODY,
                   "t.sql:3: ", ":session_user");
    expect_parsed(HEAD BODY " + :session_user");
    expect_parsed(HEAD "-- check: At 12:30 a::b, a : b:\nSELECT 1\n" BODY);
    expect_refused(HEAD BODY " + :Session_User", "t.sql:4: ", "not declared");
}

static void a_parameter_that_nothing_uses_is_refused(void **state)
{
    (void)state;
    expect_refused(HEAD "-- parameter: P integer\n" BODY " -- :P",
                   "t.sql:3: ", "nothing uses parameter 'P'");
    expect_refused(HEAD "-- parameter: P integer\n" BODY " + ':P'",
                   "t.sql:5: ", ":P inside quotes is text");
    expect_parsed(HEAD "-- parameter: P integer\n-- check: :P\nSELECT 1\n" BODY);
    expect_parsed(HEAD "-- parameter: P integer\n" BODY "\n-- summary\nSELECT :P");
}

static void names_in_quotes_and_comments_are_no_parameters(void **state)
{
    static const char *const fine[] = {
        "':x'",
        "'it''s :x'",
        "\":x\"",
        "`:x`",
        "[:x]",
        "a::int",
        "/* :x */ 1",
        "1 -- :x\n",
        "$$ :x $$",
        "$t$ :x $$ $t$",
        "E'\\' :x'",
        "'\n-- results\n'",
        "/*\n-- summary\n*/ 1",
        "a := 1",
        "x[1:2]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), HEAD BODY ", %s;", fine[i]);
        expect_parsed(text);
    }
}

static void parameters_are_found_where_quotes_end(void **state)
{
    static const char *const uses[] = {
        "'a' || :x",
        "'\\' || :x",
        "\"a\"+:x",
        "[a]+:x",
        "a::int+:x",
        "/**/:x",
        "--\n:x",
        "$$a$$||:x",
        "a$1 + :x",
        "array[:x]",
        "(:x)",
        "a$b$ || :x || '$b$'",
        "array[[:x], [2]]",
        "array[[1, 2], [3]] + :x",
        "array[[1], [:x]]",
        "(f)[:x]",
        "E'\\\\'||:x",
        "/* ' */ :x",
        "'/*' || :x",
        "-:x",
        ":x::date",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), HEAD "-- parameter: x integer\n" BODY ", %s;", uses[i]);
        expect_parsed(text);
    }
}

static void what_is_not_closed_is_refused_where_it_begins(void **state)
{
    static const char *const open[] = {"'a", "\"a", "`a", "[a", "/* a", "$$ a", "$x$ $$", "e'\\'"};

    (void)state;
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        char text[200];

        snprintf(text, sizeof(text), HEAD BODY ",\n %s\n-- summary\nSELECT 1", open[i]);
        expect_refused(text, "t.sql:5: ", "never closed");
    }
}

static void bytes_that_are_no_text_are_refused_with_their_line(void **state)
{
    static const char nul[] = HEAD "-- results\nSELECT '\0'";

    (void)state;
    expect_refused_bytes(nul, sizeof(nul) - 1, "t.sql:4: ", "NUL");
    expect_refused(HEAD "-- description: caf\xe9\n" BODY, "t.sql:3: ", "not UTF-8");
    expect_parsed(HEAD "-- description: caf\xc3\xa9\n" BODY);
}

/* Add `text` with `number` for its '#'. */
static void add_numbered(struct buf *b, const char *text, size_t number)
{
    size_t n = strcspn(text, "#");

    buf_add(b, text, n);
    buf_add_format(b, "%zu%s", number, text + n + 1);
}

/* HEAD, up to one `line` too many, and a body with as many `use`s: the last is refused. */
static void refused_beyond(const char *line, size_t most, const char *use, const char *words)
{
    struct buf text;
    struct definition *def;
    struct err err = {0};

    buf_init(&text, 1 << 20);
    for (size_t count = most; count <= most + 1; count++) {
        int rc;

        buf_reset(&text);
        buf_add_str(&text, HEAD);
        for (size_t i = 0; i < count; i++)
            add_numbered(&text, line, i);
        buf_add_str(&text, BODY);
        for (size_t i = 0; use != NULL && i < count; i++)
            add_numbered(&text, use, i);
        rc = definition_parse("t.sql", text.data, text.len, &def, &err);
        assert_int_equal(rc, count == most ? 0 : -E_DEFINITION);
        if (rc == 0)
            definition_free(def);
    }
    assert_non_null(strstr(err.text, words));
    buf_done(&text);
}

static void there_is_a_most_of_everything(void **state)
{
    struct buf text;

    (void)state;
    refused_beyond("-- parameter: p# integer\n", DEFINITION_PARAMETERS_MAX, "+ :p#",
                   "more than 64");
    refused_beyond("-- column: p# json\n", DEFINITION_COLUMNS_MAX, NULL, "more than 256");
    refused_beyond("-- check: #\nSELECT 1\n", DEFINITION_CHECKS_MAX, NULL, "more than 32");
    buf_init(&text, 2 << 20);
    buf_add_str(&text, HEAD BODY);
    while (text.len < DEFINITION_FILE_MAX)
        buf_add_char(&text, ' ');
    expect_parsed(text.data);
    buf_add_char(&text, ' ');
    expect_refused(text.data, "t.sql:1: ", "larger than 1048576");
    buf_reset(&text);
    buf_add_str(&text, HEAD "-- parameter: P enum(v");
    for (int i = 1; i < DEFINITION_ENUM_MAX; i++)
        buf_add_format(&text, "|%d", i);
    buf_add_str(&text, "|x)\n" BODY " + :P");
    expect_refused(text.data, "t.sql:3: ", "more than 64 values");
    buf_done(&text);
}

static void a_long_path_leaves_room_for_the_words(void **state)
{
    char path[2000];
    struct definition *def;
    struct err err = {0};

    (void)state;
    memset(path, 'x', sizeof(path));
    strcpy(path + sizeof(path) - 7, "/r.sql");
    assert_int_equal(definition_parse(path, BODY, strlen(BODY), &def, &err), -E_DEFINITION);
    assert_non_null(strstr(err.text, "/r.sql:1: the report has no name; write"));
}

static void a_file_is_loaded_or_says_why_not(void **state)
{
    char folder[] = "/tmp/definition_test.XXXXXX", file[64];
    struct problems problems = {0};
    struct definition *def;
    struct err err = {0};
    FILE *out;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/a.sql", folder);
    assert_int_equal(definition_load(file, &problems, &def, &err), -E_IO);
    assert_non_null(strstr(err.text, "a.sql"));
    assert_int_equal(definition_load(folder, &problems, &def, &err), -E_IO);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_int_equal(definition_load(file, &problems, &def, &err), -E_IO);
    unlink(file);
    out = fopen(file, "w");
    assert_non_null(out);
    fputs(HEAD BODY, out);
    fclose(out);
    assert_int_equal(definition_load(file, &problems, &def, &err), 0);
    assert_string_equal(def->file, file);
    assert_string_equal(def->text, HEAD BODY);
    definition_free(def);
    unlink(file);
    rmdir(folder);
}

static void a_walk_gives_every_token_with_its_line(void **state)
{
    static const char sql[] = "a 'x\ny' :p\n ;--c\n/*d*/";
    static const struct {
        enum sql_kind kind;
        int line;
        bool starts_line;
    } want[] = {
        {SQL_OTHER, 7, true},     {SQL_QUOTED, 7, false},       {SQL_PARAMETER, 8, false},
        {SQL_SEMICOLON, 9, true}, {SQL_LINE_COMMENT, 9, false}, {SQL_BLOCK_COMMENT, 10, true},
    };
    struct sql_walk walk;
    struct sql_token token;

    (void)state;
    sql_walk_init(&walk, sql, strlen(sql), 7);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_true(sql_walk_next(&walk, &token));
        assert_int_equal(token.kind, want[i].kind);
        assert_int_equal(token.line, want[i].line);
        assert_int_equal(token.starts_line, want[i].starts_line);
    }
    assert_false(sql_walk_next(&walk, &token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_format_is_read_whole),
        cmocka_unit_test(the_least_definition_is_a_name_a_source_and_results),
        cmocka_unit_test(line_ends_of_windows_and_a_byte_order_mark_are_fine),
        cmocka_unit_test(plain_comments_and_links_are_no_annotations),
        cmocka_unit_test(every_problem_is_told_once_and_in_order),
        cmocka_unit_test(a_misspelt_annotation_is_refused_with_the_right_one),
        cmocka_unit_test(a_misspelt_section_is_refused),
        cmocka_unit_test(an_annotation_behind_a_section_is_refused),
        cmocka_unit_test(name_and_source_are_required),
        cmocka_unit_test(an_annotation_that_stands_once_may_not_stand_twice),
        cmocka_unit_test(a_report_has_a_plain_name),
        cmocka_unit_test(limits_and_timeout_are_numbers_above_zero),
        cmocka_unit_test(a_default_may_be_quoted),
        cmocka_unit_test(a_default_must_be_of_its_type),
        cmocka_unit_test(an_enum_lists_its_values),
        cmocka_unit_test(a_list_is_of_scalar_values),
        cmocka_unit_test(a_list_stands_only_where_it_means_something),
        cmocka_unit_test(a_parameter_line_has_nothing_it_does_not_know),
        cmocka_unit_test(columns_have_a_type),
        cmocka_unit_test(a_column_has_a_label_and_a_unit),
        cmocka_unit_test(a_retention_is_a_time),
        cmocka_unit_test(a_name_that_is_not_declared_is_refused_with_its_line),
        cmocka_unit_test(a_parameter_that_nothing_uses_is_refused),
        cmocka_unit_test(names_in_quotes_and_comments_are_no_parameters),
        cmocka_unit_test(parameters_are_found_where_quotes_end),
        cmocka_unit_test(what_is_not_closed_is_refused_where_it_begins),
        cmocka_unit_test(bytes_that_are_no_text_are_refused_with_their_line),
        cmocka_unit_test(there_is_a_most_of_everything),
        cmocka_unit_test(a_long_path_leaves_room_for_the_words),
        cmocka_unit_test(a_file_is_loaded_or_says_why_not),
        cmocka_unit_test(a_walk_gives_every_token_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
