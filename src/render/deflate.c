/* src/render/deflate.c -- what zlib compresses, into a buffer. */
#include "render/deflate.h"

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
