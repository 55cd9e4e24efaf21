/* src/core/password.h -- passwords by argon2id (libsodium), 19 MiB and 2 passes: about 20 ms of
 * CPU. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum { PASSWORD_HASH_TEXT = 128, PASSWORD_CHARS_MIN = 8 };

/* May `password` become that of the user `name`? -E_INVALID: it is not UTF-8 text, has fewer than
 * PASSWORD_CHARS_MIN characters or more than USER_PASSWORD_MAX bytes, is an API key, or is the
 * name, in any case (a to z, as names are compared). Quick. */
int password_check(const char *password, const char *name, struct err *err);

/* Both are slow and use 19 MiB: never call them on an HTTP thread. */
bool password_hash(const char *password, char out[PASSWORD_HASH_TEXT]); /* false: no memory */
/* 1: it is the password. 0: it is not; always so if `hash` is NULL (no such user), after the same
 * work. -E_NOMEM: unknown, there was no memory for the work; -E_INTERNAL: `hash` is not a hash. */
int password_verify(const char *hash, const char *password, struct err *err);
