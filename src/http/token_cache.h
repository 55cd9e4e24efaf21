/* src/http/token_cache.h -- access tokens and API keys that were verified, and their users, so that
 * they are not verified again for each request. It has keyed hashes of them, not the tokens, and is
 * bounded in entries and in bytes: a new one replaces old ones. Any thread. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/user.h"
#include "http/token.h"

enum { TOKEN_DIGEST_BYTES = 16 };

/* It does not change once it is made, and lives as long as it is held. That it is cached says only
 * that its signature is good: whether it has expired has to be checked each time, and `user` is
 * valid only while the session has this version (see store_version()). */
struct cached_token {
    struct token_claims claims;
    struct user user;
    char *session_claims; /* that definitions see, as in core/claims.h; NULL: none */
    uint64_t version;     /* 0: the store must be asked each time */
    /* For an API key: when its last use was recorded (UTC). Only this changes. */
    atomic_llong used_ms;
    /* token_cache.c's own */
    atomic_int holders;
    unsigned char digest[TOKEN_DIGEST_BYTES];
    size_t bytes;
};

struct token_cache;

struct token_cache *token_cache_new(void); /* NULL: no memory */
void token_cache_free(struct token_cache *token_cache);

/* Yours to cached_token_release(). NULL: it is not known. */
struct cached_token *token_cache_find(struct token_cache *token_cache, const char *token);
/* How often it has forgotten: to be taken before a token is found or verified. */
uint64_t token_cache_age(const struct token_cache *token_cache);
/* Know it from now on, in the place of the one with the same token; not if the cache has forgotten
 * since `age`, for the key that verified it may be the one that has gone, or if it is too large
 * (its user is in too many groups, say). */
void token_cache_keep(struct token_cache *token_cache, const char *token,
                      struct cached_token *cached_token, uint64_t age);

/* Know none any more: a key may have gone. */
void token_cache_forget(struct token_cache *token_cache);

/* Takes `user` (and leaves it empty) unless it returns NULL: no memory. Yours to release. Has no
 * session_claims yet. */
struct cached_token *cached_token_new(const struct token_claims *claims, struct user *user,
                                      uint64_t version);
void cached_token_release(struct cached_token *cached_token); /* NULL is fine */
