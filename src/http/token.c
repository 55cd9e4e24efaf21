/* src/http/token.c -- JWTs, with libcrypto's HMAC. */
#include "http/token.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "core/json_read.h"

enum { MAC_BYTES = 32, SECRET_BYTES = 32 };

static const char refresh_purpose[8] = "rd-fresh";

/* base64url of {"alg":"HS256","typ":"JWT"} and the following dot, from before keys had ids. */
static const char plain_header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

_Static_assert(sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   TOKEN_SECRET_TEXT,
               "room for the secret");

static bool sign_token(const struct token_key *key, const char *text, size_t len,
                       unsigned char mac[MAC_BYTES])
{
    return HMAC(EVP_sha256(), key->bytes, TOKEN_KEY_BYTES, (const unsigned char *)text, len, mac,
                NULL) != NULL;
}

struct issuing {
    struct buf payload, *out;
};

static int issue_with(void *context, const struct token_key *key)
{
    struct issuing *issuing = context;
    struct buf *out = issuing->out;
    unsigned char mac[MAC_BYTES];
    size_t start = out->len;

    buf_add_str(out, key->header);
    base64url_add(out, buf_str(&issuing->payload), issuing->payload.len);
    if (buf_failed(out) || !sign_token(key, out->data + start, out->len - start, mac))
        return -E_NOMEM;
    buf_add_char(out, '.');
    base64url_add(out, mac, sizeof(mac));
    return 1;
}

void token_issue(struct token_keys *keys, const char *user, const struct token_claims *claims,
                 struct buf *out)
{
    char session[GUID_TEXT], access[GUID_TEXT];
    struct issuing issuing = {.out = out};
    struct buf *payload = &issuing.payload;

    guid_format(&claims->session, session);
    guid_format(&claims->access, access);
    buf_init(payload, TOKEN_TEXT_MAX / 2);
    buf_add_str(payload, "{\"sub\":");
    json_add_string(payload, user);
    buf_add_format(payload, ",\"sid\":\"%s\",\"jti\":\"%s\",\"iat\":%lld,\"exp\":%lld}", session,
                   access, (long long)claims->issued_s, (long long)claims->expires_s);
    out->failed =
        out->failed || buf_failed(payload) || token_keys_sign(keys, issue_with, &issuing) < 0;
    buf_done(payload);
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
    struct token_claims claims = {0};
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

struct reading {
    const char *text, *payload, *dot; /* after the header, and before the signature */
    unsigned char given[MAC_BYTES];
};

static bool begins_with(const struct reading *reading, const char *header)
{
    size_t len = strlen(header);

    return (size_t)(reading->payload - reading->text) == len &&
           memcmp(reading->text, header, len) == 0;
}

static int fits_token(void *context, const struct token_key *key)
{
    const struct reading *reading = context;
    unsigned char mac[MAC_BYTES];

    if (!begins_with(reading, key->header) && !begins_with(reading, plain_header))
        return 0;
    if (!sign_token(key, reading->text, (size_t)(reading->dot - reading->text), mac))
        return -E_NOMEM;
    return CRYPTO_memcmp(mac, reading->given, MAC_BYTES) == 0;
}

int token_read(struct token_keys *keys, const char *text, struct token_claims *ret)
{
    size_t len = strnlen(text, TOKEN_TEXT_MAX + 1);
    struct reading reading = {.text = text, .dot = strrchr(text, '.')};
    int rc;

    if (len > TOKEN_TEXT_MAX || reading.dot == NULL)
        return 0;
    reading.payload = strchr(text, '.') + 1;
    if (reading.payload > reading.dot ||
        base64url_read(reading.dot + 1, len - (size_t)(reading.dot + 1 - text), reading.given,
                       sizeof(reading.given)) != MAC_BYTES)
        return 0;
    rc = token_keys_find(keys, fits_token, &reading);
    return rc == 1 ? read_claims(reading.payload, (size_t)(reading.dot - reading.payload), ret)
                   : rc;
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
