/* src/base/zone.h -- time zones from the system's tz database; any number at the same time, in any
 * thread. */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* Of libc's functions those for local time know one zone per process, which no thread may change
 * while others use it; hence a reader of the files themselves. A zone does not change once it is
 * open. NULL is UTC. */
struct zone;

/* The zone of that name, such as Australia/Sydney, from /usr/share/zoneinfo (RFC 9636; versions
 * with leap seconds are rejected). *ret is yours: zone_free(). -E_INVALID: unknown; -E_NOMEM. */
int zone_open(const char *name, struct zone **ret, struct err *err);
void zone_free(struct zone *zone);

/* Seconds that the zone's clocks are ahead of UTC, `s` seconds after 1970 began in UTC. */
int64_t zone_offset(const struct zone *zone, int64_t s);

/* How many moments (0, 1 or 2) have the local time `local` (seconds as if it were UTC) in the zone?
 * *ret is the first of them, in seconds since 1970; untouched if there is none. */
int zone_moments(const struct zone *zone, int64_t local, int64_t *ret);
