/* src/proc/deletion_impl.h -- the purger, as its own files see it. */
#pragma once

#include <pthread.h>

#include "base/thread.h"
#include "proc/deletion.h"

TAILQ_HEAD(deletions, deletion);
TAILQ_HEAD(deletion_batches, deletion_batch);

struct purger {
    struct purger_spec spec;
    pthread_t thread;
    struct lock lock;
    struct deletions deletions; /* deletions in progress, … */
    struct deletion_batches batches;
    pthread_cond_t wake;
    bool stopping;
    bool unfinished;        /* something in DELETING has to be retried */
    bool removing;          /* the thread's: a user is being removed */
    int64_t next_ms;        /* UTC: when the next report expires; 0: none is known to */
    int64_t swept_ms;       /* monotonic */
    size_t running;         /* deletions that the purger itself has begun */
    struct histogram times; /* of those that users have */
};

/* Stop the query of a report that is marked, remove its files, and call item->cleared. Its
 * reference is dead already; the state it was in decides what is left to do. `attempt`: 0 if it has
 * no files. */
void deletion_clear_away(struct deletion_item *item, enum report_state was, int attempt);
/* The state that decides, of a report that was in `was`: one that was ended in error, since its
 * user may not run it any more, is PROCESSING as long as its query is `held`. */
static inline enum report_state deletion_state(enum report_state was, bool held)
{
    return was == REPORT_ERROR && held ? REPORT_PROCESSING : was;
}
/* Left in DELETING: the thread tries again, and so does every start. */
void deletion_leave_unfinished(struct purger *purger, const struct err *err);
/* Nothing is left of a report. */
struct deletion_gone {
    const struct guid *id;
    const char *user, *name; /* whose, and its type; "": unknown */
};
void deletion_all_gone(struct purger *purger, const struct deletion_gone *gone,
                       const struct deletion_asker *asker, int64_t began_us);
