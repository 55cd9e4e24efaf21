/* src/http/token.h -- access tokens: JWTs signed with HS256 (RFC 7515, RFC 7519). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guid.h"
#include "http/token_keys.h"

enum {
    TOKEN_TEXT_MAX = 4096, /* bytes of an access token; a user name of 255 bytes fits */
    TOKEN_LIFE_S = 20 * 60,
};

struct token_claims {
    struct guid session, access; /* sid, jti */
    int64_t issued_s, expires_s; /* iat, exp: UTC seconds */
    bool external;               /* an identity provider's: see external.h */
};

/* Append a token for `user` (its claim sub); a failure is the buffer's. */
void token_issue(struct token_keys *keys, const char *user, const struct token_claims *claims,
                 struct buf *out);

/* 1: a server with one of these keys signed `text`, with no other header than that key's own (so
 * that the sender cannot choose `alg`, or a key by `kid`), or with the one from before keys had
 * ids; the caller checks whether it has expired. 0: none did. -E_NOMEM: unknown. */
int token_read(struct token_keys *keys, const char *text, struct token_claims *ret);

/* The secret of the refresh token that belongs to an access token: 32 bytes as base64url without
 * padding. Without the key it cannot be distinguished from random bytes; with it, any node can make
 * it again, for a client that presents the previous pair. */
enum { TOKEN_SECRET_TEXT = 44 };
void token_secret(const struct token_key *key, const struct guid *session,
                  const struct guid *access, char out[TOKEN_SECRET_TEXT]);
