/* src/proc/auditor.c -- audits in the background while the server runs. */
#include "proc/auditor.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    EVERY_MS = 60 * 1000,
    REST = 100, /* times as long as the audit took, at least */
};

struct auditor {
    struct audit_spec spec;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping;
    struct auditor_counts counts;
};

/* False: the end has come. */
static bool pause_for(void *context, int64_t ms)
{
    struct auditor *auditor = context;
    int64_t until_ms = clock_mono_ms() + ms;
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    bool go;
    int rc = 0;

    pthread_mutex_lock(&auditor->mutex);
    while (!auditor->stopping && rc == 0)
        rc = pthread_cond_timedwait(&auditor->wake, &auditor->mutex, &until);
    go = !auditor->stopping;
    pthread_mutex_unlock(&auditor->mutex);
    return go;
}

static void take_counts(struct auditor *auditor, const struct audit *audit)
{
    int64_t before, after = (int64_t)audit->count;

    pthread_mutex_lock(&auditor->mutex);
    before = 0;
    for (int i = 0; i < AUDIT_KIND_COUNT; i++) {
        before += auditor->counts.findings[i];
        auditor->counts.findings[i] = audit->counts[i];
    }
    auditor->counts.audits++;
    pthread_mutex_unlock(&auditor->mutex);
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

static int start_thread(struct auditor *auditor, struct err *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&auditor->thread, NULL, auditor_thread, auditor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, -E_NOMEM, "can't start the auditor's thread");
    pthread_setname_np(auditor->thread, "auditor");
    return 0;
}

static void free_all(struct auditor *auditor)
{
    pthread_cond_destroy(&auditor->wake);
    pthread_mutex_destroy(&auditor->mutex);
    free(auditor);
}

int auditor_new(struct store *store, struct spool *spool, int64_t grace_ms, struct auditor **ret,
                struct err *err)
{
    struct auditor *auditor = calloc(1, sizeof(*auditor));
    pthread_condattr_t attributes;
    int rc;

    if (auditor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    auditor->spec = (struct audit_spec){.store = store,
                                        .spool = spool,
                                        .serving = true,
                                        .grace_ms = grace_ms,
                                        .pause = pause_for,
                                        .context = auditor};
    pthread_mutex_init(&auditor->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&auditor->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    rc = start_thread(auditor, err);
    if (rc < 0) {
        free_all(auditor);
        return rc;
    }
    *ret = auditor;
    return 0;
}

void auditor_free(struct auditor *auditor)
{
    if (auditor == NULL)
        return;
    pthread_mutex_lock(&auditor->mutex);
    auditor->stopping = true;
    pthread_cond_signal(&auditor->wake);
    pthread_mutex_unlock(&auditor->mutex);
    pthread_join(auditor->thread, NULL);
    free_all(auditor);
}

void auditor_counts(struct auditor *auditor, struct auditor_counts *ret)
{
    pthread_mutex_lock(&auditor->mutex);
    *ret = auditor->counts;
    pthread_mutex_unlock(&auditor->mutex);
}
