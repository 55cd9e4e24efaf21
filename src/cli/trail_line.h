/* src/cli/trail_line.h -- what the command line changes, in the audit trail. */
#pragma once

#include <stdbool.h>

#include "core/trail.h"
#include "store/store.h"

/* As trail_open(), before anything is changed, in the name of the user who is logged in to the
 * machine, even if the command runs as another user. Also -E_TRAIL: the trail is required, and
 * cannot be written. *ret, which may be NULL, is yours: trail_line_close(). */
int trail_line_open(const struct config *config, struct trail **ret, struct err *err);
/* From now on its lines have hashes of references, with the key that all nodes of `store` have, or,
 * if it is NULL, with one that is not shared; a missing key is made. `trail` may be NULL.
 * -E_CONFIG, -E_STORE. */
int trail_line_use_key(struct trail *trail, const struct config *config, struct store *store,
                       struct err *err);
/* Of a new user, each grant too, of which `grants` has a line. */
void trail_line_user_added(struct trail *trail, const char *name, const char *grants,
                           bool is_operator);
/* As trail_close(), unless `rc` says that the verb has failed already; returns either failure. */
int trail_line_close(struct trail *trail, int rc, struct err *err);
