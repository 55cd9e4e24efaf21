/* tests/fuzz/token.c -- a token is good as it was issued and in no other way. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "http/token.h"

static struct token_keys *new_key(void)
{
    char folder[] = "/tmp/fuzz-token-XXXXXX", path[64];
    struct token_keys *key = NULL;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/key", folder);
    CHECK(token_keys_open(path, &key, NULL) == 0);
    unlink(path);
    rmdir(folder);
    return key;
}

/* What is base64url has one form. */
static void check_base64url(const char *text, size_t len)
{
    char bytes[TOKEN_TEXT_MAX];
    int count = base64url_read(text, len, bytes, sizeof(bytes));
    struct buf again;

    if (count < 0)
        return;
    buf_init(&again, 2 * TOKEN_TEXT_MAX);
    base64url_add(&again, bytes, (size_t)count);
    CHECK(again.len == len && (len == 0 || memcmp(again.data, text, len) == 0));
    buf_done(&again);
}

/* Issued to `user`, and then changed by its last byte somewhere. */
static void check_issued(struct token_keys *key, const char *user, uint8_t change)
{
    const struct token_claims claims = {
        .session = guid_new(), .access = guid_new(), .issued_s = 1, .expires_s = 2};
    struct token_claims got;
    struct buf token;

    buf_init(&token, TOKEN_TEXT_MAX);
    token_issue(key, user, &claims, &token);
    if (!buf_failed(&token)) {
        CHECK(token_read(key, buf_str(&token), &got) == 1);
        CHECK(guid_eq(&got.session, &claims.session) && guid_eq(&got.access, &claims.access) &&
              got.issued_s == 1 && got.expires_s == 2);
        token.data[change % token.len] ^= 1;
        CHECK(token_read(key, buf_str(&token), &got) == 0);
    }
    buf_done(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_keys *key;
    struct token_claims claims;
    char *text = strndup((const char *)data, size);

    if (key == NULL)
        key = new_key();
    if (text == NULL)
        return 0;
    CHECK(token_read(key, text, &claims) == 0);
    check_base64url(text, strlen(text));
    if (size > 0)
        check_issued(key, text, data[size - 1]);
    free(text);
    return 0;
}
