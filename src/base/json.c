/* src/base/json.c -- JSON text written into a buffer, and texts read out of it. */
#include "base/json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static void add_short_escape(struct buf *b, unsigned char c)
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

/* What a JSON string contains as it is: ASCII except controls, '"' and '\\'. */
static const bool is_plain[256] = {
    [' ' ... '!'] = true, ['#' ... '['] = true, [']' ... 0x7f] = true};

/* Are these eight bytes all plain? A byte that is not leaves its top bit set: it was set, or the
 * subtraction borrows. (A borrow may also reach the next byte up, which does not change the
 * answer.) */
static bool are_plain(const unsigned char *bytes)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t word, spoilt;

    memcpy(&word, bytes, sizeof(word));
    spoilt =
        word | (word - each * ' ') | ((word ^ each * '"') - each) | ((word ^ each * '\\') - each);
    return (spoilt & each * 0x80) == 0;
}

/* The first byte from `at` on that is not plain, or `len`. */
static size_t skip_plain(const unsigned char *bytes, size_t at, size_t len)
{
    while (len - at >= sizeof(uint64_t) && are_plain(bytes + at))
        at += sizeof(uint64_t);
    while (at < len && is_plain[bytes[at]])
        at++;
    return at;
}

bool json_add_text(struct buf *b, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t start = b->len;
    size_t clean = 0, at = 0;

    buf_reserve(b, len + 2); /* most texts need no more */
    buf_add_char(b, '"');
    while ((at = skip_plain(bytes, at, len)) < len) {
        if (bytes[at] >= 0x80) {
            size_t step = str_utf8_length(text + at, len - at);

            if (step == 0) {
                if (!b->failed) {
                    b->len = start;
                    b->data[start] = '\0';
                }
                return false;
            }
            at += step;
        } else {
            buf_add(b, text + clean, at - clean);
            add_short_escape(b, bytes[at]);
            clean = ++at;
        }
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

void json_add_visible(struct buf *b, const char *text)
{
    char cut[JSON_VISIBLE_MAX], room[6 * JSON_VISIBLE_MAX + 3];
    struct buf quoted;
    const char *at;
    size_t clean = 0;

    str_copy(cut, sizeof(cut), text);
    buf_init_in(&quoted, room, sizeof(room));
    json_add_string(&quoted, cut);
    at = buf_str(&quoted);
    for (size_t i = 0, n; i<quoted.len; i += n> 0 ? n : 1) {
        n = str_control_length(at + i, quoted.len - i);
        if (n == 0)
            continue;
        buf_add(b, at + clean, i - clean);
        buf_add_format(b, "\\u%04x", str_code_point(at + i, n));
        clean = i + n;
    }
    buf_add(b, at + clean, quoted.len - clean);
}

void json_add_key(struct buf *b, const char *key)
{
    if (b->len > 0 && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[')
        buf_add_char(b, ',');
    json_add_string(b, key);
    buf_add_char(b, ':');
}

void json_add_member(struct buf *b, const char *key, const char *text)
{
    json_add_key(b, key);
    json_add_string(b, text);
}

void json_add_number(struct buf *b, const char *key, int64_t number)
{
    json_add_key(b, key);
    buf_add_format(b, "%" PRId64, number);
}

void json_add_bool(struct buf *b, const char *key, bool value)
{
    json_add_key(b, key);
    buf_add_str(b, value ? "true" : "false");
}

void json_add_time(struct buf *b, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT];

    if (ms != 0)
        clock_format(ms, text);
    json_add_member(b, key, ms != 0 ? text : NULL);
}

/* ---- the escapes of JSON texts (RFC 8259, 7) ---- */

/* Read the four hexadecimal digits of \uXXXX at `text`; 1, or 0: there is something else. */
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

/* Append the character that the escape at `text` stands for; returns the length of the escape. */
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
