/* src/http/bearer.c -- known tokens in a table of small sets, each with its lock. */
#include "http/bearer.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETS = 4096, /* a token takes about 700 bytes: 11 MB when it is full */
    WAYS = 4,
    HASHED = 44, /* a signature and its dot */
};

struct set {
    pthread_mutex_t mutex;
    struct bearer *ways[WAYS];
    unsigned next; /* who makes room */
};

struct bearers {
    /* Of the hash: nobody can choose tokens that meet in one set. And since tokens are compared
     * only when their hashes are the same, the time it takes says nothing of how much of a guess is
     * right. */
    unsigned char key[crypto_shorthash_KEYBYTES];
    struct set sets[SETS];
};

struct bearers *bearers_new(void)
{
    struct bearers *bearers = calloc(1, sizeof(*bearers));

    if (bearers == NULL)
        return NULL;
    randombytes_buf(bearers->key, sizeof(bearers->key));
    for (int i = 0; i < SETS; i++)
        pthread_mutex_init(&bearers->sets[i].mutex, NULL);
    return bearers;
}

void bearers_free(struct bearers *bearers)
{
    if (bearers == NULL)
        return;
    for (int i = 0; i < SETS; i++) {
        for (int way = 0; way < WAYS; way++)
            bearer_release(bearers->sets[i].ways[way]);
        pthread_mutex_destroy(&bearers->sets[i].mutex);
    }
    free(bearers);
}

/* Of the end of the token, where its signature is: as good as random, and unknown to who does not
 * have the token. */
static uint64_t hash_of(const struct bearers *bearers, const char *token, size_t len)
{
    size_t tail = len < HASHED ? len : HASHED;
    unsigned char bytes[crypto_shorthash_BYTES];
    uint64_t hash;

    crypto_shorthash(bytes, (const unsigned char *)token + len - tail, tail, bearers->key);
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

static struct set *set_of(struct bearers *bearers, uint64_t hash)
{
    return &bearers->sets[hash % SETS];
}

/* The place of that token in the set, or -1; the set is locked. */
static int way_of(const struct set *set, uint64_t hash, const char *token, size_t len)
{
    for (int way = 0; way < WAYS; way++) {
        const struct bearer *bearer = set->ways[way];

        if (bearer != NULL && bearer->hash == hash && bearer->len == len &&
            memcmp(bearer->token, token, len) == 0)
            return way;
    }
    return -1;
}

struct bearer *bearers_find(struct bearers *bearers, const char *token)
{
    size_t len = strlen(token);
    uint64_t hash = hash_of(bearers, token, len);
    struct set *set = set_of(bearers, hash);
    struct bearer *found = NULL;
    int way;

    pthread_mutex_lock(&set->mutex);
    way = way_of(set, hash, token, len);
    if (way >= 0) {
        found = set->ways[way];
        atomic_fetch_add(&found->holders, 1);
    }
    pthread_mutex_unlock(&set->mutex);
    return found;
}

void bearers_keep(struct bearers *bearers, struct bearer *bearer)
{
    struct set *set;
    struct bearer *gone;
    int way;

    bearer->hash = hash_of(bearers, bearer->token, bearer->len);
    set = set_of(bearers, bearer->hash);
    atomic_fetch_add(&bearer->holders, 1);
    pthread_mutex_lock(&set->mutex);
    way = way_of(set, bearer->hash, bearer->token, bearer->len);
    if (way < 0)
        way = (int)(set->next++ % WAYS);
    gone = set->ways[way];
    set->ways[way] = bearer;
    pthread_mutex_unlock(&set->mutex);
    bearer_release(gone);
}

struct bearer *bearer_new(const char *token, const struct token_claims *claims, struct user *user,
                          uint64_t stamp)
{
    size_t len = strlen(token);
    struct bearer *bearer = malloc(sizeof(*bearer) + len + 1);

    if (bearer == NULL)
        return NULL;
    *bearer = (struct bearer){.claims = *claims, .user = *user, .stamp = stamp, .len = len};
    *user = (struct user){0};
    atomic_init(&bearer->holders, 1);
    memcpy(bearer->token, token, len + 1);
    return bearer;
}

void bearer_release(struct bearer *bearer)
{
    if (bearer == NULL || atomic_fetch_sub(&bearer->holders, 1) != 1)
        return;
    user_done(&bearer->user);
    sodium_memzero(bearer->token, bearer->len);
    free(bearer);
}
