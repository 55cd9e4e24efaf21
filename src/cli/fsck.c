/* src/cli/fsck.c -- `reportd fsck`: checks whether rows, files and states agree. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "proc/audit.h"
#include "proc/recovery.h"
#include "spool/spool.h"
#include "store/store.h"

enum { GRACE_MORE_MS = 3000, TEXT_MAX = 256 };

struct auditing {
    const char *file;
    bool repair, force, json, new_ledger, new_identity;
    bool marked; /* the spool has the mark of this store */
    struct config *config;
    struct store *store;
    struct spool *spool;
    struct ledger *ledger;
    struct trail *trail;
    struct audit_spec spec;
    struct audit audit;
    struct audit_repair repaired;
};

static void usage(FILE *out)
{
    fprintf(out, "usage: reportd fsck [-c FILE] [--repair [--force]] [--new-ledger] [--json]\n"
                 "       reportd fsck [-c FILE] --new-identity\n\n"
                 "Compare the store with the files of the spool, and both with the clock. Each\n"
                 "finding is one line: kind, reference, what is wrong. The last lines are the\n"
                 "counts:\n\n");
    for (int i = 0; i < AUDIT_KIND_COUNT; i++)
        fprintf(out, "  %-12s %s\n", audit_kind_name(i), audit_kind_what(i));
    fprintf(out,
            "\n"
            "The server may be running (fsck knows by the store's lock): an operation under\n"
            "way then has a few seconds to finish before it is a finding. Otherwise no\n"
            "server can start until fsck ends. Only --new-ledger creates a file.\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --repair           without a server, and in PostgreSQL without any node:\n"
            "                     remove the files, finish the deletions, return\n"
            "                     running reports to the queue, delete what has expired, what\n"
            "                     no key opens and the reports whose file is lost or\n"
            "                     damaged; then compare again. Rejected if the spool has\n"
            "                     neither store.id nor a file of this store: it is then\n"
            "                     most likely another spool, or is not mounted\n"
            "  --force            repair anyway: the spool is this store's, and its results\n"
            "                     are lost. Never if store.id names another store\n"
            "  --new-ledger       without a server of this node: abandon the deletion ledger\n"
            "                     that is lost for good, and create another, or continue\n"
            "                     with the one in its place. Earlier backups are then\n"
            "                     restored only with --resurrect\n"
            "  --new-identity     without a server: this store is a copy, and its original\n"
            "                     stays in use. Give the copy an id of its own, without the\n"
            "                     original's ledgers and sessions, suspend its API keys, and\n"
            "                     do nothing else\n"
            "  --json             print one JSON object\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if all counts are zero (after a repair, if any), 1 if not,\n"
            "2 for wrong usage.\n");
}

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct auditing *a)
{
    const struct verb_option options[] = {{.name = "config", .text = &a->file},
                                          {.name = "repair", .flag = &a->repair},
                                          {.name = "force", .flag = &a->force},
                                          {.name = "json", .flag = &a->json},
                                          {.name = "new-ledger", .flag = &a->new_ledger},
                                          {.name = "new-identity", .flag = &a->new_identity},
                                          {0}};
    int rc = options_read(&(struct verb_line){"fsck", usage, options}, argc, argv);

    if (rc == 0 && optind < argc)
        return options_wrong("fsck", "'%s' is one argument too many", argv[optind]) + 1;
    if (rc == 0 && a->new_identity && (a->repair || a->force || a->json || a->new_ledger))
        return options_wrong("fsck", "--new-identity takes no other option; run it first, alone") +
               1;
    return rc;
}

/* ---- printing ---- */

static void add_findings(struct buf *b, const struct audit *audit)
{
    char words[TEXT_MAX], reference[GUID_TEXT];

    json_add_key(b, "findings");
    buf_add_char(b, '[');
    for (size_t i = 0; i < audit->count; i++) {
        const struct audit_finding *finding = &audit->findings[i];

        guid_format(&finding->id, reference);
        audit_message(finding, words, sizeof(words));
        buf_add_str(b, i > 0 ? ",\n{" : "\n{");
        json_add_member(b, "kind", audit_kind_name(finding->kind));
        json_add_member(b, "reference", reference);
        json_add_member(b, "what", words);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static void print_json(const struct auditing *a)
{
    const struct audit *audit = &a->audit;
    struct buf b;

    buf_init(&b, INT_MAX);
    buf_add_char(&b, '{');
    json_add_bool(&b, "serving", a->spec.serving);
    json_add_number(&b, "reports", audit->reports);
    json_add_number(&b, "files", audit->files);
    for (int i = 0; i < AUDIT_KIND_COUNT; i++)
        json_add_number(&b, audit_kind_name(i), audit->counts[i]);
    json_add_bool(&b, "cut", audit->cut);
    if (a->repair) {
        json_add_number(&b, "requeued", a->repaired.requeued);
        json_add_number(&b, "deleted", a->repaired.deleted);
        json_add_number(&b, "removed", a->repaired.files);
    }
    add_findings(&b, audit);
    buf_add_str(&b, "}\n");
    fputs(buf_str(&b), stdout);
    buf_done(&b);
}

static void print_findings(const struct audit *audit)
{
    char words[TEXT_MAX], reference[GUID_TEXT];

    for (size_t i = 0; i < audit->count; i++) {
        guid_format(&audit->findings[i].id, reference);
        audit_message(&audit->findings[i], words, sizeof(words));
        str_plain(words); /* it may contain the name of a file */
        printf("%-12s %s  %s\n", audit_kind_name(audit->findings[i].kind), reference, words);
    }
}

static void print_counts(const struct auditing *a)
{
    const struct audit *audit = &a->audit;
    const char *nodes = store_is_shared(a->store) ? "nodes may be running" : "a server is running";

    printf("%" PRId64 " reports, %" PRId64 " files, %s\n", audit->reports, audit->files,
           a->spec.serving ? nodes : "no server is running");
    for (int i = 0; i < AUDIT_KIND_COUNT; i++)
        printf("%6" PRId64 "%s %-12s %s\n", audit->counts[i], audit->cut ? "+" : "",
               audit_kind_name(i), audit_kind_what(i));
}

/* ---- the audit ---- */

static bool sleep_for(void *context, int64_t ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)context;
    nanosleep(&time, NULL);
    return true;
}

/* Open the store alone, so that no server starts meanwhile; if a server has it alone, only to
 * read. */
static int open_store(struct auditing *a, bool *ret_serving, struct err *err)
{
    int rc = offline_open_store(a->config, (struct store_spec){.alone = true}, &a->store, err);

    *ret_serving = rc == -E_BUSY;
    if (rc != -E_BUSY)
        return rc;
    if (a->new_identity)
        return err_set(err, -E_BUSY, "a server is running on this store; stop it first");
    if (a->new_ledger)
        return err_set(err, -E_BUSY,
                       "a server is running on this store, with a deletion ledger; "
                       "stop it before another is made");
    if (a->repair)
        return err_set(err, -E_BUSY,
                       "a server is running on this store: it purges and finishes deletions by "
                       "itself, and puts the rest right when it is started again; to repair "
                       "without it, stop it first");
    return offline_open_store(a->config, (struct store_spec){0}, &a->store, err);
}

/* May the store be changed? */
static int check_unused_store(struct auditing *a, struct err *err)
{
    int rc = a->repair ? offline_check_nodes(a->store, err) : 0;

    return rc == 0 && (a->repair || a->new_ledger) ? recovery_check_home(a->store, err) : rc;
}

static int open_all(struct auditing *a, struct err *err)
{
    bool serving = false;
    int rc = config_load(a->file, &a->config, err);

    if (rc < 0)
        return rc;
    /* The store is opened first: that it exists shows that the configuration is the right one. */
    rc = open_store(a, &serving, err)
             ?: check_unused_store(a, err)
             ?: offline_open_spool(a->config, &a->spool, err);
    if (rc == 0 && (a->repair || a->new_ledger))
        rc = offline_lock_spool(a->spool, err);
    if (rc == 0)
        rc = recovery_check_owner(a->store, a->spool, err);
    a->marked = rc > 0;
    if (rc < 0)
        return rc;
    /* Without --repair, nodes may be running or start: so the audit waits for what is in
     * progress. */
    a->spec = (struct audit_spec){.store = a->store,
                                  .spool = a->spool,
                                  .store_path = serving ? NULL : config_store_path(a->config),
                                  .serving = serving || (store_is_shared(a->store) && !a->repair),
                                  .grace_ms = a->config->cancel_grace.number + GRACE_MORE_MS,
                                  .pause = sleep_for};
    return 0;
}

/* With a wrong or unmounted folder, every result would be lost and every file an orphan. */
static int check_spool_folder(const struct auditing *a, struct err *err)
{
    const struct audit *audit = &a->audit;
    bool none_there = audit->filed > 0 && audit->ours == 0;
    bool none_ours = audit->results > 0 && audit->ours == 0;

    if (a->force || a->marked || (!none_there && !none_ours))
        return 0;
    if (none_there)
        return err_set(err, -E_SPOOL,
                       "not one of the %" PRId64 " results is in '%s': is it the folder that the "
                       "server uses, and is it mounted? Nothing was changed; if the results are "
                       "lost, delete their reports with --repair --force",
                       audit->filed, spool_place(a->spool));
    return err_set(err, -E_SPOOL,
                   "not one of the %" PRId64 " results in '%s' is of this store: is it the folder "
                   "that the server uses? Nothing was changed; if they may go, remove them with "
                   "--repair --force",
                   audit->results, spool_place(a->spool));
}

static int open_ledger(struct auditing *a, struct err *err)
{
    const struct ledger_spec spec = {.path = a->config->deletion_ledger.text,
                                     .store = a->store,
                                     .create = a->new_ledger,
                                     .give_up = a->new_ledger};

    return ledger_open(&spec, &a->ledger, err);
}

static int repair(struct auditing *a, struct err *err)
{
    int rc =
        check_spool_folder(a, err) ?: recovery_own_spool(a->store, a->spool, RECOVERY_FORCE, err);

    if (rc == 0 && a->ledger == NULL)
        rc = open_ledger(a, err);
    if (rc == 0)
        rc = audit_repair(&a->spec, &a->audit, a->ledger, &a->repaired, err);
    if (rc < 0)
        return rc;
    if (!a->json) {
        print_findings(&a->audit);
        printf("repaired: %" PRId64 " put back into the queue, %" PRId64 " deleted, %" PRId64
               " files removed\n",
               a->repaired.requeued, a->repaired.deleted, a->repaired.files);
    }
    audit_done(&a->audit);
    return audit_run(&a->spec, &a->audit, err);
}

static int renew_identity(struct auditing *a, struct err *err)
{
    bool serving;
    int rc = config_load(a->file, &a->config, err)
                 ?: open_store(a, &serving, err)
                 ?: offline_check_nodes(a->store, err)
                 ?: recovery_renew_identity(a->store, err);

    if (rc == 0)
        printf("the store has an id of its own now: give it a spool and a deletion_ledger of its "
               "own (doc/backup.md)\n");
    return rc;
}

/* Before anything is changed. */
static int open_trail(struct auditing *a, struct err *err)
{
    int rc = trail_line_open(a->config, &a->trail, err)
                 ?: trail_line_use_key(a->trail, a->config, a->store, err);

    a->spec.trail = a->trail;
    return rc;
}

static int run_audit(struct auditing *a, struct err *err)
{
    int rc = open_all(a, err);

    if (rc == 0 && a->repair)
        rc = open_trail(a, err);
    if (rc == 0 && a->new_ledger)
        rc = open_ledger(a, err);
    if (rc == 0)
        rc = audit_run(&a->spec, &a->audit, err);
    if (rc == 0 && a->repair)
        rc = repair(a, err);
    return trail_line_close(a->trail, rc, err);
}

static int print_audit(const struct auditing *a)
{
    if (a->json) {
        print_json(a);
    } else {
        print_findings(&a->audit);
        print_counts(a);
    }
    return a->audit.count == 0 ? EXIT_GOOD : EXIT_FAILED;
}

int verb_fsck(int argc, char **argv)
{
    struct auditing a = {.file = "reportd.conf"};
    struct err err = {0};
    int status = read_arguments(argc, argv, &a);

    if (status != 0)
        return status - 1;
    status = EXIT_FAILED;
    if ((a.new_identity ? renew_identity(&a, &err) : run_audit(&a, &err)) < 0)
        say_line(stderr, "reportd fsck: %s", err.text);
    else if (a.new_identity)
        status = EXIT_GOOD;
    else
        status = print_audit(&a);
    audit_done(&a.audit);
    ledger_free(a.ledger);
    spool_free(a.spool);
    store_free(a.store);
    config_free(a.config);
    return status;
}
