/* src/base/decimal.c -- exact decimals. */
#include "base/decimal.h"

#include <string.h>

enum { DIGITS_MAX = 20 };

/* Write the digits of `value` so that they end before `end`, two at a time since the divisions are
 * what costs; returns where they begin. */
static char *put_digits(char *end, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";

    for (; value >= 100; value /= 100)
        memcpy(end -= 2, pairs + 2 * (value % 100), 2);
    if (value >= 10)
        memcpy(end -= 2, pairs + 2 * value, 2);
    else
        *--end = (char)('0' + value);
    return end;
}

size_t decimal_format(char out[DECIMAL_TEXT], int64_t value, int scale)
{
    char digits[DIGITS_MAX];
    char *end = digits + DIGITS_MAX, *point = end - scale;
    char *p = put_digits(end, value < 0 ? -(uint64_t)value : (uint64_t)value);
    size_t len = 0;

    while (p >= point)
        *--p = '0';
    if (value < 0)
        out[len++] = '-';
    memcpy(out + len, p, (size_t)(point - p));
    len += (size_t)(point - p);
    if (scale > 0) {
        out[len++] = '.';
        memcpy(out + len, point, (size_t)scale);
        len += (size_t)scale;
    }
    return len;
}

static size_t skip_digits(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

bool decimal_is_plain(const char *text, size_t len)
{
    size_t whole = len > 0 && text[0] == '-' ? 1 : 0;
    size_t at = skip_digits(text, len, whole);
    size_t fraction;

    if (at == whole || (text[whole] == '0' && at > whole + 1))
        return false;
    if (at == len)
        return true;
    fraction = at + 1;
    return text[at] == '.' && fraction < len && skip_digits(text, len, fraction) == len;
}
