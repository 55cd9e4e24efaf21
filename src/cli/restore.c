/* src/cli/restore.c -- `reportd restore`: restores a backup without what was deleted since. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "proc/backup.h"
#include "proc/recovery.h"

enum { LEDGERS_MAX = 1024 };

struct restore {
    const char *file, *folder; /* folder NULL: the store has already been restored */
    const char *paths[LEDGERS_MAX];
    size_t path_count;
    bool resurrect, force;
    struct config *config;
    struct ledger_copy *copies[LEDGERS_MAX];
    struct ledgers ledgers;
    struct store *store;
    struct spool *spool;
    struct trail *trail;
    struct restore_counts counts;
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd restore [-c FILE] [--ledger FILE]... [--resurrect] [--force] DIR\n"
            "       reportd restore [-c FILE] [--resurrect] --ledger FILE...\n\n"
            "Restore the store and the results of DIR, which reportd backup made, to where\n"
            "the configuration says. No server may be running. Every deletion in the\n"
            "deletion ledger is applied again, all sessions end, and all API keys are\n"
            "suspended until reportd key enable. If it was killed, run it again.\n\n"
            "Without DIR, the store is already in place, restored by PostgreSQL's tools or by\n"
            "copying its files: every report that a ledger names is deleted from it, with\n"
            "its result, all sessions end, and all API keys are suspended. Run it before the\n"
            "first node starts, with the ledgers of all nodes.\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --ledger FILE      a deletion ledger, in place of the configuration's; may\n"
            "                     be repeated\n"
            "  --resurrect        continue although a ledger is missing, damaged, cut off,\n"
            "                     another store's or too short: reports deleted since then\n"
            "                     come back\n"
            "  --force            overwrite an existing store\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if all is restored, 1 if not, 2 for wrong usage.\n");
}

static int take_ledger(void *restore, const char *path, struct err *err)
{
    struct restore *r = restore;

    if (r->path_count == LEDGERS_MAX)
        return err_set(err, -E_INVALID, "there are too many ledgers");
    r->paths[r->path_count++] = path;
    return 0;
}

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct restore *r)
{
    const struct verb_option options[] = {{.name = "config", .text = &r->file},
                                          {.name = "ledger", .take = take_ledger, .context = r},
                                          {.name = "resurrect", .flag = &r->resurrect},
                                          {.name = "force", .flag = &r->force},
                                          {0}};
    int rc = options_read(&(struct verb_line){"restore", usage, options}, argc, argv);

    if (rc != 0)
        return rc;
    if (optind < argc - 1)
        return options_wrong("restore", "there is one folder to restore") + 1;
    if (optind < argc)
        r->folder = argv[optind];
    if (r->folder == NULL && r->path_count == 0)
        return options_wrong("restore", "name the folder of a backup, or, with --ledger, the "
                                        "ledgers to apply to the store that is there") +
               1;
    if (r->folder == NULL && r->force)
        return options_wrong("restore", "--force is for the folder of a backup") + 1;
    return 0;
}

/* ---- the ledgers ---- */

static int read_ledger(struct restore *r, const char *path, struct err *err)
{
    struct ledger_copy **copy = &r->copies[r->ledgers.count];
    int rc = ledger_copy_new(path, copy, err);

    if ((rc == -E_NOT_FOUND || rc == -E_LEDGER) && r->resurrect) {
        say_line(stderr, "reportd restore: %s; what it knew as deleted comes back", err->text);
        return 0;
    }
    if (rc == -E_NOT_FOUND)
        return err_set(err, -E_NOT_FOUND,
                       "there is no deletion ledger '%s', and without it the reports that were "
                       "deleted since the backup would come back; name it with --ledger, or accept "
                       "that with --resurrect",
                       path);
    if (rc < 0)
        return rc;
    r->ledgers.count++;
    if (ledger_copy_damaged(*copy) > 0 && !r->resurrect)
        return err_set(err, -E_LEDGER,
                       "%zu records of the deletion ledger '%s' cannot be read, and their reports "
                       "would come back: accept that with --resurrect",
                       ledger_copy_damaged(*copy), path);
    if (ledger_copy_damaged(*copy) > 0)
        say_line(stderr,
                 "reportd restore: %zu records of '%s' cannot be read: their reports come back",
                 ledger_copy_damaged(*copy), path);
    return 0;
}

/* Do the ledgers have everything that was deleted since? */
static int check_ledgers(const struct restore *r, const struct backup_state *state, struct err *err)
{
    int rc = ledgers_check(&r->ledgers, state, err);

    if (rc == 0 || !r->resurrect)
        return rc;
    say_line(stderr, "reportd restore: %s", err->text);
    return 0;
}

static int read_ledgers(struct restore *r, struct err *err)
{
    int rc = 0;

    if (r->path_count == 0)
        r->paths[r->path_count++] = r->config->deletion_ledger.text;
    for (size_t i = 0; i < r->path_count && rc == 0; i++)
        rc = read_ledger(r, r->paths[i], err);
    return rc;
}

/* ---- restoring ---- */

static int open_spool(struct restore *r, bool existing, struct err *err)
{
    const struct spool_spec spec = {.place = r->config->spool.text,
                                    .store = r->config->store.text,
                                    .temp = r->config->temp.text,
                                    .existing = existing};

    return spool_open(&spec, &r->spool, err) ?: offline_lock_spool(r->spool, err);
}

/* A backup that names no ledgers is checked later against the store that it replaces, if there is
 * one. It needs at least the configuration's ledger, so if that is not given, it was probably
 * forgotten. */
static int check_manifest(struct restore *r, const struct manifest *manifest, struct err *err)
{
    const char *own = r->config->deletion_ledger.text;
    struct ledger_copy *copy = NULL;
    bool forgotten;
    int rc;

    if (manifest->state.known || r->resurrect)
        return check_ledgers(r, &manifest->state, err);
    if (!r->force && (rc = ledgers_check(&r->ledgers, &manifest->state, err)) < 0)
        return rc;
    if (ledger_copy_new(own, &copy, err) < 0)
        return 0; /* it does not exist, or is given and faulty: read_ledgers() has reported that */
    forgotten = ledgers_lack(&r->ledgers, copy);
    ledger_copy_free(copy);
    return !forgotten
               ? 0
               : err_set(err, -E_LEDGER,
                         "the backup does not say which deletion ledgers it needs, and '%s', "
                         "the configuration's, is of the same store: name it with --ledger, "
                         "too",
                         own);
}

static int restore_folder(struct restore *r, struct err *err)
{
    struct offline_progress progress = {.verb = "restore"};
    struct restore_spec spec = {.folder = r->folder,
                                .store = config_store_path(r->config),
                                .overwrite = r->force,
                                .ledgers = &r->ledgers,
                                .unchecked = r->resurrect,
                                .trail = r->trail,
                                .progress = offline_tell,
                                .context = &progress};
    struct manifest manifest = {0};
    int rc;

    if (spec.store == NULL)
        return err_set(err, -E_CONFIG,
                       "the store is in PostgreSQL: restore it with PostgreSQL's own tools, then "
                       "run reportd restore --ledger FILE (doc/backup.md)");
    rc = manifest_read(r->folder, &manifest, err) ?: check_manifest(r, &manifest, err);
    backup_state_done(&manifest.state);
    if (rc == 0)
        rc = open_spool(r, false, err) ?: trail_line_use_key(r->trail, r->config, NULL, err);
    spec.spool = r->spool;
    return rc < 0 ? rc : restore_run(&spec, &r->counts, err);
}

/* A database from before stores had an id got one when it was upgraded: it gets back the id that
 * the ledgers know, unless the spool belongs to another store. */
static int take_spool_identity(const struct restore *r, const struct backup_state *state,
                               struct err *err)
{
    struct err ignored;
    struct guid id;

    if (state->known || !ledgers_store(&r->ledgers, &id) ||
        spool_owner(r->spool, &id, &ignored) < 0)
        return 0;
    return recovery_take_identity(r->store, &id, err);
}

static int apply_ledgers(struct restore *r, struct err *err)
{
    const struct store_spec how = {.alone = true, .upgrade = true};
    struct backup_state state = {0};
    int rc = offline_open_store(r->config, how, &r->store, err)
                 ?: offline_check_nodes(r->store, err)
                 ?: backup_state_of(r->store, 0, &state, err)
                 ?: check_ledgers(r, &state, err);

    if (rc == 0 && store_is_shared(r->store))
        mkdir(r->config->temp.text, 0700); /* in case this node has none yet; it is empty then */
    if (rc == 0)
        rc = open_spool(r, true, err) ?: take_spool_identity(r, &state, err);
    backup_state_done(&state);
    if (rc == 0)
        rc = recovery_check_owner(r->store, r->spool, err);
    if (rc >= 0)
        rc = trail_line_use_key(r->trail, r->config, r->store, err);
    return rc < 0 ? rc : restore_apply(r->store, r->spool, &r->ledgers, r->trail, &r->counts, err);
}

static void print_restored(const struct restore *r)
{
    if (r->folder != NULL)
        printf("%" PRId64 " report%s restored, ", r->counts.reports,
               r->counts.reports == 1 ? "" : "s");
    printf("%" PRId64 " deletion%s applied again, %" PRId64 " session%s ended\n", r->counts.deleted,
           r->counts.deleted == 1 ? "" : "s", r->counts.ended.sessions,
           r->counts.ended.sessions == 1 ? "" : "s");
    if (r->counts.ended.keys > 0)
        fprintf(stderr,
                "reportd restore: API keys that are suspended, since some may have been removed "
                "since the backup: %" PRId64 "; see reportd key list, then enable or remove them\n",
                r->counts.ended.keys);
    if (r->counts.lost > 0)
        fprintf(stderr,
                "reportd restore: %" PRId64
                " complete reports are left out, since the backup lacks "
                "their results\n",
                r->counts.lost);
}

int verb_restore(int argc, char **argv)
{
    static struct restore r = {.file = "reportd.conf"};
    struct err err = {0};
    int status = read_arguments(argc, argv, &r);
    int rc;

    if (status != 0)
        return status - 1;
    r.ledgers.items = r.copies;
    rc = config_load(r.file, &r.config, &err)
             ?: read_ledgers(&r, &err)
             ?: trail_line_open(r.config, &r.trail, &err)
             ?: (r.folder != NULL ? restore_folder(&r, &err) : apply_ledgers(&r, &err));
    rc = trail_line_close(r.trail, rc, &err);
    if (rc < 0)
        say_line(stderr, "reportd restore: %s", err.text);
    else
        print_restored(&r);
    spool_free(r.spool);
    store_free(r.store);
    for (size_t i = 0; i < r.ledgers.count; i++)
        ledger_copy_free(r.copies[i]);
    config_free(r.config);
    return rc < 0 || r.counts.lost > 0 ? EXIT_FAILED : EXIT_GOOD;
}
