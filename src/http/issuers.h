/* src/http/issuers.h -- the identity providers of the configuration, with the keys of each. Any
 * thread. */
#pragma once

#include "core/config.h"
#include "http/jwt.h"
#include "http/token_cache.h"

struct issuers;

/* Read the keys of each. -E_CONFIG names a file that cannot be read or has none. Both are borrowed;
 * `token_cache`, which may be NULL, forgets all tokens when keys have changed, since a token that a
 * removed key has signed is no longer valid. *ret is yours. */
int issuers_new(const struct config *config, struct token_cache *token_cache, struct issuers **ret,
                struct err *err);
void issuers_free(struct issuers *issuers); /* NULL is fine */

/* A valid token. */
struct issuers_token {
    struct jwt jwt; /* jwt_done() */
    struct jwt_times times;
    const struct config_issuer *issuer;
};

enum { ISSUERS_AGAIN_MS = 30000 };
/* 1: a configured issuer has signed it for this server, and *ret is yours; 0 with a reason;
 * -E_NOMEM. A `kid` that is unknown makes it read the keys again, once in ISSUERS_AGAIN_MS. */
int issuers_verify(struct issuers *issuers, const char *text, int64_t now_s,
                   struct issuers_token *ret, jwt_why *ret_why);

/* Read all keys again; a file that cannot be read is logged, and its keys stay. */
void issuers_reload(struct issuers *issuers);
