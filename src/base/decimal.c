/* src/base/decimal.c -- exact decimals. */
#include "base/decimal.h"

#include <string.h>

/* 10^n; 0 has a digit as 1 has, hence the first one. */
static const uint64_t powers[] = {
    0,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
    10000000000000000000u,
};

/* 1233 / 4096 is log10(2), near enough for 64 bits: it says the number of digits, or one less. */
static int count_digits(uint64_t value)
{
    int bits = 64 - __builtin_clzll(value | 1);
    int digits = bits * 1233 >> 12;

    return digits + (value >= powers[digits]);
}

/* Write the last `count` digits of `value`, two at a time since the divisions are what costs. */
static void put_digits(char *out, uint64_t value, int count)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";

    for (; count >= 2; value /= 100)
        memcpy(out + (count -= 2), pairs + 2 * (value % 100), 2);
    if (count > 0)
        *out = (char)('0' + value % 10);
}

size_t decimal_format(char out[DECIMAL_TEXT], int64_t value, int scale)
{
    uint64_t number = value < 0 ? -(uint64_t)value : (uint64_t)value;
    uint64_t whole = scale > 0 ? number / powers[scale] : number;
    int digits = count_digits(whole);
    char *p = out;

    if (value < 0)
        *p++ = '-';
    put_digits(p, whole, digits);
    p += digits;
    if (scale > 0) {
        *p++ = '.';
        put_digits(p, number, scale);
        p += scale;
    }
    return (size_t)(p - out);
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
