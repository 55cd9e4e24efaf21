/* src/base/str.h -- small strings: compare, copy; read numbers, durations and sizes strictly. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b);        /* NULL equals only NULL */
bool str_eq_nocase(const char *a, const char *b); /* ASCII case only */
bool str_starts(const char *s, const char *prefix);

/* Copy `src` into dst[cap], cut if need be, but never inside a letter, always terminated; true if
 * it fitted. */
bool str_copy(char *dst, size_t cap, const char *src);

/* Bytes of the UTF-8 sequence (RFC 3629) at bytes[0]; 0 if there is none in `len` (≥ 1) bytes. */
size_t str_utf8_length(const char *bytes, size_t len);

/* How much of text[len] stays if it was cut off there: not the first bytes of a letter. */
size_t str_whole(const char *text, size_t len);

/* Remove what is not UTF-8: what "%.40s" has left of a letter. */
void str_drop_cut(char *text);

/* The code point of a UTF-8 sequence of `len` bytes. */
uint32_t str_code_point(const char *text, size_t len);

/* Bytes of the control character at text[0], which a terminal could obey: C0, DEL, C1, one that
 * separates lines, or one that changes the direction of text; 0: it is not one. `len` ≥ 1. */
size_t str_control_length(const char *text, size_t len);

/* Is there one anywhere in the text? */
bool str_has_control(const char *text);

/* SP or HTAB. */
bool str_is_blank(char c);
/* 1 for 0 to 9, else 0: a number, for & where a branch costs. */
static inline unsigned str_is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* Is `c` at *at, which then moves on? */
bool str_take(const char **at, char c);

/* Leave out the SP and HTAB around text[len]: OWS of RFC 9110, 5.6.3. */
void str_trim(const char **text, size_t *len);

/* Take the next line off *text (NULL is fine): returns where it is, without its newline; NULL:
 * there is none left. A text that ends with a newline has no empty line after it. */
const char *str_line(const char **text, size_t *ret_len);

/* Is that, which is not empty, a whole line of `text`? NULL has none. */
bool str_has_line(const char *text, const char *line);

/* Make blanks of control characters, one for each byte. */
void str_plain(char *text);

/* The whole of `s` as a decimal number, with nothing before or after; false: *ret untouched. */
bool str_to_int64(const char *s, int64_t *ret);

/* "250ms" "10s" "5m" "24h" "7d" → milliseconds. A bare number is rejected, except 0. */
bool str_to_duration(const char *s, int64_t *ret_ms);

/* "4096" "64K" "512M" "10G" (powers of 1024) → bytes. */
bool str_to_size(const char *s, int64_t *ret_bytes);

/* "1.5 GB", "312 B" into out[cap]: for people, powers of 1000. */
void str_human_size(char *out, size_t cap, int64_t bytes);

/* "64M", "4097" into out[cap]: as str_to_size() reads it, with the largest unit that divides. */
void str_size(char *out, size_t cap, int64_t bytes);

/* "10m", "90s", "1500ms" into out[cap]: the largest unit that divides. */
void str_human_duration(char *out, size_t cap, int64_t ms);
