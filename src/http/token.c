/* src/http/token.c -- JWTs by libcrypto's HMAC, and the key file. */
#include "http/token.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "core/json_read.h"
#include "core/key_file.h"
#include "http/base64url.h"

enum { MAC_BYTES = 32, SECRET_BYTES = 32 };

struct token_key {
    unsigned char bytes[TOKEN_KEY_BYTES];
};

static const char refresh_purpose[8] = "rd-fresh";

/* base64url of {"alg":"HS256","typ":"JWT"} and the dot behind it: the only header there is. */
static const char header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

_Static_assert(sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   TOKEN_SECRET_TEXT,
               "room for the secret");

static void make_key(struct buf *out)
{
    char *place = buf_reserve(out, TOKEN_KEY_BYTES);

    if (place == NULL)
        return;
    randombytes_buf(place, TOKEN_KEY_BYTES);
    out->len += TOKEN_KEY_BYTES;
}

int token_key_open(const char *path, struct token_key **ret, struct err *err)
{
    const struct key_file file = {.path = path, .what = "key file", .make = make_key};
    struct token_key *key = calloc(1, sizeof(*key));
    struct buf content;
    int rc;

    if (key == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    buf_init(&content, 4096);
    rc = key_file_open(&file, &content, err);
    if (rc == 0 && content.len != TOKEN_KEY_BYTES)
        rc = err_set(err, -E_CONFIG,
                     "the key file '%s' is not a file of %d bytes; remove it and a new one is "
                     "made (all users must then log in again)",
                     path, TOKEN_KEY_BYTES);
    if (rc == 0)
        memcpy(key->bytes, content.data, TOKEN_KEY_BYTES);
    key_file_done(&content);
    if (rc != 0) {
        token_key_free(key);
        return rc;
    }
    *ret = key;
    return 0;
}

void token_key_free(struct token_key *key)
{
    if (key == NULL)
        return;
    sodium_memzero(key, sizeof(*key));
    free(key);
}

_Static_assert((int)TOKEN_KEY_BYTES == (int)crypto_kdf_KEYBYTES, "the key derives others");

void token_key_derive(const struct token_key *key, const char purpose[8],
                      unsigned char out[TOKEN_DERIVED_BYTES])
{
    crypto_kdf_derive_from_key(out, TOKEN_DERIVED_BYTES, 1, purpose, key->bytes);
}

static bool sign_token(const struct token_key *key, const char *text, size_t len,
                       unsigned char mac[MAC_BYTES])
{
    return HMAC(EVP_sha256(), key->bytes, TOKEN_KEY_BYTES, (const unsigned char *)text, len, mac,
                NULL) != NULL;
}

void token_issue(const struct token_key *key, const char *user, const struct token_claims *claims,
                 struct buf *out)
{
    char session[GUID_TEXT], access[GUID_TEXT];
    unsigned char mac[MAC_BYTES];
    struct buf payload;
    size_t start = out->len;

    guid_format(&claims->session, session);
    guid_format(&claims->access, access);
    buf_init(&payload, TOKEN_TEXT_MAX / 2);
    buf_add_str(&payload, "{\"sub\":");
    json_add_string(&payload, user);
    buf_add_format(&payload, ",\"sid\":\"%s\",\"jti\":\"%s\",\"iat\":%lld,\"exp\":%lld}", session,
                   access, (long long)claims->issued_s, (long long)claims->expires_s);
    buf_add_str(out, header);
    base64url_add(out, buf_str(&payload), payload.len);
    out->failed = out->failed || buf_failed(&payload);
    if (!buf_failed(out) && sign_token(key, out->data + start, out->len - start, mac)) {
        buf_add_char(out, '.');
        base64url_add(out, mac, sizeof(mac));
    } else {
        out->failed = true;
    }
    buf_done(&payload);
}

static bool guid_claim(const json_t *payload, const char *name, struct guid *ret)
{
    const char *text = json_string_value(json_object_get(payload, name));

    return text != NULL && guid_parse(text, ret);
}

static bool time_claim(const json_t *payload, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(payload, name);

    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static int read_claims(const char *text, size_t len, struct token_claims *ret)
{
    char payload[TOKEN_TEXT_MAX];
    struct token_claims claims;
    int got = base64url_read(text, len, payload, sizeof(payload));
    json_t *root;
    bool good, starved;

    if (got < 0)
        return 0;
    root = json_read(payload, (size_t)got, NULL, &starved);
    if (starved)
        return -E_NOMEM;
    good = guid_claim(root, "sid", &claims.session) && guid_claim(root, "jti", &claims.access) &&
           time_claim(root, "iat", &claims.issued_s) && time_claim(root, "exp", &claims.expires_s);
    json_decref(root);
    if (good)
        *ret = claims;
    return good;
}

int token_read(const struct token_key *key, const char *text, struct token_claims *ret)
{
    const size_t header_len = sizeof(header) - 1;
    unsigned char mac[MAC_BYTES], given[MAC_BYTES];
    size_t len = strnlen(text, TOKEN_TEXT_MAX + 1);
    const char *dot;

    if (len > TOKEN_TEXT_MAX || len <= header_len || memcmp(text, header, header_len) != 0)
        return 0;
    dot = strrchr(text, '.');
    if (dot < text + header_len ||
        base64url_read(dot + 1, len - (size_t)(dot + 1 - text), given, sizeof(given)) != MAC_BYTES)
        return 0;
    if (!sign_token(key, text, (size_t)(dot - text), mac))
        return -E_NOMEM;
    if (CRYPTO_memcmp(mac, given, MAC_BYTES) != 0)
        return 0;
    return read_claims(text + header_len, (size_t)(dot - text) - header_len, ret);
}

_Static_assert((int)SECRET_BYTES == (int)crypto_auth_BYTES &&
                   (int)TOKEN_DERIVED_BYTES == (int)crypto_auth_KEYBYTES,
               "a secret is a MAC");

void token_secret(const struct token_key *key, const struct guid *session,
                  const struct guid *access, char out[TOKEN_SECRET_TEXT])
{
    const struct guid pair[] = {*session, *access};
    unsigned char own[TOKEN_DERIVED_BYTES], bytes[SECRET_BYTES];

    token_key_derive(key, refresh_purpose, own);
    crypto_auth(bytes, (const unsigned char *)pair, sizeof(pair), own);
    sodium_memzero(own, sizeof(own));
    sodium_bin2base64(out, TOKEN_SECRET_TEXT, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
}
