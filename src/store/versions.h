/* src/store/versions.h -- how long an answer holds: counters that move when something has changed,
 * by this process or by another one. Only src/store/ includes this; callers see store_version(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/thread.h"

enum {
    VERSION_SHARDS = 65536,   /* a change of one id ends what is remembered of its shard */
    VERSION_STATE_WORDS = 12, /* as many as the header of SQLite's wal-index */
};

/* What can be seen of the database at one moment without a transaction, whichever process wrote
 * it. */
struct wal_index {
    uint32_t commits;                    /* increases by one with each commit that writes */
    uint32_t state[VERSION_STATE_WORDS]; /* is another one after each change of the file */
};

struct store_conn;

/* How a backend's database is watched: one table per backend, in addition to that of its verbs. */
struct version_watch {
    /* Where to look, as long as `conn`, which writes, is open; NULL: nothing can be seen. */
    const volatile void *(*find)(struct store_conn *conn);
    /* False: it is being changed at this moment. Any thread. */
    bool (*read_wal_index)(const volatile void *place, struct wal_index *ret);
    /* Goes up with whatever `conn` has written; on its thread only. */
    int64_t (*written)(struct store_conn *conn);
};

extern const struct version_watch version_sqlite;

/* The counters know of everything up to `seen`. While the database looks like that they hold; when
 * it does not, this process's writer has committed and will tell what (versions_settle()), or
 * another process has written, and then everything may have changed. */
struct versions {
    const struct version_watch *watch;
    const volatile void *place; /* NULL: nothing can be seen, so no answer holds */
    struct store_conn *conn;
    int64_t written; /* when the writer began; its own */
    struct lock lock;
    /* under the lock */
    struct wal_index seen;
    bool writing;
    uint64_t all, of[VERSION_SHARDS];
};

void versions_init(struct versions *versions); /* zeroed before */
void versions_done(struct versions *versions);
/* Before the first use of the others; `conn` is the one that writes. Without it versions_of() is
 * always 0. */
void versions_watch(struct versions *versions, const struct version_watch *watch,
                    struct store_conn *conn);

/* See store_version(). Any thread. */
uint64_t versions_of(struct versions *versions, const struct guid *id);

/* The writer: it has the database's write lock, or is about to tidy up. */
void versions_begin(struct versions *versions);
/* It has committed, and this may have changed (NULL: anything). Not earlier: a reader that took the
 * new version and read before the commit would cache the old answer. */
void versions_touch(struct versions *versions, const struct guid *id);
/* versions_touch() has been called for everything that it has changed. */
void versions_settle(struct versions *versions, bool committed);
