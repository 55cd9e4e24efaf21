/* src/proc/audit.h -- do rows, files and states agree? What does not is a finding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/report.h"
#include "core/trail.h"
#include "proc/ledger.h"
#include "spool/spool.h"
#include "store/store.h"

/* One table makes the enum, the names, what the verb prints and the metrics. */
#define AUDIT_KINDS(X)                                                                             \
    X(ORPHAN_FILE, "orphan-file", "files that no report explains")                                 \
    X(LOST_RESULT, "lost-result", "complete reports without their result")                         \
    X(WRONG_SIZE, "wrong-size", "complete reports whose result has another size")                  \
    X(LOCKED, "locked", "reports that no key of erase.key opens: they keep old keys in use")       \
    X(STUCK, "stuck", "reports that are no longer being generated or deleted")                     \
    X(EXPIRED, "expired", "reports past their retention")

enum audit_kind {
#define X(name, text, what) AUDIT_##name,
    AUDIT_KINDS(X)
#undef X
        AUDIT_KIND_COUNT
};

enum {
    AUDIT_NAME_MAX = 96,             /* bytes of a file name that a finding keeps */
    AUDIT_FINDINGS_MAX = 100 * 1000, /* findings that are kept */
};

struct audit_finding {
    enum audit_kind kind;
    struct guid id; /* zero for a temporary file */
    int attempt;
    enum report_state state;   /* of the report, if there is one */
    int64_t bytes, file_bytes; /* WRONG_SIZE: as they should be, as they are */
    char name[AUDIT_NAME_MAX]; /* ORPHAN_FILE: in the spool */
};

struct audit {
    int64_t reports, files; /* looked at */
    int64_t filed;          /* complete reports whose result is, or should be, a file */
    int64_t bytes;          /* of complete reports' results, as they are kept */
    int64_t results, ours;  /* files that are results; those of them that a report explains */
    int64_t counts[AUDIT_KIND_COUNT];
    struct audit_finding *findings; /* owned, in order */
    size_t count;
    bool cut; /* there are more than AUDIT_FINDINGS_MAX */
};

/* While a server runs, rows and files are always changing: a file is renamed before its row says
 * complete, a deletion takes its steps. So with `serving` a finding must be there in every audit
 * during `grace_ms`; without a server one audit is enough, and whatever is processing is stuck. */
struct audit_spec {
    struct store *store;
    struct spool *spool;
    const char *store_path; /* of an embedded store whose lock the caller has; else NULL */
    struct trail *trail;    /* gets a line for each report that a repair deletes; may be NULL */
    bool serving;
    int64_t grace_ms;
    /* Between audits, and with 0 before each report and file: wait so long; false: give up
     * (-E_CANCELLED). Only with `serving`. */
    bool (*pause)(void *context, int64_t ms);
    void *context;
};

/* Look. Memory grows with the findings alone, and every read of the store is short. *ret is filled
 * on success: audit_done() it. -E_STORE, -E_SPOOL, -E_NOMEM, -E_CANCELLED. */
int audit_run(const struct audit_spec *spec, struct audit *ret, struct err *err);
void audit_done(struct audit *audit); /* NULL is fine */

const char *audit_kind_name(enum audit_kind kind); /* static */
const char *audit_kind_what(enum audit_kind kind); /* static */
/* What is wrong; no parameter or result is in it. */
void audit_message(const struct audit_finding *finding, char *out, size_t cap);

struct audit_repair {
    int64_t requeued, deleted, files;
};

/* Repair what `audit` has found: a running report is requeued, files without a report are removed,
 * deletions are finished; an expired report, one that no key opens, and a complete one whose file
 * is missing or incomplete, is deleted as by DELETE, since it cannot be generated again on behalf
 * of its user. The caller has the locks of store and spool. */
int audit_repair(const struct audit_spec *spec, const struct audit *audit, struct ledger *ledger,
                 struct audit_repair *ret, struct err *err);
/* The same without an audit, for what a server would purge: what has expired, and users that were
 * removed. */
int audit_purge(const struct audit_spec *spec, struct ledger *ledger, struct err *err);

/* The server's own audit: a thread that runs it every minute and counts the findings. */
struct auditor;

/* A file system that is measured every minute: what the store, the spool, temporary files and
 * the ledger are in. */
enum { AUDITOR_DISKS = 4 };
struct auditor_disk {
    const char *name,
        *path; /* of a file or folder, borrowed; NULL: it is not on a disk of this machine */
    int64_t free, size; /* bytes, measured; a size of 0: not yet */
};

struct auditor_spec {
    struct store *store;
    struct spool *spool;
    int64_t grace_ms; /* as in struct audit_spec */
    struct auditor_disk disks[AUDITOR_DISKS];
};
/* Look now and then every minute, or less often: the audits take 1 % of the thread's time at most.
 * What `spec` has is borrowed until auditor_free(). *ret is yours. */
int auditor_new(const struct auditor_spec *spec, struct auditor **ret, struct err *err);
void auditor_free(struct auditor *auditor); /* ends the audit in progress; NULL is fine */
/* As in the spec, from the next audit on. Any thread. */
void auditor_set_grace(struct auditor *auditor, int64_t grace_ms);

struct auditor_counts {
    int64_t findings[AUDIT_KIND_COUNT]; /* of the last audit that was finished */
    int64_t audits;                     /* finished since the start */
    int64_t bytes;                      /* of results, as the last one has seen */
    struct auditor_disk disks[AUDITOR_DISKS];
};
void auditor_counts(struct auditor *auditor, struct auditor_counts *ret);
