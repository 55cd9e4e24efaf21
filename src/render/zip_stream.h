/* src/render/zip_stream.h -- a zip archive that is only ever appended to (APPNOTE.TXT 6.3.10). */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct zip_stream; /* its memory is constant, except 64 bytes or so per entry */

/* *ret is yours: zip_stream_free(). -E_NOMEM. */
int zip_stream_new(struct zip_stream **ret, struct err *err);
void zip_stream_free(struct zip_stream *zip); /* NULL is fine */

/* Each appends to `out` and returns 0 or -E_NOMEM (also if `out` has failed).
 *
 * Begin an entry; its name (ASCII, less than ZIP_STREAM_NAME bytes) is copied. Its sizes come after
 * it, in a data descriptor (4.3.9), and in the directory. An entry has less than 4 GiB, since
 * readers of XLSX differ about zip64 descriptors; the archive may have more. */
enum { ZIP_STREAM_NAME = 48 };
int zip_stream_open(struct zip_stream *zip, const char *name, struct buf *out, struct err *err);
int zip_stream_add(struct zip_stream *zip, const void *data, size_t len, struct buf *out,
                   struct err *err);
/* -E_INTERNAL: the entry is too large. */
int zip_stream_close(struct zip_stream *zip, struct buf *out, struct err *err);
/* The central directory; nothing may follow. */
int zip_stream_end(struct zip_stream *zip, struct buf *out, struct err *err);
