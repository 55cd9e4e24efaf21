/* src/http/issuers.c -- the current keys of each identity provider. */
#include "http/issuers.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/rights.h"

/* A set of keys, for as long as somebody verifies with it. */
struct key_set {
    atomic_int holders;
    unsigned char digest[crypto_generichash_BYTES]; /* of its text */
    struct jwks *keys;
};

struct provider {
    const struct config_issuer *config;
    struct lock lock;
    struct key_set *set;
    int64_t read_ms; /* UTC: when it was read, or tried to */
};

struct issuers {
    struct token_cache *token_cache;
    size_t count;
    struct provider providers[];
};

/* ---- sets ---- */

static void key_set_release(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->holders, 1) != 1)
        return;
    jwks_free(set->keys);
    free(set);
}

static int key_set_new(const struct buf *text, struct key_set **ret, struct err *err)
{
    struct key_set *set = calloc(1, sizeof(*set));
    int rc =
        set == NULL ? err_no_memory(err) : jwks_read(buf_str(text), text->len, &set->keys, err);

    if (rc < 0) {
        free(set);
        return rc;
    }
    atomic_init(&set->holders, 1);
    crypto_generichash(set->digest, sizeof(set->digest), (const unsigned char *)buf_str(text),
                       text->len, NULL, 0);
    *ret = set;
    return 0;
}

static struct key_set *hold_keys(struct provider *provider)
{
    struct key_set *set;

    lock_take(&provider->lock);
    set = provider->set;
    atomic_fetch_add(&set->holders, 1);
    lock_release(&provider->lock);
    return set;
}

/* ---- reading ---- */

static int read_jwks_file(const char *path, struct buf *ret, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || file_append(fd, ret) < 0 ? err_errno(err, -E_IO, "it can't be read") : 0;

    if (fd >= 0)
        close(fd);
    return rc == 0 && buf_failed(ret)
               ? err_set(err, -E_INVALID, "it has more than %d bytes", JWKS_TEXT_MAX)
               : rc;
}

static int read_provider_keys(const struct config_issuer *config, struct key_set **ret,
                              struct err *err)
{
    struct buf text;
    struct err why = {0};
    int rc;

    buf_init(&text, JWKS_TEXT_MAX);
    rc = rights_check_file("the file", config->keys, &why)
             ?: read_jwks_file(config->keys, &text, &why)
             ?: key_set_new(&text, ret, &why);
    buf_done(&text);
    return rc == 0 ? 0
                   : err_set(err, rc == -E_NOMEM ? rc : -E_CONFIG,
                             "the keys of the issuer %s, '%s', are of no use: %.300s", config->name,
                             config->keys, why.text);
}

/* Takes `set`. */
static void adopt_keys(struct issuers *issuers, struct provider *provider, struct key_set *set)
{
    size_t count = jwks_count(set->keys);
    struct key_set *old;
    bool same;

    lock_take(&provider->lock);
    old = provider->set;
    same = memcmp(old->digest, set->digest, sizeof(set->digest)) == 0;
    provider->set = set;
    lock_release(&provider->lock);
    key_set_release(old);
    if (same)
        return;
    if (issuers->token_cache != NULL)
        token_cache_forget(issuers->token_cache);
    log_info("issuer.keys", "issuer=%s keys=%zu", provider->config->name, count);
}

static void read_again(struct issuers *issuers, struct provider *provider)
{
    struct key_set *set = NULL;
    struct err err = {0};

    if (read_provider_keys(provider->config, &set, &err) < 0)
        log_error("issuer.unusable", "issuer=%s error=%s", provider->config->name, err.text);
    else
        adopt_keys(issuers, provider, set);
}

/* Only one thread reads; the others go on without: false. */
static bool may_read_again(struct provider *provider)
{
    int64_t now_ms = clock_now_ms();
    bool may;

    lock_take(&provider->lock);
    may = now_ms - provider->read_ms >= ISSUERS_AGAIN_MS || now_ms < provider->read_ms;
    if (may)
        provider->read_ms = now_ms;
    lock_release(&provider->lock);
    return may;
}

void issuers_reload(struct issuers *issuers)
{
    for (size_t i = 0; i < issuers->count; i++)
        read_again(issuers, &issuers->providers[i]);
}

int issuers_new(const struct config *config, struct token_cache *token_cache, struct issuers **ret,
                struct err *err)
{
    size_t count = config->issuer_count;
    struct issuers *issuers = calloc(1, sizeof(*issuers) + count * sizeof(issuers->providers[0]));
    int rc = 0;

    if (issuers == NULL)
        return err_no_memory(err);
    issuers->token_cache = token_cache;
    while (rc == 0 && issuers->count < count) {
        struct provider *provider = &issuers->providers[issuers->count];

        provider->config = &config->issuers[issuers->count++];
        provider->read_ms = clock_now_ms();
        lock_init(&provider->lock);
        rc = read_provider_keys(provider->config, &provider->set, err);
    }
    if (rc < 0) {
        issuers_free(issuers);
        return rc;
    }
    *ret = issuers;
    return 0;
}

void issuers_free(struct issuers *issuers)
{
    if (issuers == NULL)
        return;
    for (size_t i = 0; i < issuers->count; i++) {
        key_set_release(issuers->providers[i].set);
        lock_done(&issuers->providers[i].lock);
    }
    free(issuers);
}

/* ---- tokens ---- */

/* As jwt_verify(). */
static int verify_with_set(struct provider *provider, const struct jwt *jwt)
{
    struct key_set *set = hold_keys(provider);
    int answer = jwt_verify(jwt, set->keys);

    key_set_release(set);
    return answer;
}

static int verify_signature(struct issuers *issuers, struct provider *provider,
                            const struct jwt *jwt, jwt_why *ret_why)
{
    int answer = verify_with_set(provider, jwt);

    if (answer == JWKS_UNKNOWN && may_read_again(provider)) {
        read_again(issuers, provider);
        answer = verify_with_set(provider, jwt);
    }
    if (answer == JWKS_UNKNOWN)
        *ret_why = "its issuer has no key with its kid";
    else if (answer == JWKS_WRONG)
        *ret_why = "its signature is wrong";
    return answer == JWKS_GOOD || answer < 0 ? answer : 0;
}

static struct provider *find_provider(struct issuers *issuers, const struct jwt *jwt)
{
    const char *iss = jwt_text(jwt, "iss");

    for (size_t i = 0; i < issuers->count; i++) {
        if (str_eq(issuers->providers[i].config->url, iss))
            return &issuers->providers[i];
    }
    return NULL;
}

static int verify_parts(struct issuers *issuers, int64_t now_s, struct issuers_token *token,
                        jwt_why *ret_why)
{
    struct provider *provider = find_provider(issuers, &token->jwt);
    struct jwt_terms terms = {.now_s = now_s};
    int rc;

    if (provider == NULL) {
        *ret_why = "its iss is of no configured issuer";
        return 0;
    }
    token->issuer = provider->config;
    terms.issuer = token->issuer->url;
    terms.audience = token->issuer->audience;
    rc = jwt_check(&token->jwt, &terms, &token->times, ret_why);
    return rc == 1 ? verify_signature(issuers, provider, &token->jwt, ret_why) : rc;
}

int issuers_verify(struct issuers *issuers, const char *text, int64_t now_s,
                   struct issuers_token *ret, jwt_why *ret_why)
{
    struct issuers_token token = {0};
    int rc = jwt_read(text, &token.jwt, ret_why);

    if (rc == 1)
        rc = verify_parts(issuers, now_s, &token, ret_why);
    if (rc == 1)
        *ret = token;
    else
        jwt_done(&token.jwt);
    return rc;
}
