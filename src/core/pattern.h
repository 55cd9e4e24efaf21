/* src/core/pattern.h -- what a text has to match: a POSIX extended regular expression, in UTF-8. */
#ifndef CORE_PATTERN_H
#define CORE_PATTERN_H

#include <stdbool.h>

#include "base/err.h"

struct pattern;

/* The whole of a text has to match. -E_INVALID: why it is no expression, or one whose counts in
 * braces, and 2 for each + after a group or a repetition, multiply to more than PATTERN_COUNT_MAX,
 * or that is longer or has more groups: it would take memory and time without end.
 * *ret is yours: pattern_free(). */
enum { PATTERN_COUNT_MAX = 200, PATTERN_BYTES_MAX = 4096 };
int pattern_new(const char *text, struct pattern **ret, struct err *err);
void pattern_free(struct pattern *pattern); /* NULL is fine */

const char *pattern_text(const struct pattern *pattern); /* borrowed */
/* Any thread; one at a time, the others wait. Without memory nothing matches. What it keeps does
 * not grow with the texts. */
bool pattern_matches(struct pattern *pattern, const char *text);

#endif
