/* tests/fuzz/jwt.c -- no text is a provider's token that its key has not signed, and none a set of
 * keys that harms. The first byte chooses which of the two it is read as. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "http/jwt.h"

/* P-256's generator: a key whose private half, 1, is never used here. */
static const char set[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","
                          "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
                          "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

static void check_token(const char *text)
{
    static struct jwks *keys;
    const struct jwt_terms terms = {.issuer = "https://i", .audience = "us", .now_s = 1000};
    struct jwt jwt = {0};
    struct jwt_times times;
    jwt_why why = NULL;

    if (keys == NULL)
        CHECK(jwks_read(set, strlen(set), &keys, NULL) == 0);
    if (jwt_read(text, &jwt, &why) == 1) {
        CHECK(jwt_verify(&jwt, keys) != JWKS_GOOD);
        if (jwt_check(&jwt, &terms, &times, &why) == 1)
            CHECK(times.expires_s > terms.now_s - JWT_LEEWAY_S);
    } else {
        CHECK(why != NULL);
    }
    jwt_done(&jwt);
}

static void check_set(const char *text, size_t len)
{
    struct jwks *keys = NULL;

    if (jwks_read(text, len, &keys, NULL) == 0)
        CHECK(jwks_count(keys) >= 1 && jwks_count(keys) <= JWKS_KEYS_MAX);
    jwks_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = size > 0 ? strndup((const char *)data + 1, size - 1) : NULL;

    if (text == NULL)
        return 0;
    if (data[0] == 's')
        check_set((const char *)data + 1, size - 1);
    else
        check_token(text);
    free(text);
    return 0;
}
