/* src/base/decimal.c -- exact decimals. */
#include "base/decimal.h"

#include <string.h>

/* 10^n, each of which a double holds exactly. The first is 0, not 1, so that 0 has one digit. */
static const uint64_t powers[] = {0,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                  1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/* 1233 / 4096 approximates log10(2) well enough for 64 bits: `digits` is right, or one too low. */
static int count_digits(uint64_t value)
{
    int bits = 64 - __builtin_clzll(value | 1);
    int digits = bits * 1233 >> 12;

    return digits + (value >= powers[digits]);
}

/* Write the last `count` digits of `value`, two at a time, because the divisions are the cost. */
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

/* --- decimal text ----------------------------------------------------------------------------- */

enum { EXPONENT_DIGITS_MAX = 3 };

/* A parsed number: 0.DIGITS × 10^point, without leading zeros. */
struct number {
    bool negative;
    const char *digits; /* as in the text: may contain a point */
    size_t count;       /* of digits, without the point */
    size_t whole;       /* number of digits before the point in the text */
    long point;
};

static char digit_at(const struct number *number, long i)
{
    if (i < 0 || (size_t)i >= number->count)
        return '0';
    return number->digits[(size_t)i < number->whole ? i : i + 1];
}

/* Parse the exponent at `at`, if there is one; false: there is something else. */
static bool parse_exponent(const char *text, size_t len, size_t at, long *ret)
{
    bool negative;
    size_t first;

    *ret = 0;
    if (at == len)
        return true;
    if (text[at] != 'e' && text[at] != 'E')
        return false;
    at++;
    negative = at < len && text[at] == '-';
    if (at < len && (text[at] == '-' || text[at] == '+'))
        at++;
    first = at;
    for (; at < len && text[at] >= '0' && text[at] <= '9'; at++)
        *ret = *ret * 10 + (text[at] - '0');
    if (negative)
        *ret = -*ret;
    return at == len && at > first && at - first <= EXPONENT_DIGITS_MAX;
}

static bool parse_number(const char *text, size_t len, struct number *ret)
{
    struct number number = {.negative = len > 0 && text[0] == '-'};
    size_t at = len > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    size_t end = skip_digits(text, len, at);
    long exponent;

    number.digits = text + at;
    number.whole = number.count = end - at;
    if (end < len && text[end] == '.') {
        at = end + 1;
        end = skip_digits(text, len, at);
        number.count += end - at;
    }
    if (number.count == 0 || !parse_exponent(text, len, end, &exponent))
        return false;
    number.point = (long)number.whole + exponent;
    while (number.count > 0 && digit_at(&number, 0) == '0') {
        number.digits++;
        number.whole -= number.whole > 0;
        number.count--;
        number.point--;
    }
    if (number.count == 0)
        number.point = 0;
    *ret = number;
    return true;
}

/* Add one to the last digit written; true: all of them were nines, and are now zeros. */
static bool carry(char *first, char *end)
{
    while (end-- > first) {
        if (*end == '.')
            continue;
        if (*end != '9') {
            ++*end;
            return false;
        }
        *end = '0';
    }
    return true;
}

static void add_rounded(struct buf *out, const struct number *number, int scale)
{
    long whole = number->point > 0 ? number->point : 0;
    char *place = buf_reserve(out, (size_t)whole + (size_t)scale + 4), *first, *p;

    if (place == NULL)
        return;
    p = place;
    if (number->negative)
        *p++ = '-';
    first = p;
    if (whole == 0)
        *p++ = '0';
    for (long i = 0; i < whole; i++)
        *p++ = digit_at(number, i);
    if (scale > 0)
        *p++ = '.';
    for (long i = number->point; i < number->point + scale; i++)
        *p++ = digit_at(number, i);
    if (digit_at(number, number->point + scale) >= '5' && carry(first, p)) {
        memmove(first + 1, first, (size_t)(p++ - first));
        *first = '1';
    }
    *p = '\0';
    out->len += (size_t)(p - place);
}

bool decimal_add_rounded(struct buf *out, const char *text, size_t len, int scale)
{
    struct number number;

    if (!parse_number(text, len, &number))
        return false;
    add_rounded(out, &number, scale);
    return true;
}

bool decimal_add_exact(struct buf *out, const char *text, size_t len)
{
    struct number number;
    long digits;

    if (!parse_number(text, len, &number))
        return false;
    digits = (long)number.count;
    while (digits > 0 && digit_at(&number, digits - 1) == '0')
        digits--;
    number.negative = number.negative && digits > 0;
    add_rounded(out, &number, (int)(digits > number.point ? digits - number.point : 0));
    return true;
}

bool decimal_add_scaled(struct buf *out, const char *text, size_t len, int scale)
{
    struct number number;

    if (!parse_number(text, len, &number))
        return false;
    for (long i = number.point > 0 ? number.point : 0; i < (long)number.count; i++) {
        if (digit_at(&number, i) != '0')
            return false;
    }
    number.point -= scale;
    add_rounded(out, &number, scale);
    return true;
}

bool decimal_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct number x, y;

    if (!parse_number(a, a_len, &x) || !parse_number(b, b_len, &y))
        return false;
    if (x.count == 0 || y.count == 0)
        return x.count == y.count;
    if (x.negative != y.negative || x.point != y.point)
        return false;
    for (size_t i = 0; i < x.count || i < y.count; i++) {
        if (digit_at(&x, (long)i) != digit_at(&y, (long)i))
            return false;
    }
    return true;
}

static int sign_of(const char *text)
{
    if (text[strspn(text, "-0.")] == '\0')
        return 0;
    return *text == '-' ? -1 : 1;
}

/* Compare digits after the point; missing ones count as zeros. */
static int compare_fractions(const char *a, const char *b)
{
    a += *a == '.';
    b += *b == '.';
    while (*a != '\0' || *b != '\0') {
        int left = *a != '\0' ? *a++ : '0', right = *b != '\0' ? *b++ : '0';

        if (left != right)
            return left < right ? -1 : 1;
    }
    return 0;
}

int decimal_compare(const char *a, const char *b)
{
    int sign = sign_of(a), size;
    size_t whole_a, whole_b;

    if (sign != sign_of(b))
        return sign < sign_of(b) ? -1 : 1;
    a += *a == '-';
    b += *b == '-';
    whole_a = strcspn(a, ".");
    whole_b = strcspn(b, ".");
    if (whole_a != whole_b)
        return whole_a < whole_b ? -sign : sign;
    size = strncmp(a, b, whole_a);
    if (size == 0)
        size = compare_fractions(a + whole_a, b + whole_b);
    return size < 0 ? -sign : size > 0 ? sign : 0;
}
