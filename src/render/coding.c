/* src/render/coding.c -- zstd (RFC 8878) and gzip (RFC 1952), as a stream. */
#include "render/coding.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/check.h"

enum { OUT_STEP = 16 << 10 }; /* room given to deflate at a time */

void deflate_pump(z_stream *stream, int flush, struct buf *out)
{
    do {
        char *room = buf_reserve(out, OUT_STEP);

        if (room == NULL)
            return;
        stream->next_out = (unsigned char *)room;
        stream->avail_out = OUT_STEP;
        deflate(stream, flush);
        out->len += OUT_STEP - stream->avail_out;
        out->data[out->len] = '\0';
    } while (stream->avail_out == 0);
}

enum {
    /* Rows resemble each other: a hash of few, long matches finds most of what can be saved
     * (doc/decisions/0017). */
    ZSTD_LEVEL = 1,
    ZSTD_HASH_LOG = 17,
    ZSTD_WINDOW_LOG = 20, /* 1 MiB; decoders may refuse more than 8 MiB (RFC 8878, 3.1.1.1.2) */
    GZIP_LEVEL = 1,
    GZIP_BITS = MAX_WBITS + 16, /* zlib: with gzip's header and trailer */
    MEM_LEVEL = 8,
    ADD_LIMIT = 1 << 30, /* zlib counts in 32 bits */
};

struct encoder {
    enum coding coding;
    ZSTD_CCtx *zstd;
    z_stream gzip;
};

const char *coding_name(enum coding coding)
{
    static const char *const names[CODING_COUNT] = {
#define X(name, word) word,
        CODINGS(X)
#undef X
    };

    return names[coding];
}

static bool set_zstd(ZSTD_CCtx *zstd, ZSTD_cParameter parameter, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, parameter, value));
}

static bool open_zstd(struct encoder *encoder, int64_t size)
{
    ZSTD_CCtx *zstd = encoder->zstd = ZSTD_createCCtx();

    return zstd != NULL && set_zstd(zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL) &&
           set_zstd(zstd, ZSTD_c_hashLog, ZSTD_HASH_LOG) &&
           set_zstd(zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG) &&
           set_zstd(zstd, ZSTD_c_checksumFlag, 1) &&
           (size < 0 || !ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(zstd, (uint64_t)size)));
}

static bool open_gzip(struct encoder *encoder)
{
    return deflateInit2(&encoder->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_BITS, MEM_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

int encoder_new(enum coding coding, int64_t size, struct encoder **ret, struct err *err)
{
    struct encoder *encoder = calloc(1, sizeof(*encoder));

    CHECK(coding == CODING_ZSTD || coding == CODING_GZIP);
    if (encoder == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    encoder->coding = coding;
    if (coding == CODING_ZSTD ? !open_zstd(encoder, size) : !open_gzip(encoder)) {
        encoder_free(encoder);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    *ret = encoder;
    return 0;
}

void encoder_free(struct encoder *encoder)
{
    if (encoder == NULL)
        return;
    if (encoder->coding == CODING_ZSTD)
        ZSTD_freeCCtx(encoder->zstd);
    else
        deflateEnd(&encoder->gzip);
    free(encoder);
}

static int add_zstd(struct encoder *encoder, const void *data, size_t len, enum encode how,
                    struct buf *out, struct err *err)
{
    static const ZSTD_EndDirective ends[] = {
        [ENCODE_MORE] = ZSTD_e_continue, [ENCODE_FLUSH] = ZSTD_e_flush, [ENCODE_END] = ZSTD_e_end};
    ZSTD_inBuffer in = {data, len, 0};
    size_t step = ZSTD_CStreamOutSize(), left;

    do {
        ZSTD_outBuffer made = {buf_reserve(out, step), step, 0};

        if (made.dst == NULL)
            return 0;
        left = ZSTD_compressStream2(encoder->zstd, &made, &in, ends[how]);
        if (ZSTD_isError(left))
            return err_set(err, -E_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        out->len += made.pos;
        out->data[out->len] = '\0';
    } while (how == ENCODE_MORE ? in.pos < in.size : left > 0);
    return 0;
}

static void add_gzip(struct encoder *encoder, const void *data, size_t len, enum encode how,
                     struct buf *out)
{
    static const int flushes[] = {
        [ENCODE_MORE] = Z_NO_FLUSH, [ENCODE_FLUSH] = Z_SYNC_FLUSH, [ENCODE_END] = Z_FINISH};

    CHECK(len <= ADD_LIMIT);
    encoder->gzip.next_in = (unsigned char *)data;
    encoder->gzip.avail_in = (unsigned)len;
    deflate_pump(&encoder->gzip, flushes[how], out);
}

int encoder_add(struct encoder *encoder, const void *data, size_t len, enum encode how,
                struct buf *out, struct err *err)
{
    int rc = 0;

    if (encoder->coding == CODING_ZSTD)
        rc = add_zstd(encoder, data, len, how, out, err);
    else
        add_gzip(encoder, data, len, how, out);
    return rc == 0 && buf_failed(out) ? err_set(err, -E_NOMEM, "Out of memory.") : rc;
}
