/* src/http/issuers.h -- the identity providers of the configuration, with the keys of each. Any
 * thread. */
#pragma once

#include "core/config.h"
#include "http/issuer_keys.h"
#include "http/jwt.h"
#include "http/token_cache.h"

struct issuers;

/* -E_CONFIG: a start would fail, and why. */
int issuers_check(const struct config *config, struct err *err);
/* Read the keys of each, as issuer_keys_new(). *ret is yours. */
int issuers_new(const struct config *config, struct token_cache *token_cache,
                struct streams *streams, struct issuers **ret, struct err *err);
void issuers_stop(struct issuers *issuers); /* issuer_keys_stop(); NULL is fine */
void issuers_free(struct issuers *issuers); /* NULL is fine */

struct issuers_token {
    const struct config_issuer *issuer;
    struct issuer_keys *keys; /* of that issuer */
    struct jwt jwt;           /* if it holds: jwt_done() */
    struct jwt_times times;
};

enum issuers_answer {
    ISSUERS_WRONG, /* *ret_why says why */
    ISSUERS_GOOD,  /* a configured issuer has signed it for this server: ret->jwt is yours */
    ISSUERS_LATER, /* its key may be among those that ret->keys is fetching: issuer_keys_await() */
};
/* An answer, -E_NOMEM, or -E_BUSY: its key is unknown, and cannot be fetched now. */
int issuers_verify(struct issuers *issuers, const char *text, int64_t now_s,
                   struct issuers_token *ret, jwt_why *ret_why);

/* issuer_keys_reload() of each. */
void issuers_reload(struct issuers *issuers);
