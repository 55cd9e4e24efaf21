/* src/store/versions.c -- counters of changes, by shard of ids, and whether they are complete. */
#include "store/versions.h"

#include "base/guid.h"

#include <string.h>

void versions_init(struct versions *versions)
{
    versions->all = 1;
    lock_init(&versions->lock);
}

void versions_done(struct versions *versions)
{
    lock_done(&versions->lock);
}

void versions_watch(struct versions *versions, const struct version_watch *watch,
                    struct store_conn *conn)
{
    versions->watch = watch;
    versions->conn = conn;
    versions->place = watch->find(conn);
}

static uint64_t *shard_of(struct versions *versions, const struct guid *id)
{
    return &versions->of[guid_hash(id) % VERSION_SHARDS];
}

static bool equals_seen(const struct versions *versions, const struct wal_index *now)
{
    return memcmp(now->state, versions->seen.state, sizeof(now->state)) == 0;
}

static void set_seen(struct versions *versions, const struct wal_index *now, bool known)
{
    lock_check_held(&versions->lock);
    if (!known)
        versions->all++;
    versions->seen = *now;
}

uint64_t versions_of(struct versions *versions, const struct guid *id)
{
    struct wal_index now;
    uint64_t version = 0;

    if (versions->place == NULL)
        return 0;
    lock_take(&versions->lock);
    if (versions->watch->read_wal_index(versions->place, &now)) {
        bool known = equals_seen(versions, &now);

        if (!known && !versions->writing)
            set_seen(versions, &now, false);
        if (known || !versions->writing)
            version = versions->all + *shard_of(versions, id);
    }
    lock_release(&versions->lock);
    return version;
}

void versions_begin(struct versions *versions)
{
    struct wal_index now = {0};

    if (versions->place == NULL)
        return;
    versions->written = versions->watch->written(versions->conn);
    lock_take(&versions->lock);
    if (!versions->watch->read_wal_index(versions->place, &now) || !equals_seen(versions, &now))
        set_seen(versions, &now, false);
    CHECK(!versions->writing);
    versions->writing = true;
    lock_release(&versions->lock);
}

void versions_touch(struct versions *versions, const struct guid *id)
{
    lock_take(&versions->lock);
    CHECK(versions->writing || versions->place == NULL);
    if (id == NULL)
        versions->all++;
    else
        ++*shard_of(versions, id);
    lock_release(&versions->lock);
}

void versions_settle(struct versions *versions, bool committed)
{
    struct wal_index now = {0};
    uint32_t commits; /* of our own; a transaction that writes nothing leaves the file unchanged */

    if (versions->place == NULL)
        return;
    commits = committed && versions->watch->written(versions->conn) != versions->written;
    lock_take(&versions->lock);
    if (!versions->watch->read_wal_index(versions->place, &now))
        set_seen(versions, &(struct wal_index){0}, false); /* equals no real header */
    else /* With any other count, another process has written. Its recovery counts from 0 again. */
        set_seen(versions, &now,
                 equals_seen(versions, &now) ||
                     (now.commits != 0 && now.commits == versions->seen.commits + commits));
    CHECK(versions->writing);
    versions->writing = false;
    lock_release(&versions->lock);
}
