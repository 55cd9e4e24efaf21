/* src/proc/sink.h -- a result file being written: blocks of bytes, hashed and written behind the
 * back of the thread that makes them. */
#ifndef PROC_SINK_H
#define PROC_SINK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/report.h"

struct sink;

enum {
    SINK_BLOCK = 1 << 20,  /* a block is handed on once it has this many bytes */
    SINK_ROOM = 128 << 20, /* bytes that a block may grow to, by one large row */
};

/* `fd` is borrowed. With a key (REPORT_KEY_BYTES, copied; NULL: none) the file is encrypted, see
 * spool/seal.h; sizes and digest stay those of what is added. *ret is yours: sink_free(). */
int sink_new(int fd, const uint8_t *key, struct sink **ret, struct err *err);
void sink_free(struct sink *sink); /* waits for the writing; NULL is fine */

/* The block to add to, until the next sink_pass(). */
struct buf *sink_block(struct sink *sink);

/* Hand the block on if it is large enough, and give the next one, empty. -E_SPOOL if an earlier
 * one could not be written, in words for the user. */
int sink_pass(struct sink *sink, struct err *err);

/* Bytes so far, those in the current block included. */
int64_t sink_bytes(struct sink *sink);

/* Hand on what is left, wait until all is in the file, give the SHA-256 of it all. A file of more
 * than `unsynced_max` bytes is on the disk then (fdatasync), and *ret_unsynced is 0; of another one
 * it is the size. */
int sink_finish(struct sink *sink, int64_t unsynced_max, uint8_t digest[REPORT_DIGEST_BYTES],
                int64_t *ret_unsynced, struct err *err);

#endif
