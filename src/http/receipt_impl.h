/* src/http/receipt_impl.h -- what the files of receipts share: the keys as they are in memory. */
#pragma once

#include <sodium.h>

#include "http/receipt.h"

struct receipt_key {
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    char public_text[RECEIPT_KEY_ID_TEXT], id[RECEIPT_KEY_ID_TEXT]; /* base64url */
};

struct receipt_keys {
    unsigned char secret[crypto_sign_SECRETKEYBYTES]; /* of keys[0] */
    size_t count;
    struct receipt_key keys[RECEIPT_KEYS_MAX];
};
