/* src/http/receipt.c -- deletion receipts: their keys in receipt.key and in the published JWK Set,
 * signing, and the verification of signatures. */
#include "http/receipt.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/key_file.h"

struct receipt_key {
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    char public_text[RECEIPT_KEY_ID_TEXT], id[RECEIPT_KEY_ID_TEXT]; /* base64url */
};

struct receipt_keys {
    struct lock lock;
    unsigned char secret[crypto_sign_SECRETKEYBYTES]; /* of keys[0] */
    size_t count;
    struct receipt_key keys[RECEIPT_KEYS_MAX];
};

enum {
    FILE_MAX = 64 << 10,
    SET_MAX = RECEIPT_KEYS_MAX * 256, /* bytes of a set that we write */
};

/* Fill in texts and id of a key whose `public` is known. */
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

/* NULL: `text` is a set with at least one key of our kind; else what is wrong with it. */
static const char *read_set(const struct buf *text, bool skip_others, struct receipt_keys *keys,
                            bool *ret_signs)
{
    json_t *root = json_loadb(buf_str(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *set = json_object_get(root, "keys");
    const char *wrong =
        json_is_array(set) ? NULL : "it is not a JSON object with an array \"keys\"";
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
            wrong = "one of its keys is not an Ed25519 key";
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

/* Read `file`; with `make` it is receipt.key, which must be able to sign, else any set of public
 * keys. */
static int read_keys(const struct key_file *file, const struct buf *content,
                     struct receipt_keys **ret, struct err *err)
{
    struct receipt_keys *keys = calloc(1, sizeof(*keys));
    bool own = file->make != NULL, signs = false;
    const char *wrong;

    if (keys == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    lock_init(&keys->lock);
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

/* The first key is written with its private part. */
static void write_key_set(struct buf *out, const struct receipt_keys *keys)
{
    unsigned char seed[crypto_sign_SEEDBYTES];

    crypto_sign_ed25519_sk_to_seed(seed, keys->secret);
    buf_reserve(out, SET_MAX); /* growing would leave the secret in freed memory */
    buf_add_str(out, "{\"keys\":[\n");
    for (size_t i = 0; i < keys->count; i++) {
        buf_add_str(out, i > 0 ? ",\n" : "");
        add_key(out, &keys->keys[i], i == 0 ? seed : NULL);
    }
    buf_add_str(out, "\n]}\n");
    sodium_memzero(seed, sizeof(seed));
}

/* Put a new key before the others; there is room for it. False: out of memory. */
static bool add_new(struct receipt_keys *keys)
{
    memmove(&keys->keys[1], &keys->keys[0], keys->count * sizeof(keys->keys[0]));
    keys->count++;
    return crypto_sign_keypair(keys->keys[0].public, keys->secret) == 0 && name_key(&keys->keys[0]);
}

static void make_first(struct buf *out)
{
    struct receipt_keys keys = {.count = 0};

    out->failed = out->failed || !add_new(&keys);
    write_key_set(out, &keys);
    sodium_memzero(keys.secret, sizeof(keys.secret));
}

void receipt_keys_publish(struct receipt_keys *keys, struct buf *out)
{
    lock_take(&keys->lock);
    buf_add_str(out, "{\"keys\":[");
    for (size_t i = 0; i < keys->count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_key(out, &keys->keys[i], NULL);
    }
    buf_add_str(out, "]}");
    lock_release(&keys->lock);
}

/* ---- the interface of the keys ---- */

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

static int take_out_key(struct receipt_keys *keys, const char *path, const char *id,
                        struct err *err)
{
    size_t at = 0;

    while (at < keys->count && !str_eq(keys->keys[at].id, id))
        at++;
    if (at == keys->count)
        return err_set(err, -E_CONFIG, "the receipt key file '%s' has no key %s", path, id);
    if (at == 0)
        return err_set(err, -E_CONFIG, "the key %s signs: rotate first", id);
    memmove(&keys->keys[at], &keys->keys[at + 1], (keys->count - at - 1) * sizeof(keys->keys[0]));
    keys->count--;
    return 0;
}

static int put_before(struct receipt_keys *keys, const char *path, struct err *err)
{
    if (keys->count == RECEIPT_KEYS_MAX)
        return err_set(err, -E_CONFIG, "the receipt key file '%s' has %d keys, which is the most",
                       path, RECEIPT_KEYS_MAX);
    return add_new(keys) ? 0 : err_set(err, -E_NOMEM, "out of memory");
}

/* `context`: the id of the key to remove, or NULL for a new key. */
static int change_set(void *context, const struct key_file *file, const struct buf *before,
                      struct buf *after, struct err *err)
{
    struct receipt_keys *keys = NULL;
    int rc = read_keys(file, before, &keys, err);

    if (rc < 0)
        return rc;
    rc = context != NULL ? take_out_key(keys, file->path, context, err)
                         : put_before(keys, file->path, err);
    if (rc == 0)
        write_key_set(after, keys);
    receipt_keys_free(keys);
    return rc;
}

int receipt_keys_rotate(const char *path, struct err *err)
{
    const struct key_file file = own_file(path);

    return key_file_change(&file, change_set, NULL, err);
}

int receipt_keys_retire(const char *path, const char *id, struct err *err)
{
    const struct key_file file = own_file(path);

    return key_file_change(&file, change_set, (void *)(uintptr_t)id, err);
}

static bool is_same_set(const struct receipt_keys *a, const struct receipt_keys *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; i < a->count && same; i++)
        same = str_eq(a->keys[i].id, b->keys[i].id);
    return same;
}

bool receipt_keys_adopt(struct receipt_keys *keys, struct receipt_keys *now)
{
    bool same;

    lock_take(&keys->lock);
    same = is_same_set(keys, now);
    memcpy(keys->secret, now->secret, sizeof(keys->secret));
    memcpy(keys->keys, now->keys, sizeof(keys->keys));
    keys->count = now->count;
    lock_release(&keys->lock);
    receipt_keys_free(now);
    return !same;
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
    lock_done(&keys->lock);
    sodium_memzero(keys->secret, sizeof(keys->secret));
    free(keys);
}

/* ---- signing ---- */

/* RFC 8725, 3.11: so that nothing else that is signed can pass as a receipt. */
static const char type[] = "deletion-receipt+jwt";

static void add_one(struct buf *out, const struct receipt *receipt)
{
    char reference[GUID_TEXT];

    guid_format(receipt->reference, reference);
    json_add_member(out, "reference", reference);
    json_add_member(out, "state", report_state_name(receipt->state));
}

static void add_many(struct buf *out, const struct receipt *receipt)
{
    char hash[2 * RECEIPT_HASH_BYTES + 1];

    json_add_key(out, "deleted");
    buf_add_char(out, '{');
    for (int i = 0; i < REPORT_DELETING; i++)
        json_add_number(out, report_state_name(i), receipt->by_state[i]);
    buf_add_char(out, '}');
    json_add_member(out, "referencesSha256",
                    sodium_bin2hex(hash, sizeof(hash), receipt->references, RECEIPT_HASH_BYTES));
}

static void add_claims(struct buf *out, const struct receipt *receipt)
{
    buf_add_char(out, '{');
    if (receipt->user != NULL)
        json_add_member(out, "sub", receipt->user);
    if (receipt->operator_name != NULL)
        json_add_member(out, "operator", receipt->operator_name);
    if (receipt->reference != NULL)
        add_one(out, receipt);
    else
        add_many(out, receipt);
    json_add_number(out, "iat", receipt->now_s);
    json_add_number(out, "erasedBy", receipt->erased_s);
    json_add_member(out, "node", receipt->node);
    buf_add_char(out, '}');
}

/* Add the signature of the bytes in `out` from `start` on. */
static void sign(const struct receipt_keys *keys, struct buf *out, size_t start)
{
    unsigned char signature[crypto_sign_BYTES];

    if (buf_failed(out))
        return;
    crypto_sign_detached(signature, NULL, (const unsigned char *)out->data + start,
                         out->len - start, keys->secret);
    buf_add_char(out, '.');
    base64url_add(out, signature, sizeof(signature));
}

void receipt_issue(struct receipt_keys *keys, const struct receipt *receipt, struct buf *out)
{
    size_t start = out->len;
    char room[RECEIPT_TEXT_MAX / 2];
    struct buf part;

    buf_init_in(&part, room, sizeof(room));
    lock_take(&keys->lock);
    buf_add_format(&part, "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"%s\"}",
                   receipt_keys_id(keys), type);
    base64url_add(out, buf_str(&part), part.len);
    buf_add_char(out, '.');
    buf_reset(&part);
    add_claims(&part, receipt);
    base64url_add(out, buf_str(&part), part.len);
    out->failed = out->failed || buf_failed(&part);
    sign(keys, out, start);
    lock_release(&keys->lock);
}

/* ---- checking ---- */

/* The JSON object in `len` characters of base64url; NULL: it is not one. */
static json_t *read_part(const char *text, size_t len)
{
    char bytes[RECEIPT_TEXT_MAX];
    int got = base64url_read(text, len, bytes, sizeof(bytes));
    json_t *part = got < 0 ? NULL : json_loadb(bytes, (size_t)got, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(part))
        return part;
    json_decref(part);
    return NULL;
}

static const struct receipt_key *find_key(const struct receipt_keys *keys, const char *id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (str_eq(keys->keys[i].id, id))
            return &keys->keys[i];
    }
    return NULL;
}

static bool is_receipt_header(const json_t *header)
{
    return str_eq(json_string_value(json_object_get(header, "alg")), "EdDSA") &&
           str_eq(json_string_value(json_object_get(header, "typ")), type) &&
           json_object_get(header, "crit") == NULL;
}

/* Verify the signature of `len` characters of `text`; it follows the dot after them. */
static int check_signature(const struct receipt_key *key, const char *text, size_t len,
                           struct err *err)
{
    unsigned char signature[crypto_sign_BYTES];
    const char *given = text + len + 1;

    if (base64url_read(given, strlen(given), signature, sizeof(signature)) != sizeof(signature) ||
        crypto_sign_verify_detached(signature, (const unsigned char *)text, len, key->public) != 0)
        return err_set(err, -E_INVALID,
                       "the signature does not fit: the receipt has been altered or truncated");
    return 0;
}

int receipt_verify(const struct receipt_keys *keys, const char *text, json_t **ret_claims,
                   struct err *err)
{
    size_t len = strnlen(text, RECEIPT_TEXT_MAX + 1);
    const char *dot = strchr(text, '.'), *last = strrchr(text, '.');
    const struct receipt_key *key;
    json_t *header, *claims;
    int rc;

    header = len <= RECEIPT_TEXT_MAX && dot != last ? read_part(text, (size_t)(dot - text)) : NULL;
    if (!is_receipt_header(header)) {
        json_decref(header);
        return err_set(err, -E_INVALID, "it is not a deletion receipt");
    }
    key = find_key(keys, json_string_value(json_object_get(header, "kid")));
    json_decref(header);
    if (key == NULL)
        return err_set(err, -E_INVALID, "it is signed with a key that is not among the known ones");
    rc = check_signature(key, text, (size_t)(last - text), err);
    if (rc < 0)
        return rc;
    claims = read_part(dot + 1, (size_t)(last - dot - 1));
    if (claims == NULL)
        return err_set(err, -E_INVALID, "the signed content is not a JSON object");
    *ret_claims = claims;
    return 0;
}
