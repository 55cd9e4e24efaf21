/* src/core/user.h -- a user of the API: name, password hash, what it may run, from where. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

enum {
    USER_NAME_MAX = 255,
    USER_PASSWORD_MAX = 255,
    USER_FAILURES_MAX = 3,               /* failed logins … */
    USER_FAILURE_WINDOW_MS = 600 * 1000, /* … within 10 minutes … */
    USER_LOCK_MS = 600 * 1000,           /* … lock the account for 10 minutes */
};

/* An address that a user has logged in from within 30 days has its own count and lock. */
#define USER_ADDRESS_MS (INT64_C(30) * 24 * 3600 * 1000)

struct user {
    int64_t id;
    char *name;
    char *password_hash; /* argon2id, libsodium's string; NULL where not asked for */
    bool disabled;
    bool removed;                    /* and so disabled for good: the row is deleted with the last
                                      * report */
    bool is_operator;                /* may use /Admin/ and read /metrics from elsewhere;
                                      * by itself or by a group */
    int active_limit, running_limit; /* 0: the configuration's */
    int failures;                    /* since first_failure_ms */
    int64_t first_failure_ms, locked_until_ms; /* UTC; 0: none */
    char *allow;  /* allow-list: addresses and CIDRs separated by spaces; "": anywhere */
    char *grants; /* report names separated by newlines; "*": all; "": none */
    struct user_identity *identity; /* NULL: a local user */
    struct user_key *key; /* that acts for the user, with the rights that both have; NULL: none */
};

/* Of a user of an identity provider. Any may be NULL. */
struct user_identity {
    char *issuer, *subject;
    char *groups; /* ISSUER:GROUP, separated by newlines */
    char *grants; /* those of the groups */
};

/* An API key. */
struct user_key {
    char *name, *allow;
    char *grants; /* "": all those of the user */
};

void user_done(struct user *user); /* free what it owns, zero it; NULL is fine */
/* Takes over the texts, which are from malloc(), and frees them if there is no memory (false); one
 * of them may then be NULL. */
bool user_set_key(struct user *user, char *name, char *allow, char *grants);
/* Takes over the texts, which are from malloc(). Without memory the user has none of these rights.
 */
void user_set_identity(struct user *user, const struct user_identity *identity);

/* By its grants, those of its groups, and those of its key; a disabled user has none. */
bool user_may_run(const struct user *user, const char *report);
/* By its allow-list, and that of its key. An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) counts as
 * the IPv4 address, here and in the list; other blocks of IPv6 do not include it, not even ::/0. */
bool user_may_come_from(const struct user *user, const struct address *address);
bool user_is_locked(const struct user *user, int64_t now_ms);

/* One entry of an allow-list. */
enum user_allow { USER_ALLOW_GOOD, USER_ALLOW_NONE, USER_ALLOW_HOST_BITS };
enum { USER_NETWORK_TEXT = NETWORK_TEXT };
/* Is `entry` an address or a CIDR block (RFC 4632, RFC 4291)? HOST_BITS: it has bits beyond its
 * prefix, and what it was to be is anybody's guess; `network` is the block that it lies in. */
enum user_allow user_allow_check(const char *entry, char network[USER_NETWORK_TEXT]);
