/* src/base/guid.c -- GUIDs of RFC 9562. */
#include "base/guid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

/* Where the dashes are in the 36 characters. */
static bool is_dash_place(int place)
{
    return place == 8 || place == 13 || place == 18 || place == 23;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct guid guid_new(void)
{
    struct guid id;
    uint64_t ms = (uint64_t)clock_now_ms();

    /* getrandom(2) never returns fewer than 16 bytes; without randomness no reference is safe. */
    if (getrandom(id.bytes, sizeof(id.bytes), 0) != (ssize_t)sizeof(id.bytes))
        abort();
    for (int i = 5; i >= 0; i--, ms >>= 8)
        id.bytes[i] = (uint8_t)ms;
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

bool guid_parse(const char *text, struct guid *ret)
{
    struct guid id;
    int nibble = 0;

    if (strlen(text) != GUID_TEXT - 1)
        return false;
    for (int i = 0; i < GUID_TEXT - 1; i++) {
        int value = hex_value(text[i]);

        if (is_dash_place(i)) {
            if (text[i] != '-')
                return false;
            continue;
        }
        if (value < 0)
            return false;
        id.bytes[nibble / 2] =
            (uint8_t)(nibble % 2 == 0 ? value << 4 : id.bytes[nibble / 2] | value);
        nibble++;
    }
    *ret = id;
    return true;
}

void guid_format(const struct guid *id, char text[GUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    int nibble = 0;

    for (int i = 0; i < GUID_TEXT - 1; i++) {
        if (is_dash_place(i)) {
            text[i] = '-';
            continue;
        }
        text[i] = digits[nibble % 2 == 0 ? id->bytes[nibble / 2] >> 4 : id->bytes[nibble / 2] & 15];
        nibble++;
    }
    text[GUID_TEXT - 1] = '\0';
}

unsigned guid_hash(const struct guid *id)
{
    unsigned hash;

    /* The last bytes of a version 7 GUID are random. */
    memcpy(&hash, id->bytes + GUID_BYTES - sizeof(hash), sizeof(hash));
    return hash;
}

bool guid_eq(const struct guid *a, const struct guid *b)
{
    return memcmp(a->bytes, b->bytes, GUID_BYTES) == 0;
}
