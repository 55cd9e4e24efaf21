/* src/cli/key.c -- `reportd key`: manages API keys, directly in the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/key_list.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/user_import.h"
#include "cli/verbs.h"
#include "core/api_key.h"
#include "core/config.h"
#include "store/store.h"

#define EXPIRES_MAX_MS (INT64_C(36500) * 24 * 3600 * 1000)
#define EXTERNAL_EXPIRES_MAX_MS (INT64_C(90) * 24 * 3600 * 1000)

struct command {
    const char *config, *user, *expires;
    struct words words; /* the action, and the names of keys */
    struct words grants, allow;
    bool json, is_operator;
    const struct verb_action *action;
    const char *const *names; /* of `words` */
    size_t count;
    const struct config *settings;
    struct store *store;
    struct trail *trail; /* NULL: no audit trail */
};

static action_fn add_api_key, list_all_keys, remove_keys, enable_keys;

static const struct verb_action actions[] = {
    {"add", "NAME --user USER [--grant REPORT…] [--allow CIDR…] [--expires TIME] [--operator]",
     "make a key with which requests are USER's, and print it: it is shown once", add_api_key, 1,
     1},
    {"list", "[--user USER] [--json]", "show the keys, and when each was last used", list_all_keys,
     0, 0},
    {"remove", "NAME…", "let these keys in no more, from the next request on", remove_keys, 1,
     WORDS_MAX},
    {"enable", "NAME…", "let them in again that a restore of a backup has suspended", enable_keys,
     1, WORDS_MAX},
    {0},
};

static void usage(FILE *out)
{
    fputs("usage: reportd key ACTION [-c FILE] [ARGUMENTS]\n\n"
          "Manage API keys, with which programs send requests for a user, in place of an\n"
          "access token. The server may be running.\n\n",
          out);
    options_print_actions(out, actions);
    fprintf(out,
            "\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --user USER        add: whose requests they are; list: only keys of this user\n"
            "  --grant REPORT…    add: report types that may be run with it, if the user may;\n"
            "                     whatever the user may if not given\n"
            "  --allow CIDR…      add: addresses it may come from, of those that the user may\n"
            "  --expires TIME     add: for how long it holds, such as 90d or 12h; for ever if\n"
            "                     not given\n"
            "  --operator         add: it may do what an operator may, while the user is one\n"
            "  --json             list: as JSON\n"
            "  -h, --help         print this\n\n"
            "A name of a key has 1 to %d letters, digits, or any of . _ - @, and begins with\n"
            "a letter or a digit.\n\n"
            "The exit status is 0 on success, 1 on failure, 2 for wrong usage.\n",
            API_KEY_NAME_MAX);
}

/* ---- add ---- */

static int read_expiry(const char *text, int64_t now_ms, int64_t *ret, struct err *err)
{
    int64_t life_ms = 0;

    *ret = 0;
    if (text == NULL)
        return 0;
    if (!str_to_duration(text, &life_ms) || life_ms < 1000 || life_ms > EXPIRES_MAX_MS)
        return err_set(err, -E_INVALID, "--expires takes a duration such as 90d or 12h, not '%s'",
                       text);
    *ret = (now_ms + life_ms) / 1000 * 1000; /* as it is shown */
    return 0;
}

/* Once only the key is used, no token says when the user leaves a group, or the company. */
static int check_expiry(const struct user *user, const struct store_api_key_add *add,
                        struct err *err)
{
    if (user->identity == NULL ||
        (add->expires_ms != 0 && add->expires_ms - add->now_ms <= EXTERNAL_EXPIRES_MAX_MS))
        return 0;
    return err_set(err, -E_INVALID,
                   "'%s' is of an identity provider, which cannot end a key: give --expires, at "
                   "most 90d",
                   user->name);
}

static int check_owner(const struct command *command, const struct user *user, struct err *err)
{
    return command->is_operator && !user->is_operator
               ? err_set(err, -E_INVALID, "'%s' is not an operator; see reportd user operator",
                         user->name)
               : 0;
}

/* Report grants that have no effect at present. */
static void warn_of_useless(const struct command *command, const struct user *user)
{
    user_warn_of_unknown("key", command->settings, &command->grants);
    for (size_t i = 0; i < command->grants.count; i++) {
        const char *report = command->grants.items[i];

        if (!str_eq(report, "*") && !user_may_run(user, report))
            fprintf(stderr, "reportd key: warning: '%s' may not run '%s'\n", user->name, report);
    }
}

static void record_new_key(const struct command *command, const struct user *user)
{
    struct trail_act act = {
        .event = TRAIL_KEY, .change = "add", .key = command->names[0], .subject = user->name};

    trail_record(command->trail, &act);
    act.change = "operator on";
    if (command->is_operator)
        trail_record(command->trail, &act);
    act.change = "grant";
    for (size_t i = 0; i < command->grants.count; i++) {
        act.report = command->grants.items[i];
        trail_record(command->trail, &act);
    }
}

static int store_new_key(struct command *command, const struct user *user,
                         struct store_api_key_add *add, struct err *err)
{
    struct store_op op = {.verb = STORE_API_KEY_ADD};
    char key[API_KEY_TEXT];
    int rc;

    api_key_make(key);
    api_key_hash(key, add->hash, &add->id);
    op.api_key_add = *add;
    rc = store_ask(command->store, &op, err);
    if (rc == 0) {
        puts(key);
        fputs("This is the only time that the key is shown: keep it in a file that nobody else can "
              "read.\n",
              stderr);
        record_new_key(command, user);
        warn_of_useless(command, user);
    }
    explicit_bzero(key, sizeof(key));
    return rc;
}

static int add_api_key(struct command *command, struct err *err)
{
    struct store_api_key_add add = {.name = command->names[0],
                                    .user = command->user,
                                    .is_operator = command->is_operator,
                                    .now_ms = store_now_ms(command->store)};
    char *grants = NULL, *allow = NULL;
    struct user user = {0};
    int rc = api_key_check_name(add.name, err)
                 ?: user_find(command->store, command->user, &user, err)
                 ?: check_owner(command, &user, err)
                 ?: read_expiry(command->expires, add.now_ms, &add.expires_ms, err)
                 ?: check_expiry(&user, &add, err)
                 ?: user_grants_with("", &command->grants, &grants, err)
                 ?: user_allow_list(&command->allow, &allow, err);

    add.grants = grants;
    add.allow = allow;
    if (rc == 0)
        rc = store_new_key(command, &user, &add, err);
    free(grants);
    free(allow);
    user_done(&user);
    return rc;
}

/* ---- the other actions ---- */

static int list_keys_of(struct command *command, const char *user, struct store_op *op,
                        struct err *err)
{
    *op = (struct store_op){.verb = STORE_API_KEY_LIST, .api_key_list = {.user = user}};
    return store_ask(command->store, op, err);
}

static int list_all_keys(struct command *command, struct err *err)
{
    struct user user = {0};
    struct store_op op;
    int rc = command->user != NULL ? user_find(command->store, command->user, &user, err) : 0;

    user_done(&user);
    if (rc < 0)
        return rc;
    rc = list_keys_of(command, command->user, &op, err)
             ?: key_list_print(&op.api_key_list, command->json, store_now_ms(command->store), err);
    store_op_done(&op);
    return rc;
}

static const struct store_api_key *find_listed(const struct store_api_key_list *list,
                                               const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->keys[i].name, name))
            return &list->keys[i];
    }
    return NULL;
}

/* All keys or, if one name is wrong, none. */
static int check_names(const struct command *command, const struct store_api_key_list *list,
                       struct err *err)
{
    for (size_t i = 0; i < command->count; i++) {
        if (find_listed(list, command->names[i]) == NULL)
            return err_set(err, -E_NOT_FOUND,
                           "There is no key '%s': reportd key list shows the names.",
                           command->names[i]);
    }
    return 0;
}

static int change_each(struct command *command, enum store_verb verb, struct err *err)
{
    struct store_op list;
    int rc =
        list_keys_of(command, NULL, &list, err) ?: check_names(command, &list.api_key_list, err);

    for (size_t i = 0; rc == 0 && i < command->count; i++) {
        const char *name = command->names[i];
        struct store_op op = {.verb = verb};
        struct trail_act act = {.event = TRAIL_KEY,
                                .change = command->action->name,
                                .key = name,
                                .subject = find_listed(&list.api_key_list, name)->user};

        if (verb == STORE_API_KEY_REMOVE)
            op.api_key_remove.name = name;
        else
            op.api_key_enable.name = name;
        rc = store_ask(command->store, &op, err);
        if (rc == 0)
            trail_record(command->trail, &act);
        if (rc == -E_NOT_FOUND && verb == STORE_API_KEY_REMOVE)
            rc = 0; /* it was named twice, or removed meanwhile by someone else */
    }
    store_op_done(&list);
    return rc;
}

static int remove_keys(struct command *command, struct err *err)
{
    return change_each(command, STORE_API_KEY_REMOVE, err);
}

static int enable_keys(struct command *command, struct err *err)
{
    return change_each(command, STORE_API_KEY_ENABLE, err);
}

/* ---- the command line ---- */

/* 0: go on; otherwise the exit status + 1. */
static int read_key_options(int argc, char **argv, struct command *ret)
{
    const struct verb_option options[] = {
        {.name = "config", .text = &ret->config},   {.name = "user", .text = &ret->user},
        {.name = "grant", .words = &ret->grants},   {.name = "allow", .words = &ret->allow},
        {.name = "expires", .text = &ret->expires}, {.name = "operator", .flag = &ret->is_operator},
        {.name = "json", .flag = &ret->json},       {0}};

    return options_read_words(&(struct verb_line){"key", usage, options}, argc, argv, &ret->words);
}

/* Refuse options that the action does not take. */
static int check_key_options(const struct command *command)
{
    action_fn *run = command->action->run;
    bool of_add = command->grants.count + command->allow.count > 0 || command->expires != NULL ||
                  command->is_operator;

    if (run != add_api_key && of_add)
        return options_wrong("key", "only add takes --grant, --allow, --expires and --operator");
    if (run != add_api_key && run != list_all_keys && command->user != NULL)
        return options_wrong("key", "only add and list take --user");
    if (run != list_all_keys && command->json)
        return options_wrong("key", "only list takes --json");
    if (run == add_api_key && command->user == NULL)
        return options_wrong("key", "say whose it is: --user USER");
    return EXIT_GOOD;
}

static int check_key_usage(struct command *command)
{
    command->action = options_action("key", actions, &command->words);
    if (command->action == NULL)
        return EXIT_USAGE;
    command->names = command->words.items + 1;
    command->count = command->words.count - 1;
    return check_key_options(command);
}

/* Every process on the machine can read arguments. */
static int check_secrets(const struct command *command, struct err *err)
{
    for (size_t i = 0; i < command->count; i++) {
        if (api_key_begins(command->names[i]))
            return api_key_check_name(command->names[i], err);
    }
    return 0;
}

static int run_key_action(struct command *command, struct err *err)
{
    struct config *config = NULL;
    int rc = check_secrets(command, err) ?: config_load(command->config, &config, err);

    command->settings = config;
    if (rc == 0 && command->action->run != list_all_keys)
        rc = trail_line_open(config, &command->trail, err);
    if (rc == 0)
        rc = offline_open_store(config, (struct store_spec){.upgrade = true}, &command->store, err)
                 ?: command->action->run(command, err);
    rc = trail_line_close(command->trail, rc, err);
    store_free(command->store);
    config_free(config);
    return rc;
}

int verb_key(int argc, char **argv)
{
    static struct command command = {.config = "reportd.conf"};
    struct err err = {0};
    int rc = read_key_options(argc, argv, &command);

    if (rc != 0)
        return rc - 1;
    rc = check_key_usage(&command);
    if (rc != EXIT_GOOD)
        return rc;
    if (run_key_action(&command, &err) < 0)
        return options_failed("key", &err);
    return EXIT_GOOD;
}
