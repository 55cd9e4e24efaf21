/* tests/unit/coding_test.c -- what the encoders write is read back by libzstd and zlib. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zlib.h>
#include <zstd.h>

#include "render/coding.h"

enum { OUT_MAX = 64 << 20, PIECE = 100000, WINDOW_MAX = 8 << 20 };

/* Text that is partly alike, partly not. */
static char *make_text(size_t len)
{
    char *text = malloc(len + 1);
    unsigned state = 1;

    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        state = state * 1103515245 + 12345;
        text[i] = i / 1000 % 2 == 0 ? "row number "[i % 11] : (char)('a' + (state >> 16) % 26);
    }
    return text;
}

static void encode(enum coding coding, int64_t size, const char *text, size_t len, struct buf *out)
{
    struct encoder *encoder = NULL;
    struct err err = {0};
    size_t at = 0;

    assert_int_equal(encoder_new(coding, size, &encoder, &err), 0);
    while (len - at > PIECE) {
        assert_int_equal(encoder_add(encoder, text + at, PIECE, ENCODE_MORE, out, &err), 0);
        at += PIECE;
    }
    assert_int_equal(encoder_add(encoder, text + at, len - at, ENCODE_END, out, &err), 0);
    encoder_free(encoder);
}

/* As much of it as can be read; *ret_end: it was the end. */
static size_t decode(enum coding coding, const struct buf *in, char *out, size_t max, bool *ret_end)
{
    if (coding == CODING_ZSTD) {
        ZSTD_DStream *stream = ZSTD_createDStream();
        ZSTD_inBuffer from = {in->data, in->len, 0};
        ZSTD_outBuffer to = {out, max, 0};
        size_t left = 1;

        while (from.pos < from.size && left != 0) {
            left = ZSTD_decompressStream(stream, &to, &from);
            assert_false(ZSTD_isError(left));
        }
        *ret_end = left == 0;
        assert_true(!*ret_end || from.pos == from.size);
        ZSTD_freeDStream(stream);
        return to.pos;
    } else {
        z_stream stream = {.next_in = (unsigned char *)in->data,
                           .avail_in = (unsigned)in->len,
                           .next_out = (unsigned char *)out,
                           .avail_out = (unsigned)max};
        int rc;

        assert_int_equal(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
        rc = inflate(&stream, Z_SYNC_FLUSH);
        assert_true(rc == Z_OK || rc == Z_STREAM_END);
        *ret_end = rc == Z_STREAM_END;
        assert_true(!*ret_end || stream.avail_in == 0);
        inflateEnd(&stream);
        return max - stream.avail_out;
    }
}

static void what_is_encoded_comes_back(void **state)
{
    static const size_t sizes[] = {0, 1, PIECE, PIECE + 1, 5000000};

    (void)state;
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char *text = make_text(sizes[i]), *back = malloc(sizes[i] + 1);
            struct buf out;
            bool end;

            buf_init(&out, OUT_MAX);
            encode((enum coding)coding, i % 2 == 0 ? (int64_t)sizes[i] : -1, text, sizes[i], &out);
            assert_int_equal(decode((enum coding)coding, &out, back, sizes[i] + 1, &end), sizes[i]);
            assert_true(end);
            assert_memory_equal(back, text, sizes[i]);
            buf_done(&out);
            free(text);
            free(back);
        }
    }
}

static void what_is_flushed_can_be_read_before_the_rest_comes(void **state)
{
    char *text = make_text(PIECE), *back = malloc(PIECE);

    (void)state;
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        struct encoder *encoder = NULL;
        struct err err = {0};
        struct buf out;
        bool end;

        buf_init(&out, OUT_MAX);
        assert_int_equal(encoder_new((enum coding)coding, -1, &encoder, &err), 0);
        assert_int_equal(encoder_add(encoder, text, PIECE, ENCODE_FLUSH, &out, &err), 0);
        assert_int_equal(decode((enum coding)coding, &out, back, PIECE, &end), PIECE);
        assert_false(end);
        assert_memory_equal(back, text, PIECE);
        encoder_free(encoder);
        buf_done(&out);
    }
    free(text);
    free(back);
}

static void a_frame_says_its_size_has_a_checksum_and_a_small_window(void **state)
{
    char *text = make_text(5000000);

    (void)state;
    for (int known = 0; known < 2; known++) {
        ZSTD_frameHeader header;
        struct buf out;

        buf_init(&out, OUT_MAX);
        encode(CODING_ZSTD, known ? 5000000 : -1, text, 5000000, &out);
        assert_int_equal(ZSTD_getFrameHeader(&header, out.data, out.len), 0);
        assert_int_equal(header.frameContentSize, known ? 5000000 : ZSTD_CONTENTSIZE_UNKNOWN);
        assert_true(header.windowSize <= WINDOW_MAX);
        assert_true(header.checksumFlag);
        buf_done(&out);
    }
    free(text);
}

static void more_or_less_than_was_announced_is_an_error(void **state)
{
    (void)state;
    for (int64_t size = 2; size <= 4; size += 2) {
        struct encoder *encoder = NULL;
        struct err err = {0};
        struct buf out;

        buf_init(&out, OUT_MAX);
        assert_int_equal(encoder_new(CODING_ZSTD, size, &encoder, &err), 0);
        assert_int_equal(encoder_add(encoder, "a", 1, ENCODE_MORE, &out, &err), 0);
        assert_int_equal(encoder_add(encoder, "bc", 2, ENCODE_END, &out, &err), -E_INTERNAL);
        encoder_free(encoder);
        buf_done(&out);
    }
}

static void a_buffer_that_is_full_is_an_error(void **state)
{
    char *text = make_text(PIECE);

    (void)state;
    for (int coding = CODING_GZIP; coding < CODING_COUNT; coding++) {
        struct encoder *encoder = NULL;
        struct err err = {0};
        struct buf out;

        buf_init(&out, 1000);
        assert_int_equal(encoder_new((enum coding)coding, -1, &encoder, &err), 0);
        assert_int_equal(encoder_add(encoder, text, PIECE, ENCODE_END, &out, &err), -E_NOMEM);
        encoder_free(encoder);
        buf_done(&out);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(what_is_flushed_can_be_read_before_the_rest_comes),
        cmocka_unit_test(a_frame_says_its_size_has_a_checksum_and_a_small_window),
        cmocka_unit_test(more_or_less_than_was_announced_is_an_error),
        cmocka_unit_test(a_buffer_that_is_full_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
