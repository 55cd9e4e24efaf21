/* src/cli/group.c -- `reportd group`: what users of an identity provider may run because of its
 * groups. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "base/str.h"
#include "base/wrap.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/user_import.h"
#include "cli/user_list.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "store/store.h"

struct command {
    const char *config;
    struct words words, grants; /* the action, the name and the words after them; of --grant */
    bool json, is_operator;
    const struct verb_action *action;
    char name[USER_NAME_MAX + 1]; /* ISSUER:GROUP */
    struct words rest;
    struct store *store;
    struct trail *trail; /* NULL: none is kept */
    const struct config *settings;
};

static action_fn group_add, group_remove, group_grant, group_revoke, group_operator, group_list;

static const struct verb_action actions[] = {
    {"add", "ISSUER:GROUP [--operator] [--grant REPORT…]",
     "let the users that this issuer says are in GROUP run these report types", group_add, 1, 1},
    {"grant", "ISSUER:GROUP REPORT…", "let them run these report types, too; '*': all", group_grant,
     2, WORDS_MAX},
    {"revoke", "ISSUER:GROUP REPORT…",
     "take these away again, and end active ones of theirs; '*': all", group_revoke, 2, WORDS_MAX},
    {"operator", "ISSUER:GROUP on|off", "let them see and delete the reports of all, or end that",
     group_operator, 2, 2},
    {"remove", "ISSUER:GROUP", "forget the group; what its users had by it ends", group_remove, 1,
     1},
    {"list", "[--json]", "show the groups", group_list, 0, 0},
    {0},
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd group ACTION [-c FILE] [ARGUMENTS]\n\n"
            "Manage the groups of identity providers. ISSUER is the name of a section issuer of\n"
            "the configuration, and GROUP is written as in its tokens. Who is in a group is for\n"
            "the provider to say: by a user's latest token. The server may be running; a change\n"
            "applies from its next request on.\n\n");
    options_print_actions(out, actions);
    fprintf(out, "\n"
                 "  -c, --config FILE  the configuration (default: reportd.conf)\n"
                 "  --grant REPORT…    add: report types; '*': all\n"
                 "  --operator         add: the users may see and delete the reports of all\n"
                 "  --json             list: as JSON\n"
                 "  -h, --help         print this\n\n"
                 "The exit status is 0 on success, 1 on failure, 2 for wrong usage.\n");
}

/* ---- the store ---- */

static int change_group(struct command *command, struct store_group_change change, struct err *err)
{
    struct store_op op = {.verb = STORE_GROUP_CHANGE, .group_change = change};
    struct user_retentions retentions;
    int rc;

    user_retentions_init(&retentions, command->settings);
    op.group_change.name = command->name;
    op.group_change.now_ms = store_now_ms(command->store);
    op.group_change.retention_ms = retentions.general_ms;
    op.group_change.retentions = buf_failed(&retentions.json) ? NULL : buf_str(&retentions.json);
    rc = store_ask(command->store, &op, err);
    if (rc == 0 && op.group_change.ended > 0)
        fprintf(stderr, "reports of '%s' that were ended: %" PRId64 "\n", command->name,
                op.group_change.ended);
    buf_done(&retentions.json);
    return rc;
}

/* `ret` gets the grants of the group: yours to free(). */
static int find_grants(struct command *command, char **ret, struct err *err)
{
    struct store_op op = {.verb = STORE_GROUP_LIST};
    int rc = store_ask(command->store, &op, err);

    *ret = NULL;
    for (size_t i = 0; rc == 0 && *ret == NULL && i < op.group_list.count; i++) {
        if (str_eq(op.group_list.groups[i].name, command->name))
            *ret = strdup(op.group_list.groups[i].grants);
    }
    store_op_done(&op);
    return rc < 0 || *ret != NULL
               ? rc
               : err_set(err, -E_NOT_FOUND, "There is no group '%s'.", command->name);
}

/* ---- the actions ---- */

static int group_add(struct command *command, struct err *err)
{
    char *grants = NULL;
    int rc = user_grants_with("", &command->grants, &grants, err);

    if (rc == 0)
        rc = change_group(command,
                          (struct store_group_change){.what = GROUP_ADD,
                                                      .grants = grants,
                                                      .operates = command->is_operator ? 1 : 0},
                          err);
    free(grants);
    return rc;
}

static int group_remove(struct command *command, struct err *err)
{
    return change_group(command, (struct store_group_change){.what = GROUP_REMOVE}, err);
}

typedef int grants_fn(const char *old, const struct words *words, char **ret, struct err *err);

static int change_group_grants(struct command *command, grants_fn *make, struct err *err)
{
    int rc;

    do { /* repeated if it was changed meanwhile; a removed one is not found */
        char *grants = NULL, *old = NULL;

        rc = find_grants(command, &old, err);
        if (rc < 0)
            return rc;
        rc = make(old, &command->rest, &grants, err)
                 ?: change_group(command,
                                 (struct store_group_change){
                                     .what = GROUP_SET, .grants = grants, .old_grants = old},
                                 err);
        free(grants);
        free(old);
    } while (rc == -E_NOT_FOUND);
    return rc;
}

static int group_grant(struct command *command, struct err *err)
{
    return change_group_grants(command, user_grants_with, err);
}

static int group_revoke(struct command *command, struct err *err)
{
    return change_group_grants(command, user_grants_without, err);
}

static int group_operator(struct command *command, struct err *err)
{
    const char *to = command->rest.items[0];

    if (!str_eq(to, "on") && !str_eq(to, "off"))
        return err_set(err, -E_INVALID, "'%s' is neither on nor off", to);
    return change_group(
        command,
        (struct store_group_change){.what = GROUP_SET, .operates = str_eq(to, "on") ? 1 : -1}, err);
}

/* ---- the list ---- */

static void print_groups_table(const struct store_group_list *list)
{
    int width = (int)strlen("NAME");

    for (size_t i = 0; i < list->count; i++) {
        int name = wrap_width(list->groups[i].name, strlen(list->groups[i].name));

        width = name > width ? name : width;
    }
    printf("%-*s  ROLE      MEMBERS  REPORTS\n", width, "NAME");
    for (size_t i = 0; i < list->count; i++) {
        const struct store_group *group = &list->groups[i];
        int pad = width - wrap_width(group->name, strlen(group->name));

        printf("%s%*s  %-8s  %7" PRId64 "  ", group->name, pad, "",
               group->is_operator ? "operator" : "user", group->members);
        user_list_print_entries(group->grants, '\n', "none");
        putchar('\n');
    }
}

static int print_groups_json(const struct store_group_list *list, struct err *err)
{
    struct buf b;

    buf_init(&b, INT_MAX);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct store_group *group = &list->groups[i];

        buf_add_str(&b, i > 0 ? ",\n{" : "{");
        json_add_member(&b, "name", group->name);
        json_add_bool(&b, "operator", group->is_operator);
        json_add_number(&b, "members", group->members);
        user_list_add_entries(&b, "grants", group->grants, '\n');
        buf_add_char(&b, '}');
    }
    return user_list_print_json(&b, err);
}

static int group_list(struct command *command, struct err *err)
{
    struct store_op op = {.verb = STORE_GROUP_LIST};
    int rc = store_ask(command->store, &op, err);

    if (rc == 0 && command->json)
        rc = print_groups_json(&op.group_list, err);
    else if (rc == 0)
        print_groups_table(&op.group_list);
    rc = rc ?: user_list_flush(err);
    store_op_done(&op);
    return rc;
}

/* ---- the command line ---- */

/* 0: go on; otherwise the exit status + 1. */
static int read_group_options(int argc, char **argv, struct command *ret)
{
    const struct verb_option options[] = {{.name = "config", .text = &ret->config},
                                          {.name = "grant", .words = &ret->grants},
                                          {.name = "operator", .flag = &ret->is_operator},
                                          {.name = "json", .flag = &ret->json},
                                          {0}};

    return options_read_words(&(struct verb_line){"group", usage, options}, argc, argv,
                              &ret->words);
}

static int check_group_usage(struct command *command)
{
    const struct words *words = &command->words;
    const struct verb_action *action = options_action("group", actions, words);

    if (action == NULL)
        return EXIT_USAGE;
    if (action->run != group_add && (command->is_operator || command->grants.count > 0))
        return options_wrong("group", "only add takes --grant and --operator");
    if (action->run != group_list && command->json)
        return options_wrong("group", "only list takes --json");
    command->action = action;
    for (size_t i = 2; i < words->count; i++)
        command->rest.items[command->rest.count++] = words->items[i];
    return EXIT_GOOD;
}

/* The group as the server stores it. One whose issuer is no longer in the configuration can be
 * removed. */
static int take_name(struct command *command, struct err *err)
{
    const char *text = command->words.items[1], *colon = text != NULL ? strchr(text, ':') : NULL;
    char issuer[CONFIG_ISSUER_NAME_MAX + 1] = "";
    const struct config_issuer *known;

    CHECK(text != NULL); /* check_group_usage() */
    if (colon != NULL && (size_t)(colon - text) < sizeof(issuer))
        memcpy(issuer, text, (size_t)(colon - text));
    known = config_find_issuer(command->settings, issuer);
    if (known == NULL && command->action->run != group_remove)
        return err_set(err, -E_INVALID,
                       "'%s' is not a group: write ISSUER:GROUP, where the configuration has a "
                       "section issuer ISSUER",
                       text);
    if (known != NULL && colon != NULL && colon[1] == '\0' && command->action->run != group_remove)
        return err_set(err, -E_INVALID, "'%s' names no group of the issuer", text);
    if (user_check_name(text, err) < 0)
        return -E_INVALID;
    str_copy(command->name, sizeof(command->name), text);
    if (known != NULL)
        memcpy(command->name, known->name, strlen(known->name));
    return 0;
}

static void record_group_change(struct command *command)
{
    action_fn *run = command->action->run;
    bool each = run == group_grant || run == group_revoke;
    struct trail_act act = {
        .event = TRAIL_GROUP, .change = command->action->name, .subject = command->name};
    const struct words *reports = run == group_add ? &command->grants : &command->rest;

    if (run == group_operator)
        act.change = str_eq(command->rest.items[0], "on") ? "operator on" : "operator off";
    if (!each)
        trail_record(command->trail, &act);
    if (run == group_add && command->is_operator) {
        act.change = "operator on";
        trail_record(command->trail, &act);
    }
    act.change = run == group_revoke ? "revoke" : "grant";
    for (size_t i = 0; (each || run == group_add) && i < reports->count; i++) {
        act.report = reports->items[i];
        trail_record(command->trail, &act);
    }
}

static int run_group_action(struct command *command, struct err *err)
{
    bool changes = command->action->run != group_list;
    struct config *config = NULL;
    int rc = config_load(command->config, &config, err);

    command->settings = config;
    if (rc == 0 && changes)
        rc = take_name(command, err) ?: trail_line_open(config, &command->trail, err);
    if (rc == 0)
        rc = offline_open_store(
                 config,
                 (struct store_spec){.create = command->action->run == group_add, .upgrade = true},
                 &command->store, err)
                 ?: command->action->run(command, err);
    if (rc == 0 && command->action->run == group_add)
        user_warn_of_unknown("group", config, &command->grants);
    if (rc == 0 && command->action->run == group_grant)
        user_warn_of_unknown("group", config, &command->rest);
    if (rc == 0 && changes)
        record_group_change(command);
    rc = trail_line_close(command->trail, rc, err);
    store_free(command->store);
    config_free(config);
    return rc;
}

int verb_group(int argc, char **argv)
{
    struct command command = {.config = "reportd.conf"};
    struct err err = {0};
    int rc = read_group_options(argc, argv, &command);

    if (rc != 0)
        return rc - 1;
    rc = check_group_usage(&command);
    if (rc != EXIT_GOOD)
        return rc;
    if (run_group_action(&command, &err) < 0)
        return options_failed("group", &err);
    return EXIT_GOOD;
}
