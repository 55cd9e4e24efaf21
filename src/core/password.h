/* src/core/password.h -- passwords by argon2id (libsodium), 19 MiB and 2 passes: about 20 ms of
 * CPU. */
#ifndef CORE_PASSWORD_H
#define CORE_PASSWORD_H

#include <stdbool.h>

enum { PASSWORD_HASH_TEXT = 128 };

/* Both are slow and use 19 MiB: never call them on an HTTP thread. */
bool password_hash(const char *password, char out[PASSWORD_HASH_TEXT]); /* false: no memory */
/* `hash` NULL (no such user): does the same work and is false. */
bool password_verify(const char *hash, const char *password);

#endif
