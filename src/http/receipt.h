/* src/http/receipt.h -- deletion receipts: JWSs signed with Ed25519 (RFC 7515, RFC 8037), their
 * keys and the check of one. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/guid.h"
#include "core/report.h"

enum {
    RECEIPT_TEXT_MAX = 8192, /* bytes of a receipt; a user name of 255 bytes fits */
    RECEIPT_KEYS_MAX = 32,   /* in one file */
    RECEIPT_KEY_ID_TEXT = 44,
    RECEIPT_HASH_BYTES = 32, /* SHA-256 */
};

/* ---- keys ---- */

/* A JWK Set (RFC 7517): in receipt.key the first key signs and has its private part `d`; the others
 * are those that it has replaced, so that their receipts can still be checked. */
struct receipt_keys;

/* Read receipt.key, or make it with one key: see key_file_open(). -E_CONFIG, with a message that
 * says what to do, if it is not such a set. *ret is yours: receipt_keys_free(). */
int receipt_keys_open(const char *path, struct receipt_keys **ret, struct err *err);
/* Read a JWK Set of public keys, as the server publishes it; keys of other kinds are skipped. */
int receipt_keys_read(const char *path, struct receipt_keys **ret, struct err *err);
void receipt_keys_free(struct receipt_keys *keys); /* clears it; NULL is fine */

/* Put a new key before those in receipt.key, which stay as public keys. At any time either the
 * old or the new file is in place; concurrent callers wait. -E_CONFIG, also if the file is full. */
int receipt_keys_rotate(const char *path, struct err *err);
/* Take the key with this id out of it. -E_CONFIG, also if it is the signing key or does not exist.
 */
int receipt_keys_retire(const char *path, const char *id, struct err *err);

/* Take the keys of `now` in the place of those of `keys`, and free it. False: they are the same. */
bool receipt_keys_adopt(struct receipt_keys *keys, struct receipt_keys *now);

/* The thumbprint (RFC 7638) of the key that signs; borrowed until the next receipt_keys_adopt(). */
const char *receipt_keys_id(const struct receipt_keys *keys);
/* The id of the i-th key, starting with the signing key; NULL: there are no more. In the form that
 * store_check_key() takes: `keys` is a struct receipt_keys. */
const void *receipt_keys_id_at(const void *keys, size_t i, size_t *ret_len);
/* Append the public keys as a JWK Set; a failure is the buffer's. Any thread, as receipt_issue().
 */
void receipt_keys_publish(struct receipt_keys *keys, struct buf *out);

/* ---- receipts ---- */

struct receipt {
    const char *user; /* whose reports they were; NULL: those of several */
    const char
        *operator_name; /* the operator who deleted them, if it was not the user; else NULL */
    const char *node;
    const struct guid *reference;           /* of one report, and … */
    enum report_state state;                /* … the state it was in; NULL: of many, and … */
    int64_t by_state[REPORT_STATE_COUNT];   /* … how many were in which state, and … */
    uint8_t references[RECEIPT_HASH_BYTES]; /* … the SHA-256 of their references, in lower case,
                                             * sorted, with a newline after each */
    int64_t now_s, erased_s;                /* iat and erasedBy: UTC seconds */
};

/* Append a receipt; a failure is the buffer's. */
void receipt_issue(struct receipt_keys *keys, const struct receipt *receipt, struct buf *out);

/* 0: one of the keys has signed `text`, and *ret_claims is yours to json_decref(). -E_INVALID: it
 * is no receipt, or none of them has; `err` says which. */
int receipt_verify(const struct receipt_keys *keys, const char *text, json_t **ret_claims,
                   struct err *err);
