/* src/http/shares.c -- shares in a hash table by kind and owner. */
#include "http/shares.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/thread.h"

enum { BUCKETS = 1024 };

struct entry {
    struct share share;
    int count; /* at least one */
    LIST_ENTRY(entry) entry;
};

struct shares {
    struct lock lock;
    int totals[SHARE_KINDS];
    LIST_HEAD(, entry) buckets[BUCKETS];
};

struct share share_of_user(enum share_kind kind, int64_t user_id)
{
    struct share share = {.kind = (uint8_t)kind};

    memcpy(share.owner.bytes, &user_id, sizeof(user_id));
    return share;
}

struct share share_of_address(enum share_kind kind, const struct address *address)
{
    return (struct share){.kind = (uint8_t)kind, .owner = address_site(address)};
}

struct shares *shares_new(void)
{
    struct shares *shares = calloc(1, sizeof(*shares));

    if (shares != NULL)
        lock_init(&shares->lock);
    return shares;
}

void shares_free(struct shares *shares)
{
    struct entry *entry;

    if (shares == NULL)
        return;
    for (int i = 0; i < BUCKETS; i++) {
        while ((entry = LIST_FIRST(&shares->buckets[i])) != NULL) {
            LIST_REMOVE(entry, entry);
            free(entry);
        }
    }
    lock_done(&shares->lock);
    free(shares);
}

static unsigned share_bucket(const struct share *share)
{
    unsigned hash = share->kind;

    for (size_t i = 0; i < sizeof(share->owner.bytes); i++)
        hash = hash * 31 + share->owner.bytes[i];
    return hash % BUCKETS;
}

static struct entry *find_share(struct shares *shares, const struct share *share)
{
    struct entry *entry;

    lock_check_held(&shares->lock);
    LIST_FOREACH(entry, &shares->buckets[share_bucket(share)], entry)
    {
        if (memcmp(&entry->share, share, sizeof(*share)) == 0)
            break;
    }
    return entry;
}

static bool take_share(struct shares *shares, const struct share *share, int most)
{
    struct entry *entry = find_share(shares, share);

    if ((entry != NULL ? entry->count : 0) >= most)
        return false;
    if (entry == NULL) {
        entry = calloc(1, sizeof(*entry));
        if (entry == NULL)
            return false;
        entry->share = *share;
        LIST_INSERT_HEAD(&shares->buckets[share_bucket(share)], entry, entry);
    }
    entry->count++;
    shares->totals[share->kind]++;
    return true;
}

bool shares_take(struct shares *shares, const struct share *share, int most)
{
    bool taken;

    lock_take(&shares->lock);
    taken = take_share(shares, share, most);
    lock_release(&shares->lock);
    return taken;
}

bool shares_take_of(struct shares *shares, const struct share *share, int places)
{
    bool taken;

    lock_take(&shares->lock);
    taken = take_share(shares, share, places - shares->totals[share->kind]);
    lock_release(&shares->lock);
    return taken;
}

void shares_give(struct shares *shares, const struct share *share)
{
    struct entry *entry;

    lock_take(&shares->lock);
    entry = find_share(shares, share);
    CHECK(entry != NULL);
    shares->totals[share->kind]--;
    if (--entry->count == 0) {
        LIST_REMOVE(entry, entry);
        free(entry);
    }
    lock_release(&shares->lock);
}
