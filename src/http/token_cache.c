/* src/http/token_cache.c -- known tokens, in a table of small sets, each with its lock. */
#include "http/token_cache.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

enum {
    SETS = 4096,
    WAYS = 4,
    SET_BYTES = 8192, /* of its entries: 32 MiB when all are full; a token of ours takes some 400 */
};

struct set {
    struct lock lock;
    struct cached_token *ways[WAYS];
    unsigned next; /* which entry is replaced next */
};

struct token_cache {
    /* Key of the digests: nobody can choose tokens that fall into the same set, and the time that
     * comparing digests takes reveals nothing about how much of a guess is right. */
    unsigned char key[crypto_shorthash_siphashx24_KEYBYTES];
    atomic_uint_fast64_t age;
    struct set sets[SETS];
};

struct token_cache *token_cache_new(void)
{
    struct token_cache *token_cache = calloc(1, sizeof(*token_cache));

    if (token_cache == NULL)
        return NULL;
    randombytes_buf(token_cache->key, sizeof(token_cache->key));
    for (int i = 0; i < SETS; i++)
        lock_init(&token_cache->sets[i].lock);
    return token_cache;
}

void token_cache_free(struct token_cache *token_cache)
{
    if (token_cache == NULL)
        return;
    for (int i = 0; i < SETS; i++) {
        for (int way = 0; way < WAYS; way++)
            cached_token_release(token_cache->sets[i].ways[way]);
        lock_done(&token_cache->sets[i].lock);
    }
    free(token_cache);
}

_Static_assert(TOKEN_DIGEST_BYTES == crypto_shorthash_siphashx24_BYTES, "the digest's size");

/* SipHash with 128 bits is a MAC: who does not know the key finds no second token for a digest. */
static void digest_token(const struct token_cache *token_cache, const char *token,
                         unsigned char ret[TOKEN_DIGEST_BYTES])
{
    crypto_shorthash_siphashx24(ret, (const unsigned char *)token, strlen(token), token_cache->key);
}

static struct set *token_set(struct token_cache *token_cache,
                             const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    uint32_t number;

    memcpy(&number, digest, sizeof(number));
    return &token_cache->sets[number % SETS];
}

/* The index of the token in the set, or -1. */
static int way_of(const struct set *set, const unsigned char digest[TOKEN_DIGEST_BYTES])
{
    lock_check_held(&set->lock);
    for (int way = 0; way < WAYS; way++) {
        const struct cached_token *cached_token = set->ways[way];

        if (cached_token != NULL && memcmp(cached_token->digest, digest, TOKEN_DIGEST_BYTES) == 0)
            return way;
    }
    return -1;
}

struct cached_token *token_cache_find(struct token_cache *token_cache, const char *token)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct cached_token *found = NULL;
    struct set *set;
    int way;

    digest_token(token_cache, token, digest);
    set = token_set(token_cache, digest);
    lock_take(&set->lock);
    way = way_of(set, digest);
    if (way >= 0) {
        found = set->ways[way];
        atomic_fetch_add(&found->holders, 1);
    }
    lock_release(&set->lock);
    return found;
}

uint64_t token_cache_age(const struct token_cache *token_cache)
{
    return atomic_load(&token_cache->age);
}

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* What an entry takes, except for what malloc() adds. */
static size_t entry_bytes(const struct cached_token *cached_token)
{
    const struct user *user = &cached_token->user;
    size_t bytes = sizeof(*cached_token) + text_bytes(cached_token->session_claims) +
                   text_bytes(user->name) + text_bytes(user->allow) + text_bytes(user->grants);

    if (user->identity != NULL)
        bytes += sizeof(*user->identity) + text_bytes(user->identity->issuer) +
                 text_bytes(user->identity->subject) + text_bytes(user->identity->groups) +
                 text_bytes(user->identity->grants);
    if (user->key != NULL)
        bytes += sizeof(*user->key) + text_bytes(user->key->name) + text_bytes(user->key->allow) +
                 text_bytes(user->key->grants);
    return bytes;
}

/* Put it into the set, in the place of one with the same digest, and take out what there is no room
 * for any more: gone[]. */
static void replace_ways(struct set *set, struct cached_token *cached_token,
                         struct cached_token *gone[WAYS])
{
    int way = way_of(set, cached_token->digest);
    size_t bytes = cached_token->bytes;

    if (way < 0)
        way = (int)(set->next++ % WAYS);
    gone[way] = set->ways[way];
    set->ways[way] = cached_token;
    for (int i = 0; i < WAYS; i++) {
        if (i == way || set->ways[i] == NULL)
            continue;
        bytes += set->ways[i]->bytes;
        if (bytes <= SET_BYTES)
            continue;
        bytes -= set->ways[i]->bytes;
        gone[i] = set->ways[i];
        set->ways[i] = NULL;
    }
}

void token_cache_keep(struct token_cache *token_cache, const char *token,
                      struct cached_token *cached_token, uint64_t age)
{
    struct cached_token *gone[WAYS] = {NULL};
    struct set *set;

    digest_token(token_cache, token, cached_token->digest);
    cached_token->bytes = entry_bytes(cached_token);
    set = token_set(token_cache, cached_token->digest);
    lock_take(&set->lock);
    if (cached_token->bytes <= SET_BYTES && atomic_load(&token_cache->age) == age) {
        atomic_fetch_add(&cached_token->holders, 1);
        replace_ways(set, cached_token, gone);
    }
    lock_release(&set->lock);
    for (int way = 0; way < WAYS; way++)
        cached_token_release(gone[way]);
}

/* With the new age first, whoever has not seen it keeps a token only in a set that is yet to be
 * emptied. */
void token_cache_forget(struct token_cache *token_cache)
{
    atomic_fetch_add(&token_cache->age, 1);
    for (int i = 0; i < SETS; i++) {
        struct set *set = &token_cache->sets[i];
        struct cached_token *gone[WAYS];

        lock_take(&set->lock);
        memcpy(gone, set->ways, sizeof(gone));
        memset(set->ways, 0, sizeof(set->ways));
        lock_release(&set->lock);
        for (int way = 0; way < WAYS; way++)
            cached_token_release(gone[way]);
    }
}

struct cached_token *cached_token_new(const struct token_claims *claims, struct user *user,
                                      uint64_t version)
{
    struct cached_token *cached_token = malloc(sizeof(*cached_token));

    if (cached_token == NULL)
        return NULL;
    *cached_token = (struct cached_token){.claims = *claims, .user = *user, .version = version};
    *user = (struct user){0};
    atomic_init(&cached_token->holders, 1);
    atomic_init(&cached_token->used_ms, 0);
    return cached_token;
}

void cached_token_release(struct cached_token *cached_token)
{
    int holders = cached_token != NULL ? atomic_fetch_sub(&cached_token->holders, 1) : 0;

    CHECK(cached_token == NULL || holders > 0);
    if (holders != 1)
        return;
    user_done(&cached_token->user);
    free(cached_token->session_claims);
    free(cached_token);
}
