/* src/cli/trail_line.h -- what the command line changes, in the audit trail. */
#pragma once

#include <stdbool.h>

#include "core/trail.h"

/* As trail_open(), before anything is changed. -E_TRAIL, too: it is required, and can't be written.
 * *ret, which may be NULL, is yours: trail_line_close(). */
int trail_line_open(const struct config *config, struct trail **ret, struct err *err);
/* trail_record() with who is logged in to the machine, also if that is another user by now. */
void trail_line_record(struct trail *trail, const struct trail_act *act);
/* Of a new user, each grant too, of which `grants` has a line. */
void trail_line_user_added(struct trail *trail, const char *name, const char *grants,
                           bool is_operator);
/* As trail_close(), unless `rc` says that the verb has failed already; returns either failure. */
int trail_line_close(struct trail *trail, int rc, struct err *err);
