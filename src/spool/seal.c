/* src/spool/seal.c -- an encrypted result file: segments of authenticated chunks. */
#include "spool/seal.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER = crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    TAG = crypto_secretstream_xchacha20poly1305_ABYTES,
    SEALED_CHUNK = SEAL_CHUNK + TAG,
    SEALED_SEGMENT = HEADER + SEAL_SEGMENT_CHUNKS * SEALED_CHUNK,
};
_Static_assert((int)SEALED_SEGMENT == (int)SEAL_SEGMENT_BYTES, "as the header says");
_Static_assert((int)REPORT_KEY_BYTES == (int)crypto_kdf_KEYBYTES, "the file's key derives others");

/* A stream and the position in it. */
struct stream {
    crypto_secretstream_xchacha20poly1305_state state;
    uint8_t key[REPORT_KEY_BYTES]; /* of the file */
    int64_t chunk;                 /* number of the next chunk in the file */
};

struct seal {
    seal_write_fn *write;
    void *context;
    struct stream stream;
    size_t chunk_len, out_len;
    uint8_t chunk[SEAL_CHUNK];   /* of the result, until it is known whether it is the last */
    uint8_t out[SEALED_SEGMENT]; /* of the file */
};

struct unseal {
    unseal_source_fn *source;
    void *context;
    int64_t bytes; /* of the result */
    struct stream stream;
    size_t chunk_len; /* of the chunk before stream.chunk, decrypted; 0: none */
    uint8_t chunk[SEAL_CHUNK];
    uint8_t in[SEALED_CHUNK];
};

/* ---- sizes and places ---- */

static int64_t chunks_of(int64_t bytes)
{
    return (bytes + SEAL_CHUNK - 1) / SEAL_CHUNK;
}

int64_t seal_file_size(int64_t bytes)
{
    int64_t chunks = chunks_of(bytes);
    int64_t segments = (chunks + SEAL_SEGMENT_CHUNKS - 1) / SEAL_SEGMENT_CHUNKS;

    return bytes + chunks * TAG + segments * HEADER;
}

static bool begins_segment(int64_t chunk)
{
    return chunk % SEAL_SEGMENT_CHUNKS == 0;
}

static void segment_key(const struct stream *stream, uint8_t key[REPORT_KEY_BYTES])
{
    crypto_kdf_derive_from_key(key, REPORT_KEY_BYTES,
                               (uint64_t)(stream->chunk / SEAL_SEGMENT_CHUNKS), "segment",
                               stream->key);
}

/* ---- writing ---- */

int seal_new(const uint8_t key[REPORT_KEY_BYTES], seal_write_fn *write, void *context,
             struct seal **ret, struct err *err)
{
    struct seal *seal = sodium_init() < 0 ? NULL : calloc(1, sizeof(*seal));

    if (seal == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    seal->write = write;
    seal->context = context;
    memcpy(seal->stream.key, key, REPORT_KEY_BYTES);
    *ret = seal;
    return 0;
}

void seal_free(struct seal *seal)
{
    if (seal == NULL)
        return;
    sodium_memzero(&seal->stream, sizeof(seal->stream));
    free(seal);
}

/* Encrypt the chunk; write if it ends its segment or the file. */
static int put_chunk(struct seal *seal, bool last)
{
    struct stream *stream = &seal->stream;
    uint8_t tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                       : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;

    if (begins_segment(stream->chunk)) {
        uint8_t key[REPORT_KEY_BYTES];

        segment_key(stream, key);
        crypto_secretstream_xchacha20poly1305_init_push(&stream->state, seal->out, key);
        sodium_memzero(key, sizeof(key));
        seal->out_len = HEADER;
    }
    crypto_secretstream_xchacha20poly1305_push(&stream->state, seal->out + seal->out_len, NULL,
                                               seal->chunk, seal->chunk_len, NULL, 0, tag);
    seal->out_len += seal->chunk_len + TAG;
    seal->chunk_len = 0;
    stream->chunk++;
    if (!last && !begins_segment(stream->chunk))
        return 0;
    return seal->write(seal->context, seal->out, seal->out_len);
}

int seal_add(struct seal *seal, const void *data, size_t len)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t n = SEAL_CHUNK - seal->chunk_len;

        if (n == 0) {
            int rc = put_chunk(seal, false);

            if (rc != 0)
                return rc;
            continue;
        }
        n = len < n ? len : n;
        memcpy(seal->chunk + seal->chunk_len, from, n);
        seal->chunk_len += n;
        from += n;
        len -= n;
    }
    return 0;
}

int seal_finish(struct seal *seal)
{
    return seal->chunk_len > 0 ? put_chunk(seal, true) : 0;
}

/* ---- reading ---- */

int unseal_new(unseal_source_fn *source, void *context, int64_t bytes,
               const uint8_t key[REPORT_KEY_BYTES], struct unseal **ret, struct err *err)
{
    struct unseal *unseal = sodium_init() < 0 ? NULL : calloc(1, sizeof(*unseal));

    if (unseal == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    unseal->source = source;
    unseal->context = context;
    unseal->bytes = bytes;
    memcpy(unseal->stream.key, key, REPORT_KEY_BYTES);
    *ret = unseal;
    return 0;
}

void unseal_free(struct unseal *unseal)
{
    if (unseal == NULL)
        return;
    sodium_memzero(unseal, sizeof(*unseal));
    free(unseal);
}

static int begin_segment(struct unseal *unseal, int64_t at, struct err *err)
{
    uint8_t header[HEADER], key[REPORT_KEY_BYTES];
    int rc = unseal->source(unseal->context, at, header, HEADER, err);

    if (rc < 0)
        return rc;
    segment_key(&unseal->stream, key);
    rc = crypto_secretstream_xchacha20poly1305_init_pull(&unseal->stream.state, header, key);
    sodium_memzero(key, sizeof(key));
    return rc == 0 ? 0 : err_damaged(err, "the file of an encrypted result");
}

/* Decrypt the chunk at stream.chunk, and move on. */
static int next_chunk(struct unseal *unseal, struct err *err)
{
    struct stream *stream = &unseal->stream;
    int64_t left = unseal->bytes - stream->chunk * SEAL_CHUNK;
    size_t len = left < SEAL_CHUNK ? (size_t)left : SEAL_CHUNK;
    int64_t at = stream->chunk / SEAL_SEGMENT_CHUNKS * SEALED_SEGMENT;
    unsigned char tag = 0;
    int rc = begins_segment(stream->chunk) ? begin_segment(unseal, at, err) : 0;

    at += HEADER + stream->chunk % SEAL_SEGMENT_CHUNKS * SEALED_CHUNK;
    unseal->chunk_len = 0;
    if (rc == 0)
        rc = unseal->source(unseal->context, at, unseal->in, len + TAG, err);
    if (rc < 0)
        return rc;
    if (crypto_secretstream_xchacha20poly1305_pull(&stream->state, unseal->chunk, NULL, &tag,
                                                   unseal->in, len + TAG, NULL, 0) != 0 ||
        (tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL) != (left <= SEAL_CHUNK))
        return err_damaged(err, "the file of an encrypted result");
    unseal->chunk_len = len;
    stream->chunk++;
    return 0;
}

/* Decrypt up to and including the chunk `wanted`. */
static int go_to_chunk(struct unseal *unseal, int64_t wanted, struct err *err)
{
    int64_t start = wanted - wanted % SEAL_SEGMENT_CHUNKS;
    int64_t at = unseal->stream.chunk;
    int rc = 0;

    if (unseal->chunk_len > 0 && at == wanted + 1)
        return 0;
    if (unseal->chunk_len == 0 || at < start || at > wanted)
        unseal->stream.chunk = start;
    while (rc == 0 && unseal->stream.chunk <= wanted)
        rc = next_chunk(unseal, err);
    return rc;
}

ssize_t unseal_read(struct unseal *unseal, int64_t at, void *out, size_t max, struct err *err)
{
    size_t from = (size_t)(at % SEAL_CHUNK), n;
    int rc;

    if (at < 0 || at >= unseal->bytes)
        return 0;
    rc = go_to_chunk(unseal, at / SEAL_CHUNK, err);
    if (rc < 0)
        return rc;
    n = unseal->chunk_len - from;
    n = n < max ? n : max;
    memcpy(out, unseal->chunk + from, n);
    return (ssize_t)n;
}
