/* src/base/timestamp.h -- moments as people write them (RFC 3339, or local time), in UTC. */
#pragma once

#include "base/zone.h"

enum { TIMESTAMP_TEXT = 28 }; /* 2024-01-12T03:04:05.123456Z and the NUL */

enum timestamp_reading {
    TIMESTAMP_GOOD,
    TIMESTAMP_UNREADABLE, /* or outside of the years 1 to 9999 in UTC, or finer than 1 µs */
    TIMESTAMP_SKIPPED,    /* a local time that does not exist: clocks were put forward over it */
    TIMESTAMP_TWICE,      /* a local time that exists twice, because clocks were put back */
};

/* Read YYYY-MM-DD, a T or a blank, HH:MM[:SS[.fraction]], and Z or ±HH:MM; without the latter it is
 * local time in `zone`. A leap second, 23:59:60 UTC at the end of June or December, becomes the
 * second after it, as in PostgreSQL. `out` is untouched unless the text is good: then it is the
 * same moment in UTC, such as 2024-01-12T03:04:05.5Z, with a fraction only if it is not zero, and
 * without trailing zeros. */
enum timestamp_reading timestamp_read(const char *text, const struct zone *zone,
                                      char out[TIMESTAMP_TEXT]);

/* The same moment, given as timestamp_read() writes it, as SQLite's own functions write it:
 * YYYY-MM-DD HH:MM:SS, with .SSS if there are milliseconds, .SSSSSS if microseconds. */
void timestamp_for_sqlite(const char *utc, char out[TIMESTAMP_TEXT]);
