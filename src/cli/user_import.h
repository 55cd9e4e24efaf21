/* src/cli/user_import.h -- `reportd user import`: users from a CSV file, and what is checked of
 * each. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/options.h"
#include "core/config.h"
#include "core/trail.h"
#include "store/store.h"

/* Add the users of the file ("-": standard input): RFC 4180, UTF-8, the first line names the
 * columns. -E_INVALID, with "FILE:LINE: …", before anything was added; -E_STORE, with how many
 * were. Each has a line in the audit trail, which may be NULL. */
int user_import(const char *path, const struct config *config, struct store *store,
                struct trail *trail, struct err *err);

/* ---- user.c ---- */

/* -E_NOT_FOUND; *ret is yours: user_done(). */
int user_find(struct store *store, const char *name, struct user *ret, struct err *err);
/* -E_INVALID: no user can have that name. */
int user_check_name(const char *name, struct err *err);
/* `old` and the report types that are not in it yet; *ret is yours to free(). -E_INVALID. */
int user_grants_with(const char *old, const struct words *words, char **ret, struct err *err);
/* `old` without `words`; '*' among them removes all. */
int user_grants_without(const char *old, const struct words *words, char **ret, struct err *err);
/* For a new user. -E_INVALID also if it is a name that a user of an identity provider may get, or
 * has a space at an end, which a person who logs in would not type. */
int user_check_local(const struct config *config, const char *name, struct err *err);

/* How long what a change ends is kept. */
struct user_retentions {
    struct buf json; /* milliseconds, by type, for types with a shorter retention; buf_done() */
    int64_t general_ms;
};
void user_retentions_init(struct user_retentions *ret, const struct config *config);

/* The allow-list of these addresses; *ret is yours to free(). -E_INVALID names one that is not an
 * address. */
int user_allow_list(const struct words *words, char **ret, struct err *err);
/* Report on standard error which of these reports were granted but do not exist. */
void user_warn_of_unknown(const char *verb, const struct config *config,
                          const struct words *grants);
/* Of STORE_USER_CHANGE: "default" is -1, NULL 0. -E_INVALID. */
int user_read_limit(const char *text, int *ret, struct err *err);
