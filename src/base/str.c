/* src/base/str.c -- strict reading of small strings. */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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
    size_t n = len < cap ? len : cap - 1;

    memcpy(dst, src, n);
    dst[n] = '\0';
    return n == len;
}

/* Read digits (with a sign if `sign`) from *s, move *s behind them. */
static bool read_int64(const char **s, bool sign, int64_t *ret)
{
    const char *digits = *s;
    char *end;
    long long value;

    if (sign && *digits == '-')
        digits++;
    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    value = strtoll(*s, &end, 10);
    if (errno != 0)
        return false;
    *s = end;
    *ret = value;
    return true;
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

size_t str_utf8_length(const char *bytes, size_t len)
{
    const unsigned char *text = (const unsigned char *)bytes;
    unsigned char lead = text[0];
    size_t need = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char first_low = 0x80, first_high = 0xbf;

    if (need < 2)
        return need;
    if (lead > 0xf4 || need > len)
        return 0;
    if (lead == 0xe0)
        first_low = 0xa0;
    else if (lead == 0xf0)
        first_low = 0x90;
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
