/* src/proc/audit.c -- compares rows with files, files with rows, and states with the clock; and the
 * server's own audits in the background. */
#include "proc/audit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/places.h"
#include "proc/backup.h"
#include "proc/recovery.h"
#include "spool/seal.h"

enum { LOOK_AGAIN_MS = 300 };

static struct log_trouble audit_trouble = LOG_TROUBLE("audit.failed");

/* One pass over everything. */
struct audit_walk {
    const struct audit_spec *spec;
    struct audit *audit;
    size_t cap;
    int64_t now_ms;
    int rc; /* the first failure; nothing more is checked after it */
    struct err *err;
};

static const struct {
    const char *name, *what;
} kinds[AUDIT_KIND_COUNT] = {
#define X(kind, text, words) [AUDIT_##kind] = {text, words},
    AUDIT_KINDS(X)
#undef X
};

const char *audit_kind_name(enum audit_kind kind)
{
    return kinds[kind].name;
}

const char *audit_kind_what(enum audit_kind kind)
{
    return kinds[kind].what;
}

/* ---- findings ---- */

static void add_finding(struct audit_walk *walk, const struct audit_finding *finding)
{
    struct audit *audit = walk->audit;

    if (audit->count == AUDIT_FINDINGS_MAX) {
        audit->cut = true;
        return;
    }
    if (array_grow(&audit->findings, audit->count, &walk->cap, sizeof(*finding)))
        audit->findings[audit->count++] = *finding;
    else
        walk->rc = err_set(walk->err, -E_NOMEM, "out of memory");
}

/* By kind, then reference, then whatever else distinguishes two findings. */
static int compare_findings(const void *left, const void *right)
{
    const struct audit_finding *a = left, *b = right;
    int order = (a->kind > b->kind) - (a->kind < b->kind);

    if (order == 0)
        order = memcmp(a->id.bytes, b->id.bytes, GUID_BYTES);
    if (order == 0)
        order = (a->attempt > b->attempt) - (a->attempt < b->attempt);
    if (order == 0)
        order = (a->state > b->state) - (a->state < b->state);
    return order != 0 ? order : strcmp(a->name, b->name);
}

/* Keep the findings that are in both lists; both are sorted. */
static void keep_common(struct audit *audit, const struct audit *again)
{
    size_t kept = 0, j = 0;

    for (size_t i = 0; i < audit->count; i++) {
        while (j < again->count && compare_findings(&again->findings[j], &audit->findings[i]) < 0)
            j++;
        if (j < again->count && compare_findings(&again->findings[j], &audit->findings[i]) == 0)
            audit->findings[kept++] = audit->findings[i];
    }
    audit->count = kept;
    audit->cut = audit->cut && again->cut;
}

static void count_kinds(struct audit *audit)
{
    memset(audit->counts, 0, sizeof(audit->counts));
    for (size_t i = 0; i < audit->count; i++)
        audit->counts[audit->findings[i].kind]++;
}

/* False: the walk failed, or the server that it belongs to is stopping. */
static bool walk_goes_on(struct audit_walk *walk)
{
    const struct audit_spec *spec = walk->spec;

    if (walk->rc == 0 && spec->serving && !spec->pause(spec->context, 0))
        walk->rc = err_set(walk->err, -E_CANCELLED, "the audit was stopped");
    return walk->rc == 0;
}

/* ---- rows ---- */

/* -E_NOT_FOUND: there is none. */
static int64_t result_size(struct audit_walk *walk, const struct store_scanned *report)
{
    struct err err;
    int64_t size = spool_result_size(walk->spec->spool, &report->id, report->attempt, &err);

    if (size < 0 && size != -E_NOT_FOUND) {
        walk->rc = (int)size;
        if (walk->err != NULL)
            *walk->err = err;
    }
    return size;
}

static void check_result(struct audit_walk *walk, const struct store_scanned *report,
                         struct audit_finding *finding)
{
    finding->bytes = seal_stored_size(report->bytes, report->sealed);
    finding->file_bytes = report->in_row ? report->row_bytes : result_size(walk, report);
    walk->audit->filed += !report->in_row;
    if (finding->file_bytes == finding->bytes || walk->rc < 0)
        return;
    finding->kind = finding->file_bytes < 0 ? AUDIT_LOST_RESULT : AUDIT_WRONG_SIZE;
    add_finding(walk, finding);
}

/* A report that is being generated has its file from the claim to the end; on another node it has a
 * lease, which the nodes check themselves. */
static bool report_is_running(struct audit_walk *walk, const struct store_scanned *report)
{
    return walk->spec->serving &&
           (store_is_shared(walk->spec->store) ||
            spool_has_part(walk->spec->spool, &report->id, report->attempt) ||
            result_size(walk, report) >= 0);
}

static void check_report(struct audit_walk *walk, const struct store_scanned *report)
{
    struct audit_finding finding = {
        .id = report->id, .attempt = report->attempt, .state = report->state};

    if (report->locked) {
        finding.kind = AUDIT_LOCKED;
        add_finding(walk, &finding);
    }
    if (report->state == REPORT_COMPLETE)
        walk->audit->bytes += report->in_row ? report->row_bytes : report->bytes;
    if (report->state == REPORT_COMPLETE)
        check_result(walk, report, &finding);
    if (report->expires_ms != 0 && report->expires_ms <= walk->now_ms) {
        finding.kind = AUDIT_EXPIRED;
        add_finding(walk, &finding);
    }
    if (report->state == REPORT_DELETING ||
        (report->state == REPORT_PROCESSING && !report_is_running(walk, report))) {
        finding.kind = AUDIT_STUCK;
        add_finding(walk, &finding);
    }
}

/* A store_page_fn. */
static int check_scanned(void *context, const struct store_scanned *reports, size_t count,
                         struct err *err)
{
    struct audit_walk *walk = context;

    (void)err; /* that of the walk is used */
    for (size_t i = 0; i < count && walk_goes_on(walk); i++)
        check_report(walk, &reports[i]);
    walk->audit->reports += (int64_t)count;
    return walk->rc;
}

static void fsck_rows(struct audit_walk *walk)
{
    walk->rc = store_scan_pages(walk->spec->store, check_scanned, walk, walk->err);
}

/* ---- files ---- */

static void check_file(void *context, const struct spool_file *file)
{
    struct audit_walk *walk = context;
    struct store_op op = {.verb = STORE_FIND, .find = {.id = file->id}};
    struct audit_finding finding = {
        .kind = AUDIT_ORPHAN_FILE, .id = file->id, .attempt = file->attempt};
    bool explained;

    if (!walk_goes_on(walk))
        return;
    if (file->kind == SPOOL_TEMPORARY) {
        explained = walk->spec->serving; /* of a running query */
    } else {
        walk->rc = store_ask(walk->spec->store, &op, walk->err);
        explained = walk->rc < 0 || recovery_needs(&op.find, file);
        store_op_done(&op);
    }
    str_copy(finding.name, sizeof(finding.name), file->name);
    walk->audit->results += file->kind == SPOOL_RESULT;
    walk->audit->ours += file->kind == SPOOL_RESULT && explained;
    if (!explained)
        add_finding(walk, &finding);
}

/* A killed restore leaves a store that contains every report. */
static void check_left(void *context, const char *path)
{
    struct audit_walk *walk = context;
    const char *slash = strrchr(path, '/');
    struct audit_finding finding = {.kind = AUDIT_ORPHAN_FILE};

    str_copy(finding.name, sizeof(finding.name), slash != NULL ? slash + 1 : path);
    add_finding(walk, &finding);
}

static void fsck_files(struct audit_walk *walk)
{
    walk->audit->files = spool_each(walk->spec->spool, check_file, walk, walk->err);
    if (walk->rc == 0 && walk->audit->files < 0)
        walk->rc = (int)walk->audit->files;
}

static void fsck_restores(struct audit_walk *walk)
{
    if (walk->spec->store_path != NULL)
        restore_each_left(walk->spec->store_path, check_left, walk);
}

/* ---- the whole audit ---- */

/* Each place of a report has a function here; several may share one. */
static void fsck_nothing(struct audit_walk *walk)
{
    (void)walk;
}

static void (*const looks[])(struct audit_walk *walk) = {
#define X(name, stores, where, made, what, erased, lasts, fsck, seams, tests) fsck,
    REPORT_PLACES(X)
#undef X
};

static bool was_called(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (looks[i] == looks[at])
            return true;
    return false;
}

static int audit_once(const struct audit_spec *spec, struct audit *ret, struct err *err)
{
    struct audit audit = {0};
    struct audit_walk walk = {
        .spec = spec, .audit = &audit, .now_ms = store_now_ms(spec->store), .err = err};

    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]) && walk.rc == 0; i++)
        if (!was_called(i))
            looks[i](&walk);
    if (walk.rc < 0) {
        audit_done(&audit);
        return walk.rc;
    }
    if (audit.count > 0)
        qsort(audit.findings, audit.count, sizeof(audit.findings[0]), compare_findings);
    *ret = audit;
    return 0;
}

/* Repeat the audit until no finding is left or the grace period is over. */
static int confirm_findings(const struct audit_spec *spec, struct audit *audit, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + spec->grace_ms;

    while (audit->count > 0 && clock_mono_ms() < deadline_ms) {
        struct audit again;
        int rc;

        if (!spec->pause(spec->context, LOOK_AGAIN_MS))
            return err_set(err, -E_CANCELLED, "the audit was stopped");
        rc = audit_once(spec, &again, err);
        if (rc < 0)
            return rc;
        keep_common(audit, &again);
        audit_done(&again);
    }
    return 0;
}

int audit_run(const struct audit_spec *spec, struct audit *ret, struct err *err)
{
    struct audit audit;
    int rc = audit_once(spec, &audit, err);

    if (rc < 0)
        return rc;
    if (spec->serving)
        rc = confirm_findings(spec, &audit, err);
    if (rc < 0) {
        audit_done(&audit);
        return rc;
    }
    count_kinds(&audit);
    *ret = audit;
    return 0;
}

void audit_done(struct audit *audit)
{
    if (audit == NULL)
        return;
    free(audit->findings);
    *audit = (struct audit){0};
}

void audit_message(const struct audit_finding *finding, char *out, size_t cap)
{
    switch (finding->kind) {
    case AUDIT_ORPHAN_FILE:
        snprintf(out, cap, "no report explains the file %s", finding->name);
        break;
    case AUDIT_LOST_RESULT:
        snprintf(out, cap, "complete, but the result of attempt %d is missing", finding->attempt);
        break;
    case AUDIT_WRONG_SIZE:
        snprintf(out, cap, "complete, but its result has %lld bytes in place of %lld",
                 (long long)finding->file_bytes, (long long)finding->bytes);
        break;
    case AUDIT_LOCKED:
        snprintf(out, cap, "%s, but no key of erase.key opens it",
                 report_state_name(finding->state));
        break;
    case AUDIT_STUCK:
        snprintf(out, cap, "%s, attempt %d, but it is not being worked on",
                 report_state_name(finding->state), finding->attempt);
        break;
    default:
        snprintf(out, cap, "%s and past its retention, but not purged",
                 report_state_name(finding->state));
        break;
    }
}

/* ---- repair ---- */

static bool is_to_be_deleted(const struct audit_finding *finding)
{
    return finding->kind == AUDIT_LOST_RESULT || finding->kind == AUDIT_WRONG_SIZE ||
           finding->kind == AUDIT_LOCKED || finding->kind == AUDIT_EXPIRED;
}

/* Reports that are being deleted, at most STORE_BATCH_MAX. */
struct doomed {
    struct store_marked reports[STORE_BATCH_MAX];
    size_t count;
};

/* The reference is dead; if it was before, clear_all() deletes the row. */
static int mark_report(const struct audit_spec *spec, struct store_marked *report, struct err *err)
{
    struct store_op op = {.verb = STORE_TOMBSTONE,
                          .tombstone = {.id = report->id, .name = report->name}};
    int rc = store_ask(spec->store, &op, err);

    report->found = op.tombstone.found;
    report->in_row = op.tombstone.in_row;
    report->attempt = op.tombstone.attempt;
    return rc;
}

static int remove_doomed_files(const struct audit_spec *spec, const struct store_marked *report,
                               struct audit_repair *ret, struct err *err)
{
    struct spool_op op = {.verb = SPOOL_REMOVE, .id = report->id, .attempt = report->attempt};
    struct err ignored;

    if (report->attempt == 0 || report->in_row)
        return 0;
    ret->files +=
        spool_result_size(spec->spool, &report->id, report->attempt, &ignored) >= 0 ? 1 : 0;
    if (spool_run(spec->spool, &op) == 0)
        return 0;
    *err = op.err;
    return op.rc;
}

/* Their files are gone. The rows are deleted one by one, for which a full disk has room. */
static int drop_rows(const struct audit_spec *spec, struct ledger *ledger, struct doomed *doomed,
                     struct audit_repair *ret, struct err *err)
{
    struct guid ids[STORE_BATCH_MAX];
    struct ledger_op record = {.ids = ids, .count = doomed->count};

    for (size_t i = 0; i < doomed->count; i++)
        ids[i] = doomed->reports[i].id;
    if (ledger_run(ledger, &record) < 0) {
        *err = record.err;
        return record.rc;
    }
    for (size_t i = 0; i < doomed->count; i++) {
        struct store_marked *report = &doomed->reports[i];
        struct store_op op = {.verb = STORE_DELETE_ROW};

        op.delete_row = (struct store_delete_row){
            .id = ids[i], .counted = record.counted, .user = report->user};
        if (store_ask(spec->store, &op, err) < 0)
            return err->code;
        trail_record_purge(spec->trail, &report->id, report->user, report->name);
        ret->deleted++;
    }
    return 0;
}

/* In the order of a deletion: the references are dead; the files are removed; the ledger records
 * them; then the rows are deleted. */
static int purge_doomed(const struct audit_spec *spec, struct ledger *ledger, struct doomed *doomed,
                        struct audit_repair *ret, struct err *err)
{
    size_t found = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < doomed->count; i++) {
        rc = mark_report(spec, &doomed->reports[i], err);
        if (doomed->reports[i].found)
            doomed->reports[found++] = doomed->reports[i];
    }
    doomed->count = found;
    for (size_t i = 0; rc == 0 && i < found; i++)
        rc = remove_doomed_files(spec, &doomed->reports[i], ret, err);
    return rc == 0 && found > 0 ? drop_rows(spec, ledger, doomed, ret, err) : rc;
}

static int purge_bad(const struct audit_spec *spec, const struct audit *audit,
                     struct ledger *ledger, struct audit_repair *ret, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < audit->count;) {
        struct doomed doomed = {.count = 0};

        for (; i < audit->count && doomed.count < STORE_BATCH_MAX; i++) {
            if (is_to_be_deleted(&audit->findings[i]))
                doomed.reports[doomed.count++].id = audit->findings[i].id;
        }
        rc = purge_doomed(spec, ledger, &doomed, ret, err);
    }
    return rc;
}

/* Delete, batch by batch, all reports that have expired, or the rows in DELETING that a crash has
 * left; the types of these are no longer known. */
static int clear_all(const struct audit_spec *spec, struct ledger *ledger, enum store_verb which,
                     struct audit_repair *ret, struct err *err)
{
    bool expired = which == STORE_EXPIRED;
    struct store_ref refs[STORE_BATCH_MAX];
    size_t count;
    int rc;

    do {
        struct store_op op = {.verb = which};
        struct doomed doomed = {.count = 0};

        if (expired)
            op.expired = (struct store_expired){.refs = refs, .now_ms = store_now_ms(spec->store)};
        else
            op.deleting.refs = refs;
        rc = store_ask(spec->store, &op, err);
        count = rc < 0 ? 0 : expired ? op.expired.count : op.deleting.count;
        for (size_t i = 0; i < count; i++)
            doomed.reports[doomed.count++].id = refs[i].id;
        rc = rc ?: (expired ? purge_doomed : drop_rows)(spec, ledger, &doomed, ret, err);
    } while (rc == 0 && count > 0);
    return rc;
}

/* Finish the deletions that a crash has interrupted, and remove the users that have no report left.
 */
static int finish_marked(const struct audit_spec *spec, struct ledger *ledger,
                         struct audit_repair *ret, struct err *err)
{
    struct store_op drop = {.verb = STORE_USER_DROP};
    struct recovery recovery = {0};
    int rc = recovery_run(spec->store, spec->spool, "local", &recovery, err)
                 ?: clear_all(spec, ledger, STORE_DELETING, ret, err)
                 ?: store_ask(spec->store, &drop, err);

    ret->requeued += recovery.requeued;
    ret->files += recovery.removed;
    return rc;
}

int audit_repair(const struct audit_spec *spec, const struct audit *audit, struct ledger *ledger,
                 struct audit_repair *ret, struct err *err)
{
    *ret = (struct audit_repair){0};
    if (spec->store_path != NULL)
        restore_clear(spec->store_path);
    return purge_bad(spec, audit, ledger, ret, err) ?: finish_marked(spec, ledger, ret, err);
}

int audit_purge(const struct audit_spec *spec, struct ledger *ledger, struct err *err)
{
    struct audit_repair done = {0};

    return clear_all(spec, ledger, STORE_EXPIRED, &done, err)
               ?: finish_marked(spec, ledger, &done, err);
}

/* ---- the server's own audits ---- */

enum {
    EVERY_MS = 60 * 1000,
    REST = 100, /* the rest is at least this many times as long as the audit took */
};

struct auditor {
    struct audit_spec spec;
    atomic_llong grace_ms; /* grace period of the next audit */
    pthread_t thread;
    struct lock lock;
    pthread_cond_t wake;
    bool stopping;
    struct auditor_counts counts;
};

/* False: the thread has to end. */
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
    auditor->counts.bytes = audit->bytes;
    lock_release(&auditor->lock);
    if (after != before) /* each finding is in the metrics; `reportd fsck` names them */
        log_warn("audit.findings", "now=%ld before=%ld", (long)after, (long)before);
}

/* On this thread, since a file server may hang. */
static void measure_disks(struct auditor *auditor)
{
    for (int i = 0; i < AUDITOR_DISKS; i++) {
        struct auditor_disk *disk = &auditor->counts.disks[i];
        struct statvfs vfs;

        if (disk->path == NULL || statvfs(disk->path, &vfs) != 0)
            continue;
        lock_take(&auditor->lock);
        disk->free = (int64_t)(vfs.f_bavail * vfs.f_frsize);
        disk->size = (int64_t)(vfs.f_blocks * vfs.f_frsize);
        lock_release(&auditor->lock);
    }
}

/* The disks are measured meanwhile. False: the thread has to end. */
static bool rest(struct auditor *auditor, int64_t rest_ms)
{
    bool go;

    do {
        go = pause_for(auditor, EVERY_MS);
        if (go)
            measure_disks(auditor);
        rest_ms -= EVERY_MS;
    } while (go && rest_ms > 0);
    return go;
}

static void *auditor_thread(void *arg)
{
    struct auditor *auditor = arg;
    int64_t rest_ms;

    measure_disks(auditor);
    do {
        int64_t began_ms = clock_mono_ms();
        struct audit audit;
        struct err err = {0};
        int rc;

        auditor->spec.grace_ms = atomic_load(&auditor->grace_ms);
        rc = audit_run(&auditor->spec, &audit, &err);
        if (rc == 0) {
            log_trouble_over(&audit_trouble);
            take_counts(auditor, &audit);
            audit_done(&audit);
        } else if (rc != -E_CANCELLED) {
            log_trouble(&audit_trouble, &err);
        }
        rest_ms = REST * (clock_mono_ms() - began_ms);
    } while (rest(auditor, rest_ms));
    return NULL;
}

static void free_auditor(struct auditor *auditor)
{
    pthread_cond_destroy(&auditor->wake);
    lock_done(&auditor->lock);
    free(auditor);
}

void auditor_set_grace(struct auditor *auditor, int64_t grace_ms)
{
    atomic_store(&auditor->grace_ms, grace_ms);
}

int auditor_new(const struct auditor_spec *spec, struct auditor **ret, struct err *err)
{
    struct auditor *auditor = calloc(1, sizeof(*auditor));

    if (auditor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    auditor->spec = (struct audit_spec){.store = spec->store,
                                        .spool = spec->spool,
                                        .serving = true,
                                        .pause = pause_for,
                                        .context = auditor};
    atomic_init(&auditor->grace_ms, spec->grace_ms);
    memcpy(auditor->counts.disks, spec->disks, sizeof(spec->disks));
    lock_init(&auditor->lock);
    lock_cond_init(&auditor->wake);
    if (thread_start(&auditor->thread, "auditor", auditor_thread, auditor) != 0) {
        free_auditor(auditor);
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
    free_auditor(auditor);
}

void auditor_counts(struct auditor *auditor, struct auditor_counts *ret)
{
    lock_take(&auditor->lock);
    *ret = auditor->counts;
    lock_release(&auditor->lock);
}
