/* src/base/json_text.c -- the escapes of JSON texts (RFC 8259, 7). */
#include "base/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The four hexadecimal digits of \uXXXX at `text`: 1; 0: it is something else. */
static bool read_unit(const char *text, size_t len, uint32_t *ret)
{
    uint32_t unit = 0;

    if (len < 6 || text[0] != '\\' || text[1] != 'u')
        return false;
    for (size_t i = 2; i < 6; i++) {
        char c = text[i];

        if (c >= '0' && c <= '9')
            unit = unit * 16 + (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            unit = unit * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return false;
    }
    *ret = unit;
    return true;
}

static void add_utf8(struct buf *out, uint32_t code)
{
    if (code >= 0x10000) {
        buf_add_char(out, (char)(0xf0 | code >> 18));
        buf_add_char(out, (char)(0x80 | (code >> 12 & 0x3f)));
    } else if (code >= 0x800) {
        buf_add_char(out, (char)(0xe0 | code >> 12));
    }
    if (code >= 0x800)
        buf_add_char(out, (char)(0x80 | (code >> 6 & 0x3f)));
    else if (code >= 0x80)
        buf_add_char(out, (char)(0xc0 | code >> 6));
    buf_add_char(out, (char)(code >= 0x80 ? 0x80 | (code & 0x3f) : code));
}

/* Append what the escape at `text` means; returns its length. */
static size_t add_escape(struct buf *out, const char *text, size_t len)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint32_t unit, second;

    if (read_unit(text, len, &unit)) {
        if (unit >> 10 == 0xd800 >> 10 && read_unit(text + 6, len - 6, &second) &&
            second >> 10 == 0xdc00 >> 10) {
            add_utf8(out, 0x10000 + ((unit & 0x3ff) << 10 | (second & 0x3ff)));
            return 12;
        }
        add_utf8(out, unit);
        return 6;
    }
    for (const char *letter = letters; len > 1 && *letter != '\0'; letter += 2) {
        if (*letter == text[1]) {
            buf_add_char(out, letter[1]);
            return 2;
        }
    }
    buf_add_char(out, '\\');
    return 1;
}

void json_text_decode(struct buf *out, const char *text, size_t len)
{
    const char *end = text + len, *escape;

    while ((escape = memchr(text, '\\', (size_t)(end - text))) != NULL) {
        buf_add(out, text, (size_t)(escape - text));
        text = escape + add_escape(out, escape, (size_t)(end - escape));
    }
    buf_add(out, text, (size_t)(end - text));
}
