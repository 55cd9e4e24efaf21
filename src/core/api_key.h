/* src/core/api_key.h -- API keys: what one looks like, and what is kept of it. */
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
    API_KEY_USED_MS = 60 * 1000, /* its last use is written down at most this often */
};

/* A new one. It is shown once: clear it then. */
void api_key_make(char out[API_KEY_TEXT]);

/* Does it begin as one? Neither a JWT nor the name of a key does. */
bool api_key_begins(const char *text);
/* Can it be one? */
bool api_key_is(const char *text);

/* What is kept of it: SHA-256, of which the first bytes are its id. A key has 256 random bits, so
 * nobody can try them out, as they can passwords: it needs neither a salt nor work. */
void api_key_hash(const char *key, uint8_t ret_hash[API_KEY_HASH_BYTES], struct guid *ret_id);

/* A name has 1 to API_KEY_NAME_MAX letters, digits and . _ - @, and begins with one of the first
 * two; -E_INVALID says so, also of a key in the place of its name. */
int api_key_check_name(const char *name, struct err *err);
