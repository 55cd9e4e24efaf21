/* src/cli/migrate.c -- `reportd migrate`: moves an embedded store to PostgreSQL, for good. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "proc/migrate.h"

enum { KEY_FILE_MAX = 4096 };

static void usage(FILE *out)
{
    fprintf(out, "usage: reportd migrate [-c FILE] [--undo] OLD\n\n"
                 "Move the embedded store of the configuration OLD, with all users, sessions and\n"
                 "reports, to the store in PostgreSQL of the configuration FILE, and the results\n"
                 "to its spool. No server may be running on either. Everything is compared\n"
                 "before servers may use the new store, and the old one is erased last, so that\n"
                 "no report that is deleted afterwards is left in it. If it fails or is killed,\n"
                 "run it again: until it has finished, no server starts on either store.\n\n"
                 "  -c, --config FILE  the configuration of the new store (default: reportd.conf)\n"
                 "  --undo             erase what an unfinished migration has brought to the new\n"
                 "                     store, and go on with the old one\n"
                 "  -h, --help         print this\n\n"
                 "The exit status is 0 if all has moved (or is undone), 1 if not, 2 for wrong\n"
                 "usage.\n");
}

struct migrating {
    const char *new_file, *old_file;
    bool undo;
    struct config *new, *old;
    struct migrate_spec spec;
    struct offline_progress progress;
    struct migrate_counts counts;
    struct trail *trail;
};

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct migrating *m)
{
    const struct verb_option options[] = {
        {.name = "config", .text = &m->new_file}, {.name = "undo", .flag = &m->undo}, {0}};
    int rc = options_read(&(struct verb_line){"migrate", usage, options}, argc, argv);

    if (rc == 0 && optind != argc - 1)
        return options_wrong("migrate", "name the configuration of the old store") + 1;
    m->old_file = argv[optind];
    return rc;
}

static ssize_t read_key_of(const char *path, char out[KEY_FILE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? file_read_all(fd, out, KEY_FILE_MAX, 0) : -1;

    if (fd >= 0)
        close(fd);
    return n;
}

/* With another key all sessions would end, or receipts could not be verified, or reports could not
 * be found in the trail. */
static int check_key(const char *name, const char *new, const char *old, struct err *err)
{
    char theirs[KEY_FILE_MAX], ours[KEY_FILE_MAX];
    ssize_t n = read_key_of(old, ours);

    if (n < 0 || (read_key_of(new, theirs) == n && memcmp(ours, theirs, (size_t)n) == 0))
        return 0;
    return err_set(err, -E_CONFIG, "%s is another one in the new configuration: copy '%s' to '%s'",
                   name, old, new);
}

static int load_both(struct migrating *m, struct err *err)
{
    int rc = config_load(m->old_file, &m->old, err) ?: config_load(m->new_file, &m->new, err);

    if (rc < 0)
        return rc;
    if (config_store_path(m->old) == NULL)
        return err_set(err, -E_CONFIG, "the store of '%s' is in PostgreSQL already", m->old_file);
    if (config_store_path(m->new) != NULL)
        return err_set(err, -E_CONFIG,
                       "the store of '%s' is not in PostgreSQL; write store = "
                       "postgresql://USER@HOST/DATABASE",
                       m->new_file);
    return check_key("key_file", m->new->key_file.text, m->old->key_file.text, err)
               ?: check_key("receipt_key_file", m->new->receipt_key_file.text,
                            m->old->receipt_key_file.text, err)
               ?: check_key("audit_key_file", m->new->audit_key_file.text,
                            m->old->audit_key_file.text, err);
}

static int open_spools(struct migrating *m, struct err *err)
{
    const struct spool_spec new = {
        .place = m->new->spool.text, .store = m->new->store.text, .temp = m->new->temp.text};

    return offline_open_spool(m->old, &m->spec.from_spool, err)
               ?: offline_lock_spool(m->spec.from_spool, err)
               ?: spool_open(&new, &m->spec.to_spool, err)
               ?: offline_lock_spool(m->spec.to_spool, err);
}

static int open_both(struct migrating *m, struct err *err)
{
    const struct store_spec old = {
        .url = m->old->store.text, .alone = true, .upgrade = true, .moving = true};
    const struct store_spec new = {.create = true, .moving = true};

    return store_open(&old, &m->spec.from, err)
               ?: offline_open_store(m->new, new, &m->spec.to, err)
               ?: open_spools(m, err);
}

static void close_all(struct migrating *m)
{
    spool_free(m->spec.to_spool);
    spool_free(m->spec.from_spool);
    store_free(m->spec.to);
    store_free(m->spec.from);
    m->spec.from = NULL;
}

static void record(struct migrating *m, const char *outcome)
{
    trail_record(m->trail, &(struct trail_act){.event = TRAIL_STORE,
                                               .change = m->undo ? "undo" : "migrate",
                                               .outcome = outcome});
}

static int leave_old_store(const struct migrating *m, struct err *err)
{
    restore_clear(config_store_path(m->old));
    return store_move_leave(config_store_path(m->old), err);
}

static void tell_outcome(const struct migrating *m)
{
    if (m->undo)
        printf("undone: servers may use the old store again\n");
    else
        printf("%" PRId64 " users, %" PRId64 " sessions, %" PRId64 " reports moved; %" PRId64
               " results of %" PRId64 " bytes copied\n",
               m->counts.rows.users, m->counts.rows.sessions, m->counts.rows.reports,
               m->counts.results, m->counts.bytes);
}

static int move_store(struct migrating *m, struct err *err)
{
    int rc = load_both(m, err) ?: trail_line_open(m->new, &m->trail, err) ?: open_both(m, err);

    if (rc < 0 && err->code == -E_EXISTS && m->spec.from == NULL) {
        printf("the store was moved before\n");
        return 0;
    }
    if (rc == 0) {
        record(m, "begun");
        rc = m->undo ? migrate_undo(&m->spec, err) : migrate_run(&m->spec, &m->counts, err);
        close_all(m);
        if (rc == 0 && !m->undo)
            rc = leave_old_store(m, err);
        record(m, rc == 0 ? "done" : "failed");
        if (rc == 0)
            tell_outcome(m);
    } else {
        close_all(m);
    }
    return rc;
}

int verb_migrate(int argc, char **argv)
{
    static struct migrating m = {.new_file = "reportd.conf", .progress = {.verb = "migrate"}};
    struct err err = {0};
    int status = read_arguments(argc, argv, &m);
    int rc;

    if (status != 0)
        return status - 1;
    m.spec.progress = offline_tell;
    m.spec.context = &m.progress;
    rc = move_store(&m, &err);
    rc = trail_line_close(m.trail, rc, &err);
    config_free(m.old);
    config_free(m.new);
    return rc < 0 ? options_failed("migrate", &err) : EXIT_GOOD;
}
