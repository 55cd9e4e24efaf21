/* src/proc/removal_impl.h -- the remover, as its own files see it. */
#ifndef PROC_REMOVAL_IMPL_H
#define PROC_REMOVAL_IMPL_H

#include <pthread.h>

#include "base/thread.h"
#include "proc/removal.h"

TAILQ_HEAD(removals, removal);
TAILQ_HEAD(removal_batches, removal_batch);

struct remover {
    struct remover_spec spec;
    pthread_t thread;
    struct lock lock;
    struct removals removals; /* deletions that are under way, … */
    struct removal_batches batches;
    pthread_cond_t wake;
    bool stopping;
    bool unfinished;        /* something in DELETING is to be tried again */
    int64_t next_ms;        /* UTC: when the next report expires; 0: none is known to */
    int64_t swept_ms;       /* monotonic */
    size_t running;         /* removals that the remover itself has begun */
    struct histogram times; /* of those that users have */
};

/* Stop the query of a report that is marked, remove its files, and call item->cleared. From here on
 * the reference is dead; the state it was in decides what is left to do. `attempt`: 0 if it has no
 * files. */
void removal_clear_away(struct removal_item *item, enum report_state was, int attempt);
/* Left in DELETING: the thread tries again, and so does every start. */
void removal_leave_unfinished(struct remover *remover, const struct err *err);
/* Nothing is left of it. `timed`: a user has asked for it. */
void removal_all_gone(struct remover *remover, const struct guid *id, int64_t began_us, bool timed);

#endif
