/* src/http/bearer.h -- access tokens that were found good, and whose they are, so that a token is
 * not verified anew with each request. Bounded: an old one makes room. Any thread. */
#ifndef HTTP_BEARER_H
#define HTTP_BEARER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/user.h"
#include "http/token.h"

/* Does not change once it is made, and lives as long as somebody holds it. That it is known says
 * only that its signature is good: whether it has expired is to be checked each time, and `user`
 * holds only while the session has this stamp (see store_stamp()). */
struct bearer {
    struct token_claims claims;
    struct user user;
    uint64_t stamp; /* 0: the store must be asked each time */
    /* bearer.c's own */
    atomic_int holders;
    uint64_t hash;
    size_t len;
    char token[];
};

struct bearers;

struct bearers *bearers_new(void); /* NULL: no memory */
void bearers_free(struct bearers *bearers);

/* Yours to bearer_release(). NULL: it is not known. */
struct bearer *bearers_find(struct bearers *bearers, const char *token);
/* Know it from now on, in the place of the one with the same token. */
void bearers_keep(struct bearers *bearers, struct bearer *bearer);

/* Takes `user` (and leaves it empty) unless it returns NULL: no memory. Yours to release. */
struct bearer *bearer_new(const char *token, const struct token_claims *claims, struct user *user,
                          uint64_t stamp);
void bearer_release(struct bearer *bearer); /* NULL is fine */

#endif
