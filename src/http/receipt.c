/* src/http/receipt.c -- signing what was deleted, and checking such a signature. */
#include "http/receipt.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "http/base64url.h"
#include "http/receipt_impl.h"

/* RFC 8725, 3.11: so that nothing else that is signed passes for a receipt. */
static const char type[] = "deletion-receipt+jwt";

/* ---- signing ---- */

static void add_number(struct buf *out, const char *key, int64_t number)
{
    json_add_key(out, key);
    buf_add_format(out, "%" PRId64, number);
}

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
        add_number(out, report_state_name(i), receipt->by_state[i]);
    buf_add_char(out, '}');
    json_add_member(out, "referencesSha256",
                    sodium_bin2hex(hash, sizeof(hash), receipt->references, RECEIPT_HASH_BYTES));
}

static void add_claims(struct buf *out, const struct receipt *receipt)
{
    buf_add_char(out, '{');
    json_add_member(out, "sub", receipt->user);
    if (receipt->reference != NULL)
        add_one(out, receipt);
    else
        add_many(out, receipt);
    add_number(out, "iat", receipt->now_s);
    add_number(out, "erasedBy", receipt->erased_s);
    json_add_member(out, "node", receipt->node);
    buf_add_char(out, '}');
}

void receipt_issue(const struct receipt_keys *keys, const struct receipt *receipt, struct buf *out)
{
    unsigned char signature[crypto_sign_BYTES];
    size_t start = out->len;
    char room[RECEIPT_TEXT_MAX / 2];
    struct buf part;

    buf_init_in(&part, room, sizeof(room));
    buf_add_format(&part, "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"%s\"}",
                   receipt_keys_id(keys), type);
    base64url_add(out, buf_str(&part), part.len);
    buf_add_char(out, '.');
    buf_reset(&part);
    add_claims(&part, receipt);
    base64url_add(out, buf_str(&part), part.len);
    out->failed = out->failed || buf_failed(&part);
    if (buf_failed(out))
        return;
    crypto_sign_detached(signature, NULL, (const unsigned char *)out->data + start,
                         out->len - start, keys->secret);
    buf_add_char(out, '.');
    base64url_add(out, signature, sizeof(signature));
}

/* ---- checking ---- */

/* The JSON object that `len` characters of base64url are; NULL: none. */
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

/* The signature over `len` characters of `text`, behind the dot that follows them. */
static int check_signature(const struct receipt_key *key, const char *text, size_t len,
                           struct err *err)
{
    unsigned char signature[crypto_sign_BYTES];
    const char *given = text + len + 1;

    if (base64url_read(given, strlen(given), signature, sizeof(signature)) != sizeof(signature) ||
        crypto_sign_verify_detached(signature, (const unsigned char *)text, len, key->public) != 0)
        return err_set(err, -E_INVALID,
                       "the signature does not fit: the receipt has been altered or cut");
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
        return err_set(err, -E_INVALID, "it is no deletion receipt");
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
        return err_set(err, -E_INVALID, "what is signed is no JSON object");
    *ret_claims = claims;
    return 0;
}
