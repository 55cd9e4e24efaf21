/* src/base/clock.h -- the time: UTC for people and rules, monotonic for waiting and measuring. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLOCK_TEXT = 21, CLOCK_DATE_TEXT = 11, CLOCK_HTTP_TEXT = 30 }; /* with the NUL */

/* UTC, milliseconds since 1970: by this machine's clock; stored times use store_now_ms(). */
int64_t clock_now_ms(void);
int64_t clock_mono_ms(void); /* monotonic milliseconds; only differences mean something */
/* Monotonic, but a test may make it jump (base/seam.h). */
int64_t clock_steady_ms(void);
int64_t clock_mono_us(void);
int64_t clock_cpu_ms(void); /* processor time of the calling thread, milliseconds */

/* YYYY-MM-DDTHH:MM:SSZ, cut to the second. */
void clock_format(int64_t ms, char text[CLOCK_TEXT]);
/* YYYY-MM-DD of the UTC day. */
void clock_format_date(int64_t ms, char text[CLOCK_DATE_TEXT]);
/* An IMF-fixdate for HTTP headers (RFC 9110, 5.6.7). */
void clock_format_http(int64_t ms, char out[CLOCK_HTTP_TEXT]);

/* The time of an HTTP-date in any of its three forms (RFC 9110, 5.6.7); `now_ms` decides the
 * century of a two-digit year. The name of the day is read, but not compared with the day. False:
 * it is not one, and *ret_ms is untouched. */
bool clock_parse_http(const char *text, int64_t now_ms, int64_t *ret_ms);
/* The time that YYYY-MM-DDTHH:MM:SSZ or, at its first second, YYYY-MM-DD means, with nothing before
 * or after (years 1970 to 9999). False: *ret_ms is untouched. */
bool clock_parse(const char *text, int64_t *ret_ms);
/* The days from 1970-01-01 to the day YYYY-MM-DD, which is all of text[len] (years 0001 to 9999).
 * False: there is no such day, and *ret is untouched. */
bool clock_day(const char *text, size_t len, int64_t *ret);
/* True for an existing day written YYYY-MM-DD (years 0001 to 9999), nothing before or after. */
bool clock_is_date(const char *text);
