/* tests/unit/jwks_test.c -- which keys of a provider count, and which signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"
#include "http/jwt.h"

enum { NOW_S = 1000000 };

/* A key pair, and its public half as JSON members. */
struct pair {
    EVP_PKEY *key;
    struct buf members;
};

static void add_number(struct buf *out, const char *name, EVP_PKEY *key, const char *param)
{
    unsigned char bytes[1024];
    BIGNUM *number = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, param, &number), 1);
    buf_add_format(out, ",\"%s\":\"", name);
    base64url_add(out, bytes, (size_t)BN_bn2bin(number, bytes));
    buf_add_char(out, '"');
    BN_free(number);
}

static struct pair new_rsa(unsigned bits)
{
    struct pair pair = {.key = EVP_RSA_gen(bits)};

    buf_init(&pair.members, 4096);
    buf_add_str(&pair.members, "\"kty\":\"RSA\"");
    add_number(&pair.members, "n", pair.key, OSSL_PKEY_PARAM_RSA_N);
    add_number(&pair.members, "e", pair.key, OSSL_PKEY_PARAM_RSA_E);
    return pair;
}

static struct pair new_ed25519(void)
{
    struct pair pair = {.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    unsigned char x[32];
    size_t len = sizeof(x);

    buf_init(&pair.members, 4096);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pair.key, x, &len), 1);
    buf_add_str(&pair.members, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
    base64url_add(&pair.members, x, len);
    buf_add_char(&pair.members, '"');
    return pair;
}

static void pair_done(struct pair *pair)
{
    EVP_PKEY_free(pair->key);
    buf_done(&pair->members);
}

/* What is read of a set of these keys, each the members of an object; NULL: none is of use. */
static struct jwks *read_set(const char *first, const char *second)
{
    struct jwks *jwks = NULL;
    struct err err = {0};
    struct buf text;
    int rc;

    buf_init(&text, JWKS_TEXT_MAX);
    buf_add_format(&text, "{\"keys\":[{%s}", first);
    if (second != NULL)
        buf_add_format(&text, ",{%s}", second);
    buf_add_str(&text, "]}");
    rc = jwks_read(buf_str(&text), text.len, &jwks, &err);
    buf_done(&text);
    assert_true(rc == 0 || (rc == -E_INVALID && jwks == NULL && err.text[0] != '\0'));
    return jwks;
}

/* How many keys are of use if the key of `pair` has these members, too. */
static size_t count_with(const struct pair *pair, const char *more)
{
    struct jwks *jwks;
    struct buf text;
    size_t count;

    buf_init(&text, JWKS_TEXT_MAX);
    buf_add_format(&text, "%s%s", buf_str(&pair->members), more);
    jwks = read_set(buf_str(&text), NULL);
    buf_done(&text);
    count = jwks != NULL ? jwks_count(jwks) : 0;
    jwks_free(jwks);
    return count;
}

static void only_public_keys_for_signatures_count(void **state)
{
    static const char *const bad[] = {
        "",
        ",\"kid\":\"\"",
        ",\"kid\":1",
        ",\"kid\":\"a\",\"kid\":\"a\"",
        ",\"kid\":\"a\",\"use\":\"enc\"",
        ",\"kid\":\"a\",\"use\":1",
        ",\"kid\":\"a\",\"key_ops\":[\"sign\"]",
        ",\"kid\":\"a\",\"key_ops\":[]",
        ",\"kid\":\"a\",\"key_ops\":\"verify\"",
        ",\"kid\":\"a\",\"d\":\"AA\"",
        ",\"kid\":\"a\",\"p\":\"AA\"",
        ",\"kid\":\"a\",\"k\":\"AA\"",
        ",\"kid\":\"a\",\"alg\":\"HS256\"",
        ",\"kid\":\"a\",\"alg\":\"none\"",
        ",\"kid\":\"a\",\"alg\":\"ES256\"",
        ",\"kid\":\"a\",\"alg\":\"RS512\"",
        ",\"kid\":\"a\",\"alg\":1",
    };
    static const char *const good[] = {
        ",\"kid\":\"a\"",
        ",\"kid\":\"a\",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"]",
        ",\"kid\":\"a\",\"alg\":\"PS256\",\"x5c\":[\"MII\"]",
    };
    struct pair pair = new_rsa(2048);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(count_with(&pair, bad[i]), 0);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(count_with(&pair, good[i]), 1);
    pair_done(&pair);
}

static void weak_and_broken_keys_do_not_count(void **state)
{
    /* a modulus of 2048 bits, as 342 characters of base64url, is odd if it ends so */
    static const char *const exponents[] = {"AQ", "Ag", "Aw",           "AQAA",
                                            "AA", "",   "AQABAQABAQAB", "*"};
    /* points of Ed25519 of order 1, 4, 8 and 2 */
    static const char *const small[] = {"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
                                        "7P_______________________________________38"};
    char text[600], n[343];
    struct pair weak = new_rsa(1024);
    struct jwks *jwks;

    (void)state;
    assert_int_equal(count_with(&weak, ",\"kid\":\"a\""), 0);
    pair_done(&weak);
    memset(n, '_', sizeof(n) - 2);
    memcpy(n + sizeof(n) - 2, "w", 2); /* all bits */
    snprintf(text, sizeof(text), "\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"%s\",\"e\":\"AQAB\"", n);
    jwks = read_set(text, NULL); /* nobody looks for its factors */
    assert_non_null(jwks);
    jwks_free(jwks);
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        snprintf(text, sizeof(text), "\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"%s\",\"e\":\"%s\"", n,
                 exponents[i]);
        assert_null(read_set(text, NULL));
    }
    assert_null(read_set("\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
                         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                         "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
                         NULL)); /* on no curve */
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        snprintf(text, sizeof(text),
                 "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"%s\"", small[i]);
        assert_null(read_set(text, NULL));
    }
    assert_null(read_set("\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"a\","
                         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
                         NULL));
    assert_null(read_set("\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAA\"", NULL));
}

/* {"alg":"…","kid":"a"} and the claims, signed by `pair`. */
static void make_token(const struct pair *pair, const char *alg, const char *claims,
                       struct buf *out)
{
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool rsa = str_eq(alg, "RS256");
    char header[64];

    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"a\"}", alg);
    buf_init(out, JWT_TEXT_MAX);
    base64url_add(out, header, strlen(header));
    buf_add_char(out, '.');
    base64url_add(out, claims, strlen(claims));
    assert_int_equal(EVP_DigestSignInit(md, NULL, rsa ? EVP_sha256() : NULL, NULL, pair->key), 1);
    assert_int_equal(EVP_DigestSign(md, signature, &len, (unsigned char *)out->data, out->len), 1);
    EVP_MD_CTX_free(md);
    buf_add_char(out, '.');
    base64url_add(out, signature, len);
    assert_non_null(buf_str(out));
}

/* A provider could choose keys that keep a processor busy: nothing is computed with a modulus. */
static void as_many_and_as_large_keys_as_there_may_be_are_only_read(void **state)
{
    unsigned char prime[1024];
    BIGNUM *number = BN_get_rfc3526_prime_8192(NULL);
    struct jwks *jwks = NULL;
    struct err err = {0};
    struct buf text;

    (void)state;
    assert_int_equal(BN_bn2bin(number, prime), sizeof(prime));
    BN_free(number);
    buf_init(&text, JWKS_TEXT_MAX);
    for (int i = 0; i < JWKS_KEYS_MAX; i++) {
        buf_add_format(&text, "%s{\"kty\":\"RSA\",\"kid\":\"%d\",\"e\":\"AQAB\",\"n\":\"",
                       i == 0 ? "{\"keys\":[" : ",", i);
        base64url_add(&text, prime, sizeof(prime));
        buf_add_str(&text, "\"}");
    }
    buf_add_str(&text, "]}");
    assert_int_equal(jwks_read(buf_str(&text), text.len, &jwks, &err), 0);
    assert_int_equal(jwks_count(jwks), JWKS_KEYS_MAX);
    jwks_free(jwks);
    buf_done(&text);
}

static int verify(const struct jwks *jwks, const char *text)
{
    struct jwt jwt = {0};
    jwt_why why = NULL;
    int answer;

    assert_int_equal(jwt_read(text, &jwt, &why), 1);
    answer = jwt_verify(&jwt, jwks);
    jwt_done(&jwt);
    return answer;
}

static struct jwks *set_of(const struct pair *first, const char *kid, const struct pair *second,
                           const char *other_kid)
{
    char one[2048], two[2048];

    snprintf(one, sizeof(one), "%s,\"kid\":\"%s\"", buf_str(&first->members), kid);
    if (second != NULL)
        snprintf(two, sizeof(two), "%s,\"kid\":\"%s\"", buf_str(&second->members), other_kid);
    return read_set(one, second != NULL ? two : NULL);
}

static void one_key_has_the_kid_and_is_of_the_algorithm(void **state)
{
    struct pair rsa = new_rsa(2048), ed = new_ed25519();
    struct jwks *one = set_of(&rsa, "a", NULL, NULL), *other = set_of(&rsa, "b", &ed, "c");
    struct jwks *both = set_of(&rsa, "a", &ed, "a"), *wrong = set_of(&ed, "a", NULL, NULL);
    struct buf token, ed_token;

    (void)state;
    make_token(&rsa, "RS256", "{}", &token);
    make_token(&ed, "EdDSA", "{}", &ed_token);
    assert_int_equal(verify(one, buf_str(&token)), JWKS_GOOD);
    assert_int_equal(verify(other, buf_str(&token)), JWKS_UNKNOWN);
    assert_int_equal(verify(both, buf_str(&token)), JWKS_WRONG);
    assert_int_equal(verify(wrong, buf_str(&token)), JWKS_WRONG);
    assert_int_equal(verify(one, buf_str(&ed_token)), JWKS_WRONG);
    assert_int_equal(verify(wrong, buf_str(&ed_token)), JWKS_GOOD);
    buf_done(&token);
    buf_done(&ed_token);
    jwks_free(one);
    jwks_free(other);
    jwks_free(both);
    jwks_free(wrong);
    pair_done(&rsa);
    pair_done(&ed);
}

static int check(const char *claims)
{
    const struct jwt_terms terms = {.issuer = "https://i", .audience = "us", .now_s = NOW_S};
    struct pair ed = new_ed25519();
    struct jwt_times times;
    struct jwt jwt = {0};
    jwt_why why = NULL;
    struct buf token;
    int rc;

    make_token(&ed, "EdDSA", claims, &token);
    assert_int_equal(jwt_read(buf_str(&token), &jwt, &why), 1);
    rc = jwt_check(&jwt, &terms, &times, &why);
    assert_true(rc == 1 || why != NULL);
    jwt_done(&jwt);
    buf_done(&token);
    pair_done(&ed);
    return rc;
}

static void clocks_may_differ_by_a_minute(void **state)
{
    (void)state;
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":999941}"), 1);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":999940}"), 0);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":[\"us\"],\"exp\":1e6,\"nbf\":1000060}"),
                     1);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":[\"us\"],\"exp\":1e6,\"nbf\":1000061}"),
                     0);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":1e6,\"iat\":1000061}"),
                     0);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":[],\"exp\":1e6}"), 0);
    assert_int_equal(check("{\"iss\":\"https://i\",\"aud\":\"us\"}"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_public_keys_for_signatures_count),
        cmocka_unit_test(weak_and_broken_keys_do_not_count),
        cmocka_unit_test(as_many_and_as_large_keys_as_there_may_be_are_only_read),
        cmocka_unit_test(one_key_has_the_kid_and_is_of_the_algorithm),
        cmocka_unit_test(clocks_may_differ_by_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
