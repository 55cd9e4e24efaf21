/* src/proc/auditor.c -- audits in the background while the server runs. */
#include "proc/auditor.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

enum {
    EVERY_MS = 60 * 1000,
    REST = 100, /* times as long as the audit took, at least */
};

struct auditor {
    struct audit_spec spec;
    pthread_t thread;
    struct lock lock;
    pthread_cond_t wake;
    bool stopping;
    struct auditor_counts counts;
};

/* False: the end has come. */
static bool pause_for(void *context, int64_t ms)
{
    struct auditor *auditor = context;
    int64_t until_ms = clock_mono_ms() + ms;
    bool go, early = true;

    lock_take(&auditor->lock);
    while (!auditor->stopping && early)
        early = lock_wait_until(&auditor->lock, &auditor->wake, until_ms);
    go = !auditor->stopping;
    lock_release(&auditor->lock);
    return go;
}

static void take_counts(struct auditor *auditor, const struct audit *audit)
{
    int64_t before, after = (int64_t)audit->count;

    lock_take(&auditor->lock);
    before = 0;
    for (int i = 0; i < AUDIT_KIND_COUNT; i++) {
        before += auditor->counts.findings[i];
        auditor->counts.findings[i] = audit->counts[i];
    }
    auditor->counts.audits++;
    lock_release(&auditor->lock);
    if (after != before) /* each is in the metrics; `reportd fsck` names them */
        log_warn("audit.findings", "now=%ld before=%ld", (long)after, (long)before);
}

static void *auditor_thread(void *arg)
{
    struct auditor *auditor = arg;
    int64_t rest_ms;

    do {
        int64_t began_ms = clock_mono_ms();
        struct audit audit;
        struct err err = {0};
        int rc = audit_run(&auditor->spec, &audit, &err);

        if (rc == 0) {
            take_counts(auditor, &audit);
            audit_done(&audit);
        } else if (rc != -E_CANCELLED) {
            log_error("audit.failed", "error=%s detail=%s", err.text, err.detail);
        }
        rest_ms = REST * (clock_mono_ms() - began_ms);
    } while (pause_for(auditor, rest_ms > EVERY_MS ? rest_ms : EVERY_MS));
    return NULL;
}

static void free_all(struct auditor *auditor)
{
    pthread_cond_destroy(&auditor->wake);
    lock_done(&auditor->lock);
    free(auditor);
}

int auditor_new(struct store *store, struct spool *spool, int64_t grace_ms, struct auditor **ret,
                struct err *err)
{
    struct auditor *auditor = calloc(1, sizeof(*auditor));

    if (auditor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    auditor->spec = (struct audit_spec){.store = store,
                                        .spool = spool,
                                        .serving = true,
                                        .grace_ms = grace_ms,
                                        .pause = pause_for,
                                        .context = auditor};
    lock_init(&auditor->lock);
    lock_cond_init(&auditor->wake);
    if (thread_start(&auditor->thread, "auditor", auditor_thread, auditor) != 0) {
        free_all(auditor);
        return err_set(err, -E_NOMEM, "can't start the auditor's thread");
    }
    *ret = auditor;
    return 0;
}

void auditor_free(struct auditor *auditor)
{
    if (auditor == NULL)
        return;
    lock_take(&auditor->lock);
    auditor->stopping = true;
    pthread_cond_signal(&auditor->wake);
    lock_release(&auditor->lock);
    pthread_join(auditor->thread, NULL);
    free_all(auditor);
}

void auditor_counts(struct auditor *auditor, struct auditor_counts *ret)
{
    lock_take(&auditor->lock);
    *ret = auditor->counts;
    lock_release(&auditor->lock);
}
