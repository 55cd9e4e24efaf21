/* tests/unit/seal_test.c -- encrypted results: what was written is read, from any place, and
 * nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "spool/seal.h"

enum { CHUNK = SEAL_CHUNK, SEGMENT = SEAL_CHUNK * SEAL_SEGMENT_CHUNKS, HEADER = 24, TAG = 17 };
enum { SEALED_CHUNK = CHUNK + TAG, SEALED_SEGMENT = HEADER + SEAL_SEGMENT_CHUNKS * SEALED_CHUNK };

static const uint8_t key[REPORT_KEY_BYTES] = "a key for the tests", other_key[REPORT_KEY_BYTES];

/* A sealed result in memory and as a file. */
struct sample {
    size_t len, file_len;
    char *result, *file;
};

static int append(void *context, const void *data, size_t len)
{
    struct sample *sample = context;

    memcpy(sample->file + sample->file_len, data, len);
    sample->file_len += len;
    return 0;
}

static void make_sample(struct sample *sample, size_t len)
{
    struct seal *seal = NULL;

    *sample = (struct sample){.len = len};
    sample->result = malloc(len + 1);
    sample->file = malloc((size_t)seal_file_size((int64_t)len) + 1);
    assert_non_null(sample->result);
    assert_non_null(sample->file);
    for (size_t i = 0; i < len; i++)
        sample->result[i] = (char)(i * 31 + i / CHUNK);
    assert_int_equal(seal_new(key, append, sample, &seal, NULL), 0);
    /* In pieces of every size, as a result writer has them. */
    for (size_t at = 0, n = 1; at < len; at += n, n = n * 3 + 1) {
        n = n < len - at ? n : len - at;
        assert_int_equal(seal_add(seal, sample->result + at, n), 0);
    }
    assert_int_equal(seal_finish(seal), 0);
    seal_free(seal);
}

static void free_sample(struct sample *sample)
{
    free(sample->result);
    free(sample->file);
}

/* An unseal_source_fn. */
static int read_sample(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    const struct sample *sample = context;

    if ((size_t)at + len > sample->file_len)
        return err_set(err, -E_INTERNAL, "the file ends");
    memcpy(out, sample->file + at, len);
    return 0;
}

static int open_as(struct sample *sample, size_t len, const uint8_t with[REPORT_KEY_BYTES],
                   struct unseal **ret)
{
    return unseal_new(read_sample, sample, (int64_t)len, with, ret, NULL);
}

/* Read all of it, whatever is wrong: 0 or the error; every byte that is given must be right. */
static int read_through(struct sample *sample, size_t len, const uint8_t *with)
{
    struct unseal *unseal = NULL;
    static char out[CHUNK];
    int64_t at = 0;
    ssize_t n;
    int rc = open_as(sample, len, with, &unseal);

    if (rc < 0)
        return rc;
    while ((n = unseal_read(unseal, at, out, sizeof(out), NULL)) > 0) {
        assert_memory_equal(out, sample->result + at, n);
        at += n;
    }
    unseal_free(unseal);
    if (n == 0)
        assert_int_equal(at, len);
    return (int)n;
}

static void a_result_of_any_size_is_read_back(void **state)
{
    static const size_t sizes[] = {0,       1,           CHUNK - 1,
                                   CHUNK,   CHUNK + 1,   SEGMENT - 1,
                                   SEGMENT, SEGMENT + 1, 2 * SEGMENT + 3 * CHUNK / 2};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sample sample;

        make_sample(&sample, sizes[i]);
        assert_int_equal(sample.file_len, seal_file_size((int64_t)sizes[i]));
        assert_int_equal(read_through(&sample, sizes[i], key), 0);
        free_sample(&sample);
    }
}

static void a_result_is_read_from_any_place(void **state)
{
    static const int64_t places[] = {
        SEGMENT + 7, 3,         SEGMENT - 1,        SEGMENT, 5 * CHUNK, 2 * CHUNK, 2 * SEGMENT + 1,
        0,           CHUNK - 1, SEGMENT + 5 * CHUNK};
    struct unseal *unseal = NULL;
    struct sample sample;

    (void)state;
    make_sample(&sample, 4 * SEGMENT + 100);
    assert_int_equal(open_as(&sample, sample.len, key, &unseal), 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char out[10];
        ssize_t n = unseal_read(unseal, places[i], out, sizeof(out), NULL);

        assert_true(n > 0);
        assert_memory_equal(out, sample.result + places[i], n);
    }
    assert_int_equal(unseal_read(unseal, (int64_t)sample.len, sample.file, 1, NULL), 0);
    unseal_free(unseal);
    free_sample(&sample);
}

static void the_file_shows_nothing_of_the_result(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, 3 * CHUNK);
    for (size_t at = 0; at + 16 <= sample.len; at += 4096)
        assert_null(memmem(sample.file, sample.file_len, sample.result + at, 16));
    free_sample(&sample);
}

static void another_key_reads_nothing(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, 100);
    assert_int_equal(read_through(&sample, 100, other_key), -E_INTERNAL);
    free_sample(&sample);
}

static void a_changed_byte_anywhere_is_noticed(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, 300);
    for (size_t i = 0; i < sample.file_len; i++) {
        sample.file[i] ^= 1;
        assert_int_equal(read_through(&sample, sample.len, key), -E_INTERNAL);
        sample.file[i] ^= 1;
    }
    assert_int_equal(read_through(&sample, sample.len, key), 0);
    free_sample(&sample);
}

static void a_changed_byte_late_in_the_file_is_noticed(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, SEGMENT + 2 * CHUNK);
    sample.file[sample.file_len - 20] ^= 4;
    assert_int_equal(read_through(&sample, sample.len, key), -E_INTERNAL);
    free_sample(&sample);
}

static void a_file_that_ends_early_is_noticed(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, SEGMENT + CHUNK);
    sample.file_len--;
    assert_int_equal(read_through(&sample, sample.len, key), -E_INTERNAL);
    free_sample(&sample);
}

/* Even if the row's size were changed with it. */
static void a_file_cut_at_a_chunk_is_noticed(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, SEGMENT + 2 * CHUNK);
    sample.file_len = SEALED_SEGMENT + HEADER + SEALED_CHUNK;
    assert_int_equal(read_through(&sample, SEGMENT + CHUNK, key), -E_INTERNAL);
    sample.file_len = SEALED_SEGMENT;
    assert_int_equal(read_through(&sample, SEGMENT, key), -E_INTERNAL);
    free_sample(&sample);
}

static void swap(char *a, char *b, size_t len)
{
    char *kept = malloc(len);

    assert_non_null(kept);
    memcpy(kept, a, len);
    memcpy(a, b, len);
    memcpy(b, kept, len);
    free(kept);
}

static void chunks_cannot_change_places(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, SEGMENT);
    swap(sample.file + HEADER, sample.file + HEADER + SEALED_CHUNK, SEALED_CHUNK);
    assert_int_equal(read_through(&sample, sample.len, key), -E_INTERNAL);
    free_sample(&sample);
}

static void segments_cannot_change_places(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, 3 * SEGMENT);
    swap(sample.file, sample.file + SEALED_SEGMENT, SEALED_SEGMENT);
    assert_int_equal(read_through(&sample, sample.len, key), -E_INTERNAL);
    free_sample(&sample);
}

static int no_room(void *context, const void *data, size_t len)
{
    (void)context;
    (void)data;
    (void)len;
    return 28;
}

static void a_write_that_fails_is_told(void **state)
{
    static const char data[SEGMENT + 1];
    struct seal *seal = NULL;

    (void)state;
    assert_int_equal(seal_new(key, no_room, NULL, &seal, NULL), 0);
    assert_int_equal(seal_add(seal, data, sizeof(data)), 28);
    seal_free(seal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_of_any_size_is_read_back),
        cmocka_unit_test(a_result_is_read_from_any_place),
        cmocka_unit_test(the_file_shows_nothing_of_the_result),
        cmocka_unit_test(another_key_reads_nothing),
        cmocka_unit_test(a_changed_byte_anywhere_is_noticed),
        cmocka_unit_test(a_changed_byte_late_in_the_file_is_noticed),
        cmocka_unit_test(a_file_that_ends_early_is_noticed),
        cmocka_unit_test(a_file_cut_at_a_chunk_is_noticed),
        cmocka_unit_test(chunks_cannot_change_places),
        cmocka_unit_test(segments_cannot_change_places),
        cmocka_unit_test(a_write_that_fails_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
