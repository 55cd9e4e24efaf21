/* src/http/token_keys.h -- the keys of access tokens: the one that signs, and those that it has
 * replaced and that are still accepted. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    TOKEN_KEY_BYTES = 32,
    TOKEN_KEYS_MAX = 16,    /* in one file */
    TOKEN_KEY_ID_TEXT = 23, /* base64url of 16 bytes */
    TOKEN_KEY_DAYS = 31,    /* how long a replaced key stays: a refresh token, and a day */
    TOKEN_HEADER_TEXT = 96,
    TOKEN_DERIVED_BYTES = 32,
};

/* One key, borrowed while a token_fits_fn runs. */
struct token_key {
    unsigned char bytes[TOKEN_KEY_BYTES];
    int64_t replaced_s;             /* UTC seconds; 0: it signs */
    char id[TOKEN_KEY_ID_TEXT];     /* kid: derived from the key, without revealing it */
    char header[TOKEN_HEADER_TEXT]; /* of its tokens, in base64url, followed by the dot */
};

/* The file is 32 bytes, one key, as the first start makes it; or, once a key was replaced, a JWK
 * Set (RFC 7517) of kind `oct`, in which the first key signs. */
struct token_keys;

/* Read the key file, or make it: mode 0600, on disk before it has its name; of two servers that
 * start together one makes it and both use it. -E_CONFIG if it is no such file, is open to more
 * than its owner, or can't be read or made. *ret is yours: token_keys_free(). */
int token_keys_open(const char *path, struct token_keys **ret, struct err *err);
void token_keys_free(struct token_keys *keys); /* clears them; NULL is fine */

/* Take the keys of `now` in the place of those of `keys`, and free it. False: they are the same. */
bool token_keys_adopt(struct token_keys *keys, struct token_keys *now);

/* Does `key` match the context? 1 or 0, or -E_NOMEM, which ends the search. With a lock
 * held: no calls of this file but token_key_derive(). */
typedef int token_fits_fn(void *context, const struct token_key *key);
/* 1 as soon as a key matches, the signing key first; 0: none does. If the file has changed since it
 * was read, its keys are tried then, and are taken if one matches: another node that shares it may
 * sign with a key that this one has not read yet. */
int token_keys_find(struct token_keys *keys, token_fits_fn *fits, void *context);
/* The same for the signing key only. */
int token_keys_sign(struct token_keys *keys, token_fits_fn *with, void *context);

/* A key for one purpose alone, of which `purpose` is the name: exactly 8 characters. The same on
 * every node that has the key. */
void token_key_derive(const struct token_key *key, const char purpose[8],
                      unsigned char out[TOKEN_DERIVED_BYTES]);

/* The id of the i-th key, starting with the signing key; NULL: there are no more. Until the next
 * token_keys_adopt(). */
const char *token_keys_id_at(const struct token_keys *keys, size_t i);

/* Put a new key before those of the file, which lose those that were replaced TOKEN_KEY_DAYS ago.
 * At any time either the old or the new file is in place; concurrent callers wait. -E_CONFIG. */
int token_keys_rotate(const char *path, struct err *err);
/* Take the key with this id out of the file. -E_CONFIG, also if it is the signing key or does not
 * exist. */
int token_keys_retire(const char *path, const char *id, struct err *err);
