/* src/http/jwks.c -- public keys and signatures, by libcrypto. */
#include "http/jwks.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"
#include "core/json_read.h"

enum {
    RSA_BITS_MIN = 2048, /* RFC 7518, 3.3 */
    RSA_BITS_MAX = 8192,
    EXPONENT_MIN = 65537, /* FIPS 186-5, A.1.1 */
    EXPONENT_MAX_BYTES = 8,
    COORDINATE_BYTES = 32, /* of P-256 and Ed25519 */
};

struct jwk {
    char *kid;
    EVP_PKEY *key;
    bool takes[JWKS_ALGORITHM_COUNT];
};

struct jwks {
    size_t count;
    struct jwk keys[JWKS_KEYS_MAX];
};

static const char *const algorithm_names[] = {
#define X(name, text) [JWKS_##name] = (text),
    JWKS_ALGORITHMS(X)
#undef X
};

enum jwks_algorithm jwks_algorithm_find(const char *text)
{
    int i = 0;

    while (i < JWKS_ALGORITHM_COUNT && !str_eq(text, algorithm_names[i]))
        i++;
    return (enum jwks_algorithm)i;
}

/* ---- one key ---- */

static const char *member(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

/* The bytes of a member: -1: it has none, or more than `cap`. */
static int read_jwk_bytes(const json_t *jwk, const char *name, unsigned char *out, size_t cap)
{
    const char *text = member(jwk, name);

    return text != NULL ? base64url_read(text, strlen(text), out, cap) : -1;
}

/* NULL: it is no key, or there is no memory. Takes `build`. */
static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* Is the point on the curve? NULL: no. Takes `key`. */
static EVP_PKEY *check_point(EVP_PKEY *key)
{
    EVP_PKEY_CTX *check = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    bool good = check != NULL && EVP_PKEY_public_check(check) == 1;

    EVP_PKEY_CTX_free(check);
    if (good)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

/* libcrypto's check would also look whether the modulus is a prime, for up to a second. A provider
 * that publishes one harms only its own users. */
static bool is_good_rsa(const BIGNUM *n, const BIGNUM *e)
{
    return BN_num_bits(n) >= RSA_BITS_MIN && BN_num_bits(n) <= RSA_BITS_MAX && BN_is_odd(n) &&
           BN_is_odd(e) && BN_num_bytes(e) <= EXPONENT_MAX_BYTES && BN_get_word(e) >= EXPONENT_MIN;
}

static EVP_PKEY *make_rsa(const json_t *jwk)
{
    unsigned char n_bytes[RSA_BITS_MAX / 8 + 1], e_bytes[EXPONENT_MAX_BYTES + 1];
    int n_len = read_jwk_bytes(jwk, "n", n_bytes, sizeof(n_bytes));
    int e_len = read_jwk_bytes(jwk, "e", e_bytes, sizeof(e_bytes));
    BIGNUM *n = n_len > 0 ? BN_bin2bn(n_bytes, n_len, NULL) : NULL;
    BIGNUM *e = e_len > 0 ? BN_bin2bn(e_bytes, e_len, NULL) : NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (n != NULL && e != NULL && build != NULL && is_good_rsa(n, e) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = make_key("RSA", build);
    else
        OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *make_ec(const json_t *jwk)
{
    unsigned char point[1 + 2 * COORDINATE_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    OSSL_PARAM_BLD *build;

    if (!str_eq(member(jwk, "crv"), "P-256") ||
        read_jwk_bytes(jwk, "x", point + 1, COORDINATE_BYTES) != COORDINATE_BYTES ||
        read_jwk_bytes(jwk, "y", point + 1 + COORDINATE_BYTES, COORDINATE_BYTES) !=
            COORDINATE_BYTES)
        return NULL;
    build = OSSL_PARAM_BLD_new();
    if (build == NULL ||
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) !=
            1) {
        OSSL_PARAM_BLD_free(build);
        return NULL;
    }
    return check_point(make_key("EC", build));
}

static EVP_PKEY *make_okp(const json_t *jwk)
{
    unsigned char x[COORDINATE_BYTES];

    if (!str_eq(member(jwk, "crv"), "Ed25519") ||
        read_jwk_bytes(jwk, "x", x, sizeof(x)) != COORDINATE_BYTES ||
        crypto_core_ed25519_is_valid_point(x) != 1) /* of small order, it verifies anything */
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
}

static const struct kind {
    const char *kty;
    EVP_PKEY *(*make)(const json_t *jwk);
    enum jwks_algorithm algorithms[2];
} kinds[] = {
    {"RSA", make_rsa, {JWKS_RS256, JWKS_PS256}},
    {"EC", make_ec, {JWKS_ES256, JWKS_ES256}},
    {"OKP", make_okp, {JWKS_EDDSA, JWKS_EDDSA}},
};

enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

static bool has_private_part(const json_t *jwk)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (json_object_get(jwk, names[i]) != NULL)
            return true;
    }
    return false;
}

/* RFC 7517, 4.2 and 4.3. */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
    bool verifies = ops == NULL;
    size_t i;

    json_array_foreach(ops, i, op)
    {
        verifies = verifies || str_eq(json_string_value(op), "verify");
    }
    return verifies && (use == NULL || str_eq(json_string_value(use), "sig"));
}

/* False: the key's `alg` is of another kind, or it is none that we know. */
static bool take_algorithms(const json_t *jwk, const struct kind *kind, struct jwk *ret)
{
    const json_t *alg = json_object_get(jwk, "alg");
    enum jwks_algorithm only = jwks_algorithm_find(json_string_value(alg));
    bool any = false;

    for (int i = 0; i < 2; i++) {
        if (alg == NULL || kind->algorithms[i] == only)
            ret->takes[kind->algorithms[i]] = any = true;
    }
    return any;
}

static const struct kind *find_kind(const json_t *jwk)
{
    const char *kty = member(jwk, "kty");

    for (int i = 0; i < KIND_COUNT; i++) {
        if (str_eq(kty, kinds[i].kty))
            return &kinds[i];
    }
    return NULL;
}

/* False: it is left out. */
static bool read_public_jwk(const json_t *jwk, struct jwk *ret)
{
    const char *kid = member(jwk, "kid");
    const struct kind *kind = find_kind(jwk);
    struct jwk made = {0};

    if (kind == NULL || kid == NULL || *kid == '\0' || strlen(kid) > JWKS_KID_MAX ||
        has_private_part(jwk) || !is_for_signatures(jwk) || !take_algorithms(jwk, kind, &made))
        return false;
    made.key = kind->make(jwk);
    made.kid = made.key != NULL ? strdup(kid) : NULL;
    ERR_clear_error();
    if (made.kid == NULL) {
        EVP_PKEY_free(made.key);
        return false;
    }
    *ret = made;
    return true;
}

/* ---- the set ---- */

static int read_key_list(const json_t *list, struct jwks *ret, struct err *err)
{
    const json_t *jwk;
    size_t i;

    if (!json_is_array(list))
        return err_set(err, -E_INVALID, "it has no array \"keys\"");
    if (json_array_size(list) > JWKS_KEYS_MAX)
        return err_set(err, -E_INVALID, "it has more than %d keys", JWKS_KEYS_MAX);
    json_array_foreach(list, i, jwk)
    {
        if (read_public_jwk(jwk, &ret->keys[ret->count]))
            ret->count++;
    }
    return ret->count > 0 || json_array_size(list) == 0 /* a provider that is shut off */
               ? 0
               : err_set(err, -E_INVALID,
                         "none of its keys is of use: public keys with a kid, for signatures by "
                         "RS256, PS256, ES256 or EdDSA; RSA with %d bits or more",
                         RSA_BITS_MIN);
}

int jwks_read(const char *text, size_t len, struct jwks **ret, struct err *err)
{
    struct jwks *jwks;
    json_error_t where;
    bool starved;
    json_t *root;
    int rc;

    if (len > JWKS_TEXT_MAX)
        return err_set(err, -E_INVALID, "it has more than %d bytes", JWKS_TEXT_MAX);
    root = json_read(text, len, &where, &starved);
    if (root == NULL)
        return starved ? err_no_memory(err)
                       : err_set(err, -E_INVALID, "it is not JSON (line %d, column %d)", where.line,
                                 where.column);
    jwks = calloc(1, sizeof(*jwks));
    rc =
        jwks == NULL ? err_no_memory(err) : read_key_list(json_object_get(root, "keys"), jwks, err);
    json_decref(root);
    if (rc < 0) {
        jwks_free(jwks);
        return rc;
    }
    *ret = jwks;
    return 0;
}

void jwks_free(struct jwks *jwks)
{
    if (jwks == NULL)
        return;
    for (size_t i = 0; i < jwks->count; i++) {
        free(jwks->keys[i].kid);
        EVP_PKEY_free(jwks->keys[i].key);
    }
    free(jwks);
}

size_t jwks_count(const struct jwks *jwks)
{
    return jwks->count;
}

/* ---- signatures ---- */

/* As libcrypto has it (RFC 3279, 2.2.3) from r and s (RFC 7518, 3.4): bytes, 0: it is none, or
 * -E_NOMEM. */
static int der_of(const struct jwks_signed *sealed, unsigned char out[JWKS_SIGNATURE_MAX])
{
    BIGNUM *r, *s;
    ECDSA_SIG *pair;
    int len;

    if (sealed->signature_len != (size_t)2 * COORDINATE_BYTES)
        return 0;
    pair = ECDSA_SIG_new();
    r = BN_bin2bn(sealed->signature, COORDINATE_BYTES, NULL);
    s = BN_bin2bn(sealed->signature + COORDINATE_BYTES, COORDINATE_BYTES, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return -E_NOMEM;
    }
    len = i2d_ECDSA_SIG(pair, &out); /* at most 72 */
    ECDSA_SIG_free(pair);
    return len > 0 ? len : -E_NOMEM;
}

static bool set_padding(EVP_PKEY_CTX *context, enum jwks_algorithm algorithm)
{
    if (algorithm == JWKS_RS256)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    if (algorithm != JWKS_PS256)
        return true;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

static int verify_with(EVP_PKEY *key, const struct jwks_signed *sealed)
{
    const EVP_MD *digest = sealed->algorithm == JWKS_EDDSA ? NULL : EVP_sha256();
    unsigned char der[JWKS_SIGNATURE_MAX];
    const unsigned char *signature = sealed->signature;
    int len = (int)sealed->signature_len;
    EVP_PKEY_CTX *context = NULL;
    EVP_MD_CTX *md;
    int answer = JWKS_WRONG;

    if (sealed->algorithm == JWKS_ES256) {
        len = der_of(sealed, der);
        signature = der;
    }
    if (len <= 0)
        return len;
    md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestVerifyInit(md, &context, digest, NULL, key) != 1 ||
        !set_padding(context, sealed->algorithm))
        answer = -E_NOMEM;
    else if (EVP_DigestVerify(md, signature, (size_t)len, sealed->text, sealed->len) == 1)
        answer = JWKS_GOOD;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return answer;
}

int jwks_verify(const struct jwks *jwks, const struct jwks_signed *sealed)
{
    const struct jwk *found = NULL;

    for (size_t i = 0; i < jwks->count; i++) {
        if (!str_eq(jwks->keys[i].kid, sealed->kid))
            continue;
        if (found != NULL)
            return JWKS_WRONG;
        found = &jwks->keys[i];
    }
    if (found == NULL)
        return JWKS_UNKNOWN;
    return found->takes[sealed->algorithm] ? verify_with(found->key, sealed) : JWKS_WRONG;
}
