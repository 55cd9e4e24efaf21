/* src/base/decimal.h -- exact decimals: scaled 64-bit integers printed, decimal text checked. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DECIMAL_SCALE_MAX = 18, DECIMAL_TEXT = 24 }; /* sign, 19 digits, point, leading 0, NUL */

/* Print value / 10^scale (scale 0 … DECIMAL_SCALE_MAX) with exactly `scale` digits behind the
 * point; returns the length. Not terminated. */
size_t decimal_format(char out[DECIMAL_TEXT], int64_t value, int scale);

/* True for text that is a JSON number without an exponent: -?(0|[1-9][0-9]*)(\.[0-9]+)? */
bool decimal_is_plain(const char *text, size_t len);

#endif
