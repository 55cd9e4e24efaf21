/* src/base/json.c -- JSON text written into a buffer. */
#include "base/json.h"

#include <string.h>

/* Length of the UTF-8 sequence (RFC 3629) at text[0], 0 if there is none in `len` bytes. */
static size_t utf8_length(const unsigned char *text, size_t len)
{
    static const unsigned char low[] = {0x80, 0xa0, 0x80, 0x90};
    unsigned char lead = text[0];
    size_t need = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char first_low = 0x80, first_high = 0xbf;

    if (need < 2)
        return need;
    if (lead > 0xf4 || need > len)
        return 0;
    if (lead == 0xe0)
        first_low = low[1];
    else if (lead == 0xf0)
        first_low = low[3];
    else if (lead == 0xed)
        first_high = 0x9f;
    else if (lead == 0xf4)
        first_high = 0x8f;
    if (text[1] < first_low || text[1] > first_high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

static void add_escaped(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    for (const char *s = shorts; *s != '\0'; s += 2) {
        if ((unsigned char)*s == c) {
            out[1] = s[1];
            buf_add(b, out, 2);
            return;
        }
    }
    buf_add(b, out, 6);
}

bool json_add_text(struct buf *b, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t start = b->len;
    size_t clean = 0, at = 0;

    buf_add_char(b, '"');
    while (at < len) {
        size_t step = 1;

        if (bytes[at] >= 0x80) {
            step = utf8_length(bytes + at, len - at);
            if (step == 0) {
                b->len = b->failed ? b->len : start;
                return false;
            }
        } else if (bytes[at] < 0x20 || bytes[at] == '"' || bytes[at] == '\\') {
            buf_add(b, text + clean, at - clean);
            add_escaped(b, bytes[at]);
            clean = at + 1;
        }
        at += step;
    }
    buf_add(b, text + clean, len - clean);
    buf_add_char(b, '"');
    return true;
}

void json_add_string(struct buf *b, const char *text)
{
    char clean[1024];
    size_t len;

    if (text == NULL) {
        buf_add_str(b, "null");
        return;
    }
    len = strlen(text);
    if (json_add_text(b, text, len))
        return;
    len = len < sizeof(clean) ? len : sizeof(clean);
    for (size_t i = 0; i < len; i++)
        clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    json_add_text(b, clean, len);
}

void json_add_key(struct buf *b, const char *key)
{
    if (b->len > 0 && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[')
        buf_add_char(b, ',');
    json_add_string(b, key);
    buf_add_char(b, ':');
}
