/* src/render/deflate.h -- what zlib compresses, into a buffer. */
#pragma once

#include <zlib.h>

#include "base/buf.h"

/* Append all that deflate() makes of the stream's next_in with this `flush`; `out` may fail. */
void deflate_pump(z_stream *stream, int flush, struct buf *out);
