/* src/http/token.h -- access tokens: JWTs signed with HS256 (RFC 7515, RFC 7519), and their key. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guid.h"

enum {
    TOKEN_KEY_BYTES = 32,
    TOKEN_TEXT_MAX = 4096, /* bytes of an access token; a user name of 255 bytes fits */
    TOKEN_LIFE_S = 20 * 60,
};

struct token_key;

/* Read the key file, or make it: 32 random bytes, mode 0600, on disk before it has its name; of two
 * servers that start together one makes it and both use it. -E_CONFIG if it has another size, is
 * open to more than its owner, or can't be read or made. *ret is yours: token_key_free(). */
int token_key_open(const char *path, struct token_key **ret, struct err *err);
void token_key_free(struct token_key *key); /* clears it; NULL is fine */

struct token_claims {
    struct guid session, access; /* sid, jti */
    int64_t issued_s, expires_s; /* iat, exp: UTC seconds */
};

enum { TOKEN_DERIVED_BYTES = 32 };
/* A key for one purpose alone, of which `purpose` is the name: exactly 8 characters. The same on
 * every node that has the key file. */
void token_key_derive(const struct token_key *key, const char purpose[8],
                      unsigned char out[TOKEN_DERIVED_BYTES]);

/* Append a token for `user` (its claim sub); a failure is the buffer's. */
void token_issue(const struct token_key *key, const char *user, const struct token_claims *claims,
                 struct buf *out);

/* 1: this server signed `text`, with no other header than its own (so that `alg` can't be chosen by
 * the sender); whether it has expired is the caller's to check. 0: it did not. -E_NOMEM: nobody
 * knows. */
int token_read(const struct token_key *key, const char *text, struct token_claims *ret);

/* The secret of the refresh token that goes with an access token: 32 bytes as base64url without
 * padding. Without the key it cannot be told from random ones; with it any node can make it again,
 * for a client that presents the pair before. */
enum { TOKEN_SECRET_TEXT = 44 };
void token_secret(const struct token_key *key, const struct guid *session,
                  const struct guid *access, char out[TOKEN_SECRET_TEXT]);
