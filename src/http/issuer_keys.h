/* src/http/issuer_keys.h -- the current keys of one identity provider: from a file, or fetched from
 * a URL on a thread of its own, so that a provider that hangs delays nobody but those who wait for
 * its keys. The last good set stays in use. Any thread. */
#pragma once

#include "core/config.h"
#include "http/jwt.h"
#include "http/token_cache.h"
#include "proc/streams.h"

struct issuer_keys;

enum {
    ISSUER_KEYS_AGAIN_MS = 30 * 1000,  /* not more often for tokens, nor after a failure */
    ISSUER_KEYS_FRESH_MS = 300 * 1000, /* from a URL, so often without being asked */
};

/* -E_CONFIG: a start with this section would fail: a file of it cannot be read, may be written by
 * others, or has no keys. */
int issuer_keys_check(const struct config_issuer *config, struct err *err);

/* Read the file (-E_CONFIG as issuer_keys_check()), or begin to fetch. All are borrowed;
 * when keys have changed, `token_cache` forgets all tokens and `streams` ends those by such tokens,
 * since a token that a removed key has signed is no longer valid. *ret is yours. */
int issuer_keys_new(const struct config_issuer *config, struct token_cache *token_cache,
                    struct streams *streams, struct issuer_keys **ret, struct err *err);
/* End a fetch at once, and let go whoever waits for it; there is no other from now on. */
void issuer_keys_stop(struct issuer_keys *keys);
void issuer_keys_free(struct issuer_keys *keys); /* stops; NULL is fine */

/* As jwt_verify(), with the keys as they are now. */
int issuer_keys_verify(struct issuer_keys *keys, const struct jwt *jwt);

/* For a token whose kid is unknown: have the set read again, if the last time is
 * ISSUER_KEYS_AGAIN_MS ago. */
enum issuer_keys_more {
    ISSUER_KEYS_ALL,     /* it was read not long ago, or right now: verify once more */
    ISSUER_KEYS_COMING,  /* it is being fetched: issuer_keys_await() */
    ISSUER_KEYS_UNKNOWN, /* it could not be fetched, and it is not yet time to try again */
};
enum issuer_keys_more issuer_keys_ask(struct issuer_keys *keys);

/* Filled by its owner. */
struct issuer_keys_wait {
    void (*done)(struct issuer_keys_wait *wait); /* from any thread, once; then it is the owner's */
    struct issuer_keys_wait *next;
};
/* Call `done` when the fetch is over that is going on, if there still is one. */
void issuer_keys_await(struct issuer_keys *keys, struct issuer_keys_wait *wait);

/* Read or fetch it now; a failure is logged, and the keys stay. A fetch goes on in its thread. */
void issuer_keys_reload(struct issuer_keys *keys);
