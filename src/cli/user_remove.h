/* src/cli/user_remove.h -- `reportd user remove`: removes a user and all its data. */
#pragma once

#include "base/err.h"
#include "core/config.h"
#include "core/trail.h"
#include "store/store.h"

struct user_removal {
    const struct config *config;
    struct store *store; /* opened beside any server */
    const char *name;    /* in any case */
    struct trail *trail; /* NULL: none is kept */
};

/* Disable the user for good, so that sessions and reports end, and wait until the reports and then
 * the user are deleted: by the servers of the store, or, as soon as there is none, by this process.
 * Progress goes to standard error. 0: nothing is left. -E_NOT_FOUND: there is no such user; others:
 * what is left is deleted by the next server, or the next call. */
int user_remove(const struct user_removal *removal, struct err *err);
