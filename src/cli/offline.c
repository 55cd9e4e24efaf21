/* src/cli/offline.c -- opens a configuration's store and spool; whether a server is using them; the
 * progress of long verbs. */
#include "cli/offline.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

enum { TELL_EVERY_MS = 2000 };

int offline_check_nodes(struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_NODES};

    if (store_ask(store, &op, err) < 0)
        return err->code;
    if (op.nodes.count == 0)
        return 0;
    return err_set(err, -E_BUSY,
                   "%" PRId64 " nodes use this store: they purge, finish deletions and take over "
                   "reports by themselves; stop them first (the lease of one that was killed runs "
                   "out in %" PRId64 " s)",
                   op.nodes.count, op.nodes.wait_ms / 1000 + 1);
}

int offline_open_store(const struct config *config, struct store_spec how, struct store **ret,
                       struct err *err)
{
    how.url = config->store.text;
    how.erase_key = config->erase_key_file.text;
    return store_open(&how, ret, err);
}

int offline_open_spool(const struct config *config, struct spool **ret, struct err *err)
{
    const struct spool_spec spec = {.place = config->spool.text,
                                    .store = config->store.text,
                                    .temp = config->temp.text,
                                    .existing = true};

    return spool_open(&spec, ret, err);
}

int offline_lock_spool(struct spool *spool, struct err *err)
{
    int rc = spool_lock(spool, err);

    if (rc == 0)
        return err_set(err, -E_BUSY, "another reportd is using the folder '%s'; stop it first",
                       spool_temp_folder(spool));
    return rc < 0 ? rc : 0;
}

void offline_tell(void *progress, const char *what, int64_t done, int64_t total)
{
    struct offline_progress *p = progress;
    int64_t now_ms = clock_mono_ms();

    if (p->told_ms == 0)
        p->told_ms = now_ms;
    if (now_ms - p->told_ms < TELL_EVERY_MS)
        return;
    p->told_ms = now_ms;
    fprintf(stderr, "reportd %s: %" PRId64 " of %" PRId64 " %s\n", p->verb, done, total, what);
}
