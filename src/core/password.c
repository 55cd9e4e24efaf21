/* src/core/password.c -- argon2id through libsodium. */
#include "core/password.h"

#include <sodium.h>
#include <string.h>

enum { PASSES = 2, MEMORY_BYTES = 19 << 20 };

_Static_assert(PASSWORD_HASH_TEXT >= crypto_pwhash_argon2id_STRBYTES, "room for the hash");

bool password_hash(const char *password, char out[PASSWORD_HASH_TEXT])
{
    return sodium_init() >= 0 &&
           crypto_pwhash_argon2id_str(out, password, strlen(password), PASSES, MEMORY_BYTES) == 0;
}

bool password_verify(const char *hash, const char *password)
{
    char unused[PASSWORD_HASH_TEXT];

    if (sodium_init() < 0)
        return false;
    if (hash == NULL) {
        /* The same work as for a real user, so that the time does not tell. */
        (void)password_hash(password, unused);
        return false;
    }
    return crypto_pwhash_argon2id_str_verify(hash, password, strlen(password)) == 0;
}
