/* src/base/base64.c -- bytes as base64, with libsodium. */
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

void base64url_add(struct buf *out, const void *data, size_t len)
{
    size_t need = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *place = buf_reserve(out, need - 1);

    if (place == NULL)
        return;
    sodium_bin2base64(place, need, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    out->len += need - 1;
}

int base64url_read(const char *text, size_t len, void *out, size_t cap)
{
    size_t got;
    const char *end;

    /* libsodium accepts some bytes beyond ASCII as letters. */
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return -1;
    }
    if (sodium_base642bin(out, cap, text, len, NULL, &got, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != text + len)
        return -1;
    return (int)got;
}
