/* src/cli/backup.c -- `reportd backup`: copies the store and its results while a server uses
 * them. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/offline.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "proc/backup.h"
#include "proc/recovery.h"

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd backup [-c FILE] DIR\n\n"
            "Write the store and its results to the folder DIR, which must be empty or not\n"
            "exist. The server may be running: the backup is of one moment, and complete or\n"
            "absent. DIR contains " BACKUP_STORE ", " BACKUP_SPOOL "/ and " BACKUP_MANIFEST ",\n"
            "but not the configuration, the definitions, the keys or the deletion ledger.\n"
            "The ledger must outlive what is restored, so keep it on another disk\n"
            "(deletion_ledger). Back up a store in PostgreSQL with PostgreSQL's own tools.\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if the backup is complete, 1 if there is none, 2 for wrong\n"
            "usage.\n");
}

struct arguments {
    const char *config, *folder;
};

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct arguments *ret)
{
    const struct verb_option options[] = {{.name = "config", .text = &ret->config}, {0}};
    int rc = options_read(&(struct verb_line){"backup", usage, options}, argc, argv);

    if (rc == 0 && (optind != argc - 1 || argv[optind][0] == '\0'))
        return options_wrong("backup", "name one folder for the backup") + 1;
    ret->folder = argv[optind];
    return rc;
}

static int back_up(const struct config *config, const char *folder, struct backup_counts *ret,
                   struct err *err)
{
    struct offline_progress progress = {.verb = "backup"};
    struct backup_spec spec = {.folder = folder, .progress = offline_tell, .context = &progress};
    struct store *store = NULL;
    struct spool *spool = NULL;
    int rc = offline_open_store(config, (struct store_spec){0}, &store, err);

    if (rc == 0 && store_is_shared(store))
        rc = err_set(err, -E_STORE,
                     "the store is in PostgreSQL: back it up with pg_dump or pg_basebackup, then "
                     "the spool if that is a folder, and restore with reportd restore --ledger "
                     "(doc/backup.md)");
    if (rc == 0)
        rc = offline_open_spool(config, &spool, err) ?: recovery_check_owner(store, spool, err);
    spec.store = store;
    spec.spool = spool;
    if (rc >= 0)
        rc = backup_run(&spec, ret, err);
    spool_free(spool);
    store_free(store);
    return rc;
}

int verb_backup(int argc, char **argv)
{
    struct arguments arguments = {.config = "reportd.conf"};
    struct config *config = NULL;
    struct backup_counts counts = {0};
    struct err err = {0};
    int status = read_arguments(argc, argv, &arguments);
    int rc;

    if (status != 0)
        return status - 1;
    rc = config_load(arguments.config, &config, &err)
             ?: back_up(config, arguments.folder, &counts, &err);
    config_free(config);
    if (rc < 0) {
        say_line(stderr, "reportd backup: %s", err.text);
        return EXIT_FAILED;
    }
    printf("%" PRId64 " reports, %" PRId64 " files of %" PRId64 " bytes\n", counts.reports,
           counts.results, counts.bytes);
    if (counts.lost > 0)
        fprintf(stderr,
                "reportd backup: %" PRId64
                " complete reports are left out, since their results are "
                "not there: reportd fsck names them\n",
                counts.lost);
    return EXIT_GOOD;
}
