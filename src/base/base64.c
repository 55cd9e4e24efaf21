/* src/base/base64.c -- bytes as base64, in JSON. */
#include "base/base64.h"

#include <sodium.h>

bool base64_add(struct buf *out, const void *bytes, size_t len)
{
    size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    char *place;

    buf_add_char(out, '"');
    place = buf_reserve(out, room);
    if (place == NULL)
        return false;
    sodium_bin2base64(place, room, bytes, len, sodium_base64_VARIANT_ORIGINAL);
    out->len += room - 1; /* without the NUL */
    buf_add_char(out, '"');
    return true;
}
