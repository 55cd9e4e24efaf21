/* src/core/pattern.h -- what a text has to match: a POSIX extended regular expression, in UTF-8. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct pattern;

/* The whole of a text has to match. POSIX.1-2017, 9.4 (Extended Regular Expressions), except what
 * it leaves undefined, and [.x.] and [=x=]. A count, and the product of nested ones, is at most
 * 1000. -E_INVALID: why it is no such expression, or that it is longer than PATTERN_BYTES_MAX or
 * takes more than PATTERN_MEMORY bytes. *ret is yours: pattern_free(). */
enum { PATTERN_BYTES_MAX = 4096, PATTERN_MEMORY = 16 << 20 };
int pattern_new(const char *text, struct pattern **ret, struct err *err);
void pattern_free(struct pattern *pattern); /* NULL is fine */

const char *pattern_text(const struct pattern *pattern); /* borrowed */
/* Any thread, many at once. The time grows with the length of the text and never faster; all the
 * memory is in PATTERN_MEMORY. Without memory nothing matches. */
bool pattern_matches(const struct pattern *pattern, const char *text);
