/* src/store/remember.h -- how long an answer of the store may be given again without asking it. */
#ifndef STORE_REMEMBER_H
#define STORE_REMEMBER_H

#include <stdint.h>

#include "base/guid.h"
#include "store/store.h"

/* For remembering an answer about the report or session `id`: a number that is another one as soon
 * as that, or anything, may have changed, by this process or another one on the same database.
 * Take it before the STORE_READ is posted; its answer may be given again, in the place of a READ,
 * as long as the stamp is the same. 0: now nothing may be remembered (always so in a store of many
 * nodes). Any thread, and much cheaper than a READ. */
uint64_t store_stamp(struct store *store, const struct guid *id);

#endif
