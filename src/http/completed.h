/* src/http/completed.h -- what Status says of complete reports, remembered: it stays the same until
 * they are deleted. Bounded: an old one makes room. Any thread. */
#ifndef HTTP_COMPLETED_H
#define HTTP_COMPLETED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/report.h"

struct completed;

struct completed *completed_new(void); /* NULL: no memory */
void completed_free(struct completed *completed);

/* The report of that user, if it is remembered with this stamp (see store_stamp(); taken now) and
 * has not expired: its id, user, state, attempt, rows and expiry. False: ask the store. */
bool completed_find(struct completed *completed, const struct guid *id, int64_t user_id,
                    uint64_t stamp, struct report *ret);
/* Remember a report as the store has told it; `stamp` was taken before it was asked. Nothing
 * happens to one that is not complete, or if the stamp is 0. */
void completed_keep(struct completed *completed, const struct report *report, uint64_t stamp);

#endif
