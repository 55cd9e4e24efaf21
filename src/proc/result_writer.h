/* src/proc/result_writer.h -- a result file being written: another thread hashes, compresses,
 * encrypts and writes the blocks of bytes that the caller makes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/block_sums.h"
#include "core/report.h"

struct result_writer;

enum {
    RESULT_WRITER_BLOCK = 512 << 10, /* a block is handed on once it has this many bytes */
    RESULT_WRITER_ROOM = 128 << 20,  /* bytes that a block may grow to, by one large row */
};

/* `fd` is borrowed. With a key (REPORT_KEY_BYTES, copied; NULL: none) the file is encrypted, see
 * spool/seal.h, and before that, if it is `packed`, compressed, see spool/pack.h; sizes and digest
 * stay those of what is added. *ret is yours: result_writer_free(). */
int result_writer_new(int fd, bool packed, const uint8_t *key, struct result_writer **ret,
                      struct err *err);
void result_writer_free(
    struct result_writer *result_writer); /* waits for the writing; NULL is fine */

/* The block to add to, until the next result_writer_pass(). */
struct buf *result_writer_block(struct result_writer *result_writer);

/* Hand the block on if it is large enough, and give the next one, empty. -E_SPOOL if an earlier
 * one could not be written, as a message for the user. */
int result_writer_pass(struct result_writer *result_writer, struct err *err);

/* Bytes so far, those in the current block included. */
int64_t result_writer_bytes(struct result_writer *result_writer);

/* No more is added: hand on what is left, and wait until it is written. *ret_footer_at: where who
 * reads the result will see its footer. -E_SPOOL, -E_NOMEM, -E_SOURCE: a row is too large. */
int result_writer_end(struct result_writer *result_writer, int64_t *ret_footer_at, struct err *err);

/* After that: the checksums of what was added, for the footer, which adds those of its index.
 * Borrowed. */
struct block_sums *result_writer_sums(struct result_writer *result_writer);

/* After that: write `footer`, wait until all is in the file, give the SHA-256 of all but
 * the footer. A file of more than `unsynced_max` bytes is on the disk then (fdatasync), and
 * *ret_unsynced is 0; of another one it is the size. */
int result_writer_finish(struct result_writer *result_writer, const struct buf *footer,
                         int64_t unsynced_max, uint8_t digest[REPORT_DIGEST_BYTES],
                         int64_t *ret_unsynced, struct err *err);
/* Then: the `footer` of struct report. */
int64_t result_writer_footer(const struct result_writer *result_writer);
