/* src/core/password.c -- argon2id through libsodium. */
#include "core/password.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/seam.h"
#include "base/str.h"
#include "core/api_key.h"
#include "core/user.h"

enum { PASSES = 2, MEMORY_BYTES = 19 << 20, HASH_BYTES = 32 };

_Static_assert(PASSWORD_HASH_TEXT >= crypto_pwhash_argon2id_STRBYTES, "room for the hash");

int password_check(const char *password, const char *name, struct err *err)
{
    size_t len = strlen(password), chars = 0;

    for (size_t i = 0, n; i < len; i += n, chars++) {
        n = str_utf8_length(password + i, len - i);
        if (n == 0)
            return err_set(err, -E_INVALID, "the password is not UTF-8 text");
    }
    if (len > USER_PASSWORD_MAX)
        return err_set(err, -E_INVALID, "the password is longer than %d bytes", USER_PASSWORD_MAX);
    if (chars < PASSWORD_CHARS_MIN)
        return err_set(err, -E_INVALID, "the password has less than %d characters",
                       PASSWORD_CHARS_MIN);
    if (api_key_is(password))
        return err_set(err, -E_INVALID,
                       "the password is an API key, which does not log in: choose another one");
    if (str_eq_nocase(password, name))
        return err_set(err, -E_INVALID, "the password is the user's name: choose another one");
    return 0;
}

bool password_hash(const char *password, char out[PASSWORD_HASH_TEXT])
{
    return sodium_init() >= 0 &&
           crypto_pwhash_argon2id_str(out, password, strlen(password), PASSES, MEMORY_BYTES) == 0;
}

/* The form of libsodium's hashes: "$argon2id$v=19$m=KIB,t=PASSES,p=1$SALT$HASH". */
struct hashed {
    unsigned kib, passes;
    unsigned char salt[crypto_pwhash_argon2id_SALTBYTES], hash[HASH_BYTES];
};

static bool decode(const char *text, unsigned char *out, size_t len)
{
    size_t got = 0;

    return sodium_base642bin(out, len, text, strlen(text), NULL, &got, NULL,
                             sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
           got == len;
}

static bool parse_hash(const char *text, struct hashed *ret)
{
    char salt[24], hash[48];

    return sscanf(text, "$argon2id$v=19$m=%u,t=%u,p=1$%23[^$]$%47[^$]", &ret->kib, &ret->passes,
                  salt, hash) == 4 &&
           decode(salt, ret->salt, sizeof(ret->salt)) && decode(hash, ret->hash, sizeof(ret->hash));
}

/* Not crypto_pwhash_str_verify(), which in 1.0.18 reports a lack of memory as a wrong password. */
static int verify(const char *hash, const char *password, struct err *err)
{
    struct hashed hashed;
    unsigned char again[HASH_BYTES];

    if (!parse_hash(hash, &hashed))
        return err_set(err, -E_INTERNAL, "a password's hash in the store is not one");
    if (SEAM_FAILS("password.verify") ||
        crypto_pwhash_argon2id(again, sizeof(again), password, strlen(password), hashed.salt,
                               hashed.passes, (size_t)hashed.kib * 1024,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
        return err_set(err, -E_NOMEM, "no memory to check a password");
    return sodium_memcmp(again, hashed.hash, sizeof(again)) == 0;
}

int password_verify(const char *hash, const char *password, struct err *err)
{
    char unused[PASSWORD_HASH_TEXT];

    if (sodium_init() < 0)
        return err_set(err, -E_INTERNAL, "libsodium can't be used");
    if (hash != NULL)
        return verify(hash, password, err);
    /* The same work as for a real user, so that the duration reveals nothing. */
    if (SEAM_FAILS("password.verify") || !password_hash(password, unused))
        return err_set(err, -E_NOMEM, "no memory to check a password");
    return 0;
}
