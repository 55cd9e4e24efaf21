/* src/http/status_cache.h -- what Status says of complete reports, remembered: it stays the same
 * until they are deleted. Bounded: an old one makes room. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/report.h"

struct status_cache;

struct status_cache *status_cache_new(void); /* NULL: no memory */
void status_cache_free(struct status_cache *status_cache);

/* The report of that user, if it is remembered with this version (see store_version(); taken now)
 * and has not expired: its id, user, state, attempt, rows and expiry. False: ask the store. */
bool status_cache_find(struct status_cache *status_cache, const struct guid *id, int64_t user_id,
                       uint64_t version, struct report *ret);
/* Cache a report as the store returned it; `version` was taken before the store was asked. Nothing
 * is done if the report is not complete, or the version is 0. */
void status_cache_keep(struct status_cache *status_cache, const struct report *report,
                       uint64_t version);
