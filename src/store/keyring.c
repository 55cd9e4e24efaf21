/* src/store/keyring.c -- wraps and seals with libsodium; keeps the keys of erase.key in memory. */
#include "store/keyring.h"

#include <endian.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
};
_Static_assert((int)NONCE + (int)TAG == (int)KEYRING_OVERHEAD, "as the header says");
_Static_assert((int)REPORT_KEY_BYTES == (int)crypto_kdf_KEYBYTES &&
                   (int)ERASE_KEY_BYTES == (int)crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
               "one size of keys");

struct keyring {
    char *path;
    pthread_rwlock_t lock; /* guards `keys` */
    struct erase_keys keys;
    bool unsaved;
};

/* What a wrapped key is bound to. */
struct binding {
    char what[8];
    uint64_t number; /* big-endian, of the key that wraps it */
    struct guid id;  /* zero: the next key of the chain */
};

/* ---- the keys ---- */

int keyring_open(const char *path, bool make, struct keyring **ret, struct err *err)
{
    struct keyring *ring = sodium_init() < 0 ? NULL : calloc(1, sizeof(*ring));
    int rc;

    if (ring == NULL || (ring->path = strdup(path)) == NULL) {
        free(ring);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    pthread_rwlock_init(&ring->lock, NULL);
    rc = erase_file_read(path, make, &ring->keys, err);
    if (rc < 0) {
        keyring_free(ring);
        return rc;
    }
    *ret = ring;
    return 0;
}

void keyring_free(struct keyring *ring)
{
    if (ring == NULL)
        return;
    pthread_rwlock_destroy(&ring->lock);
    sodium_memzero(&ring->keys, sizeof(ring->keys));
    free(ring->path);
    free(ring);
}

const char *keyring_path(const struct keyring *ring)
{
    return ring->path;
}

struct erase_keys keyring_keys(struct keyring *ring)
{
    struct erase_keys keys;

    pthread_rwlock_rdlock(&ring->lock);
    keys = ring->keys;
    pthread_rwlock_unlock(&ring->lock);
    return keys;
}

int keyring_set(struct keyring *ring, const struct erase_keys *keys, struct err *err)
{
    pthread_rwlock_wrlock(&ring->lock);
    memcpy(ring->keys.key, keys->key, sizeof(keys->key));
    pthread_rwlock_unlock(&ring->lock);
    ring->unsaved = true;
    return keyring_save(ring, err);
}

int keyring_save(struct keyring *ring, struct err *err)
{
    struct erase_keys keys = keyring_keys(ring);
    int rc = ring->unsaved ? erase_file_write(ring->path, &keys, err) : 0;

    sodium_memzero(&keys, sizeof(keys));
    ring->unsaved = ring->unsaved && rc < 0;
    return rc;
}

/* ---- wrapping one key with another ---- */

static struct binding binding_of(const struct erase_key *key, const struct guid *id)
{
    struct binding binding = {.number = htobe64((uint64_t)key->number)};

    memcpy(binding.what, id != NULL ? "report" : "chain", id != NULL ? 6 : 5);
    if (id != NULL)
        binding.id = *id;
    return binding;
}

static void wrap(const struct erase_key *key, const struct guid *id, const uint8_t *inner,
                 uint8_t out[KEYRING_WRAPPED_BYTES])
{
    struct binding binding = binding_of(key, id);

    randombytes_buf(out, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, inner, REPORT_KEY_BYTES,
                                               (const uint8_t *)&binding, sizeof(binding), NULL,
                                               out, key->bytes);
}

static bool unwrap(const struct erase_key *key, const struct guid *id, const uint8_t *wrapped,
                   uint8_t *ret)
{
    struct binding binding = binding_of(key, id);

    return crypto_aead_xchacha20poly1305_ietf_decrypt(
               ret, NULL, NULL, wrapped + NONCE, KEYRING_WRAPPED_BYTES - NONCE,
               (const uint8_t *)&binding, sizeof(binding), wrapped, key->bytes) == 0;
}

void keyring_wrap(const struct erase_key *key, const struct guid *id,
                  const uint8_t report_key[REPORT_KEY_BYTES], uint8_t out[KEYRING_WRAPPED_BYTES])
{
    wrap(key, id, report_key, out);
}

enum keyring_found keyring_unwrap(struct keyring *ring, int64_t number, const struct guid *id,
                                  const uint8_t wrapped[KEYRING_WRAPPED_BYTES],
                                  uint8_t ret[REPORT_KEY_BYTES])
{
    enum keyring_found found = KEYRING_NO_SUCH_KEY;

    pthread_rwlock_rdlock(&ring->lock);
    for (int i = 0; i < ERASE_KEYS_MAX; i++) {
        if (number != 0 && ring->keys.key[i].number == number)
            found = unwrap(&ring->keys.key[i], id, wrapped, ret) ? KEYRING_OPENED : KEYRING_DAMAGED;
    }
    pthread_rwlock_unlock(&ring->lock);
    return found;
}

void keyring_wrap_next(const struct erase_key *key, const uint8_t next[ERASE_KEY_BYTES],
                       uint8_t out[KEYRING_WRAPPED_BYTES])
{
    wrap(key, NULL, next, out);
}

bool keyring_unwrap_next(const struct erase_key *key, const uint8_t wrapped[KEYRING_WRAPPED_BYTES],
                         struct erase_key *ret)
{
    ret->number = key->number + 1;
    return unwrap(key, NULL, wrapped, ret->bytes);
}

void keyring_print(const void *key, size_t len, uint8_t out[KEYRING_PRINT_BYTES])
{
    static const char what[] = "reportd: the fingerprint of a key";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, KEYRING_PRINT_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)what, sizeof(what));
    crypto_generichash_update(&state, key, len);
    crypto_generichash_final(&state, out, KEYRING_PRINT_BYTES);
    sodium_memzero(&state, sizeof(state));
}

/* ---- values ---- */

static void key_of(const uint8_t report_key[REPORT_KEY_BYTES], enum keyring_value what,
                   uint8_t out[REPORT_KEY_BYTES])
{
    crypto_kdf_derive_from_key(out, REPORT_KEY_BYTES, (uint64_t)what, "rowvalue", report_key);
}

void keyring_seal(const uint8_t report_key[REPORT_KEY_BYTES], enum keyring_value what,
                  const void *data, size_t len, uint8_t *out)
{
    uint8_t key[REPORT_KEY_BYTES];

    key_of(report_key, what, key);
    randombytes_buf(out, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, data, len, NULL, 0, NULL, out,
                                               key);
    sodium_memzero(key, sizeof(key));
}

bool keyring_unseal(const uint8_t report_key[REPORT_KEY_BYTES], enum keyring_value what,
                    const void *sealed, size_t len, void *out)
{
    uint8_t key[REPORT_KEY_BYTES];
    const uint8_t *from = sealed;
    bool good;

    if (len < KEYRING_OVERHEAD)
        return false;
    key_of(report_key, what, key);
    good = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, from + NONCE, len - NONCE,
                                                      NULL, 0, from, key) == 0;
    sodium_memzero(key, sizeof(key));
    return good;
}

void keyring_mac(struct keyring *ring, int64_t user_id, const void *data, size_t len,
                 uint8_t out[KEYRING_MAC_BYTES])
{
    uint64_t user = htobe64((uint64_t)user_id);
    crypto_generichash_state state;

    /* The secret never changes, so it is read without the lock. */
    crypto_generichash_init(&state, ring->keys.secret, ERASE_KEY_BYTES, KEYRING_MAC_BYTES);
    crypto_generichash_update(&state, (const uint8_t *)&user, sizeof(user));
    crypto_generichash_update(&state, data, len);
    crypto_generichash_final(&state, out, KEYRING_MAC_BYTES);
    sodium_memzero(&state, sizeof(state));
}
