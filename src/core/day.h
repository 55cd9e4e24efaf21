/* src/core/day.h -- days that a definition names relative to today: today-30d, month-end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/zone.h"

/* What may stand for a day, for messages. */
#define DAY_WORDS                                                                                  \
    "today, today-30d, month-start, month-end, last-month-start, last-month-end or year-start"

/* The day that `word` means at that moment (milliseconds since 1970) in the zone, as YYYY-MM-DD.
 * False: it is none of the words, or a day outside of the years 1 to 9999. */
bool day_of_word(const char *word, int64_t now_ms, const struct zone *zone,
                 char out[CLOCK_DATE_TEXT]);
