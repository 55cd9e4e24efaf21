/* src/core/param.h -- the values of a report's parameters: checked, defaulted, made canonical. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/zone.h"
#include "core/definition.h"
#include "core/param_check.h"

/* Append the parameter's default as it would be taken now: 1, or 0 without one; -E_PARAM if it
 * would be refused. */
int param_default(const struct definition *def, const struct param *param, int64_t now_ms,
                  struct buf *out, struct err *err);

/* Check `given` (a JSON object of strings, or NULL for none) against the definition. Missing takes
 * the default; `today` is the day of `now_ms` in the definition's time zone. On success
 * *ret_canonical is yours to free(): a compact JSON object of strings in the order of the
 * definition, defaults filled in, parameters without a value left out. On failure -E_PARAM, and
 * err->text names the parameter and says what it takes. Empty is a value only for string, and the
 * empty list. A list is written as param_list_add() does. */
int params_canonical(const struct definition *def, const json_t *given, int64_t now_ms,
                     char **ret_canonical, struct err *err);

/* The values of all the definition's parameters, in its order, from canonical parameters (checked
 * again: the definition may have changed since). *ret_values is yours: params_free() it. */
int params_values(const struct definition *def, const char *canonical,
                  struct param_value **ret_values, struct err *err);
/* Whether one of them is a list. */
bool params_have_list(const struct param_value *values, size_t count);
void params_free(struct param_value *values, size_t count); /* NULL is fine */

/* Append `message` with every :Name of a parameter replaced by its value ("" for NULL). */
void params_fill(struct buf *out, const char *message, const struct param_value *values,
                 size_t count);

/* The words that stand for a day, for messages. */
#define DAY_WORDS                                                                                  \
    "today, today-30d, month-start, month-end, last-month-start, last-month-end or year-start"

/* The day that `word` means at that moment (milliseconds since 1970) in the zone, as YYYY-MM-DD.
 * False: it is not one of the words, or the day is outside of the years 1 to 9999. */
bool day_of_word(const char *word, int64_t now_ms, const struct zone *zone,
                 char out[CLOCK_DATE_TEXT]);
