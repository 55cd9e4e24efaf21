/* src/core/api_key.c -- API keys: their form, and what is stored of them. */
#include "core/api_key.h"

#include <sodium.h>
#include <string.h>

#include "base/str.h"

enum {
    RANDOM_BYTES = 32,
    PREFIX_LEN = sizeof(API_KEY_PREFIX) - 1,
    RANDOM_TEXT = API_KEY_TEXT - PREFIX_LEN, /* with the NUL */
};

_Static_assert(sodium_base64_ENCODED_LEN(RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   RANDOM_TEXT,
               "room for the random bytes");
_Static_assert((int)API_KEY_HASH_BYTES == (int)crypto_hash_sha256_BYTES, "it is a SHA-256");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void api_key_make(char out[API_KEY_TEXT])
{
    unsigned char bytes[RANDOM_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    memcpy(out, API_KEY_PREFIX, PREFIX_LEN);
    sodium_bin2base64(out + PREFIX_LEN, RANDOM_TEXT, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
}

bool api_key_begins(const char *text)
{
    return str_starts(text, API_KEY_PREFIX);
}

bool api_key_is(const char *text)
{
    return api_key_begins(text) && strlen(text) == API_KEY_TEXT - 1 &&
           strspn(text + PREFIX_LEN, alphabet) == RANDOM_TEXT - 1;
}

void api_key_hash(const char *key, uint8_t ret_hash[API_KEY_HASH_BYTES], struct guid *ret_id)
{
    crypto_hash_sha256(ret_hash, (const unsigned char *)key, strlen(key));
    memcpy(ret_id->bytes, ret_hash, sizeof(ret_id->bytes));
}

int api_key_check_name(const char *name, struct err *err)
{
    size_t len = strlen(name), good = 0;

    if (api_key_begins(name))
        return err_set(err, -E_INVALID,
                       "that is a key, not the name of one; reportd key list shows the names (the "
                       "key is now in the shell's history: remove it)");
    while (name[good] != '\0' && (strchr(alphabet, name[good]) != NULL || strchr(".@", name[good])))
        good++;
    return strchr("-_.@", name[0]) == NULL && good == len && len <= API_KEY_NAME_MAX
               ? 0
               : err_set(err, -E_INVALID,
                         "a key's name has 1 to %d letters, digits, or any of . _ - @, and begins "
                         "with a letter or a digit",
                         API_KEY_NAME_MAX);
}
