/* tests/unit/footer_test.c -- what a worker writes behind a result. */
#include "core/block_sums.h"
#include "worker_fixture.h"

/* Its checksums are those of the JSON and the index, block by block, and nothing is between them
 * and the description. */
static void assert_sums(const char *text, size_t len, int64_t bytes, const struct footer *footer)
{
    const struct {
        int64_t at, bytes;
    } summed[] = {{0, bytes}, {footer->index_at, footer_index_bytes(footer)}};
    const char *sum = text + footer->sums_at;
    int64_t words_at;
    size_t words;

    assert_int_equal(footer->index_at, bytes);
    assert_int_equal(footer->sums_at, bytes + footer_index_bytes(footer));
    for (size_t i = 0; i < 2; i++) {
        for (int64_t at = 0; at < summed[i].bytes; at += SUMMED_BLOCK, sum += sizeof(uint64_t)) {
            int64_t left = summed[i].bytes - at;
            uint64_t expected = block_sum(text + summed[i].at + at,
                                          left < SUMMED_BLOCK ? (size_t)left : SUMMED_BLOCK);

            assert_memory_equal(sum, &expected, sizeof(expected));
        }
    }
    assert_int_equal(footer_find((const uint8_t *)text + len - FOOTER_TRAILER, (int64_t)len,
                                 &words_at, &words, NULL),
                     0);
    assert_ptr_equal(sum, text + words_at);
}

static void a_result_says_what_its_columns_hold(void **state)
{
    static const struct ask ask = {
        .definition =
            HEAD "-- column: cents decimal(2) \"Amount\" AUD\n"
                 "-- column: lines[].flag boolean\n"
                 "-- results\nSELECT id AS \"id\", id * 1.5 AS \"x\", name AS \"who.name\","
                 " '2024-02-29' AS \"day\", '2024-02-30' AS \"no_day\","
                 " '2024-02-29T12:00:00.5Z' AS \"moment\", 2 AS \"cents\", NULL AS \"none\","
                 " iif(id = 1, 7, 'seven') AS \"mixed\","
                 " char(128512, 97) AS \"a.b\", 1 AS \"lines[].flag\" FROM entity ORDER BY id;\n"
                 "-- set: more\nSELECT 1 AS \"one\";\n"};
    static const struct {
        const char *name, *object, *leaf, *label, *unit;
        enum footer_type type;
        int level, scale, longest;
    } expected[] = {
        {"id", NULL, "id", NULL, NULL, FOOTER_INTEGER, 0, -1, 0},
        {"x", NULL, "x", NULL, NULL, FOOTER_NUMBER, 0, -1, 0},
        {"who.name", "who", "name", NULL, NULL, FOOTER_STRING, 0, -1, 6},
        {"day", NULL, "day", NULL, NULL, FOOTER_DATE, 0, -1, 10},
        {"no_day", NULL, "no_day", NULL, NULL, FOOTER_STRING, 0, -1, 10},
        {"moment", NULL, "moment", NULL, NULL, FOOTER_TIMESTAMP, 0, -1, 22},
        {"cents", NULL, "cents", "Amount", "AUD", FOOTER_DECIMAL, 0, 2, 4},
        {"none", NULL, "none", NULL, NULL, FOOTER_STRING, 0, -1, 0},
        {"mixed", NULL, "mixed", NULL, NULL, FOOTER_STRING, 0, -1, 5},
        {"a.b", "a", "b", NULL, NULL, FOOTER_STRING, 0, -1, 3},
        {"lines.flag", NULL, "flag", NULL, NULL, FOOTER_BOOLEAN, 1, -1, 0},
    };
    enum { COUNT = sizeof(expected) / sizeof(expected[0]) };
    struct wire_answer done;
    struct footer *footer;
    size_t len;
    char *text;

    run(*state, &ask, &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(*state, &len);
    footer = footer_of(text, len);
    assert_sums(text, len, done.bytes, footer);
    assert_int_equal(footer->part_count, 3);
    assert_string_equal(footer->parts[1].name, "more");
    assert_int_equal(footer->parts[1].rows, 1);
    assert_int_equal(footer->parts[0].rows, 3);
    assert_string_equal(footer->parts[0].arrays[0], "lines");
    assert_null(footer->parts[0].arrays[1]);
    assert_int_equal(footer->parts[0].column_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const struct footer_column *column = &footer->parts[0].columns[i];

        assert_string_equal(column->name, expected[i].name);
        assert_string_equal(column->leaf, expected[i].leaf);
        assert_string_equal(column->object ? column->object : "",
                            expected[i].object ? expected[i].object : "");
        assert_string_equal(column->label ? column->label : "",
                            expected[i].label ? expected[i].label : "");
        assert_string_equal(column->unit ? column->unit : "",
                            expected[i].unit ? expected[i].unit : "");
        assert_int_equal(column->type, expected[i].type);
        assert_int_equal(column->level, expected[i].level);
        assert_int_equal(column->scale, expected[i].scale);
        assert_int_equal(column->longest, expected[i].longest);
    }
    footer_free(footer);
    free(text);
}

/* More rows than the index has room for: every second offset goes, again and again. */
static void the_index_of_a_long_result_is_bounded(void **state)
{
    struct wire_answer done;
    struct footer *footer;
    size_t len;
    char *text;

    run(*state,
        &(struct ask){.definition = HEAD
                      "-- results\nWITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 4200000) SELECT 1 AS \"x\" FROM n;\n"},
        &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(*state, &len);
    footer_fits(text, &done);
    footer = footer_of(text, len);
    assert_int_equal(footer->stride, 2 * FOOTER_STRIDE);
    assert_in_range(footer->index_count, FOOTER_INDEX_MAX / 2, FOOTER_INDEX_MAX);
    assert_sums(text, len, done.bytes, footer);
    footer_free(footer);
    free(text);
}

static void a_footer_that_was_changed_is_not_read(void **state)
{
    struct wire_answer done;
    struct footer *footer;
    size_t len, words, read_whole = 0;
    int64_t at;
    char *text;

    run(*state, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"}, &done);
    text = read_part(*state, &len);
    for (size_t i = (size_t)done.bytes + 3 * sizeof(uint64_t); i < len; i++) { /* the description */
        const uint8_t *trailer = (const uint8_t *)text + len - FOOTER_TRAILER;

        text[i] ^= 1;
        if (footer_find(trailer, (int64_t)len, &at, &words, NULL) == 0 &&
            footer_read(text + at, words, trailer, &footer, NULL) == 0)
            read_whole++;
        text[i] ^= 1;
    }
    assert_int_equal(read_whole, 0);
    free(text);
}

/* A worker that was taken over describes its result as it likes: where the server would read is
 * checked. `set` alters a description that is read. */
static bool reads(void (*set)(struct footer *footer))
{
    struct footer_column column = {.name = (char *)"x", .leaf = (char *)"x"};
    struct footer_part part = {
        .name = (char *)"results", .end = 10, .rows = 1, .columns = &column, .column_count = 1};
    struct footer footer = {.parts = &part, .part_count = 1, .stride = FOOTER_STRIDE};
    struct footer *got = NULL;
    struct buf text;
    int64_t at;
    size_t len;
    int rc;

    set(&footer);
    buf_init(&text, FOOTER_TEXT_MAX);
    assert_int_equal(footer_write(&footer, &text, NULL), 0);
    assert_int_equal(footer_find((const uint8_t *)text.data + text.len - FOOTER_TRAILER,
                                 (int64_t)text.len, &at, &len, NULL),
                     0);
    rc = footer_read(text.data + at, len, (const uint8_t *)text.data + text.len - FOOTER_TRAILER,
                     &got, NULL);
    footer_free(got);
    buf_done(&text);
    return rc == 0;
}

static void as_it_is(struct footer *footer)
{
    footer->index_count = FOOTER_INDEX_MAX;
}

static void index_at_the_end_of_numbers(struct footer *footer)
{
    footer->index_count = 2;
    footer->index_at = INT64_MAX - 7;
}

static void index_before_all(struct footer *footer)
{
    footer->index_at = -1;
}

static void sums_before_all(struct footer *footer)
{
    footer->sums_at = -1;
}

static void sums_at_the_end_of_numbers(struct footer *footer)
{
    footer->sums_at = INT64_MAX - 7;
}

static void endless_index(struct footer *footer)
{
    footer->index_count = INT64_MAX / 8;
}

static void endless_rows(struct footer *footer)
{
    footer->parts[0].rows = INT64_MAX;
}

static void a_footer_that_is_true_of_no_result_is_not_read(void **state)
{
    (void)state;
    assert_true(reads(as_it_is));
    assert_false(reads(index_at_the_end_of_numbers));
    assert_false(reads(index_before_all));
    assert_false(reads(sums_before_all));
    assert_false(reads(sums_at_the_end_of_numbers));
    assert_false(reads(endless_index));
    assert_false(reads(endless_rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_result_says_what_its_columns_hold),
        TEST(the_index_of_a_long_result_is_bounded),
        TEST(a_footer_that_was_changed_is_not_read),
        TEST(a_footer_that_is_true_of_no_result_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
