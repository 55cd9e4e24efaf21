/* src/proc/migrate.h -- an embedded store and its results move to PostgreSQL: copied, compared, and
 * then erased where they were, so that a report that is deleted from then on is nowhere. */
#pragma once

#include "proc/backup.h"
#include "store/move.h"

struct migrate_spec {
    struct store *from, *to;             /* opened with `moving`, `from` alone */
    struct spool *from_spool, *to_spool; /* of each; the caller has their locks */
    backup_progress_fn *progress;
    void *context;
};
struct migrate_counts {
    struct store_moved rows;
    int64_t results, bytes; /* that the spool of `to` got, as they are stored */
};

/* Everything but the store's own file, which store_move_leave() erases when this has come to its
 * end. May be killed anywhere and run again. What fails is as it was before, or is finished, or
 * undone, by another run. -E_EXISTS, -E_STORE, -E_SPOOL, -E_NOMEM. */
int migrate_run(const struct migrate_spec *spec, struct migrate_counts *ret, struct err *err);
/* Erase what an unfinished migration has brought to `to`; servers may use `from` again. -E_EXISTS:
 * it is finished. */
int migrate_undo(const struct migrate_spec *spec, struct err *err);
