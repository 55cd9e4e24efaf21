/* src/http/base64url.c -- base64url without padding, with libsodium. */
#include "http/base64url.h"

#include <sodium.h>

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
