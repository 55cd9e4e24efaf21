/* src/http/receipt_keys.c -- the keys of receipts: receipt.key, and the published JWK Set. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/key_file.h"
#include "http/base64url.h"
#include "http/receipt_impl.h"

enum {
    FILE_MAX = 64 << 10,
    SET_MAX = RECEIPT_KEYS_MAX * 256, /* bytes of a set that we write */
};

/* Fill texts and id of a key whose `public` is known. */
static bool name_key(struct receipt_key *key)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    struct buf text;
    bool good;

    sodium_bin2base64(key->public_text, sizeof(key->public_text), key->public, sizeof(key->public),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    buf_init(&text, 256);
    /* RFC 7638, 3 and RFC 8037, 2: these members, in this order, without spaces */
    buf_add_format(&text, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", key->public_text);
    good = !buf_failed(&text);
    crypto_hash_sha256(hash, (const unsigned char *)buf_str(&text), text.len);
    sodium_bin2base64(key->id, sizeof(key->id), hash, sizeof(hash),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    buf_done(&text);
    return good;
}

/* ---- reading a set ---- */

static bool read_bytes(const json_t *jwk, const char *member, unsigned char *out, size_t len)
{
    const char *text = json_string_value(json_object_get(jwk, member));

    return text != NULL && base64url_read(text, strlen(text), out, len) == (int)len;
}

static bool is_ours(const json_t *jwk)
{
    return str_eq(json_string_value(json_object_get(jwk, "kty")), "OKP") &&
           str_eq(json_string_value(json_object_get(jwk, "crv")), "Ed25519");
}

/* The first key of receipt.key: its private part must belong to its public one. */
static bool read_secret(const json_t *jwk, struct receipt_keys *keys)
{
    unsigned char seed[crypto_sign_SEEDBYTES], public[crypto_sign_PUBLICKEYBYTES];
    bool good = read_bytes(jwk, "d", seed, sizeof(seed)) &&
                crypto_sign_seed_keypair(public, keys->secret, seed) == 0 &&
                memcmp(public, keys->keys[0].public, sizeof(public)) == 0;

    sodium_memzero(seed, sizeof(seed));
    return good;
}

/* NULL: `text` is a set with at least one key of ours; else what is wrong with it. */
static const char *read_set(const struct buf *text, bool skip_others, struct receipt_keys *keys,
                            bool *ret_signs)
{
    json_t *root = json_loadb(buf_str(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *set = json_object_get(root, "keys");
    const char *wrong = json_is_array(set) ? NULL : "it is no JSON object with an array \"keys\"";
    const json_t *jwk;
    size_t i;

    json_array_foreach(set, i, jwk)
    {
        struct receipt_key *key = &keys->keys[keys->count];

        if (skip_others && !is_ours(jwk))
            continue;
        if (keys->count == RECEIPT_KEYS_MAX)
            wrong = "it has too many keys";
        else if (!is_ours(jwk) || !read_bytes(jwk, "x", key->public, sizeof(key->public)) ||
                 !name_key(key))
            wrong = "one of its keys is no Ed25519 key";
        if (wrong != NULL)
            break;
        if (keys->count++ == 0)
            *ret_signs = read_secret(jwk, keys);
    }
    if (wrong == NULL && keys->count == 0)
        wrong = "it has no Ed25519 key";
    json_decref(root);
    return wrong;
}

/* Read `file`; with `make` it is receipt.key, which must sign, else any set of public keys. */
static int read_keys(const struct key_file *file, const struct buf *content,
                     struct receipt_keys **ret, struct err *err)
{
    struct receipt_keys *keys = calloc(1, sizeof(*keys));
    bool own = file->make != NULL, signs = false;
    const char *wrong;

    if (keys == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    wrong = read_set(content, !own, keys, &signs);
    if (wrong == NULL && own && !signs)
        wrong = "its first key has no private part \"d\" that fits its \"x\"";
    if (wrong == NULL) {
        *ret = keys;
        return 0;
    }
    receipt_keys_free(keys);
    if (!own)
        return err_set(err, -E_CONFIG, "the %s '%s' can't be used: %s", file->what, file->path,
                       wrong);
    return err_set(
        err, -E_CONFIG,
        "the %s '%s' can't be used: %s. Put back a copy of it, or move it away and a new "
        "one is made; receipts that it has signed can then only be checked with a copy "
        "of its public keys",
        file->what, file->path, wrong);
}

/* ---- writing a set ---- */

static void add_key(struct buf *out, const struct receipt_key *key, const unsigned char *seed)
{
    buf_add_format(out,
                   "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"sig\",\"alg\":\"EdDSA\","
                   "\"kid\":\"%s\",\"x\":\"%s\"",
                   key->id, key->public_text);
    if (seed != NULL) {
        buf_add_str(out, ",\"d\":\"");
        base64url_add(out, seed, crypto_sign_SEEDBYTES);
        buf_add_char(out, '"');
    }
    buf_add_char(out, '}');
}

/* Append a set of a new key, which signs, and of the public keys of `older` (may be NULL). */
static void make_set(struct buf *out, const struct receipt_keys *older)
{
    unsigned char secret[crypto_sign_SECRETKEYBYTES], seed[crypto_sign_SEEDBYTES];
    struct receipt_key key;

    out->failed = out->failed || crypto_sign_keypair(key.public, secret) != 0 ||
                  crypto_sign_ed25519_sk_to_seed(seed, secret) != 0 || !name_key(&key);
    buf_reserve(out, SET_MAX); /* growing would leave the secret in freed memory */
    buf_add_str(out, "{\"keys\":[\n");
    add_key(out, &key, seed);
    for (size_t i = 0; older != NULL && i < older->count; i++) {
        buf_add_str(out, ",\n");
        add_key(out, &older->keys[i], NULL);
    }
    buf_add_str(out, "\n]}\n");
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(seed, sizeof(seed));
}

static void make_first(struct buf *out)
{
    make_set(out, NULL);
}

void receipt_keys_publish(const struct receipt_keys *keys, struct buf *out)
{
    buf_add_str(out, "{\"keys\":[");
    for (size_t i = 0; i < keys->count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_key(out, &keys->keys[i], NULL);
    }
    buf_add_str(out, "]}");
}

/* ---- what callers see ---- */

static struct key_file own_file(const char *path)
{
    return (struct key_file){.path = path, .what = "receipt key file", .make = make_first};
}

static int open_keys(const struct key_file *file, struct receipt_keys **ret, struct err *err)
{
    struct buf content;
    int rc;

    buf_init(&content, FILE_MAX);
    rc = key_file_open(file, &content, err) ?: read_keys(file, &content, ret, err);
    key_file_done(&content);
    return rc;
}

int receipt_keys_open(const char *path, struct receipt_keys **ret, struct err *err)
{
    const struct key_file file = own_file(path);

    return open_keys(&file, ret, err);
}

int receipt_keys_read(const char *path, struct receipt_keys **ret, struct err *err)
{
    const struct key_file file = {.path = path, .what = "key set", .is_public = true};

    return open_keys(&file, ret, err);
}

int receipt_keys_rotate(const char *path, struct err *err)
{
    const struct key_file file = own_file(path);
    struct receipt_keys *keys = NULL;
    struct buf content;
    int rc = receipt_keys_open(path, &keys, err);

    if (keys == NULL)
        return rc;
    buf_init(&content, FILE_MAX);
    make_set(&content, keys);
    if (keys->count == RECEIPT_KEYS_MAX)
        rc = err_set(err, -E_CONFIG, "the receipt key file '%s' has %d keys, which is the most",
                     path, RECEIPT_KEYS_MAX);
    else
        rc = buf_failed(&content) ? err_set(err, -E_NOMEM, "out of memory")
                                  : key_file_replace(&file, &content, err);
    receipt_keys_free(keys);
    key_file_done(&content);
    return rc;
}

const char *receipt_keys_id(const struct receipt_keys *keys)
{
    return keys->keys[0].id;
}

const void *receipt_keys_id_at(const void *keys, size_t i, size_t *ret_len)
{
    const struct receipt_keys *set = keys;

    if (i >= set->count)
        return NULL;
    *ret_len = strlen(set->keys[i].id);
    return set->keys[i].id;
}

void receipt_keys_free(struct receipt_keys *keys)
{
    if (keys == NULL)
        return;
    sodium_memzero(keys->secret, sizeof(keys->secret));
    free(keys);
}
