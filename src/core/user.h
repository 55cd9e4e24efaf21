/* src/core/user.h -- a user of the API: name, password hash, what it may run, from where. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    USER_NAME_MAX = 255,
    USER_PASSWORD_MAX = 255,
    USER_FAILURES_MAX = 3,               /* failed logins … */
    USER_FAILURE_WINDOW_MS = 600 * 1000, /* … within 10 minutes … */
    USER_LOCK_MS = 600 * 1000,           /* … lock the account for 10 minutes */
};

struct user {
    int64_t id;
    char *name;
    char *password_hash; /* argon2id, libsodium's string; NULL where not asked for */
    bool disabled;
    int failures;                              /* since first_failure_ms */
    int64_t first_failure_ms, locked_until_ms; /* UTC; 0: none */
    char *allow;  /* allow-list: addresses and CIDRs separated by spaces; "": anywhere */
    char *grants; /* report names separated by newlines; "*": all; "": none */
};

void user_done(struct user *user); /* free what it owns, zero it; NULL is fine */

bool user_may_run(const struct user *user, const char *report);
/* `address`: numeric IPv4 or IPv6; an IPv4-mapped IPv6 address counts as IPv4. */
bool user_may_come_from(const struct user *user, const char *address);
bool user_is_locked(const struct user *user, int64_t now_ms);

/* True for a usable allow-list (see struct user). */
bool user_allow_is_valid(const char *allow);
