/* tests/unit/pack_test.c -- compressed results: what was written is read, from any place, and
 * nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/evp.h>
#include <zstd.h>

#include "spool/pack.h"

enum { FRAME = PACK_FRAME, PLACES_IN_MEMORY = 256, FILE_MAX = 16 << 20 };

static const char footer[] = "what stands behind the JSON";

/* A compressed result in memory and as a file. */
struct sample {
    size_t len, file_len;
    char *result, *file;
    int64_t footer_at; /* as a reader sees it */
};

static int append(void *context, const void *data, size_t len)
{
    struct sample *sample = context;

    if (sample->file_len + len > FILE_MAX)
        return ENOSPC;
    memcpy(sample->file + sample->file_len, data, len);
    sample->file_len += len;
    return 0;
}

static void make_sample_of(struct sample *sample, size_t len, bool noise)
{
    struct pack *pack = NULL;

    *sample = (struct sample){.len = len, .result = malloc(len + 1), .file = malloc(FILE_MAX)};
    assert_non_null(sample->result);
    assert_non_null(sample->file);
    for (size_t i = 0, x = 1; i < len; i++, x = x * 1664525 + 1013904223)
        sample->result[i] = (char)(noise ? x >> 24 : i / 7 + i / FRAME);
    assert_int_equal(pack_new(append, sample, &pack, NULL), 0);
    /* In pieces of every size, as a result writer has them. */
    for (size_t at = 0, n = 1; at < len; at += n, n = n * 3 + 1) {
        n = n < len - at ? n : len - at;
        assert_int_equal(pack_add(pack, sample->result + at, n), 0);
    }
    assert_int_equal(pack_end(pack, &sample->footer_at), 0);
    assert_int_equal(pack_finish(pack, footer, sizeof(footer)), 0);
    assert_int_equal(pack_stored(pack), sample->file_len);
    pack_free(pack);
}

static void make_sample(struct sample *sample, size_t len)
{
    make_sample_of(sample, len, false);
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

    if (at < 0 || (size_t)at + len > sample->file_len)
        return err_set(err, -E_INTERNAL, "the file ends");
    memcpy(out, sample->file + at, len);
    return 0;
}

static struct unpack *open_sample(struct sample *sample)
{
    struct unpack *unpack = NULL;

    assert_int_equal(unpack_new(read_sample, sample, (int64_t)sample->len,
                                (int64_t)sample->file_len, &unpack, NULL),
                     0);
    return unpack;
}

/* Read all of the JSON, whatever is wrong: 0 or the error; every byte that is given must be right.
 */
static int read_through(struct sample *sample)
{
    struct unpack *unpack = open_sample(sample);
    static char out[FRAME];
    size_t at = 0;
    ssize_t n = 0;

    while (at < sample->len) {
        size_t max = sample->len - at < sizeof(out) ? sample->len - at : sizeof(out);

        n = unpack_read(unpack, (int64_t)at, out, max, NULL);
        if (n <= 0)
            break;
        assert_memory_equal(out, sample->result + at, n);
        at += (size_t)n;
    }
    unpack_free(unpack);
    return n < 0 ? (int)n : 0;
}

static void reads(struct unpack *unpack, int64_t at, const char *expected, size_t len)
{
    char out[64];
    ssize_t n;

    for (size_t have = 0; have < len; have += (size_t)n) {
        n = unpack_read(unpack, at + (int64_t)have, out, len - have, NULL);
        assert_true(n > 0);
        assert_memory_equal(out, expected + have, n);
        assert_true(unpack_has(unpack, at + (int64_t)have));
    }
}

static void a_result_of_any_size_is_read_back(void **state)
{
    static const size_t sizes[] = {
        1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME, (PLACES_IN_MEMORY + 1) * (size_t)FRAME + 3};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sample sample;

        make_sample(&sample, sizes[i]);
        assert_int_equal(read_through(&sample), 0);
        free_sample(&sample);
    }
}

static void a_result_is_read_from_any_place(void **state)
{
    static const int64_t last = PLACES_IN_MEMORY * (int64_t)FRAME;
    static const int64_t places[] = {FRAME + 7, 3,    FRAME - 5,    last - 3, last - FRAME,
                                     0,         last, last + FRAME, 2 * FRAME};
    struct unpack *unpack;
    struct sample sample;

    (void)state;
    make_sample(&sample, (size_t)last + FRAME + 100);
    unpack = open_sample(&sample);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        reads(unpack, places[i], sample.result + places[i], 20);
    unpack_free(unpack);
    free_sample(&sample);
}

/* Where pack_end() has said, up to where unpack_end() says; and so is all that is stored. */
static void the_footer_is_read_behind_the_json(void **state)
{
    struct unpack *unpack;
    struct sample sample;
    int64_t end;
    char byte;

    (void)state;
    make_sample(&sample, 2 * FRAME + 100);
    end = unpack_end((int64_t)sample.len, (int64_t)sample.file_len);
    assert_int_equal(end, sample.footer_at + (int64_t)sizeof(footer));
    unpack = open_sample(&sample);
    reads(unpack, sample.footer_at, footer, sizeof(footer));
    reads(unpack, (int64_t)sample.len, sample.file, 60);
    reads(unpack, 2 * FRAME - 3, sample.result + 2 * FRAME - 3, 20);
    assert_int_equal(unpack_read(unpack, (int64_t)(sample.len + sample.file_len), &byte, 1, NULL),
                     0);
    unpack_free(unpack);
    free_sample(&sample);
}

static void decompresses(const struct sample *sample, size_t len)
{
    char *out = malloc(sample->len);

    assert_int_equal(ZSTD_decompress(out, sample->len, sample->file, len), sample->len);
    assert_memory_equal(out, sample->result, sample->len);
    free(out);
}

static void the_file_is_one_that_any_program_decompresses(void **state)
{
    uint8_t digest[REPORT_DIGEST_BYTES];
    struct pack_frames frames;
    struct unpack *unpack;
    struct sample sample;

    (void)state;
    make_sample(&sample, 3 * FRAME + 100);
    decompresses(&sample, sample.file_len);
    unpack = open_sample(&sample);
    assert_int_equal(unpack_frames(unpack, &frames, NULL), 0);
    decompresses(&sample, (size_t)frames.end);
    EVP_Digest(sample.file, (size_t)frames.end, digest, NULL, EVP_sha256(), NULL);
    assert_memory_equal(frames.digest, digest, sizeof(digest));
    unpack_free(unpack);
    free_sample(&sample);
}

/* Or it is one of the bits that mean nothing: never is anything wrong read. */
static void a_changed_byte_is_noticed(void **state)
{
    struct pack_frames frames;
    struct unpack *unpack;
    struct sample sample;
    int64_t noticed = 0;

    (void)state;
    make_sample(&sample, 20000);
    unpack = open_sample(&sample);
    assert_int_equal(unpack_frames(unpack, &frames, NULL), 0);
    unpack_free(unpack);
    for (size_t i = 0; i < sample.file_len; i++) {
        sample.file[i] ^= 1;
        noticed += read_through(&sample) == -E_INTERNAL;
        sample.file[i] ^= 1;
    }
    assert_true(noticed > frames.end * 9 / 10);
    sample.file[sample.file_len - 2] ^= 1; /* it says that this is a compressed result */
    assert_int_equal(read_through(&sample), -E_INTERNAL);
    sample.file[sample.file_len - 2] ^= 1;
    assert_int_equal(read_through(&sample), 0);
    free_sample(&sample);
}

/* Where the frames end is asked before any of them is sent as it is stored. */
static void a_changed_end_of_the_frames_is_noticed(void **state)
{
    struct pack_frames frames;
    struct unpack *unpack;
    struct sample sample;

    (void)state;
    make_sample(&sample, 2 * FRAME + 100);
    for (size_t bit = 0; bit < 8 * sizeof(uint64_t); bit++) {
        char *at = sample.file + sample.file_len - PACK_TAIL + REPORT_DIGEST_BYTES + bit / 8;

        *at ^= (char)(1 << bit % 8);
        unpack = open_sample(&sample);
        assert_int_equal(unpack_frames(unpack, &frames, NULL), -E_INTERNAL);
        unpack_free(unpack);
        *at ^= (char)(1 << bit % 8);
    }
    assert_int_equal(read_through(&sample), 0);
    free_sample(&sample);
}

/* Places of frames that are none. */
static void a_changed_table_is_noticed(void **state)
{
    static const uint64_t places[] = {1, 40, UINT64_MAX, INT64_MAX, 1 << 20};
    struct sample sample;
    char *table;

    (void)state;
    make_sample(&sample, 2 * FRAME + 100);
    table = sample.file + sample.footer_at - (int64_t)sample.len - 3 * (int64_t)sizeof(uint64_t);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        uint64_t was;

        memcpy(&was, table + sizeof(was), sizeof(was));
        memcpy(table + sizeof(was), &places[i], sizeof(was));
        assert_int_equal(read_through(&sample), -E_INTERNAL);
        memcpy(table + sizeof(was), &was, sizeof(was));
    }
    assert_int_equal(read_through(&sample), 0);
    free_sample(&sample);
}

/* It would not fit. */
static void a_frame_that_is_too_long_is_not_read(void **state)
{
    struct sample sample;
    char *table;

    (void)state;
    make_sample_of(&sample, 4 * FRAME, true);
    table = sample.file + sample.footer_at - (int64_t)sample.len - 4 * (int64_t)sizeof(uint64_t);
    memcpy(table + sizeof(uint64_t), table + 3 * sizeof(uint64_t), sizeof(uint64_t));
    assert_int_equal(read_through(&sample), -E_INTERNAL);
    free_sample(&sample);
}

static void a_file_of_another_length_is_noticed(void **state)
{
    struct sample sample;

    (void)state;
    make_sample(&sample, FRAME + 100);
    for (size_t less = 1; less < sample.file_len; less += 7) {
        sample.file_len -= less;
        assert_int_equal(read_through(&sample), -E_INTERNAL);
        sample.file_len += less;
    }
    free_sample(&sample);
}

static int refuse(void *context, const void *data, size_t len)
{
    (void)context, (void)data, (void)len;
    return ENOSPC;
}

static void a_disk_that_is_full_is_said(void **state)
{
    static char data[2 * FRAME];
    struct pack *pack = NULL;

    (void)state;
    assert_int_equal(pack_new(refuse, NULL, &pack, NULL), 0);
    assert_int_equal(pack_add(pack, data, 100), 0);
    assert_int_equal(pack_add(pack, data, sizeof(data)), ENOSPC);
    pack_free(pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_of_any_size_is_read_back),
        cmocka_unit_test(a_result_is_read_from_any_place),
        cmocka_unit_test(the_footer_is_read_behind_the_json),
        cmocka_unit_test(the_file_is_one_that_any_program_decompresses),
        cmocka_unit_test(a_changed_byte_is_noticed),
        cmocka_unit_test(a_changed_end_of_the_frames_is_noticed),
        cmocka_unit_test(a_changed_table_is_noticed),
        cmocka_unit_test(a_frame_that_is_too_long_is_not_read),
        cmocka_unit_test(a_file_of_another_length_is_noticed),
        cmocka_unit_test(a_disk_that_is_full_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
