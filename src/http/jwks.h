/* src/http/jwks.h -- the public keys of an identity provider: a JWK Set (RFC 7517), read strictly.
 * A set does not change once it is read: any thread may verify with it. */
#pragma once

#include <stddef.h>

#include "base/err.h"

enum {
    JWKS_TEXT_MAX = 256 << 10, /* bytes of a set */
    JWKS_KEYS_MAX = 64,        /* in one set */
    JWKS_KID_MAX = 255,
    JWKS_SIGNATURE_MAX = 1024, /* of RSA with 8192 bits */
};

/* How a token may be signed (RFC 7518, 3.1; RFC 8037, 3.1): nothing that is not public-key, so that
 * no public key is ever the secret of an HMAC. */
#define JWKS_ALGORITHMS(X)                                                                         \
    X(RS256, "RS256")                                                                              \
    X(PS256, "PS256")                                                                              \
    X(ES256, "ES256")                                                                              \
    X(EDDSA, "EdDSA")

enum jwks_algorithm {
#define X(name, text) JWKS_##name,
    JWKS_ALGORITHMS(X)
#undef X
        JWKS_ALGORITHM_COUNT /* none of them */
};

enum jwks_algorithm jwks_algorithm_find(const char *text); /* NULL is fine */

struct jwks;

/* Keys of other kinds or uses, those that are too weak, those without `kid`, and those that show
 * their private part are left out. -E_INVALID: it is no set of keys, or none of them is of use;
 * -E_NOMEM. *ret is yours. */
int jwks_read(const char *text, size_t len, struct jwks **ret, struct err *err);
void jwks_free(struct jwks *jwks); /* NULL is fine */
/* Keys that are of use. */
size_t jwks_count(const struct jwks *jwks);

struct jwks_signed {
    enum jwks_algorithm algorithm;
    const char *kid;
    const void *text;
    size_t len;
    const unsigned char *signature;
    size_t signature_len;
};

/* UNKNOWN: no key has the `kid`, so another version of the set may have one. WRONG: also if two
 * keys have it, or the key is of another algorithm. */
enum jwks_answer { JWKS_WRONG, JWKS_GOOD, JWKS_UNKNOWN };
/* An answer, or -E_NOMEM. */
int jwks_verify(const struct jwks *jwks, const struct jwks_signed *sealed);
