/* src/http/issuers.c -- which identity provider a token is of, and whether it holds. */
#include "http/issuers.h"

#include <stdlib.h>

#include "base/str.h"

struct provider {
    const struct config_issuer *config;
    struct issuer_keys *keys;
};

struct issuers {
    size_t count;
    struct provider providers[];
};

/* ---- start and end ---- */

int issuers_check(const struct config *config, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config->issuer_count; i++)
        rc = issuer_keys_check(&config->issuers[i], err);
    return rc;
}

int issuers_new(const struct config *config, struct token_cache *token_cache,
                struct streams *streams, struct issuers **ret, struct err *err)
{
    size_t count = config->issuer_count;
    struct issuers *issuers = calloc(1, sizeof(*issuers) + count * sizeof(issuers->providers[0]));
    int rc = 0;

    if (issuers == NULL)
        return err_no_memory(err);
    while (rc == 0 && issuers->count < count) {
        struct provider *provider = &issuers->providers[issuers->count];

        provider->config = &config->issuers[issuers->count++];
        rc = issuer_keys_new(provider->config, token_cache, streams, &provider->keys, err);
    }
    if (rc < 0) {
        issuers_free(issuers);
        return rc;
    }
    *ret = issuers;
    return 0;
}

void issuers_stop(struct issuers *issuers)
{
    for (size_t i = 0; issuers != NULL && i < issuers->count; i++)
        issuer_keys_stop(issuers->providers[i].keys);
}

void issuers_free(struct issuers *issuers)
{
    if (issuers == NULL)
        return;
    for (size_t i = 0; i < issuers->count; i++)
        issuer_keys_free(issuers->providers[i].keys);
    free(issuers);
}

void issuers_reload(struct issuers *issuers)
{
    for (size_t i = 0; i < issuers->count; i++)
        issuer_keys_reload(issuers->providers[i].keys);
}

/* ---- tokens ---- */

static int verify_signature(struct issuer_keys *keys, const struct jwt *jwt, jwt_why *ret_why)
{
    int answer = issuer_keys_verify(keys, jwt);
    enum issuer_keys_more more = ISSUER_KEYS_ALL;

    if (answer == JWKS_UNKNOWN)
        more = issuer_keys_ask(keys);
    if (more == ISSUER_KEYS_COMING)
        return ISSUERS_LATER;
    if (more == ISSUER_KEYS_UNKNOWN)
        return -E_BUSY;
    if (answer == JWKS_UNKNOWN)
        answer = issuer_keys_verify(keys, jwt);
    if (answer == JWKS_UNKNOWN)
        *ret_why = "its issuer has no key with its kid";
    else if (answer == JWKS_WRONG)
        *ret_why = "its signature is wrong";
    if (answer < 0)
        return answer;
    return answer == JWKS_GOOD ? ISSUERS_GOOD : ISSUERS_WRONG;
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
        return ISSUERS_WRONG;
    }
    token->issuer = provider->config;
    token->keys = provider->keys;
    terms.issuer = token->issuer->url;
    terms.audience = token->issuer->audience;
    rc = jwt_check(&token->jwt, &terms, &token->times, ret_why);
    return rc == 1 ? verify_signature(provider->keys, &token->jwt, ret_why) : rc;
}

int issuers_verify(struct issuers *issuers, const char *text, int64_t now_s,
                   struct issuers_token *ret, jwt_why *ret_why)
{
    struct issuers_token token = {0};
    int rc = jwt_read(text, &token.jwt, ret_why);

    if (rc == 1)
        rc = verify_parts(issuers, now_s, &token, ret_why);
    if (rc != ISSUERS_GOOD) {
        jwt_done(&token.jwt);
        token.jwt = (struct jwt){0};
    }
    *ret = token;
    return rc;
}
