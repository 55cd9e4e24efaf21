/* src/http/token_cache.c -- known tokens, in a table of small sets, each with its lock. */
#include "http/token_cache.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

enum {
    SETS = 4096, /* a token of ours takes about 700 bytes: 11 MB when it is full */
    WAYS = 4,
    HASHED = 44, /* a signature and its dot */
};

struct set {
    struct lock lock;
    struct cached_token *ways[WAYS];
    unsigned next; /* which entry is replaced next */
};

struct token_cache {
    /* Key of the hash: nobody can choose tokens that fall into the same set. And since tokens are
     * compared only if their hashes are equal, the time taken reveals nothing about how much of a
     * guess is right. */
    unsigned char key[crypto_shorthash_KEYBYTES];
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

/* A hash of the end of the token, which is its signature: as good as random, and unknown without
 * the token. */
static uint64_t hash_of(const struct token_cache *token_cache, const char *token, size_t len)
{
    size_t tail = len < HASHED ? len : HASHED;
    unsigned char bytes[crypto_shorthash_BYTES];
    uint64_t hash;

    crypto_shorthash(bytes, (const unsigned char *)token + len - tail, tail, token_cache->key);
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

static struct set *token_set(struct token_cache *token_cache, uint64_t hash)
{
    return &token_cache->sets[hash % SETS];
}

/* The index of the token in the set, or -1. */
static int way_of(const struct set *set, uint64_t hash, const char *token, size_t len)
{
    lock_check_held(&set->lock);
    for (int way = 0; way < WAYS; way++) {
        const struct cached_token *cached_token = set->ways[way];

        if (cached_token != NULL && cached_token->hash == hash && cached_token->len == len &&
            memcmp(cached_token->token, token, len) == 0)
            return way;
    }
    return -1;
}

struct cached_token *token_cache_find(struct token_cache *token_cache, const char *token)
{
    size_t len = strlen(token);
    uint64_t hash = hash_of(token_cache, token, len);
    struct set *set = token_set(token_cache, hash);
    struct cached_token *found = NULL;
    int way;

    lock_take(&set->lock);
    way = way_of(set, hash, token, len);
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

void token_cache_keep(struct token_cache *token_cache, struct cached_token *cached_token,
                      uint64_t age)
{
    struct set *set;
    struct cached_token *gone;
    int way;

    cached_token->hash = hash_of(token_cache, cached_token->token, cached_token->len);
    set = token_set(token_cache, cached_token->hash);
    lock_take(&set->lock);
    if (atomic_load(&token_cache->age) != age) {
        lock_release(&set->lock);
        return;
    }
    atomic_fetch_add(&cached_token->holders, 1);
    way = way_of(set, cached_token->hash, cached_token->token, cached_token->len);
    if (way < 0)
        way = (int)(set->next++ % WAYS);
    gone = set->ways[way];
    set->ways[way] = cached_token;
    lock_release(&set->lock);
    cached_token_release(gone);
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

struct cached_token *cached_token_new(const char *token, const struct token_claims *claims,
                                      struct user *user, uint64_t version)
{
    size_t len = strlen(token);
    struct cached_token *cached_token = malloc(sizeof(*cached_token) + len + 1);

    if (cached_token == NULL)
        return NULL;
    *cached_token =
        (struct cached_token){.claims = *claims, .user = *user, .version = version, .len = len};
    *user = (struct user){0};
    atomic_init(&cached_token->holders, 1);
    atomic_init(&cached_token->used_ms, 0);
    memcpy(cached_token->token, token, len + 1);
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
    sodium_memzero(cached_token->token, cached_token->len);
    free(cached_token);
}
