/* tests/unit/json_rows_test.c -- rows print as valid JSON, nested as their names say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "render/json_rows.h"
#include "render/json_value.h"

#define N(v)                                                                                       \
    {                                                                                              \
        .kind = SOURCE_INTEGER, .integer = (v)                                                     \
    }
#define T(s)                                                                                       \
    {                                                                                              \
        .kind = SOURCE_TEXT, .text = {(s), sizeof(s) - 1 }                                         \
    }
#define R(v)                                                                                       \
    {                                                                                              \
        .kind = SOURCE_REAL, .real = (v)                                                           \
    }
#define NUMERIC(s)                                                                                 \
    {                                                                                              \
        .kind = SOURCE_NUMERIC, .text = {(s), sizeof(s) - 1 }                                      \
    }
#define JSON(s)                                                                                    \
    {                                                                                              \
        .kind = SOURCE_JSON, .text = {(s), sizeof(s) - 1 }                                         \
    }
#define NUL                                                                                        \
    {                                                                                              \
        .kind = SOURCE_NULL                                                                        \
    }

enum { COLUMNS_MAX = 8, OUT_MAX = 1 << 20 };

static size_t name_count(const char *const *names)
{
    size_t n = 0;

    while (names[n] != NULL)
        n++;
    return n;
}

/* As json_rows_new(), of a statement that gives the columns with AS. */
static int plan_of(const struct definition *def, const char *const *names, size_t count,
                   struct json_rows **ret, struct err *err)
{
    struct buf sql;
    struct statement statement;
    int rc;

    buf_init(&sql, OUT_MAX);
    for (size_t i = 0; i < count; i++)
        buf_add_format(&sql, "%s AS \"%s\"", i > 0 ? ", 1" : "SELECT 1", names[i]);
    statement = (struct statement){.sql = (char *)buf_str(&sql)};
    rc = json_rows_new(def, &statement, names, count, ret, err);
    buf_done(&sql);
    return rc;
}

/* All rows of the table, in brackets, are `expected`. */
static void prints(const struct definition *def, const char *const *names,
                   const struct source_value (*rows)[COLUMNS_MAX], size_t count,
                   const char *expected)
{
    struct json_rows *plan;
    struct err err = {0};
    struct buf out;
    json_t *json;

    buf_init(&out, OUT_MAX);
    assert_int_equal(plan_of(def, names, name_count(names), &plan, &err), 0);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_rows_add(plan, rows[i], &out, &err), 0);
    json_rows_end(plan, &out);
    buf_add_char(&out, ']');
    assert_string_equal(buf_str(&out), expected);
    json = json_loads(buf_str(&out), JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(json);
    json_decref(json);
    json_rows_free(plan);
    buf_done(&out);
}

static void misfits(const char *const *names, const char *words)
{
    struct definition def = {0};
    struct json_rows *plan = NULL;
    struct err err = {0};

    assert_int_equal(plan_of(&def, names, name_count(names), &plan, &err), -E_SOURCE);
    assert_string_equal(err.text, words);
    assert_null(plan);
}

/* One value in the column "c", declared as `column` (NULL: not). */
static void value_prints(struct column *column, struct source_value value, const char *expected)
{
    struct definition def = {.columns = column, .column_count = column != NULL};
    struct source_value rows[1][COLUMNS_MAX] = {{value}};
    char whole[512];

    snprintf(whole, sizeof(whole), "[{\"c\":%s}]", expected);
    prints(&def, (const char *const[]){"c", NULL}, (const void *)rows, 1, whole);
}

static void value_fails(struct column *column, struct source_value value, const char *words)
{
    struct definition def = {.columns = column, .column_count = column != NULL};
    struct json_rows *plan;
    struct err err = {0};
    struct buf out;

    buf_init(&out, OUT_MAX);
    assert_int_equal(plan_of(&def, (const char *const[]){"c"}, 1, &plan, &err), 0);
    assert_int_equal(json_rows_add(plan, &value, &out, &err), -E_SOURCE);
    assert_string_equal(err.text, words);
    json_rows_free(plan);
    buf_done(&out);
}

static struct column declared(enum column_type type, int scale)
{
    return (struct column){.name = (char *)"c", .type = type, .scale = scale};
}

static void flat_rows_are_objects_with_commas_between(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {{N(1), T("a")}, {N(2), NUL}};
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"id", "name", NULL}, rows, 2,
           "[{\"id\":1,\"name\":\"a\"},{\"id\":2,\"name\":null}]");
    prints(&def, (const char *const[]){"id", NULL}, rows, 0, "[]");
}

static void a_dot_makes_an_object(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {{N(1), N(2), N(3), N(4), N(5)}};
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"a.x", "a.y", "b", "c.x", "d.x", NULL}, rows, 1,
           "[{\"a\":{\"x\":1,\"y\":2},\"b\":3,\"c\":{\"x\":4},\"d\":{\"x\":5}}]");
}

static void rows_with_equal_plain_columns_share_an_array(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {
        {N(1), T("x"), N(10), T("p")}, {N(1), T("x"), N(11), T("q")}, {N(1), T("y"), N(12), T("r")},
        {N(2), T("y"), N(12), T("s")}, {N(2), NUL, N(12), T("t")},    {NUL, NUL, N(13), T("u")},
    };
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"id", "n", "a[].i", "a[].o.t", NULL}, rows, 6,
           "[{\"id\":1,\"n\":\"x\",\"a\":[{\"i\":10,\"o\":{\"t\":\"p\"}},"
           "{\"i\":11,\"o\":{\"t\":\"q\"}}]},"
           "{\"id\":1,\"n\":\"y\",\"a\":[{\"i\":12,\"o\":{\"t\":\"r\"}}]},"
           "{\"id\":2,\"n\":\"y\",\"a\":[{\"i\":12,\"o\":{\"t\":\"s\"}}]},"
           "{\"id\":2,\"n\":null,\"a\":[{\"i\":12,\"o\":{\"t\":\"t\"}}]},"
           "{\"id\":null,\"n\":null,\"a\":[{\"i\":13,\"o\":{\"t\":\"u\"}}]}]");
}

static void the_previous_row_is_remembered_not_pointed_at(void **state)
{
    char text[] = "same";
    struct source_value row[] = {
        {.kind = SOURCE_TEXT, .text = {text, 4}}, {.kind = SOURCE_TEXT, .text = {text, 2}}, N(1)};
    const char *const names[] = {"t", "a[].u", "a[].b[].x"};
    struct definition def = {0};
    struct json_rows *plan;
    struct buf out;

    (void)state;
    buf_init(&out, OUT_MAX);
    assert_int_equal(plan_of(&def, names, 3, &plan, NULL), 0);
    assert_int_equal(json_rows_add(plan, row, &out, NULL), 0);
    memcpy(text, "sane", 4); /* as a database reuses its row */
    assert_int_equal(json_rows_add(plan, row, &out, NULL), 0);
    row[1].text.len = 3;
    assert_int_equal(json_rows_add(plan, row, &out, NULL), 0);
    row[1].text.data = "san";
    assert_int_equal(json_rows_add(plan, row, &out, NULL), 0);
    json_rows_end(plan, &out);
    assert_string_equal(buf_str(&out), "{\"t\":\"same\",\"a\":[{\"u\":\"sa\",\"b\":[{\"x\":1}]}]},"
                                       "{\"t\":\"sane\",\"a\":[{\"u\":\"sa\",\"b\":[{\"x\":1}]},"
                                       "{\"u\":\"san\",\"b\":[{\"x\":1},{\"x\":1}]}]}");
    json_rows_free(plan);
    buf_done(&out);
}

static void an_element_of_only_nulls_is_left_out(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {
        {N(1), NUL, NUL}, {N(2), NUL, N(5)}, {N(2), NUL, NUL}, {N(2), N(6), NUL}};
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"o.id", "a[].x", "a[].y", NULL}, rows, 4,
           "[{\"o\":{\"id\":1},\"a\":[]},"
           "{\"o\":{\"id\":2},\"a\":[{\"x\":null,\"y\":5},{\"x\":6,\"y\":null}]}]");
}

static void without_plain_columns_all_rows_are_one_array(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {{N(1)}, {N(2)}};
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"a[].x", NULL}, rows, 2, "[{\"a\":[{\"x\":1},{\"x\":2}]}]");
}

static void an_array_may_stand_in_the_elements_of_another(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {
        {N(1), N(10), T("x"), N(100)}, {N(1), N(10), T("x"), N(101)}, {N(1), N(10), T("y"), N(100)},
        {N(1), N(11), T("y"), NUL},    {N(1), NUL, NUL, NUL},         {N(1), NUL, NUL, N(102)},
        {N(2), NUL, NUL, NUL},         {N(3), N(11), T("y"), N(103)}, {N(3), NUL, NUL, NUL},
        {N(3), N(11), T("y"), N(104)},
    };
    struct definition def = {0};

    (void)state;
    prints(&def, (const char *const[]){"id", "a[].n", "a[].o.t", "a[].c[].q.z", NULL}, rows, 10,
           "[{\"id\":1,\"a\":["
           "{\"n\":10,\"o\":{\"t\":\"x\"},\"c\":[{\"q\":{\"z\":100}},{\"q\":{\"z\":101}}]},"
           "{\"n\":10,\"o\":{\"t\":\"y\"},\"c\":[{\"q\":{\"z\":100}}]},"
           "{\"n\":11,\"o\":{\"t\":\"y\"},\"c\":[]},"
           "{\"n\":null,\"o\":{\"t\":null},\"c\":[{\"q\":{\"z\":102}}]}]},"
           "{\"id\":2,\"a\":[]},"
           "{\"id\":3,\"a\":[{\"n\":11,\"o\":{\"t\":\"y\"},\"c\":[{\"q\":{\"z\":103}}]},"
           "{\"n\":11,\"o\":{\"t\":\"y\"},\"c\":[{\"q\":{\"z\":104}}]}]}]");
    prints(&def, (const char *const[]){"id", "a[].c[].x", NULL},
           (const struct source_value[][COLUMNS_MAX]){{N(1), N(2)}, {N(1), N(3)}, {N(2), NUL}}, 3,
           "[{\"id\":1,\"a\":[{\"c\":[{\"x\":2},{\"x\":3}]}]},{\"id\":2,\"a\":[]}]");
    prints(&def, (const char *const[]){"a[].c[].x", NULL},
           (const struct source_value[][COLUMNS_MAX]){{N(1)}, {N(2)}}, 2,
           "[{\"a\":[{\"c\":[{\"x\":1},{\"x\":2}]}]}]");
}

/* Two rows with these keys are of one parent, which prints as the first of them; or of two. */
static void keys(struct column *column, struct source_value a, struct source_value b, bool same)
{
    struct definition def = {.columns = column, .column_count = column != NULL};
    struct source_value rows[2][COLUMNS_MAX] = {{a, N(1)}, {b, N(2)}};
    struct json_rows *plan;
    struct err err = {0};
    struct buf out;

    buf_init(&out, OUT_MAX);
    assert_int_equal(plan_of(&def, (const char *const[]){"c", "a[].x"}, 2, &plan, &err), 0);
    assert_int_equal(json_rows_add(plan, rows[0], &out, &err), 0);
    assert_int_equal(json_rows_add(plan, rows[1], &out, &err), 0);
    json_rows_end(plan, &out);
    if ((strstr(buf_str(&out), "{\"x\":1},{\"x\":2}") != NULL) != same)
        fail_msg("%s", buf_str(&out));
    json_rows_free(plan);
    buf_done(&out);
}

static void keys_of_parents_compare_as_values(void **state)
{
    struct column decimal = declared(COLUMN_DECIMAL, 2), text = declared(COLUMN_STRING, 0);
    struct source_value one = N(1), real = R(1), minus = R(-0.0), zero = R(0), nul = NUL;
    struct source_value numeric = NUMERIC("1.0"), longer = NUMERIC("1.00"), more = NUMERIC("1.001");
    struct source_value a = T("1.0"), b = T("1.00"), empty = T("");
    struct source_value most = N(INT64_MAX), nearly = R(9223372036854775807.0);

    (void)state;
    keys(NULL, numeric, longer, true);
    keys(NULL, numeric, more, false);
    keys(&decimal, numeric, more, false); /* which print alike */
    keys(NULL, one, real, true);
    keys(NULL, real, one, true);
    keys(NULL, zero, minus, true);
    keys(NULL, most, nearly, false);
    keys(NULL, a, b, false);
    keys(&text, a, b, false);
    keys(&decimal, a, b, true);
    keys(&decimal, a, one, true);
    keys(NULL, a, one, false);
    keys(NULL, nul, nul, true);
    keys(NULL, nul, empty, false);
    keys(NULL, nul, (struct source_value)N(0), false);
    keys(NULL, one, (struct source_value){.kind = SOURCE_BOOLEAN, .integer = 1}, false);
    keys(NULL, a, (struct source_value){.kind = SOURCE_BLOB, .text = {"1.0", 3}}, false);
}

static void documents_that_are_keys_compare_as_values(void **state)
{
    static const struct {
        struct source_value a, b;
        bool same;
    } cases[] = {
        {JSON("[1.0,-2]"), JSON("[1.00, -2.0]"), true},
        {JSON("{\"a\": 1.0, \"b\": [true, null]}"), JSON("{\"a\": 1, \"b\": [true, null]}"), true},
        {JSON("[1e20]"), JSON("[100000000000000000000]"), true},
        {JSON("[1.0]"), JSON("[1.01]"), false},
        {JSON("[1]"), JSON("[1,1]"), false},
        {JSON("[1,1]"), JSON("[1]"), false},
        {JSON("[1,2]"), JSON("[12]"), false},
        {JSON("[\"1.0\"]"), JSON("[\"1.00\"]"), false},
        {JSON("[\"a\\\" 1.0\"]"), JSON("[\"a\\\" 1.00\"]"), false},
        {JSON("[\"1.0\"]"), JSON("[1.0]"), false},
        {JSON("[true]"), JSON("[false]"), false},
        {JSON("\"a b\""), JSON("\"ab\""), false},
        {JSON("[1.0]"), T("[1.00]"), false},
        {T("[1.0]"), T("[1.00]"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        keys(NULL, cases[i].a, cases[i].b, cases[i].same);
}

static void a_column_of_an_array_is_declared_by_its_whole_name(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {{N(5), N(5)}};
    struct column column = {.name = (char *)"a[].b", .type = COLUMN_SCALED, .scale = 2};
    struct definition def = {.columns = &column, .column_count = 1};

    (void)state;
    prints(&def, (const char *const[]){"b", "a[].b", NULL}, rows, 1,
           "[{\"b\":5,\"a\":[{\"b\":0.05}]}]");
}

static void names_that_make_no_shape_are_refused(void **state)
{
    (void)state;
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
    misfits(NAMES("a", "b", "a"), "The column 'a' appears twice; give one of them another name.");
    misfits(NAMES("a.x", "b", "a"),
            "The column 'a' has the same key as an object; give one of them another name.");
    misfits(NAMES("a", "a.y"),
            "The column 'a.y' has the same key as an object; give one of them another name.");
    misfits(NAMES("a.x", "b", "a.y"),
            "The column 'a.y' belongs to an object whose columns are not next to each other; move "
            "it there.");
    misfits(NAMES("x", "r[].a", "r[].b", "r[].a"),
            "The column 'r[].a' appears twice; give one of them another name.");
    misfits(NAMES("a.x", "a.x"), "The column 'a.x' appears twice; give one of them another name.");
    misfits(NAMES(""), "The column '' has an empty name, or an empty part in it.");
    misfits(NAMES("a."), "The column 'a.' has an empty name, or an empty part in it.");
    misfits(NAMES("[].a"), "The column '[].a' has an empty name, or an empty part in it.");
    misfits(NAMES("a[].x", "b[].x"), "The column 'b[].x' belongs to a second array; a row may have "
                                     "one array, and each of its elements one.");
    misfits(NAMES("a[].x", "a[].c[].x", "a[].d[].x"),
            "The column 'a[].d[].x' belongs to a second array; a row may have one array, and each "
            "of its elements one.");
    misfits(NAMES("a[].x", "b[].c[].x"), "The column 'b[].c[].x' belongs to a second array; a row "
                                         "may have one array, and each of its elements one.");
    misfits(NAMES("a[].c[].x", "a[].x"),
            "The column 'a[].x' must come before the columns of the array.");
    misfits(NAMES("a[].c", "a[].c[].x"), "The column 'a[].c' has the same key as the array.");
    misfits(NAMES("a[].x", "a[].c[].y", "a[].c[].y"),
            "The column 'a[].c[].y' appears twice; give one of them another name.");
    misfits(NAMES("a[].b[].c[].d"), "The column 'a[].b[].c[].d' nests arrays too deeply; write "
                                    "'array[].array[].name'.");
    misfits(NAMES("a[]"), "The column 'a[]' names no column of the array; write 'array[].name'.");
    misfits(NAMES("a[].x", "b"), "The column 'b' must come before the columns of the array.");
    misfits(NAMES("a", "a[].x"), "The column 'a' has the same key as the array.");
    misfits(NAMES("o.a[].c"),
            "The column 'o.a[].c' puts an array into an object; write 'array[].name'.");
    misfits(NAMES("a.b.c"), "The column 'a.b.c' nests too deeply; write 'object.name'.");
    misfits(NAMES("a\xff"), "The column 'a' has a name that is not UTF-8.");
}

/* The columns, with 1 in each, of the statement are `expected`. */
static void nests_as(const char *sql, const char *const *names, const char *expected)
{
    const struct statement statement = {.sql = (char *)sql};
    struct source_value row[COLUMNS_MAX] = {N(1), N(1), N(1), N(1), N(1), N(1), N(1), N(1)};
    struct definition def = {0};
    struct json_rows *plan;
    struct err err = {0};
    struct buf out;

    buf_init(&out, OUT_MAX);
    if (json_rows_new(&def, &statement, names, name_count(names), &plan, &err) != 0)
        fail_msg("%s: %s", sql, err.text);
    assert_int_equal(json_rows_add(plan, row, &out, &err), 0);
    json_rows_end(plan, &out);
    assert_string_equal(buf_str(&out), expected);
    json_rows_free(plan);
    buf_done(&out);
}

static void a_dot_nests_only_in_a_name_that_is_given_with_as(void **state)
{
    static const char long_name[] =
        "a.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char sql[256], expected[256];

    (void)state;
    nests_as("SELECT count(t.x), * FROM t", NAMES("count(t.x)", "a[].b", "1.5", "a\\.b", "c[]"),
             "{\"count(t.x)\":1,\"a[].b\":1,\"1.5\":1,\"a\\\\.b\":1,\"c[]\":1}");
    nests_as(
        "SELECT x AS \"a.b\", y as 'a.c', z /**/ As -- why\n `d.e`, w AS [f.g], v \"h.i\", 'j.k'",
        NAMES("a.b", "a.c", "d.e", "f.g", "h.i", "j.k"),
        "{\"a\":{\"b\":1,\"c\":1},\"d\":{\"e\":1},\"f\":{\"g\":1},\"h.i\":1,\"j.k\":1}");
    nests_as("WITH t AS (SELECT 1 AS \"a[].b\") SELECT * FROM t", NAMES("a[].b"),
             "{\"a\":[{\"b\":1}]}");
    nests_as("SELECT 1 AS \"a\"\".b\", 2 AS \"a\"", NAMES("a\".b", "a"),
             "{\"a\\\"\":{\"b\":1},\"a\":1}");
    nests_as("SELECT 1 AS \"a.bc\", \"a.b\"", NAMES("a.bc", "a.b"), "{\"a\":{\"bc\":1},\"a.b\":1}");
    /* PostgreSQL cuts a name to 63 bytes. */
    snprintf(sql, sizeof(sql), "SELECT 1 AS \"%syyy\"", long_name);
    snprintf(expected, sizeof(expected), "{\"a\":{\"%s\":1}}", long_name + 2);
    assert_int_equal(strlen(long_name), 63);
    nests_as(sql, NAMES(long_name), expected);
}

static void a_dot_behind_a_backslash_is_a_dot_in_a_key(void **state)
{
    static const struct source_value rows[][COLUMNS_MAX] = {{N(1), N(2), N(3), N(4)}};
    struct column column = {.name = (char *)"v\\.1", .type = COLUMN_SCALED, .scale = 2};
    struct definition def = {.columns = &column, .column_count = 1};

    (void)state;
    prints(&def, NAMES("v\\.1", "o\\.p.q\\.r", "a\\x", "a\\.b[].c\\.d"), rows, 1,
           "[{\"v.1\":0.01,\"o.p\":{\"q.r\":2},\"a\\\\x\":3,\"a.b\":[{\"c.d\":4}]}]");
    misfits(NAMES("a\\.b", "c", "a\\.b"),
            "The column 'a\\.b' appears twice; give one of them another name.");
}

static void integers_print_to_the_last_digit(void **state)
{
    (void)state;
    value_prints(NULL, (struct source_value)N(0), "0");
    value_prints(NULL, (struct source_value)N(-7), "-7");
    value_prints(NULL, (struct source_value)N(INT64_MAX), "9223372036854775807");
    value_prints(NULL, (struct source_value)N(INT64_MIN), "-9223372036854775808");
}

static void reals_print_as_short_as_they_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1.0, "1.0"},
                 {-2.5, "-2.5"},
                 {0.0, "0.0"},
                 {-0.0, "-0"},
                 {306122.45, "306122.45"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1.0 / 3.0, "0.3333333333333333"},
                 {1e21, "1e+21"},
                 {1e-7, "1e-07"},
                 {123456789012345680.0, "1.2345678901234568e+17"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct source_value value = {.kind = SOURCE_REAL, .real = cases[i].value};

        assert_true(strtod(cases[i].text, NULL) == cases[i].value);
        value_prints(NULL, value, cases[i].text);
    }
}

static void what_is_no_finite_number_names_its_column(void **state)
{
    static const char words[] = "The column 'c' is not a finite number, which JSON cannot express.";

    (void)state;
    value_fails(NULL, (struct source_value){.kind = SOURCE_REAL, .real = NAN}, words);
    value_fails(NULL, (struct source_value){.kind = SOURCE_REAL, .real = -INFINITY}, words);
    value_fails(NULL, (struct source_value){.kind = SOURCE_NUMERIC, .text = {"NaN", 3}}, words);
}

static void text_is_escaped(void **state)
{
    (void)state;
    value_prints(NULL, (struct source_value)T(""), "\"\"");
    value_prints(NULL, (struct source_value)T("q\" b\\ n\n z\1 e\x7f"),
                 "\"q\\\" b\\\\ n\\n z\\u0001 e\x7f\"");
    value_prints(NULL, (struct source_value)T("\xc3\xa9\xf0\x9f\x98\x80"),
                 "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    value_fails(NULL, (struct source_value)T("a\xc3"),
                "The column 'c' holds text that is not UTF-8.");
}

static void a_blob_is_base64(void **state)
{
    (void)state;
    value_prints(NULL, (struct source_value){.kind = SOURCE_BLOB, .text = {"\0\xff\x10!", 4}},
                 "\"AP8QIQ==\"");
    value_prints(NULL, (struct source_value){.kind = SOURCE_BLOB, .text = {"", 0}}, "\"\"");
}

static void a_scaled_column_takes_whole_numbers_and_moves_their_point(void **state)
{
    struct column c = declared(COLUMN_SCALED, 2);

    (void)state;
    value_prints(&c, (struct source_value)N(125000000), "1250000.00");
    value_prints(&c, (struct source_value)N(-5), "-0.05");
    value_prints(&c, (struct source_value)NUL, "null");
    value_prints(&c, (struct source_value)NUMERIC("3050"), "30.50");
    value_prints(&c, (struct source_value)NUMERIC("-7.000"), "-0.07");
    value_prints(&c, (struct source_value)NUMERIC("92233720368547758080"), "922337203685477580.80");
    value_fails(&c, (struct source_value)NUMERIC("1.50"),
                "The column 'c' is declared scaled and holds a number with a fraction; declare it "
                "decimal(N).");
    value_fails(&c, (struct source_value)NUMERIC("NaN"),
                "The column 'c' is not a finite number, which JSON cannot express.");
    value_fails(&c, (struct source_value)R(1),
                "The column 'c' is declared scaled and takes integers; the query gives a real.");
    value_fails(&c, (struct source_value)T("1"),
                "The column 'c' is declared scaled and takes integers; the query gives a text.");
}

static void a_decimal_column_prints_one_number_alike_from_every_type(void **state)
{
    static const struct {
        struct source_value value;
        const char *text;
    } cases[] = {
        {N(2), "2.00"},
        {N(INT64_MIN), "-9223372036854775808.00"},
        {NUL, "null"},
        {R(9.8), "9.80"},
        {R(2), "2.00"},
        {R(289746.10000000003), "289746.10"},
        {R(2.675), "2.68"},
        {R(1.005), "1.01"},
        {R(-0.004), "-0.00"},
        {R(0.995), "1.00"},
        {R(999.995), "1000.00"},
        {R(1e22), "10000000000000000000000.00"},
        {R(1.5e-300), "0.00"},
        {NUMERIC("1.5"), "1.50"},
        {NUMERIC("-2.675"), "-2.68"},
        {NUMERIC("12345678901234567890.125"), "12345678901234567890.13"},
        {T("9.80"), "9.80"},
        {T("-.5"), "-0.50"},
        {T("+007."), "7.00"},
        {T("1e3"), "1000.00"},
        {T("0e999"), "0.00"},
    };
    struct column c = declared(COLUMN_DECIMAL, 2), whole = declared(COLUMN_DECIMAL, 0);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        value_prints(&c, cases[i].value, cases[i].text);
    value_prints(&whole, (struct source_value)R(0.5), "1");
    value_prints(&whole, (struct source_value)R(-9.5), "-10");
    value_prints(&whole, (struct source_value)N(7), "7");
}

static void a_decimal_column_refuses_what_is_no_number(void **state)
{
    static const char *const texts[] = {"",   "x", "1,5", "1.5 ",   " 1",   "1.2.3", "--1",
                                        "e5", ".", "1e",  "1e1000", "0x10", "NaN"};
    struct column c = declared(COLUMN_DECIMAL, 2);

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        value_fails(
            &c, (struct source_value){.kind = SOURCE_TEXT, .text = {texts[i], strlen(texts[i])}},
            "The column 'c' is declared decimal and holds text that is not a decimal "
            "number.");
    value_fails(&c, (struct source_value)NUMERIC("NaN"),
                "The column 'c' is not a finite number, which JSON cannot express.");
    value_fails(&c, (struct source_value)R(INFINITY),
                "The column 'c' is not a finite number, which JSON cannot express.");
    value_fails(&c, (struct source_value){.kind = SOURCE_BLOB, .text = {"1", 1}},
                "The column 'c' is declared decimal and takes numbers; the query gives a blob.");
}

static void a_boolean_column_takes_0_and_1(void **state)
{
    struct column c = declared(COLUMN_BOOLEAN, 0);

    (void)state;
    value_prints(&c, (struct source_value)N(0), "false");
    value_prints(&c, (struct source_value)N(1), "true");
    value_prints(&c, (struct source_value)NUL, "null");
    value_fails(&c, (struct source_value)N(2),
                "The column 'c' is declared boolean and holds an integer other than 0 and 1.");
}

static void a_string_column_quotes_numbers(void **state)
{
    struct column c = declared(COLUMN_STRING, 0);

    (void)state;
    value_prints(&c, (struct source_value)N(42), "\"42\"");
    value_prints(&c, (struct source_value){.kind = SOURCE_NUMERIC, .text = {"1.50", 4}},
                 "\"1.50\"");
    value_prints(&c, (struct source_value)T("x\""), "\"x\\\"\"");
    value_prints(&c, (struct source_value)NUL, "null");
}

static void a_json_column_passes_through_byte_for_byte(void **state)
{
    struct column c = declared(COLUMN_JSON, 0);

    (void)state;
    value_prints(&c, (struct source_value)T("{ \"b\": [1.50, 123456789012345678901234567890] }"),
                 "{ \"b\": [1.50, 123456789012345678901234567890] }");
    value_prints(&c, (struct source_value)T("\"x\""), "\"x\"");
    value_prints(&c, (struct source_value)NUL, "null");
    value_prints(&c, (struct source_value)N(3), "3");
}

static void text_that_is_not_one_json_value_is_refused(void **state)
{
    static const char words[] = "The column 'c' is declared json and holds text that is not JSON.";
    struct column c = declared(COLUMN_JSON, 0);

    (void)state;
    value_fails(&c, (struct source_value)T(""), words);
    value_fails(&c, (struct source_value)T("{\"a\":1"), words);
    value_fails(&c, (struct source_value)T("1 2"), words);
    value_fails(&c, (struct source_value)T("1},{\"c\":2"), words);
    value_fails(&c, (struct source_value)T("NaN"), words);
}

static void a_value_too_large_names_its_column(void **state)
{
    size_t len = (size_t)JSON_VALUE_MAX + 1;
    char *text = calloc(1, len);
    struct source_value value = {.kind = SOURCE_TEXT, .text = {text, len}};

    (void)state;
    value_fails(NULL, value, "The column 'c' holds a value larger than 64 MiB.");
    value.text.len = OUT_MAX; /* what the buffer does not hold */
    value_fails(NULL, value, "The column 'c' makes a row that is too large.");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_rows_are_objects_with_commas_between),
        cmocka_unit_test(a_dot_makes_an_object),
        cmocka_unit_test(rows_with_equal_plain_columns_share_an_array),
        cmocka_unit_test(the_previous_row_is_remembered_not_pointed_at),
        cmocka_unit_test(an_element_of_only_nulls_is_left_out),
        cmocka_unit_test(without_plain_columns_all_rows_are_one_array),
        cmocka_unit_test(an_array_may_stand_in_the_elements_of_another),
        cmocka_unit_test(keys_of_parents_compare_as_values),
        cmocka_unit_test(documents_that_are_keys_compare_as_values),
        cmocka_unit_test(a_column_of_an_array_is_declared_by_its_whole_name),
        cmocka_unit_test(names_that_make_no_shape_are_refused),
        cmocka_unit_test(a_dot_nests_only_in_a_name_that_is_given_with_as),
        cmocka_unit_test(a_dot_behind_a_backslash_is_a_dot_in_a_key),
        cmocka_unit_test(integers_print_to_the_last_digit),
        cmocka_unit_test(reals_print_as_short_as_they_read_back),
        cmocka_unit_test(what_is_no_finite_number_names_its_column),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(a_blob_is_base64),
        cmocka_unit_test(a_scaled_column_takes_whole_numbers_and_moves_their_point),
        cmocka_unit_test(a_decimal_column_prints_one_number_alike_from_every_type),
        cmocka_unit_test(a_decimal_column_refuses_what_is_no_number),
        cmocka_unit_test(a_boolean_column_takes_0_and_1),
        cmocka_unit_test(a_string_column_quotes_numbers),
        cmocka_unit_test(a_json_column_passes_through_byte_for_byte),
        cmocka_unit_test(text_that_is_not_one_json_value_is_refused),
        cmocka_unit_test(a_value_too_large_names_its_column),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
