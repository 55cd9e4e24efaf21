/* src/store/erase_file.h -- the file erase.key: the newest keys of a node, replaced in place so
 * that no copy of an old one is left.
 *
 * It is three sectors of 512 bytes: the secret for matching idempotency keys, and two places for
 * numbered keys. A key is added to the place that is free, or has the lower number, and is removed
 * by being overwritten; so nothing is renamed, no temporary file can be left, and the blocks of an
 * old key are not freed with the key in them. A torn sector counts as free. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { ERASE_KEY_BYTES = 32, ERASE_KEYS_MAX = 2 };

struct erase_key {
    int64_t number; /* from 1; 0: none */
    uint8_t bytes[ERASE_KEY_BYTES];
};

struct erase_keys {
    uint8_t secret[ERASE_KEY_BYTES];      /* never changes: of the idempotency keys */
    struct erase_key key[ERASE_KEYS_MAX]; /* the newest, then the one before while rows need it */
};

/* Read it, or, with `make`, make it with a new secret and key 1 if it does not exist. -E_NOT_FOUND:
 * there is none; -E_CONFIG as key_file_open(), or if it is not such a file. */
int erase_file_read(const char *path, bool make, struct erase_keys *ret, struct err *err);
/* Bring its numbered keys to those of `keys`, on disk: first what is new is written, then what is
 * not wanted any more is overwritten. A key newer than all of these is left, and one older than the
 * newest in the file is not added: another process on the same file is ahead. -E_CONFIG. */
int erase_file_write(const char *path, const struct erase_keys *keys, struct err *err);
