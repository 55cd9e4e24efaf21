/* src/store/keyring.h -- what the database may not see, sealed: the numbered keys of erase.key wrap
 * the key of each report, and that seals what the report says.
 *
 * All of it is XChaCha20-Poly1305 with a random nonce before it. A report's key is bound to its
 * reference and the number of the key that wraps it; what it seals, to what it is. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "core/report.h"
#include "store/erase_file.h"

enum {
    KEYRING_OVERHEAD = 24 + 16, /* nonce and tag */
    KEYRING_WRAPPED_BYTES = REPORT_KEY_BYTES + KEYRING_OVERHEAD,
    KEYRING_MAC_BYTES = 32,
    KEYRING_PRINT_BYTES = 32,
};

struct keyring;

/* Read the file, or, with `make`, make it if there is none. -E_NOT_FOUND, -E_CONFIG. *ret is yours:
 * keyring_free(). */
int keyring_open(const char *path, bool make, struct keyring **ret, struct err *err);
void keyring_free(struct keyring *ring); /* clears it; NULL is fine */
const char *keyring_path(const struct keyring *ring);

/* A copy, to be wiped. */
struct erase_keys keyring_keys(struct keyring *ring);
/* Take other keys, and write them into the file. -E_CONFIG: they are in memory only, until
 * keyring_save() works; that loses nothing, since those in the file lead to them. */
int keyring_set(struct keyring *ring, const struct erase_keys *keys, struct err *err);
/* Write them if they are not yet in the file. By one thread at a time, as keyring_set(). */
int keyring_save(struct keyring *ring, struct err *err);

/* ---- keys of reports ---- */

void keyring_wrap(const struct erase_key *key, const struct guid *id,
                  const uint8_t report_key[REPORT_KEY_BYTES], uint8_t out[KEYRING_WRAPPED_BYTES]);
enum keyring_found { KEYRING_OPENED, KEYRING_NO_SUCH_KEY, KEYRING_DAMAGED };
/* With the key of that number. */
enum keyring_found keyring_unwrap(struct keyring *ring, int64_t number, const struct guid *id,
                                  const uint8_t wrapped[KEYRING_WRAPPED_BYTES],
                                  uint8_t ret[REPORT_KEY_BYTES]);

/* ---- what a report's key seals ---- */

/* The numbers are kept in every database. */
enum keyring_value { KEYRING_PARAMETERS = 1, KEYRING_MESSAGE = 2, KEYRING_DIGEST = 3 };
/* `out` has room for len + KEYRING_OVERHEAD. */
void keyring_seal(const uint8_t report_key[REPORT_KEY_BYTES], enum keyring_value what,
                  const void *data, size_t len, uint8_t *out);
/* `out` has room for len - KEYRING_OVERHEAD. False: it is not what was sealed. */
bool keyring_unseal(const uint8_t report_key[REPORT_KEY_BYTES], enum keyring_value what,
                    const void *sealed, size_t len, void *out);

/* What the database contains for a user's secret: the same for the same secret; without the file it
 * cannot be decrypted or guessed. */
void keyring_mac(struct keyring *ring, int64_t user_id, const void *data, size_t len,
                 uint8_t out[KEYRING_MAC_BYTES]);

/* ---- the chain ---- */

/* The key of number + 1, wrapped by the key of `number`, and back. */
void keyring_wrap_next(const struct erase_key *key, const uint8_t next[ERASE_KEY_BYTES],
                       uint8_t out[KEYRING_WRAPPED_BYTES]);
bool keyring_unwrap_next(const struct erase_key *key, const uint8_t wrapped[KEYRING_WRAPPED_BYTES],
                         struct erase_key *ret);

/* By which nodes see that they have the same key; says nothing of it. Any key that is random. */
void keyring_print(const void *key, size_t len, uint8_t out[KEYRING_PRINT_BYTES]);
