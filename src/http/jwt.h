/* src/http/jwt.h -- tokens of identity providers (RFC 7519), read as RFC 8725 asks for: one way to
 * write each part, no header that we would have to understand and do not, and all that is demanded
 * of the claims. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "http/jwks.h"

enum {
    JWT_TEXT_MAX = 8192, /* bytes of a token */
    JWT_LEEWAY_S = 60,   /* by which the clocks of a provider and of a node may differ */
};

/* A token of which nothing is verified yet. It borrows its text. */
struct jwt {
    json_t *header, *payload;
    enum jwks_algorithm algorithm;
    const char *text;
    size_t signed_len; /* of header and payload */
    unsigned char signature[JWKS_SIGNATURE_MAX];
    size_t signature_len;
};

/* What is wrong with a token: for whoever sent it. Constant texts. */
typedef const char *jwt_why;

/* 1; 0: it is no token that could be good, and *ret_why says why; -E_NOMEM. */
int jwt_read(const char *text, struct jwt *ret, jwt_why *ret_why);
void jwt_done(struct jwt *jwt); /* zeroed is fine */

/* A text among the claims: NULL: there is none. */
const char *jwt_text(const struct jwt *jwt, const char *claim);
const char *jwt_kid(const struct jwt *jwt);

/* What a provider is to have put into its tokens. */
struct jwt_terms {
    const char *issuer, *audience;
    int64_t now_s;
};
/* UTC seconds. */
struct jwt_times {
    int64_t issued_s; /* 0: the token does not say */
    int64_t expires_s;
};
/* Are the claims as demanded? They count once jwt_verify() has said so of the signature. 1, or 0
 * with a reason. */
int jwt_check(const struct jwt *jwt, const struct jwt_terms *terms, struct jwt_times *ret,
              jwt_why *ret_why);
/* As jwks_verify(). */
int jwt_verify(const struct jwt *jwt, const struct jwks *keys);
