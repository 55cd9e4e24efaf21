/* src/render/coding.h -- the content codings of a result (RFC 9110, 8.4.1), as it is sent. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"

/* enum, name; the preferred one is last. */
#define CODINGS(X)                                                                                 \
    X(IDENTITY, "identity")                                                                        \
    X(GZIP, "gzip")                                                                                \
    X(ZSTD, "zstd")

enum coding {
#define X(name, word) CODING_##name,
    CODINGS(X)
#undef X
        CODING_COUNT
};

const char *coding_name(enum coding coding); /* static */

/* Append all that zlib's deflate() makes of the stream's next_in with this `flush`; `out` may fail.
 */
void deflate_pump(z_stream *stream, int flush, struct buf *out);

/* A stream that is being compressed; its memory is constant, about 2.5 MiB. */
struct encoder;

/* `size`: of all that comes, which a zstd frame then says; -1: not known. -E_NOMEM. *ret is yours:
 * encoder_free(). Not for CODING_IDENTITY. */
int encoder_new(enum coding coding, int64_t size, struct encoder **ret, struct err *err);
void encoder_free(struct encoder *encoder); /* NULL is fine */

/* Compress and append to `out` what is ready. ENCODE_FLUSH: all of it so far can be read from that;
 * ENCODE_END: it was the last. -E_NOMEM, also if `out` has failed; -E_INTERNAL: it is more or
 * less than was announced. */
enum encode { ENCODE_MORE, ENCODE_FLUSH, ENCODE_END };
int encoder_add(struct encoder *encoder, const void *data, size_t len, enum encode how,
                struct buf *out, struct err *err);
