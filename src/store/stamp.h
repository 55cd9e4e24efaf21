/* src/store/stamp.h -- how long an answer holds: counters that move when something has changed, by
 * this process or by another one. Only src/store/ includes this; callers see store_stamp(). */
#ifndef STORE_STAMP_H
#define STORE_STAMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/thread.h"

enum {
    STAMP_SHARDS = 65536,   /* a change of one id ends what is remembered of its shard */
    STAMP_STATE_WORDS = 12, /* as many as the header of SQLite's wal-index */
};

/* What can be seen of the database at one moment without a transaction, whoever wrote it. */
struct stamp_glance {
    uint32_t commits;                  /* goes up by one with each commit that writes */
    uint32_t state[STAMP_STATE_WORDS]; /* is another one after each change of the file */
};

struct store_conn;

/* How a backend's database is watched: a table a backend, beside that of its verbs. */
struct stamp_watch {
    /* Where to look, as long as `conn`, which writes, is open; NULL: nothing can be seen. */
    const volatile void *(*find)(struct store_conn *conn);
    /* False: it is being changed at this moment. Any thread. */
    bool (*glance)(const volatile void *place, struct stamp_glance *ret);
    /* Goes up with whatever `conn` has written; on its thread only. */
    int64_t (*written)(struct store_conn *conn);
};

extern const struct stamp_watch stamp_sqlite;

/* The counters know of everything up to `seen`. While the database looks like that they hold; when
 * it does not, this process's writer has committed and will tell what (stamps_settle()), or another
 * process has written, and then everything may have changed. */
struct stamps {
    const struct stamp_watch *watch;
    const volatile void *place; /* NULL: nothing can be seen, so no answer holds */
    struct store_conn *conn;
    int64_t written; /* when the writer began; its own */
    struct lock lock;
    /* under the lock */
    struct stamp_glance seen;
    bool writing;
    uint64_t all, of[STAMP_SHARDS];
};

void stamps_init(struct stamps *stamps); /* zeroed before */
void stamps_done(struct stamps *stamps);
/* Before the first use of the others; `conn` is the one that writes. Without it stamps_of() is
 * always 0. */
void stamps_watch(struct stamps *stamps, const struct stamp_watch *watch, struct store_conn *conn);

/* See store_stamp(). Any thread. */
uint64_t stamps_of(struct stamps *stamps, const struct guid *id);

/* The writer: it has the database's write lock, or is about to tidy up. */
void stamps_begin(struct stamps *stamps);
/* It has committed, and this is what may have changed (NULL: anything). Not earlier: who took the
 * new stamp and read before the commit would keep what was. */
void stamps_touch(struct stamps *stamps, const struct guid *id);
/* All that it has changed was told. */
void stamps_settle(struct stamps *stamps, bool committed);

#endif
