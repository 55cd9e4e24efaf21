/* src/spool/seal.h -- an encrypted result file: written once, read from any place, and no byte that
 * was not written.
 *
 * The file is a sequence of segments, each a separate XChaCha20-Poly1305 stream (libsodium's
 * secretstream): a header, then SEAL_SEGMENT_CHUNKS chunks of SEAL_CHUNK bytes of the result, each
 * with its tag. A segment's key is derived from the file's key and the segment's number
 * (libsodium's kdf), so that segments cannot be reordered; within one the stream keeps the order.
 * The file's last chunk says that it is the last, and the reader knows the size of the result, so
 * that nothing can be cut off. Reading from the middle begins at a segment: at most 256 KiB are
 * decrypted in addition. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "core/report.h"

enum {
    SEAL_CHUNK = 64 * 1024,
    SEAL_SEGMENT_CHUNKS = 4,
    SEAL_SEGMENT = SEAL_SEGMENT_CHUNKS * SEAL_CHUNK, /* bytes of the result in a segment */
    SEAL_SEGMENT_BYTES = 24 + SEAL_SEGMENT_CHUNKS * 17 + SEAL_SEGMENT, /* of the file */
};

/* The size of the file that `bytes` of a result make. */
int64_t seal_file_size(int64_t bytes);
/* What is stored of `bytes` of a result, encrypted or plain. */
static inline int64_t seal_stored_size(int64_t bytes, bool sealed)
{
    return sealed ? seal_file_size(bytes) : bytes;
}

/* Writes all of it into the file: 0 or an errno. */
typedef int seal_write_fn(void *context, const void *data, size_t len);

/* Writing. */
struct seal;
/* The key is copied. *ret is yours: seal_free(). */
int seal_new(const uint8_t key[REPORT_KEY_BYTES], seal_write_fn *write, void *context,
             struct seal **ret, struct err *err);
void seal_free(struct seal *seal); /* NULL is fine; forgets the key */
/* Add bytes of the result. 0, or what `write` returned. */
int seal_add(struct seal *seal, const void *data, size_t len);
/* No more comes: write what is left, as the end. */
int seal_finish(struct seal *seal);

/* Reading. The file is given by a function that reads exactly `len` bytes from place `at` on: 0 or
 * an error. What is read for one byte of the result is all of one segment. */
typedef int unseal_source_fn(void *context, int64_t at, void *out, size_t len, struct err *err);
struct unseal;
/* `bytes` is the size of the result; the key is copied. *ret is yours: unseal_free(). */
int unseal_new(unseal_source_fn *source, void *context, int64_t bytes,
               const uint8_t key[REPORT_KEY_BYTES], struct unseal **ret, struct err *err);
void unseal_free(struct unseal *unseal); /* NULL is fine; forgets the key */
/* Up to `max` bytes of the result from place `at` on into `out`: how many (0 only at its end), or
 * -E_INTERNAL if the file is not what was written with this key, or what the source says. To read
 * on where the last read ended costs nothing more. */
ssize_t unseal_read(struct unseal *unseal, int64_t at, void *out, size_t max, struct err *err);
