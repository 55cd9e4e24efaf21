/* src/base/str.c -- strict parsing of small strings. */
#include "base/str.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool str_eq(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool str_eq_nocase(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_copy(char *dst, size_t cap, const char *src)
{
    size_t len = strlen(src);
    size_t n = len < cap ? len : str_whole(src, cap - 1);

    memcpy(dst, src, n);
    dst[n] = '\0';
    return n == len;
}

/* Read digits (with a sign if `sign`) from *s and move *s past them. Not with strtoll(), which
 * takes three times as long, and every number of a report passes here. */
static bool read_int64(const char **s, bool sign, int64_t *ret)
{
    const char *at = *s;
    bool negative = sign && *at == '-';
    int64_t value = 0;

    if (negative)
        at++;
    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        int digit = negative ? '0' - *at : *at - '0';

        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *s = at;
    *ret = value;
    return true;
}

void str_drop_cut(char *text)
{
    size_t len = strlen(text), step;
    char *to = text;

    for (const char *from = text; len > 0; from += step, len -= step) {
        size_t whole = str_utf8_length(from, len);

        step = whole > 0 ? whole : 1;
        memmove(to, from, whole);
        to += whole;
    }
    *to = '\0';
}

uint32_t str_code_point(const char *text, size_t len)
{
    uint32_t code = len == 1 ? (unsigned char)text[0] : (unsigned char)text[0] & (0x7fu >> len);

    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}

/* C0, DEL and C1, the separators of lines and paragraphs, and the characters that change the
 * direction of the text after them (UAX #9, 2): ALM, LRM, RLM, embeddings, overrides, isolates. */
static bool is_control(uint32_t code)
{
    return code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

size_t str_control_length(const char *text, size_t len)
{
    size_t bytes = str_utf8_length(text, len);

    return bytes > 0 && is_control(str_code_point(text, bytes)) ? bytes : 0;
}

bool str_take(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

bool str_has_control(const char *text)
{
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at++) {
        if (str_control_length(text + at, len - at) > 0)
            return true;
    }
    return false;
}

bool str_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

void str_trim(const char **text, size_t *len)
{
    while (*len > 0 && str_is_blank(**text)) {
        ++*text;
        --*len;
    }
    while (*len > 0 && str_is_blank((*text)[*len - 1]))
        --*len;
}

void str_plain(char *text)
{
    size_t len = strlen(text);

    for (size_t at = 0, n; at<len; at += n> 0 ? n : 1) {
        n = str_control_length(text + at, len - at);
        memset(text + at, ' ', n);
    }
}

bool str_to_int64(const char *s, int64_t *ret)
{
    int64_t value;

    if (!read_int64(&s, true, &value) || *s != '\0')
        return false;
    *ret = value;
    return true;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool read_with_unit(const char *s, const struct unit *units, int64_t *ret)
{
    int64_t value;

    if (!read_int64(&s, false, &value))
        return false;
    if (value == 0 && *s == '\0') {
        *ret = 0;
        return true;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(s, units->name) == 0)
            return !__builtin_mul_overflow(value, units->factor, ret);
    }
    return false;
}

bool str_to_duration(const char *s, int64_t *ret_ms)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

    return read_with_unit(s, units, ret_ms);
}

bool str_to_size(const char *s, int64_t *ret_bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"K", INT64_C(1) << 10},
                                        {"M", INT64_C(1) << 20},
                                        {"G", INT64_C(1) << 30},
                                        {"T", INT64_C(1) << 40},
                                        {NULL, 0}};

    return read_with_unit(s, units, ret_bytes);
}

void str_size(char *out, size_t cap, int64_t bytes)
{
    static const char *const names[] = {"", "K", "M", "G", "T"};
    size_t unit = 0;

    while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, cap, "%lld%s", (long long)bytes, names[unit]);
}

void str_human_size(char *out, size_t cap, int64_t bytes)
{
    static const char *const names[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(out, cap, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
}

/* The well-formed sequences: RFC 3629, section 4. */
static const struct {
    unsigned char lead_low, lead_high, second_low, second_high;
    size_t len;
} sequences[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t str_utf8_length(const char *bytes, size_t len)
{
    const unsigned char *text = (const unsigned char *)bytes;
    size_t kind = 0;

    while (kind < sizeof(sequences) / sizeof(sequences[0]) && text[0] > sequences[kind].lead_high)
        kind++;
    if (kind == sizeof(sequences) / sizeof(sequences[0]) || text[0] < sequences[kind].lead_low ||
        len < sequences[kind].len)
        return 0;
    for (size_t i = 1; i < sequences[kind].len; i++) {
        unsigned char low = i == 1 ? sequences[kind].second_low : 0x80;
        unsigned char high = i == 1 ? sequences[kind].second_high : 0xbf;

        if (text[i] < low || text[i] > high)
            return 0;
    }
    return sequences[kind].len;
}

size_t str_whole(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)text[len - back];

        if (c < 0x80)
            break;
        if (c >= 0xc0)
            return str_utf8_length(text + len - back, back) > 0 ? len : len - back;
    }
    return len;
}

void str_human_duration(char *out, size_t cap, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t unit = 0;

    while (ms % units[unit].ms != 0)
        unit++;
    snprintf(out, cap, "%lld%s", (long long)(ms / units[unit].ms), units[unit].name);
}

const char *str_line(const char **text, size_t *ret_len)
{
    const char *line = *text;

    if (line == NULL || *line == '\0')
        return NULL;
    *ret_len = strcspn(line, "\n");
    *text = line + *ret_len + (line[*ret_len] == '\n');
    return line;
}

bool str_has_line(const char *text, const char *line)
{
    size_t len = strlen(line), n;

    for (const char *one; (one = str_line(&text, &n)) != NULL;) {
        if (n == len && n > 0 && memcmp(one, line, n) == 0)
            return true;
    }
    return false;
}
