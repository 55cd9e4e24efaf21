/* src/store/stamp.c -- counters of changes, by shards of ids, and whether they know everything. */
#include "store/stamp.h"

#include <string.h>

void stamps_init(struct stamps *stamps)
{
    stamps->all = 1;
    lock_init(&stamps->lock);
}

void stamps_done(struct stamps *stamps)
{
    lock_done(&stamps->lock);
}

void stamps_watch(struct stamps *stamps, const struct stamp_watch *watch, struct store_conn *conn)
{
    stamps->watch = watch;
    stamps->conn = conn;
    stamps->place = watch->find(conn);
}

static uint64_t *shard_of(struct stamps *stamps, const struct guid *id)
{
    unsigned index;

    /* The last bytes of a version 7 GUID are the random ones. */
    memcpy(&index, id->bytes + GUID_BYTES - sizeof(index), sizeof(index));
    return &stamps->of[index % STAMP_SHARDS];
}

static bool looks_as_seen(const struct stamps *stamps, const struct stamp_glance *now)
{
    return memcmp(now->state, stamps->seen.state, sizeof(now->state)) == 0;
}

static void see(struct stamps *stamps, const struct stamp_glance *now, bool known)
{
    lock_check_held(&stamps->lock);
    if (!known)
        stamps->all++;
    stamps->seen = *now;
}

uint64_t stamps_of(struct stamps *stamps, const struct guid *id)
{
    struct stamp_glance now;
    uint64_t stamp = 0;

    if (stamps->place == NULL)
        return 0;
    lock_take(&stamps->lock);
    if (stamps->watch->glance(stamps->place, &now)) {
        bool known = looks_as_seen(stamps, &now);

        if (!known && !stamps->writing)
            see(stamps, &now, false);
        if (known || !stamps->writing)
            stamp = stamps->all + *shard_of(stamps, id);
    }
    lock_release(&stamps->lock);
    return stamp;
}

void stamps_begin(struct stamps *stamps)
{
    struct stamp_glance now = {0};

    if (stamps->place == NULL)
        return;
    stamps->written = stamps->watch->written(stamps->conn);
    lock_take(&stamps->lock);
    if (!stamps->watch->glance(stamps->place, &now) || !looks_as_seen(stamps, &now))
        see(stamps, &now, false);
    stamps->writing = true;
    lock_release(&stamps->lock);
}

void stamps_touch(struct stamps *stamps, const struct guid *id)
{
    lock_take(&stamps->lock);
    if (id == NULL)
        stamps->all++;
    else
        ++*shard_of(stamps, id);
    lock_release(&stamps->lock);
}

void stamps_settle(struct stamps *stamps, bool committed)
{
    struct stamp_glance now = {0};
    uint32_t commits; /* of our own: one that has nothing to write leaves the file as it is */

    if (stamps->place == NULL)
        return;
    commits = committed && stamps->watch->written(stamps->conn) != stamps->written;
    lock_take(&stamps->lock);
    if (!stamps->watch->glance(stamps->place, &now))
        see(stamps, &(struct stamp_glance){0}, false); /* looks like nothing there is */
    else /* One commit more, and another process was there. Its recovery counts from 0 again. */
        see(stamps, &now,
            looks_as_seen(stamps, &now) ||
                (now.commits != 0 && now.commits == stamps->seen.commits + commits));
    stamps->writing = false;
    lock_release(&stamps->lock);
}
