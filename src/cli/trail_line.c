/* src/cli/trail_line.c -- the line in the audit trail for one run of a verb. */
#include "cli/trail_line.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/report.h"

enum { NAME_TEXT = 256 };

int trail_line_open(const struct config *config, struct trail **ret, struct err *err)
{
    int rc = trail_open(config, NULL, ret, err);
    struct err why;

    if (rc < 0 || trail_check(*ret, &why) == 0)
        return rc;
    trail_close(*ret, NULL);
    *ret = NULL;
    return err_set(err, -E_TRAIL,
                   "the audit trail '%s' can't be written, and audit_required is on: nothing was "
                   "done",
                   config->audit_log.text);
}

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

void trail_line_record(struct trail *trail, const struct trail_act *act)
{
    uid_t uid = login_uid();
    const struct passwd *user = getpwuid(uid);
    struct trail_act done = *act;
    char name[NAME_TEXT];

    snprintf(name, sizeof(name), "%u", (unsigned)uid);
    done.system_user = user != NULL ? user->pw_name : name;
    trail_record(trail, &done);
}

void trail_line_user_added(struct trail *trail, const char *name, const char *grants,
                           bool is_operator)
{
    struct trail_act act = {.event = TRAIL_USER, .change = "add", .subject = name};
    char report[REPORT_NAME_MAX + 1];

    trail_line_record(trail, &act);
    act.change = "operator on";
    if (is_operator)
        trail_line_record(trail, &act);
    act.change = "grant";
    act.report = report;
    for (const char *line = grants; *line != '\0';) {
        size_t len = strcspn(line, "\n");

        snprintf(report, sizeof(report), "%.*s", (int)len, line);
        trail_line_record(trail, &act);
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
