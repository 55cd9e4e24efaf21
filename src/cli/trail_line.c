/* src/cli/trail_line.c -- the line in the audit trail for one run of a verb. */
#include "cli/trail_line.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/report.h"

/* The login user of the audit system, which sudo and su do not change (pam_loginuid(8)). */
static uid_t login_uid(void)
{
    FILE *file = fopen("/proc/self/loginuid", "re");
    unsigned uid = UINT_MAX;

    if (file != NULL && fscanf(file, "%u", &uid) != 1)
        uid = UINT_MAX;
    if (file != NULL)
        fclose(file);
    return uid != UINT_MAX ? (uid_t)uid : getuid();
}

int trail_line_open(const struct config *config, struct trail **ret, struct err *err)
{
    uid_t uid = login_uid();
    const struct passwd *user = getpwuid(uid);
    char number[16];
    struct err why;
    int rc;

    snprintf(number, sizeof(number), "%u", (unsigned)uid);
    rc = trail_open(config, user != NULL ? user->pw_name : number, ret, err);
    if (rc < 0 || trail_check(*ret, &why) == 0)
        return rc;
    trail_close(*ret, NULL);
    *ret = NULL;
    return err_set(err, -E_TRAIL,
                   "the audit trail '%s' can't be written, and audit_required is on: nothing was "
                   "done",
                   config->audit_log.text);
}

static const void *trail_key_at(const void *key, size_t i, size_t *ret_len)
{
    *ret_len = TRAIL_KEY_BYTES;
    return i == 0 ? ((const struct trail_key *)key)->bytes : NULL;
}

int trail_line_use_key(struct trail *trail, const struct config *config, struct store *store,
                       struct err *err)
{
    const char *path = config->audit_key_file.text;
    struct trail_key key = {0};
    int rc;

    if (trail == NULL)
        return 0;
    rc = trail_key_open(path, true, &key, err);
    if (rc == 0 && store != NULL)
        rc = store_check_key(
            store,
            &(struct store_key_file){
                .name = "audit.key", .path = path, .key = trail_key_at, .keys = &key},
            err);
    if (rc == 0)
        trail_use_key(trail, &key);
    trail_key_done(&key);
    return rc;
}

void trail_line_user_added(struct trail *trail, const char *name, const char *grants,
                           bool is_operator)
{
    struct trail_act act = {.event = TRAIL_USER, .change = "add", .subject = name};
    char report[REPORT_NAME_MAX + 1];

    trail_record(trail, &act);
    act.change = "operator on";
    if (is_operator)
        trail_record(trail, &act);
    act.change = "grant";
    act.report = report;
    for (const char *line = grants; *line != '\0';) {
        size_t len = strcspn(line, "\n");

        snprintf(report, sizeof(report), "%.*s", (int)len, line);
        trail_record(trail, &act);
        line += len + (line[len] == '\n');
    }
}

int trail_line_close(struct trail *trail, int rc, struct err *err)
{
    struct err why;

    if (trail_close(trail, &why) == 0 || rc < 0)
        return rc;
    return err_set(err, -E_TRAIL,
                   "the change was made, but the audit trail has no line for it: %.300s", why.text);
}
