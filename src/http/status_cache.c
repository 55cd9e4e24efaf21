/* src/http/status_cache.c -- complete reports, in a table of small sets with a lock for many
 * sets. */
#include "http/status_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

/* 16 MiB when it is full; only the used part of it is in memory. */
enum { SETS = 65536, WAYS = 4, LOCKS = 64 };

struct place {
    uint64_t version; /* 0: empty */
    struct guid id;
    int64_t user_id, rows, expires_ms;
    int attempt;
};

struct status_cache {
    struct lock locks[LOCKS];
    struct place sets[SETS][WAYS];
};

struct status_cache *status_cache_new(void)
{
    struct status_cache *status_cache = calloc(1, sizeof(*status_cache));

    for (int i = 0; status_cache != NULL && i < LOCKS; i++)
        lock_init(&status_cache->locks[i]);
    return status_cache;
}

void status_cache_free(struct status_cache *status_cache)
{
    for (int i = 0; status_cache != NULL && i < LOCKS; i++)
        lock_done(&status_cache->locks[i]);
    free(status_cache);
}

static unsigned status_set(const struct guid *id)
{
    unsigned index;

    /* Other random bytes of a version 7 GUID than those that store_version() uses. */
    memcpy(&index, id->bytes + GUID_BYTES - 2 * sizeof(index), sizeof(index));
    return (index >> 8) % SETS;
}

bool status_cache_find(struct status_cache *status_cache, const struct guid *id, int64_t user_id,
                       uint64_t version, struct report *ret)
{
    unsigned set = status_set(id);
    struct place found = {0};

    if (version == 0)
        return false;
    lock_take(&status_cache->locks[set % LOCKS]);
    for (int way = 0; way < WAYS && found.version == 0; way++) {
        if (guid_eq(&status_cache->sets[set][way].id, id))
            found = status_cache->sets[set][way];
    }
    lock_release(&status_cache->locks[set % LOCKS]);
    if (found.version != version || found.user_id != user_id || found.expires_ms <= clock_now_ms())
        return false;
    *ret = (struct report){.id = found.id,
                           .user_id = found.user_id,
                           .state = REPORT_COMPLETE,
                           .attempt = found.attempt,
                           .rows = found.rows,
                           .expires_ms = found.expires_ms};
    return true;
}

void status_cache_keep(struct status_cache *status_cache, const struct report *report,
                       uint64_t version)
{
    unsigned set = status_set(&report->id);
    struct place *places = status_cache->sets[set];
    int way = 0;

    if (version == 0 || report->state != REPORT_COMPLETE)
        return;
    lock_take(&status_cache->locks[set % LOCKS]);
    while (way < WAYS && places[way].version != 0 && !guid_eq(&places[way].id, &report->id))
        way++;
    if (way == WAYS) /* a random byte of the new id selects which entry is replaced */
        way = (int)(report->id.bytes[GUID_BYTES - 1] % WAYS);
    places[way] = (struct place){.version = version,
                                 .id = report->id,
                                 .user_id = report->user_id,
                                 .rows = report->rows,
                                 .expires_ms = report->expires_ms,
                                 .attempt = report->attempt};
    lock_release(&status_cache->locks[set % LOCKS]);
}
