/* src/cli/user_remove.c -- `reportd user remove`: the servers of the store remove the user, or this
 * process, if there are none. */
#include "cli/user_remove.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/seam.h"
#include "cli/offline.h"
#include "cli/trail_line.h"
#include "proc/audit.h"
#include "proc/recovery.h"

enum { LOOK_MS = 100 };

struct removing {
    const struct user_removal *removal;
    int64_t user_id, reports; /* number of reports before */
};

/* *ret is 0 if no user has the name. */
static int ask_id(const struct removing *r, int64_t *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_FIND, .user_find = {.name = r->removal->name}};
    int rc = store_ask(r->removal->store, &op, err);

    *ret = op.user_find.user.id;
    store_op_done(&op);
    return rc;
}

/* 0: the removed user no longer exists; else 1 or -E_*. */
static int is_there(const struct removing *r, struct err *err)
{
    int64_t id;
    int rc = ask_id(r, &id, err);

    return rc < 0 ? rc : id == r->user_id;
}

static int find_id(struct removing *r, struct err *err)
{
    int rc = ask_id(r, &r->user_id, err);

    return rc < 0 || r->user_id != 0
               ? rc
               : err_set(err, -E_NOT_FOUND, "There is no user '%s'.", r->removal->name);
}

static int count_left(const struct removing *r, int64_t *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_LIST,
                          .list = {.user_id = r->user_id, .state = -1, .page = 1, .page_size = 1}};
    int rc = store_ask(r->removal->store, &op, err);

    *ret = op.list.total;
    store_op_done(&op);
    return rc;
}

static int disable_for_good(const struct removing *r, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_CHANGE,
                          .user_change = {.name = r->removal->name,
                                          .disabled = 1,
                                          .remove = true,
                                          .now_ms = store_now_ms(r->removal->store)}};
    int rc = store_ask(r->removal->store, &op, err);

    SEAM_STEP("user", "remove", "marked");
    return rc;
}

/* ---- without a server ---- */

static int purge_with(const struct user_removal *removal, struct store *store, struct spool *spool,
                      struct err *err)
{
    const struct config *config = removal->config;
    const struct ledger_spec spec = {.path = config->deletion_ledger.text, .store = store};
    const struct audit_spec audit = {.store = store,
                                     .spool = spool,
                                     .store_path = config_store_path(config),
                                     .trail = removal->trail};
    struct ledger *ledger = NULL;
    int rc = offline_lock_spool(spool, err)
                 ?: recovery_own_spool(store, spool, RECOVERY_START, err)
                 ?: trail_line_use_key(removal->trail, config, store, err)
                 ?: ledger_open(&spec, &ledger, err);

    if (rc == 0)
        rc = audit_purge(&audit, ledger, err);
    ledger_free(ledger);
    return rc;
}

static int purge_reports(const struct user_removal *removal, struct store *store, struct err *err)
{
    struct spool *spool = NULL;
    int rc = recovery_check_home(store, err) ?: offline_open_spool(removal->config, &spool, err);

    if (rc == 0)
        rc = purge_with(removal, store, spool, err);
    spool_free(spool);
    return rc;
}

/* If no server has ever run, there are neither reports nor a spool. */
static int purge_store(const struct user_removal *removal, struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_DROP};
    int rc = store_ask(store, &op, err);

    return rc < 0 || op.user_drop.left == 0 ? rc : purge_reports(removal, store, err);
}

/* -E_BUSY: a server is running. */
static int purge_alone(const struct removing *r, struct err *err)
{
    struct store *store = NULL;
    int rc = offline_check_nodes(r->removal->store, err)
                 ?: offline_open_store(r->removal->config, (struct store_spec){.alone = true},
                                       &store, err);

    if (rc == 0)
        rc = purge_store(r->removal, store, err);
    store_free(store);
    return rc;
}

/* ---- waiting ---- */

static int look(const struct removing *r, struct offline_progress *progress, struct err *err)
{
    const struct timespec pause = {0, LOOK_MS * 1000000L};
    int64_t left;
    int rc = purge_alone(r, err);

    if (rc != -E_BUSY)
        return rc;
    rc = count_left(r, &left, err);
    if (rc == 0)
        offline_tell(progress, "reports deleted", r->reports - left, r->reports);
    nanosleep(&pause, NULL);
    return rc;
}

static int await_end(const struct removing *r, struct err *err)
{
    struct offline_progress progress = {.verb = "user"};
    struct err why;
    int rc;

    while ((rc = is_there(r, err)) == 1) {
        rc = look(r, &progress, err);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        return 0;
    why = *err;
    return err_set(err, rc,
                   "'%s' cannot log in any more, and none of its data can be read, but not all is "
                   "deleted: %.300s The next server continues, or this command",
                   r->removal->name, why.text);
}

int user_remove(const struct user_removal *removal, struct err *err)
{
    struct removing r = {.removal = removal};
    int rc = find_id(&r, err) ?: count_left(&r, &r.reports, err) ?: disable_for_good(&r, err);

    if (rc < 0)
        return rc;
    trail_record(
        removal->trail,
        &(struct trail_act){.event = TRAIL_USER, .change = "remove", .subject = removal->name});
    rc = await_end(&r, err);
    if (rc == 0)
        printf("'%s' is removed, with %" PRId64 " report%s\n", removal->name, r.reports,
               r.reports == 1 ? "" : "s");
    return rc;
}
