/* src/spool/pack.h -- a result that is stored compressed: frames of Zstandard (RFC 8878), each of
 * which can be read alone.
 *
 * What is stored is the JSON in frames of PACK_FRAME bytes each, with checksums; then one skippable
 * frame with the offset of every frame (64 bits each, little-endian), the footer (core/footer.h)
 * and the tail. So all of it is a .zst file that any program decompresses to the JSON.
 *
 * A reader sees the JSON from offset 0 on, and after it, from offset `bytes` on, what is stored,
 * byte by byte. So the footer is where its own description says, and ends at unpack_end(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "core/report.h"
#include "spool/seal.h"

enum {
    PACK_FRAME = 128 * 1024, /* bytes of the JSON in a frame */
    PACK_TAIL = 48,          /* bytes of the tail */
};

/* Writing. */
struct pack;
/* *ret is yours: pack_free(). -E_NOMEM */
int pack_new(seal_write_fn *write, void *context, struct pack **ret, struct err *err);
void pack_free(struct pack *pack); /* NULL is fine */
/* Add bytes of the JSON. 0, ENOMEM, or what `write` returned; as the next two. */
int pack_add(struct pack *pack, const void *data, size_t len);
/* No more of it comes. *ret_at: where readers see the footer. */
int pack_end(struct pack *pack, int64_t *ret_at);
/* After pack_end(): the footer, as the end. EFBIG: the result has too many frames. */
int pack_finish(struct pack *pack, const void *footer, size_t len);
int64_t pack_stored(const struct pack *pack); /* bytes written so far */

/* Reading, by a function as that of unseal_new(). */
struct unpack;
/* `bytes` is the size of the JSON, `stored` what pack_stored() was at the end. *ret is yours:
 * unpack_free(). -E_NOMEM */
int unpack_new(unseal_source_fn *source, void *context, int64_t bytes, int64_t stored,
               struct unpack **ret, struct err *err);
void unpack_free(struct unpack *unpack); /* NULL is fine */
static inline int64_t unpack_end(int64_t bytes, int64_t stored)
{
    return bytes + stored - PACK_TAIL;
}
/* Is the byte at this offset in memory, or beyond the end? Then unpack_read() does not ask the
 * source. */
bool unpack_has(const struct unpack *unpack, int64_t at);
/* Up to `max` bytes from place `at` on into `out`: how many (0 only at the end), or -E_INTERNAL if
 * it is not what was written, or what the source says. */
ssize_t unpack_read(struct unpack *unpack, int64_t at, void *out, size_t max, struct err *err);

/* The frames, which may be sent as they are: places `bytes` to `bytes` + `end` of the reader. */
struct pack_frames {
    int64_t end;
    uint8_t digest[REPORT_DIGEST_BYTES]; /* SHA-256 */
};
/* As unpack_read(), which asks the source for them, too. */
int unpack_frames(struct unpack *unpack, struct pack_frames *ret, struct err *err);
