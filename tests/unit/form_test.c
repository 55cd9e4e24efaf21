/* tests/unit/form_test.c -- what was stored comes out as lines and as CSV, and nothing else does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "render/form.h"

enum { OUT_MAX = 64 << 20, COLUMNS_MAX = 8 };

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
static const struct form_options plain = {.delimiter = ','};

/* A stored result whose only part with columns is `results`. */
struct stored {
    struct buf text;
    struct footer_column columns[COLUMNS_MAX];
    struct footer_part parts[2];
    struct footer footer;
    int fails_at; /* reads from now on; -1: none */
};

static int read_stored(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    struct stored *stored = context;

    assert_true(at >= 0 && (size_t)at + len <= stored->text.len);
    if (stored->fails_at == 0)
        return err_set(err, -E_SPOOL, "no disk");
    stored->fails_at -= stored->fails_at > 0;
    memcpy(out, stored->text.data + at, len);
    return 0;
}

/* A column by its alias, "accounts[].obj.id", which ":json" may follow. */
static void add_column(struct stored *stored, size_t i, const char *alias)
{
    struct footer_column *column = &stored->columns[i];
    char *copy = strdup(alias), *at = copy, *next, *type = strstr(copy, ":json");

    column->type = type != NULL ? FOOTER_JSON : FOOTER_STRING;
    if (type != NULL)
        *type = '\0';
    column->name = strdup(copy);
    while ((next = strstr(at, "[].")) != NULL) {
        *next = '\0';
        free(stored->parts[0].arrays[column->level]);
        stored->parts[0].arrays[column->level++] = strdup(at);
        at = next + 3;
    }
    next = strchr(at, '.');
    if (next != NULL) {
        *next = '\0';
        column->object = strdup(at);
        at = next + 1;
    }
    column->leaf = strdup(at);
    free(copy);
}

static struct stored *store(const char *const *aliases, const char *results, int64_t rows)
{
    static const char head[] = "{\"data\":{\"results\":[", tail[] = "],\"summary\":{}}}";
    struct stored *stored = calloc(1, sizeof(*stored));

    buf_init(&stored->text, OUT_MAX);
    buf_add_str(&stored->text, head);
    stored->parts[0] = (struct footer_part){
        .name = (char *)"results", .at = (int64_t)stored->text.len, .rows = rows};
    buf_add_str(&stored->text, results);
    stored->parts[0].end = (int64_t)stored->text.len;
    buf_add_str(&stored->text, tail);
    stored->parts[1] = (struct footer_part){.name = (char *)"summary",
                                            .at = (int64_t)stored->text.len - 4,
                                            .end = (int64_t)stored->text.len - 2};
    for (size_t i = 0; aliases[i] != NULL; i++) {
        add_column(stored, i, aliases[i]);
        stored->parts[0].column_count = i + 1;
    }
    stored->parts[0].columns = stored->columns;
    stored->footer = (struct footer){.parts = stored->parts, .part_count = 2};
    stored->fails_at = -1;
    return stored;
}

static void stored_free(struct stored *stored)
{
    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        free(stored->columns[i].name);
        free(stored->columns[i].object);
        free(stored->columns[i].leaf);
    }
    for (size_t i = 0; i < FOOTER_ARRAYS_MAX; i++)
        free(stored->parts[0].arrays[i]);
    buf_done(&stored->text);
    free(stored);
}

/* The whole form into `out`: the code of the last block. */
static int convert(struct stored *stored, enum form form, struct form_options options,
                   struct buf *out)
{
    struct form_spec spec = {.form = form,
                             .options = options,
                             .footer = &stored->footer,
                             .bytes = (int64_t)stored->text.len,
                             .read = read_stored,
                             .context = stored};
    struct form_writer *writer = NULL;
    struct err err = {0};
    int rc;

    if (spec.options.delimiter == '\0')
        spec.options.delimiter = ',';
    assert_int_equal(form_new(&spec, &writer, &err), 0);
    do
        rc = form_more(writer, out, &err);
    while (rc > 0);
    assert_int_equal(rc, err.code);
    form_free(writer);
    return rc;
}

static void gives(const char *const *aliases, const char *results, enum form form,
                  struct form_options options, const char *expected)
{
    struct stored *stored = store(aliases, results, *results != '\0');
    struct buf out;

    buf_init(&out, OUT_MAX);
    assert_int_equal(convert(stored, form, options, &out), 0);
    assert_string_equal(buf_str(&out), expected);
    buf_done(&out);
    stored_free(stored);
}

/* The same with checksums, by which nothing within the elements needs to be read, and without. */
static void gives_lines(const char *const *aliases, const char *results, int64_t rows,
                        const char *expected)
{
    struct stored *stored = store(aliases, results, rows);
    struct buf out;

    buf_init(&out, OUT_MAX);
    for (int64_t sums_at = 0; sums_at <= 1; sums_at++) {
        buf_reset(&out);
        stored->footer.sums_at = sums_at;
        assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), 0);
        assert_int_equal(out.len, strlen(expected));
        assert_memory_equal(buf_str(&out), expected, out.len);
    }
    buf_done(&out);
    stored_free(stored);
}

static void elements_become_lines(void **state)
{
    (void)state;
    gives_lines(
        NAMES("id", "obj.a", "obj.b"),
        "{\"id\":1,\"obj\":{\"a\":null,\"b\":\"x,\\\"]}\"}},{\"id\":2,\"obj\":{\"a\":true,\"b\":"
        "\"\"}}",
        2,
        "{\"id\":1,\"obj\":{\"a\":null,\"b\":\"x,\\\"]}\"}}\n{\"id\":2,\"obj\":{\"a\":true,\"b\":"
        "\"\"}}\n");
    gives_lines(NAMES("id"), "", 0, "");
    gives_lines(NAMES("id", "a[].n", "a[].b[].m"),
                "{\"id\":1,\"a\":[]},{\"id\":2,\"a\":[{\"n\":3,\"b\":[{\"m\":4},{\"m\":5}]},{\"n\":"
                "6,\"b\":[]}]}",
                2,
                "{\"id\":1,\"a\":[]}\n{\"id\":2,\"a\":[{\"n\":3,\"b\":[{\"m\":4},{\"m\":5}]},{\"n\""
                ":6,\"b\":[]}]}\n");
}

static void line_breaks_between_tokens_become_blanks(void **state)
{
    (void)state;
    gives_lines(NAMES("j:json", "id"),
                "{\"j\": \n{\"a\"\r\n:[1,\t\"\\n\"]}\n,\"id\":1},{\"j\":\n5\n,\"id\":2}", 2,
                "{\"j\":  {\"a\"  :[1, \"\\n\"]} ,\"id\":1}\n{\"j\": 5 ,\"id\":2}\n");
}

/* Each has },{ and the first key where no element ends. */
static void only_the_ends_of_elements_are_line_breaks(void **state)
{
    (void)state;
    gives_lines(
        NAMES("id", "t"),
        "{\"id\":\"},{\\\"id\\\":\",\"t\":\"},{\"},{\"id\":\"\\\\},{\",\"t\":\"id\\\":{}\"}", 2,
        "{\"id\":\"},{\\\"id\\\":\",\"t\":\"},{\"}\n{\"id\":\"\\\\},{\",\"t\":\"id\\\":{}\"}"
        "\n");
    gives_lines(NAMES("id", "j:json"),
                "{\"id\":1,\"j\":[{\"id\":2},{\"id\":3}]},{\"id\":4,\"j\":null}", 2,
                "{\"id\":1,\"j\":[{\"id\":2},{\"id\":3}]}\n{\"id\":4,\"j\":null}\n");
    gives_lines(NAMES("id", "a[].id"),
                "{\"id\":1,\"a\":[{\"id\":2},{\"id\":3}]},{\"id\":4,\"a\":[]}", 2,
                "{\"id\":1,\"a\":[{\"id\":2},{\"id\":3}]}\n{\"id\":4,\"a\":[]}\n");
    gives_lines(NAMES("id", "a[].n", "a[].b[].id.c"),
                "{\"id\":1,\"a\":[{\"n\":2,\"b\":[{\"id\":{\"c\":3}},{\"id\":{\"c\":4}}]}]}", 1,
                "{\"id\":1,\"a\":[{\"n\":2,\"b\":[{\"id\":{\"c\":3}},{\"id\":{\"c\":4}}]}]}\n");
    gives_lines(NAMES("a[].b[].n"), "{\"a\":[{\"b\":[{\"n\":1},{\"n\":2}]},{\"b\":[]}]},{\"a\":[]}",
                2, "{\"a\":[{\"b\":[{\"n\":1},{\"n\":2}]},{\"b\":[]}]}\n{\"a\":[]}\n");
    gives_lines(NAMES("a[].a[].n"), "{\"a\":[{\"a\":[{\"n\":1}]},{\"a\":[]}]},{\"a\":[]}", 2,
                "{\"a\":[{\"a\":[{\"n\":1}]},{\"a\":[]}]}\n{\"a\":[]}\n");
    /* Here a text ends with what is before the quote of a border, and a key follows. */
    gives_lines(NAMES(",", ":"), "{\",\":\"},{\",\":\":1},{\",\":2,\":\":3}", 2,
                "{\",\":\"},{\",\":\":1}\n{\",\":2,\":\":3}\n");
    gives_lines(NAMES(":", "},{"), "{\":\":1,\"},{\":\":\"},{\":\":2,\"},{\":3}", 2,
                "{\":\":1,\"},{\":\":\"}\n{\":\":2,\"},{\":3}\n");
    gives_lines(NAMES("", "t"), "{\"\":1,\"t\":\"},{\"},{\"\":\"},{\",\"t\":2}", 2,
                "{\"\":1,\"t\":\"},{\"}\n{\"\":\"},{\",\"t\":2}\n");
    gives_lines(NAMES("\\\"\n", "t"),
                "{\"\\\\\\\"\\n\":1,\"t\":\"},{\"},{\"\\\\\\\"\\n\":2,\"t\":3}", 2,
                "{\"\\\\\\\"\\n\":1,\"t\":\"},{\"}\n{\"\\\\\\\"\\n\":2,\"t\":3}\n");
}

static void a_long_first_key_is_found_too(void **state)
{
    enum { LONGEST = 5 << 10 };
    char key[LONGEST + 1];
    struct buf results, lines;

    (void)state;
    buf_init(&results, OUT_MAX);
    buf_init(&lines, OUT_MAX);
    for (size_t len = LONGEST - 2048; len <= LONGEST; len += 1024) {
        memset(key, 'k', len);
        key[len] = '\0';
        buf_reset(&results);
        buf_reset(&lines);
        for (int i = 0; i < 300; i++) {
            buf_add_format(&results, "%s{\"%s\":\"},{\",\"n\":%d}", i > 0 ? "," : "", key, i);
            buf_add_format(&lines, "{\"%s\":\"},{\",\"n\":%d}\n", key, i);
        }
        gives_lines(NAMES(key, "n"), buf_str(&results), 300, buf_str(&lines));
    }
    buf_done(&results);
    buf_done(&lines);
}

/* The first border is moved over the end of each block, and over the end of all that is made at
 * once; the first element may be longer than that. */
static void borders_are_found_at_the_ends_of_blocks(void **state)
{
    enum { HEAD = 20, BLOCK = 128 << 10, MOST = FORM_LINES_BLOCK + 2 * BLOCK, BORDER = 7 };
    char *text = malloc(MOST);
    struct buf results, lines;

    (void)state;
    memset(text, '}', MOST);
    buf_init(&results, OUT_MAX);
    buf_init(&lines, OUT_MAX);
    for (int end = BLOCK; end < MOST; end += BLOCK) {
        for (int i = -2; i < BORDER + 2; i++) {
            int len = end - HEAD - (int)strlen("{\"id\":\"\"") - i;

            buf_reset(&results);
            buf_reset(&lines);
            buf_add_format(&results, "{\"id\":\"%.*s\"},{\"id\":\"},{\"},{\"id\":0}", len, text);
            buf_add_format(&lines, "{\"id\":\"%.*s\"}\n{\"id\":\"},{\"}\n{\"id\":0}\n", len, text);
            gives_lines(NAMES("id"), buf_str(&results), 3, buf_str(&lines));
        }
    }
    free(text);
    buf_done(&results);
    buf_done(&lines);
}

/* With checksums, too, whatever they say. */
static void there_are_as_many_lines_as_the_footer_says(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, OUT_MAX);
    for (int64_t rows = 0; rows <= 3; rows++) {
        struct stored *stored = store(NAMES("id"), "{\"id\":1},{\"id\":2}", rows);

        stored->footer.sums_at = 1;
        assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), rows == 2 ? 0 : -E_INTERNAL);
        stored_free(stored);
    }
    buf_done(&out);
}

static void values_become_fields(void **state)
{
    (void)state;
    gives(NAMES("id", "text"),
          "{\"id\":1,\"text\":\"a\"},{\"id\":-1.50,\"text\":\"\"},{\"id\":null,\"text\":null},"
          "{\"id\":true,\"text\":\"a,b\"},{\"id\":false,\"text\":\"a\\\"b\"},"
          "{\"id\":1e+20,\"text\":\"\\r\\n\\t\\\\\\b\\f\\u001f\\u007f\"},{\"id\":0,\"text\":"
          "\"\xc3\xa9;|\"}",
          FORM_CSV, plain,
          "id,text\r\n1,a\r\n-1.50,\"\"\r\n,\r\ntrue,\"a,b\"\r\nfalse,\"a\"\"b\"\r\n"
          "1e+20,\"\r\n\t\\\b\f\x1f\x7f\"\r\n0,\xc3\xa9;|\r\n");
    gives(NAMES("a b", "c,d"), "", FORM_CSV, plain, "a b,\"c,d\"\r\n");
}

static void json_values_are_json_texts(void **state)
{
    (void)state;
    gives(
        NAMES("j:json"),
        "{\"j\":{\"a\": [1,\"x\\\"y\"]}},{\"j\":[]},{\"j\":\"te\\\"xt\"},{\"j\":1.0},{\"j\":null},"
        "{\"j\": \n [1,\n2] }",
        FORM_CSV, plain,
        "j\r\n\"{\"\"a\"\": [1,\"\"x\\\"\"y\"\"]}\"\r\n[]\r\n\"\"\"te\\\"\"xt\"\"\"\r\n1.0\r\n\r\n"
        "\"[1,\n2]\"\r\n");
}

static void nested_arrays_repeat_their_parents(void **state)
{
    static const char results[] =
        "{\"id\":\"a\",\"o\":{\"k\":1},\"acc\":[]},"
        "{\"id\":\"b\",\"o\":{\"k\":2},\"acc\":[{\"n\":\"x\",\"tx\":[{\"t\":1},{\"t\":2}]},"
        "{\"n\":null,\"tx\":[]}]},"
        "{\"id\":\"c\",\"o\":{\"k\":null},\"acc\":[{\"n\":\"z\",\"tx\":[{\"t\":3}]}]}";

    (void)state;
    gives(NAMES("id", "o.k", "acc[].n", "acc[].tx[].t"), results, FORM_CSV, plain,
          "id,o.k,acc[].n,acc[].tx[].t\r\na,1,,\r\nb,2,x,1\r\nb,2,x,2\r\nb,2,,\r\nc,,z,3\r\n");
    gives(NAMES("acc[].n"), "{\"acc\":[{\"n\":1},{\"n\":2}]},{\"acc\":[]}", FORM_CSV, plain,
          "acc[].n\r\n1\r\n2\r\n\r\n");
    gives(NAMES("id", "a[].b[].c"), "{\"id\":1,\"a\":[{\"b\":[{\"c\":2}]},{\"b\":[]}]}", FORM_CSV,
          plain, "id,a[].b[].c\r\n1,2\r\n1,\r\n");
    /* A value of the parent before is not kept for one that is null. */
    gives(NAMES("id", "doc", "a[].n"),
          "{\"id\":1,\"doc\":\"twenty bytes of text\",\"a\":[{\"n\":1}]},"
          "{\"id\":10,\"doc\":null,\"a\":[{\"n\":2}]}",
          FORM_CSV, plain, "id,doc,a[].n\r\n1,twenty bytes of text,1\r\n10,,2\r\n");
}

static void options_change_the_csv(void **state)
{
    (void)state;
    gives(NAMES("a", "b"), "{\"a\":\"x;y\",\"b\":\"1,5\"}", FORM_CSV,
          (struct form_options){.delimiter = ';', .bom = true},
          "\xef\xbb\xbf"
          "a;b\r\n\"x;y\";1,5\r\n");
    gives(NAMES("a", "b"),
          "{\"a\":\"=1+1\",\"b\":-5},{\"a\":\"+,\",\"b\":\"-\"},{\"a\":\"@\\\"\",\"b\":\"a=\"}",
          FORM_CSV, (struct form_options){.delimiter = ',', .formulas_text = true},
          "a,b\r\n'=1+1,-5\r\n\"'+,\",'-\r\n\"'@\"\"\",a=\r\n");
}

static void labels_head_the_columns(void **state)
{
    struct stored *stored = store(NAMES("id", "name"), "{\"id\":1,\"name\":\"x\"}", 1);
    struct buf out;

    (void)state;
    buf_init(&out, OUT_MAX);
    stored->columns[0].label = (char *)"The \"id\"";
    assert_int_equal(convert(stored, FORM_CSV, (struct form_options){.labels = true}, &out), 0);
    assert_string_equal(buf_str(&out), "\"The \"\"id\"\"\",name\r\n1,x\r\n");
    stored->columns[0].label = NULL;
    buf_done(&out);
    stored_free(stored);
}

/* Rows that end at every place of the window, and one that is larger than it. */
static void rows_of_any_length_go_through_the_window(void **state)
{
    enum { ROWS = 3000, LARGE = 3 << 20 };
    struct buf results, lines, csv, out;
    struct stored *stored;
    char *text = malloc(LARGE + 1);

    (void)state;
    buf_init(&results, OUT_MAX);
    buf_init(&lines, OUT_MAX);
    buf_init(&csv, OUT_MAX);
    buf_init(&out, OUT_MAX);
    buf_add_str(&csv, "id,text,a[].n\r\n");
    for (int i = 0; i < ROWS; i++) {
        size_t len = i == ROWS / 2 ? LARGE : (size_t)(i * 7 % 501);

        memset(text, 'a' + i % 26, len);
        text[len] = '\0';
        buf_add_format(&results, "%s{\"id\":%d,\"text\":\"%s\",\"a\":[{\"n\":%d},{\"n\":\"\\n\"}]}",
                       i > 0 ? "," : "", i, text, -i);
        buf_add_format(&lines, "{\"id\":%d,\"text\":\"%s\",\"a\":[{\"n\":%d},{\"n\":\"\\n\"}]}\n",
                       i, text, -i);
        for (int j = 0; j < 2; j++) {
            buf_add_format(&csv, len > 0 ? "%d,%s," : "%d,\"%s\",", i, text);
            buf_add_format(&csv, j == 0 ? "%d\r\n" : "\"\n\"\r\n", -i);
        }
    }
    stored = store(NAMES("id", "text", "a[].n"), buf_str(&results), ROWS);
    gives_lines(NAMES("id", "text", "a[].n"), buf_str(&results), ROWS, buf_str(&lines));
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), 0);
    assert_int_equal(out.len, csv.len);
    assert_memory_equal(out.data, csv.data, out.len);
    stored_free(stored);
    buf_done(&results);
    buf_done(&lines);
    buf_done(&csv);
    buf_done(&out);
    free(text);
}

/* It is searched from its beginning after each read, so each is as long as all before it. */
static void a_long_row_takes_few_reads(void **state)
{
    enum { LONG = 20 << 20, READS = 12 };
    struct buf results, out;
    struct stored *stored;
    char *text = malloc(LONG + 1);

    (void)state;
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    buf_init(&results, OUT_MAX);
    buf_init(&out, OUT_MAX);
    buf_add_format(&results, "{\"text\":\"%s\"}", text);
    stored = store(NAMES("text"), buf_str(&results), 1);
    stored->fails_at = READS;
    assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), 0);
    assert_int_equal(out.len, results.len + 1);
    stored_free(stored);
    buf_done(&results);
    buf_done(&out);
    free(text);
}

static void breaks_off(const char *const *aliases, const char *results)
{
    for (enum form form = FORM_NDJSON; form <= FORM_CSV; form++) {
        struct stored *stored = store(aliases, results, 1);
        struct buf out;

        buf_init(&out, OUT_MAX);
        assert_int_equal(convert(stored, form, plain, &out), -E_INTERNAL);
        buf_done(&out);
        stored_free(stored);
    }
}

static void what_was_not_written_is_refused(void **state)
{
    (void)state;
    breaks_off(NAMES("id"), "{\"ix\":1}");
    breaks_off(NAMES("id"), "{\"id\":1");
    breaks_off(NAMES("id"), "{\"id\":1}{\"id\":1}");
    breaks_off(NAMES("id"), "{\"id\":1},");
    breaks_off(NAMES("id"), "{\"id\":1,\"b\":2}");
    breaks_off(NAMES("id"), "{\"id\":}");
    breaks_off(NAMES("id"), "{\"id\":nil}");
    breaks_off(NAMES("id"), "{\"id\":nul");
    breaks_off(NAMES("id"), "{\"id\":\"x");
    breaks_off(NAMES("id"), "{\"id\":\"x\\");
    breaks_off(NAMES("id"), "{\"id\":\"a\nb\"}");
    breaks_off(NAMES("id"), "{\"id\":{\"a\":[1}");
    breaks_off(NAMES("id"), "{\"id\":[\"a\nb\"]}");
    breaks_off(NAMES("id"), "{\"id\":[\x01]}");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[{\"n\":1}}");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[{\"n\":1}]");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[,{\"n\":1}]}");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[{\"n\":1},]}");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[{\"n\":1}],\"b\":1}");
    breaks_off(NAMES("id", "a[].n"), "{\"id\":1,\"b\":[]}");
}

static void a_footer_that_does_not_fit_is_refused(void **state)
{
    struct stored *stored = store(NAMES("id", "a[].n"), "{\"id\":1,\"a\":[]}", 1);
    struct buf out;

    (void)state;
    buf_init(&out, OUT_MAX);
    stored->footer.sums_at = 1;
    stored->parts[0].end = (int64_t)stored->text.len + 1;
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_INTERNAL);
    assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), -E_INTERNAL);
    stored->parts[0].end = stored->parts[0].at - 1;
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_INTERNAL);
    stored->parts[0].end = (int64_t)stored->text.len - 17;
    stored->columns[0].level = 2;
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_INTERNAL);
    stored->columns[0].level = 0;
    stored->columns[1].level = 3;
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_INTERNAL);
    stored->columns[1].level = 2;
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_INTERNAL);
    buf_done(&out);
    stored_free(stored);
}

static void an_error_of_the_source_is_passed_on(void **state)
{
    struct stored *stored = store(NAMES("id"), "{\"id\":1}", 1);
    struct buf out;

    (void)state;
    buf_init(&out, OUT_MAX);
    stored->fails_at = 0;
    assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), -E_SPOOL);
    stored->footer.sums_at = 1;
    assert_int_equal(convert(stored, FORM_NDJSON, plain, &out), -E_SPOOL);
    assert_int_equal(convert(stored, FORM_CSV, plain, &out), -E_SPOOL);
    buf_done(&out);
    stored_free(stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_become_lines),
        cmocka_unit_test(line_breaks_between_tokens_become_blanks),
        cmocka_unit_test(only_the_ends_of_elements_are_line_breaks),
        cmocka_unit_test(a_long_first_key_is_found_too),
        cmocka_unit_test(borders_are_found_at_the_ends_of_blocks),
        cmocka_unit_test(there_are_as_many_lines_as_the_footer_says),
        cmocka_unit_test(values_become_fields),
        cmocka_unit_test(json_values_are_json_texts),
        cmocka_unit_test(nested_arrays_repeat_their_parents),
        cmocka_unit_test(options_change_the_csv),
        cmocka_unit_test(labels_head_the_columns),
        cmocka_unit_test(rows_of_any_length_go_through_the_window),
        cmocka_unit_test(a_long_row_takes_few_reads),
        cmocka_unit_test(what_was_not_written_is_refused),
        cmocka_unit_test(a_footer_that_does_not_fit_is_refused),
        cmocka_unit_test(an_error_of_the_source_is_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
