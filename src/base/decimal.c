/* src/base/decimal.c -- exact decimals. */
#include "base/decimal.h"

#include <string.h>

size_t decimal_format(char out[DECIMAL_TEXT], int64_t value, int scale)
{
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *end = out + DECIMAL_TEXT;
    char *p = end;

    for (int i = 0; i < scale; i++, rest /= 10)
        *--p = (char)('0' + rest % 10);
    if (scale > 0)
        *--p = '.';
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0)
        *--p = '-';
    memmove(out, p, (size_t)(end - p));
    return (size_t)(end - p);
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
