/* tests/unit/block_reader_test.c -- what is read of a stored result is what was written, or nothing
 * is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/block_sums.h"
#include "render/block_reader.h"

enum {
    BLOCK = SUMMED_BLOCK,
    JSON = 300 * BLOCK + 1000, /* more checksums than are in memory at once */
    OFFSETS = FOOTER_INDEX_MAX - 7,
    INDEX = OFFSETS * 8,
    GAP = 50, /* in a compressed result the JSON and its footer are apart */
    INDEX_AT = JSON + GAP,
    SUMS_AT = INDEX_AT + INDEX,
    SUMS = 301 + 4,
    ALL = SUMS_AT + SUMS * 8,
};

struct fixture {
    char *stored;
    struct footer footer;
    struct block_reader *reader;
    int reads;
};

static int read_stored(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    struct fixture *fixture = context;

    if (at < 0 || at > ALL || (int64_t)len > ALL - at)
        return err_set(err, -E_SPOOL, "not there");
    fixture->reads++;
    memcpy(out, fixture->stored + at, len);
    return 0;
}

/* As somebody who asks for the first time. */
static void open_again(struct fixture *fixture)
{
    const struct form_spec spec = {
        .footer = &fixture->footer, .bytes = JSON, .read = read_stored, .context = fixture};

    block_reader_free(fixture->reader);
    assert_int_equal(block_reader_new(&spec, &fixture->reader, NULL), 0);
    fixture->reads = 0;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct block_sums sums;

    fixture->stored = malloc(ALL);
    for (size_t i = 0; i < ALL; i++)
        fixture->stored[i] = (char)(i * 7 + i / 1021);
    fixture->footer = (struct footer){
        .index_at = INDEX_AT, .index_count = OFFSETS, .sums_at = SUMS_AT, .stride = FOOTER_STRIDE};
    assert_int_equal(block_sums_init(&sums), 0);
    for (size_t at = 0; at < JSON; at += 100003) /* as blocks of a writer come */
        block_sums_add(&sums, fixture->stored + at, JSON - at < 100003 ? JSON - at : 100003);
    block_sums_end(&sums);
    block_sums_add(&sums, fixture->stored + INDEX_AT, INDEX);
    block_sums_end(&sums);
    assert_int_equal(sums.count, SUMS);
    memcpy(fixture->stored + SUMS_AT, sums.sums, SUMS * 8);
    block_sums_done(&sums);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    block_reader_free(fixture->reader);
    free(fixture->stored);
    free(fixture);
    return 0;
}

/* The code; what is read is compared. */
static int reads(struct fixture *fixture, int64_t at, size_t len)
{
    char *out = malloc(len);
    int rc = block_reader_read(fixture->reader, at, out, len, NULL);

    if (rc == 0)
        assert_memory_equal(out, fixture->stored + at, len);
    free(out);
    return rc;
}

static void what_is_read_is_what_was_written(void **state)
{
    static const struct {
        int64_t at;
        size_t len;
    } asked[] = {{0, 1},           {0, BLOCK},
                 {5, BLOCK},       {BLOCK - 1, 2},
                 {BLOCK, BLOCK},   {BLOCK, 3 * BLOCK},
                 {7, 5 * BLOCK},   {299 * BLOCK, BLOCK + 1000},
                 {JSON - 1, 1},    {JSON - 999, 999},
                 {INDEX_AT, 8},    {INDEX_AT, INDEX},
                 {SUMS_AT - 8, 8}, {INDEX_AT + BLOCK - 8, 16}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        open_again(fixture);
        assert_int_equal(reads(fixture, asked[i].at, asked[i].len), 0);
    }
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        assert_int_equal(reads(fixture, asked[i].at, asked[i].len), 0);
}

static void a_result_in_order_is_read_once(void **state)
{
    struct fixture *fixture = *state;

    open_again(fixture);
    for (int64_t at = 0; at < JSON; at += 100) /* of a block that is kept */
        assert_int_equal(reads(fixture, at, 100), 0);
    assert_int_equal(fixture->reads, 301 + 2); /* and two times checksums */
    open_again(fixture);
    assert_int_equal(reads(fixture, 0, JSON), 0);
    assert_int_equal(fixture->reads, 301 + 2);
}

/* Any byte that was changed: its block is not read, wherever in it, and all others are. */
static void a_changed_byte_is_never_read(void **state)
{
    static const int64_t changed[] = {0,           BLOCK - 1, BLOCK,    299 * BLOCK + 77,
                                      JSON - 1000, JSON - 1,  INDEX_AT, INDEX_AT + BLOCK,
                                      SUMS_AT - 1};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++) {
        int64_t begin = changed[i] < JSON ? 0 : INDEX_AT, end = changed[i] < JSON ? JSON : SUMS_AT;
        int64_t first = changed[i] - (changed[i] - begin) % BLOCK;
        int64_t last = first + BLOCK < end ? first + BLOCK : end;

        open_again(fixture);
        fixture->stored[changed[i]] ^= 1;
        assert_int_equal(reads(fixture, first, 1), -E_INTERNAL);
        assert_int_equal(reads(fixture, last - 1, 1), -E_INTERNAL);
        assert_int_equal(reads(fixture, first, (size_t)(last - first)), -E_INTERNAL);
        assert_int_equal(reads(fixture, begin, (size_t)(last - begin)), -E_INTERNAL);
        if (first > begin)
            assert_int_equal(reads(fixture, first - 1, 1), 0);
        if (last < end)
            assert_int_equal(reads(fixture, last, 1), 0);
        fixture->stored[changed[i]] ^= 1;
        assert_int_equal(reads(fixture, first, 1), 0); /* nothing of it was kept */
    }
}

static void a_changed_checksum_is_that_of_nothing(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < SUMS; i += 7) {
        int64_t at = i <= 300 ? (int64_t)i * BLOCK : INDEX_AT + (int64_t)(i - 301) * BLOCK;

        open_again(fixture);
        fixture->stored[SUMS_AT + 8 * i] ^= 1;
        assert_int_equal(reads(fixture, at, 1), -E_INTERNAL);
        fixture->stored[SUMS_AT + 8 * i] ^= 1;
    }
}

static void nothing_is_read_around_it(void **state)
{
    struct fixture *fixture = *state;

    open_again(fixture);
    assert_int_equal(reads(fixture, -1, 1), -E_INTERNAL);
    assert_int_equal(reads(fixture, JSON, 1), -E_INTERNAL);
    assert_int_equal(reads(fixture, JSON - 1, 2), -E_INTERNAL);
    assert_int_equal(reads(fixture, INDEX_AT - 1, 1), -E_INTERNAL);
    assert_int_equal(reads(fixture, SUMS_AT, 8), -E_INTERNAL);
    fixture->footer.sums_at = ALL - 8; /* a footer that lies */
    open_again(fixture);
    assert_int_equal(reads(fixture, 0, 1), -E_SPOOL);
}

static void without_checksums_nothing_is_compared(void **state)
{
    struct fixture *fixture = *state;

    fixture->footer.sums_at = 0;
    fixture->stored[3] ^= 1;
    open_again(fixture);
    assert_int_equal(reads(fixture, 1, JSON - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_read_is_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_result_in_order_is_read_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_byte_is_never_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_checksum_is_that_of_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_read_around_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_checksums_nothing_is_compared, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
