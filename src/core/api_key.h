/* src/core/api_key.h -- API keys: their form, and what is stored of them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"

#define API_KEY_PREFIX "rdk_"

enum {
    API_KEY_TEXT = 48, /* the prefix, 32 random bytes as base64url, the NUL */
    API_KEY_HASH_BYTES = 32,
    API_KEY_NAME_MAX = 64,
    API_KEY_USED_MS = 60 * 1000, /* its last use is recorded at most this often */
};

/* Make a key. It is shown once: clear it then. */
void api_key_make(char out[API_KEY_TEXT]);

/* Does it begin like a key? Neither a JWT nor the name of a key does. */
bool api_key_begins(const char *text);
/* Does it have the form of a key? */
bool api_key_is(const char *text);

/* What is stored: its SHA-256, whose first bytes are its id. A key has 256 random bits, so it
 * cannot be guessed like a password, and needs neither a salt nor slow hashing. */
void api_key_hash(const char *key, uint8_t ret_hash[API_KEY_HASH_BYTES], struct guid *ret_id);

/* A name has 1 to API_KEY_NAME_MAX letters, digits and . _ - @, and begins with a letter or digit;
 * otherwise, or for a key instead of a name, -E_INVALID says so. */
int api_key_check_name(const char *name, struct err *err);
