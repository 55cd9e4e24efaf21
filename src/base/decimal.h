/* src/base/decimal.h -- exact decimals: print scaled integers, check and round decimal text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { DECIMAL_SCALE_MAX = 18, DECIMAL_TEXT = 24 }; /* sign, 19 digits, point, leading 0, NUL */

/* Print value / 10^scale (scale 0 … DECIMAL_SCALE_MAX) with exactly `scale` digits after the point;
 * returns the length. Not terminated. */
size_t decimal_format(char out[DECIMAL_TEXT], int64_t value, int scale);

/* True for text that is a JSON number without an exponent: -?(0|[1-9][0-9]*)(\.[0-9]+)? */
bool decimal_is_plain(const char *text, size_t len);

/* Compare two of these by value: below 0, 0, above 0. */
int decimal_compare(const char *a, const char *b);

/* Append the decimal number in `text` with exactly `scale` digits after the point, rounded half
 * away from zero. It has an optional sign, digits, an optional point and fraction, and an optional
 * exponent of at most three digits. False, with nothing appended: `text` is not such a number. */
bool decimal_add_rounded(struct buf *out, const char *text, size_t len, int scale);

/* Whether both are such numbers, and of the same value: 1.0, 1.00, +1 and 10e-1 are. */
bool decimal_equal(const char *a, size_t a_len, const char *b, size_t b_len);

/* Append the number exactly, and in the one way that all spellings of its value share: no exponent,
 * no zeros that do not count, no +, no -0. False, with nothing appended: `text` is not a number. */
bool decimal_add_exact(struct buf *out, const char *text, size_t len);

/* Append the whole number in `text` divided by 10^scale, exactly. A fraction of zeros is taken as
 * none. False, with nothing appended: `text` is not a whole number. */
bool decimal_add_scaled(struct buf *out, const char *text, size_t len, int scale);
