/* tests/unit/source_postgres_test.c -- statements for PostgreSQL, and its text read; no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "source/postgres_impl.h"

enum { BOOL = 16, BYTEA = 17, INT8 = 20, TEXT = 25, FLOAT8 = 701, DATE = 1082, TIMESTAMP = 1114 };
enum { TIMESTAMPTZ = 1184, TSTZRANGE = 3910, NUMERIC = 1700, BOX = 603, JSONB = 3802 };

static const struct param_value values[] = {
    {.name = "A", .type = PARAM_INTEGER, .text = (char *)"1"},
    {.name = "Ab", .type = PARAM_DATE, .text = (char *)"2024-01-12"},
    {.name = "c", .type = PARAM_ENUM},
};
static const struct param_value session_user = {
    .name = "session_user", .type = PARAM_STRING, .text = (char *)"ann"};

static int rewrite(struct pg_sql *sql, const char *text, struct err *err)
{
    const struct statement statement = {.sql = (char *)text, .line = 10};

    return pg_sql_init(sql, &statement, values, 3, &session_user, err);
}

static void rewritten(const char *text, const char *expected)
{
    struct pg_sql sql;

    assert_int_equal(rewrite(&sql, text, NULL), 0);
    assert_string_equal(buf_str(&sql.text), expected);
    pg_sql_done(&sql);
}

static void names_become_numbers_in_order_of_appearance(void **state)
{
    struct pg_sql sql;

    (void)state;
    assert_int_equal(rewrite(&sql, "SELECT :Ab, :A,\n :Ab, :session_user", NULL), 0);
    assert_string_equal(buf_str(&sql.text), "SELECT  $1,  $2,\n  $1,  $3");
    assert_int_equal(sql.count, 3);
    assert_ptr_equal(sql.values[0], &values[1]);
    assert_ptr_equal(sql.values[1], &values[0]);
    assert_ptr_equal(sql.values[2], &session_user);
    assert_int_equal(sql.types[0], DATE);
    assert_int_equal(sql.types[1], INT8);
    assert_int_equal(sql.types[2], TEXT);
    pg_sql_done(&sql);
}

static void names_are_left_alone_where_they_are_no_parameters(void **state)
{
    static const char *const same[] = {
        "SELECT ':A'",
        "SELECT \":A\"",
        "SELECT 1 -- :A",
        "SELECT /* :A */ 1",
        "SELECT $$:A$$, $x$ $$:A $x$",
        "SELECT E'\\':A'",
        "SELECT 1::integer",
        "SELECT a[1:2]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        rewritten(same[i], same[i]);
    rewritten("SELECT :A::date", "SELECT  $1::date");
    rewritten("SELECT ARRAY[[1, 2], [:A, 3]]", "SELECT ARRAY[[1, 2], [ $1, 3]]");
    rewritten("SELECT 1 WHERE a=b AND:A=1", "SELECT 1 WHERE a=b AND $1=1");
}

static void a_name_without_a_value_and_a_number_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *sql, *detail;
    } cases[] = {
        {"SELECT\n :B", "line 11: parameter ':B' is not declared"},
        {"SELECT\n\n $1", "line 12: parameter '$' is not named; write :Name"},
    };
    struct pg_sql sql;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {0};

        assert_int_equal(rewrite(&sql, cases[i].sql, &err), -E_SOURCE);
        if (strncmp(err.detail, cases[i].detail, strlen(cases[i].detail)) != 0)
            fail_msg("%s", err.detail);
        pg_sql_done(&sql);
    }
}

static void a_list_is_compared_as_an_array(void **state)
{
    const struct param_value list = {.name = "L",
                                     .type = PARAM_STRING,
                                     .text = (char *)"a\0\0\"\\{,}\0NULL",
                                     .list = true,
                                     .count = 4};
    const struct statement statement = {
        .sql = (char *)"SELECT a IN (:L), a\nNot -- :L\n in(\n:L\n) OR :L IS NULL, a IN (L)",
        .line = 10};
    struct pg_sql sql;

    (void)state;
    assert_int_equal(pg_sql_init(&sql, &statement, &list, 1, &session_user, NULL), 0);
    assert_string_equal(buf_str(&sql.text),
                        "SELECT a OPERATOR(=) ANY ($1), a\nOPERATOR(<>) ALL (\n\n\n$1) OR  $1 IS "
                        "NULL, a IN (L)");
    assert_int_equal(sql.count, 1);
    assert_int_equal(sql.types[0], 1009);
    assert_string_equal(sql.arrays[0], "{\"a\",\"\",\"\\\"\\\\{,}\",\"NULL\"}");
    pg_sql_done(&sql);
}

static void column_init(struct pg_column *column, Oid element, char delimiter)
{
    *column = (struct pg_column){.read_element = pg_type_reader(element), .delimiter = delimiter};
    if (column->read_element == NULL)
        column->read_element = pg_read_text;
    buf_init(&column->text, 1000);
    buf_init(&column->array, 1000);
    buf_init(&column->element, 1000);
}

static void column_done(struct pg_column *column)
{
    buf_done(&column->text);
    buf_done(&column->array);
    buf_done(&column->element);
}

/* `text`, read as an array of `element`, is `json`, or is refused with a message that begins so. */
static void array_of(Oid element, char delimiter, const char *text, const char *json)
{
    struct pg_column column;
    struct source_value value;
    const char *why;

    column_init(&column, element, delimiter);
    why = pg_read_array(&column, text, strlen(text), &value);
    if (why != NULL)
        assert_memory_equal(why, json, strlen(json));
    else {
        assert_int_equal(value.kind, SOURCE_JSON);
        assert_int_equal(value.text.len, strlen(json));
        assert_memory_equal(value.text.data, json, strlen(json));
    }
    column_done(&column);
}

static void arrays_become_json(void **state)
{
    (void)state;
    array_of(INT8, ',', "{}", "[]");
    array_of(INT8, ',', "{1,-2,NULL}", "[1,-2,null]");
    array_of(INT8, ',', "{{1,2},{3,4}}", "[[1,2],[3,4]]");
    array_of(INT8, ',', "[0:1]={5,6}", "[5,6]");
    array_of(INT8, ',', "[-1:0][2:2]={{5},{6}}", "[[5],[6]]");
    array_of(TEXT, ',', "{a,\"b,c\",\"\\\"\",\"\\\\\",\"\",\"NULL\",NULL,\"{}\"}",
             "[\"a\",\"b,c\",\"\\\"\",\"\\\\\",\"\",\"NULL\",null,\"{}\"]");
    array_of(NUMERIC, ',', "{1.10,2}", "[1.10,2]");
    array_of(BOOL, ',', "{t,f}", "[true,false]");
    array_of(TIMESTAMPTZ, ',', "{\"2024-01-12 03:04:05+00\",infinity}",
             "[\"2024-01-12T03:04:05Z\",\"infinity\"]");
    array_of(JSONB, ',', "{\"{\\\"a\\\": 1}\",\"null\"}", "[{\"a\": 1},null]");
    array_of(BYTEA, ',', "{\"\\\\x00ff\",\"\\\\x\"}", "[\"AP8=\",\"\"]");
    array_of(BOX, ';', "{(1,1),(0,0);NULL}", "[\"(1,1),(0,0)\",null]");
}

static void what_json_cannot_express_is_refused_in_arrays_too(void **state)
{
    (void)state;
    array_of(FLOAT8, ',', "{1,NaN}", "is not a finite number");
    array_of(FLOAT8, ',', "{-Infinity}", "is not a finite number");
    array_of(NUMERIC, ',', "{NaN}", "is not a finite number");
    array_of(TEXT, ',', "{\xff}", "holds text that is not UTF-8");
    array_of(JSONB, ',', "{\"\\\"\xff\\\"\"}", "holds text that is not UTF-8");
}

/* What no server writes, but no reader may run away from. */
static void an_array_that_is_cut_ends(void **state)
{
    static const char *const cut[] = {"{", "{1", "{1,", "{\"a", "{\"a\\", "", "[0:1]="};

    (void)state;
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        struct pg_column column;
        struct source_value value;

        column_init(&column, TEXT, ',');
        pg_read_array(&column, cut[i], strlen(cut[i]), &value);
        column_done(&column);
    }
}

static void a_value_above_the_bound_is_refused_not_cut(void **state)
{
    struct pg_column column;
    struct source_value value;
    char text[1200] = "{";

    (void)state;
    memset(text + 1, '7', 1100);
    text[1101] = '}';
    column_init(&column, INT8, ',');
    assert_string_equal(pg_read_array(&column, text, strlen(text), &value),
                        "holds a value that is too large");
    column_done(&column);
}

static void timestamps_become_iso_8601(void **state)
{
    static const struct {
        Oid type;
        const char *text, *expected;
    } cases[] = {
        {TIMESTAMP, "2024-01-12 03:04:05", "2024-01-12T03:04:05"},
        {TIMESTAMP, "2024-01-12 03:04:05.25", "2024-01-12T03:04:05.25"},
        {TIMESTAMP, "0044-03-15 12:00:00 BC", "0044-03-15T12:00:00 BC"},
        {TIMESTAMP, "-infinity", "-infinity"},
        {TIMESTAMPTZ, "2024-01-12 03:04:05.5+00", "2024-01-12T03:04:05.5Z"},
        {TIMESTAMPTZ, "12024-01-12 03:04:05+00", "12024-01-12T03:04:05Z"},
        {TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "0044-03-15T12:00:00Z BC"},
        {TIMESTAMPTZ, "2024-01-12 14:04:05.123456+11", "2024-01-12T03:04:05.123456Z"},
        {TIMESTAMPTZ, "2024-03-01 03:04:05+05:30", "2024-02-29T21:34:05Z"},
        {TIMESTAMPTZ, "2023-12-31 23:00:00-02:30", "2024-01-01T01:30:00Z"},
        {TIMESTAMPTZ, "1890-01-01 00:00:00+10:04:52", "1889-12-31T13:55:08Z"},
        {TIMESTAMPTZ, "0001-01-01 05:00:00+10", "0001-12-31T19:00:00Z BC"},
        {TIMESTAMPTZ, "0001-12-31 19:00:00-10 BC", "0001-01-01T05:00:00Z"},
        {TIMESTAMPTZ, "294276-12-31 23:59:59.999999+00", "294276-12-31T23:59:59.999999Z"},
        {TSTZRANGE, "[\"2024-01-12 14:04:05+11\",infinity)", "[\"2024-01-12T03:04:05Z\",infinity)"},
        {TSTZRANGE, "empty", "empty"},
        {TIMESTAMPTZ, "infinity", "infinity"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pg_column column;
        struct source_value value;

        column_init(&column, TEXT, ',');
        assert_null(
            pg_type_reader(cases[i].type)(&column, cases[i].text, strlen(cases[i].text), &value));
        assert_int_equal(value.kind, SOURCE_TEXT);
        assert_int_equal(value.text.len, strlen(cases[i].expected));
        assert_memory_equal(value.text.data, cases[i].expected, value.text.len);
        column_done(&column);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_become_numbers_in_order_of_appearance),
        cmocka_unit_test(names_are_left_alone_where_they_are_no_parameters),
        cmocka_unit_test(a_list_is_compared_as_an_array),
        cmocka_unit_test(a_name_without_a_value_and_a_number_are_refused_with_their_line),
        cmocka_unit_test(arrays_become_json),
        cmocka_unit_test(what_json_cannot_express_is_refused_in_arrays_too),
        cmocka_unit_test(an_array_that_is_cut_ends),
        cmocka_unit_test(a_value_above_the_bound_is_refused_not_cut),
        cmocka_unit_test(timestamps_become_iso_8601),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
