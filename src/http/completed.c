/* src/http/completed.c -- complete reports in a table of small sets, a lock for many sets. */
#include "http/completed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* 16 MiB when it is full, of which only what was used is in memory. */
enum { SETS = 65536, WAYS = 4, LOCKS = 64 };

struct place {
    uint64_t stamp; /* 0: nothing is here */
    struct guid id;
    int64_t user_id, rows, expires_ms;
    int attempt;
};

struct completed {
    pthread_mutex_t locks[LOCKS];
    struct place sets[SETS][WAYS];
};

struct completed *completed_new(void)
{
    struct completed *completed = calloc(1, sizeof(*completed));

    for (int i = 0; completed != NULL && i < LOCKS; i++)
        pthread_mutex_init(&completed->locks[i], NULL);
    return completed;
}

void completed_free(struct completed *completed)
{
    for (int i = 0; completed != NULL && i < LOCKS; i++)
        pthread_mutex_destroy(&completed->locks[i]);
    free(completed);
}

static unsigned set_of(const struct guid *id)
{
    unsigned index;

    /* Other random bytes of a version 7 GUID than store_stamp() uses. */
    memcpy(&index, id->bytes + GUID_BYTES - 2 * sizeof(index), sizeof(index));
    return (index >> 8) % SETS;
}

bool completed_find(struct completed *completed, const struct guid *id, int64_t user_id,
                    uint64_t stamp, struct report *ret)
{
    unsigned set = set_of(id);
    struct place found = {0};

    if (stamp == 0)
        return false;
    pthread_mutex_lock(&completed->locks[set % LOCKS]);
    for (int way = 0; way < WAYS && found.stamp == 0; way++) {
        if (guid_eq(&completed->sets[set][way].id, id))
            found = completed->sets[set][way];
    }
    pthread_mutex_unlock(&completed->locks[set % LOCKS]);
    if (found.stamp != stamp || found.user_id != user_id || found.expires_ms <= clock_now_ms())
        return false;
    *ret = (struct report){.id = found.id,
                           .user_id = found.user_id,
                           .state = REPORT_COMPLETE,
                           .attempt = found.attempt,
                           .rows = found.rows,
                           .expires_ms = found.expires_ms};
    return true;
}

void completed_keep(struct completed *completed, const struct report *report, uint64_t stamp)
{
    unsigned set = set_of(&report->id);
    struct place *places = completed->sets[set];
    int way = 0;

    if (stamp == 0 || report->state != REPORT_COMPLETE)
        return;
    pthread_mutex_lock(&completed->locks[set % LOCKS]);
    while (way < WAYS && places[way].stamp != 0 && !guid_eq(&places[way].id, &report->id))
        way++;
    if (way == WAYS) /* the new one says by a random byte who makes room */
        way = (int)(report->id.bytes[GUID_BYTES - 1] % WAYS);
    places[way] = (struct place){.stamp = stamp,
                                 .id = report->id,
                                 .user_id = report->user_id,
                                 .rows = report->rows,
                                 .expires_ms = report->expires_ms,
                                 .attempt = report->attempt};
    pthread_mutex_unlock(&completed->locks[set % LOCKS]);
}
