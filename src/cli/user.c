/* src/cli/user.c -- `reportd user`: manages who may use the API, directly in the store. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/str.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/user_import.h"
#include "cli/user_list.h"
#include "cli/user_password.h"
#include "cli/user_remove.h"
#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/config.h"
#include "core/password.h"
#include "core/report.h"
#include "store/store.h"

/* ---- the verb ---- */

enum { LIST_BYTES_MAX = WORDS_MAX * (REPORT_NAME_MAX + 1) };

struct command {
    const char *config;
    struct words words;         /* the action, the name and the words after them */
    struct words grants, allow; /* of --grant and --allow */
    bool json, is_operator;
    const char *active, *running; /* of --active and --running; NULL: not given */
    const struct verb_action *action;
    const char *name; /* of the user; NULL: the action takes no name */
    struct words rest;
    struct store *store;
    struct trail *trail; /* NULL: no audit trail */
    const struct config *settings;
};

static action_fn do_add, do_passwd, do_disable, do_enable, do_remove, do_grant, do_revoke, do_allow,
    do_operator, do_limit, do_import, do_list;

static const struct verb_action actions[] = {
    {"add", "NAME [--operator] [--grant REPORT…] [--allow CIDR…]",
     "add a user; asks for the password", do_add, 1, 1},
    {"passwd", "NAME", "set a new password; ends the user's sessions, lifts a lock", do_passwd, 1,
     1},
    {"disable", "NAME", "stop the user from logging in; ends sessions and active reports",
     do_disable, 1, 1},
    {"enable", "NAME", "let the user log in again; lifts a lock", do_enable, 1, 1},
    {"remove", "NAME", "delete the user and all its reports; returns when they are gone", do_remove,
     1, 1},
    {"grant", "NAME REPORT…", "let the user run these report types; '*': all", do_grant, 2,
     WORDS_MAX},
    {"revoke", "NAME REPORT…", "take these away again, and end active ones; '*': all", do_revoke, 2,
     WORDS_MAX},
    {"allow", "NAME [CIDR…]", "let the user log in from these addresses only; none: anywhere",
     do_allow, 1, WORDS_MAX},
    {"operator", "NAME on|off", "let the user see and delete the reports of all, or end that",
     do_operator, 2, 2},
    {"limit", "NAME [--active N] [--running N]",
     "how many reports of the user may be queued or running at the same time,\n"
     "      and how many of these running; N is a number, or default: as the\n"
     "      configuration says",
     do_limit, 1, 1},
    {"import", "FILE", "add the users that a CSV file lists; -: standard input", do_import, 1, 1},
    {"list", "[--json]", "show the users", do_list, 0, 0},
    {0},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: reportd user ACTION [-c FILE] [ARGUMENTS]\n\n"
                 "Manage the users of the API. The server may be running; a change applies from\n"
                 "its next request on. Only add and import create the store if there is none.\n\n");
    options_print_actions(out, actions);
    fprintf(out,
            "\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --grant REPORT…    add: report types the user may run; '*': all\n"
            "  --allow CIDR…      add: addresses the user may log in from, such as 10.0.0.0/8\n"
            "                     or 2001:db8::1; anywhere if not given\n"
            "  --operator         add: the user may see and delete the reports of all\n"
            "  --active, --running N\n"
            "                     limit: 1 to %d, or default\n"
            "  --json             list: as JSON\n"
            "  -h, --help         print this\n\n"
            "A password is asked for on the terminal, or is one line of standard input; it\n"
            "has at least %d characters, at most %d bytes, and is not the user's name. Case\n"
            "(a to z) does not matter in names of users, but does in names of reports.\n\n"
            "The CSV of import begins with a line of column names: name and password, and of\n"
            "grants, allow, operator, active and running those that are needed. Several\n"
            "grants or addresses are separated by ';'; operator is yes or no. All lines are\n"
            "checked before the first user is added. The file may not be readable by others.\n\n"
            "The exit status is 0 on success, 1 on failure, 2 for wrong usage.\n",
            STORE_ACTIVE_MAX, PASSWORD_CHARS_MIN, USER_PASSWORD_MAX);
}

/* ---- lists of words: grants (lines) and allow-lists (spaces) ---- */

static bool has_word(const struct words *words, const char *line, size_t n)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strlen(words->items[i]) == n && strncmp(words->items[i], line, n) == 0)
            return true;
    }
    return false;
}

static void add_entry(struct buf *b, const char *entry, size_t n, char between)
{
    if (b->len > 0)
        buf_add_char(b, between);
    buf_add(b, entry, n);
}

static int take_list(struct buf *b, char **ret, struct err *err)
{
    *ret = buf_failed(b) ? NULL : strdup(buf_str(b));
    buf_done(b);
    return *ret != NULL ? 0 : err_set(err, -E_INVALID, "the list is too long");
}

static int check_reports(const struct words *words, struct err *err)
{
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];

        if (*word == '\0' || strlen(word) > REPORT_NAME_MAX || str_has_control(word))
            return err_set(err, -E_INVALID,
                           "a report's name has 1 to %d bytes, without control characters",
                           REPORT_NAME_MAX);
    }
    return 0;
}

/* `old` plus the words that it does not contain. */
int user_grants_with(const char *old, const struct words *words, char **ret, struct err *err)
{
    struct buf b;
    int rc = check_reports(words, err);

    if (rc < 0)
        return rc;
    buf_init(&b, LIST_BYTES_MAX);
    buf_add_str(&b, old);
    for (size_t i = 0; i < words->count; i++) {
        if (b.len == 0 || !str_has_line(buf_str(&b), words->items[i]))
            add_entry(&b, words->items[i], strlen(words->items[i]), '\n');
    }
    return take_list(&b, ret, err);
}

int user_grants_without(const char *old, const struct words *words, char **ret, struct err *err)
{
    bool all = has_word(words, "*", 1);
    struct buf b;

    for (size_t i = 0; i < words->count && !all; i++) {
        if (str_has_line(old, words->items[i]))
            continue;
        if (str_has_line(old, "*"))
            return err_set(err, -E_INVALID,
                           "the user may run all reports; revoke '*' and grant some instead");
        return err_set(err, -E_INVALID, "'%s' was not granted", words->items[i]);
    }
    buf_init(&b, LIST_BYTES_MAX);
    for (const char *line = old; *line != '\0' && !all;) {
        size_t n = strcspn(line, "\n");

        if (!has_word(words, line, n))
            add_entry(&b, line, n, '\n');
        line += n + (line[n] == '\n');
    }
    return take_list(&b, ret, err);
}

int user_allow_list(const struct words *words, char **ret, struct err *err)
{
    struct buf b;

    buf_init(&b, LIST_BYTES_MAX);
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];
        char network[USER_NETWORK_TEXT];
        enum user_allow is = user_allow_check(word, network);

        if (is != USER_ALLOW_GOOD) {
            buf_done(&b);
            return is == USER_ALLOW_HOST_BITS
                       ? err_set(err, -E_INVALID,
                                 "'%s' has bits set beyond its prefix: write %s for the whole "
                                 "block, or one address without '/'",
                                 word, network)
                       : err_set(
                             err, -E_INVALID,
                             "'%s' is not an address; write one such as 192.0.2.7, 10.0.0.0/8 or "
                             "2001:db8::/32",
                             word);
        }
        add_entry(&b, word, strlen(word), ' ');
    }
    return take_list(&b, ret, err);
}

/* ---- the store ---- */

int user_find(struct store *store, const char *name, struct user *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_FIND, .user_find = {.name = name}};
    int rc = store_ask(store, &op, err);

    if (rc < 0)
        return rc;
    if (!op.user_find.found)
        return err_set(err, -E_NOT_FOUND, "There is no user '%s'.", name);
    *ret = op.user_find.user;
    return 0;
}

static int change_user(struct command *command, struct store_user_change change, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_CHANGE, .user_change = change};

    op.user_change.name = command->name;
    return store_ask(command->store, &op, err);
}

/* Read the retentions of the definitions that can be read. */
void user_retentions_init(struct user_retentions *ret, const struct config *config)
{
    const struct catalog_spec spec = {.folder = config->reports.text};
    struct catalog *catalog = NULL;
    struct err err;

    ret->general_ms = config->retention.number;
    buf_init(&ret->json, INT_MAX);
    if (catalog_new(&spec, &catalog, &err) == 0)
        catalog_add_retentions(catalog, ret->general_ms, &ret->json);
    else
        buf_add_str(&ret->json, "{}");
    catalog_free(catalog);
}

/* Change the user; reports that it may no longer run are ended. */
static int change_rights(struct command *command, struct store_user_change change, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_CHANGE, .user_change = change};
    struct user_retentions retentions;
    int rc;

    user_retentions_init(&retentions, command->settings);
    op.user_change.name = command->name;
    op.user_change.now_ms = store_now_ms(command->store);
    op.user_change.retention_ms = retentions.general_ms;
    op.user_change.retentions = buf_failed(&retentions.json) ? NULL : buf_str(&retentions.json);
    rc = store_ask(command->store, &op, err);
    if (rc == 0 && op.user_change.ended > 0)
        fprintf(stderr, "reports of '%s' that were ended: %" PRId64 "\n", command->name,
                op.user_change.ended);
    buf_done(&retentions.json);
    return rc;
}

static int read_hash(const char *name, char hash[PASSWORD_HASH_TEXT], struct err *err)
{
    char password[USER_PASSWORD_TEXT];
    int rc = user_password_read(name, password, err);

    if (rc == 0 && !password_hash(password, hash))
        rc = err_set(err, -E_NOMEM, "no memory for the password's hash");
    explicit_bzero(password, sizeof(password));
    return rc;
}

/* ---- grants of reports that do not exist ---- */

void user_warn_of_unknown(const char *verb, const struct config *config, const struct words *grants)
{
    const struct catalog_spec spec = {.folder = config->reports.text};
    struct catalog *catalog;
    struct err err;

    if (catalog_new(&spec, &catalog, &err) < 0)
        return;
    for (size_t i = 0; i < grants->count; i++) {
        struct nearest nearest = {.typed = grants->items[i]};
        const struct definition *def = catalog_hold(catalog, nearest.typed);
        char words[NEAREST_TEXT];

        if (def != NULL) {
            catalog_release(catalog, def);
        } else if (!str_eq(nearest.typed, "*")) {
            catalog_nearest(catalog, &nearest);
            fprintf(stderr, "reportd %s: warning: there is no report '%s' in %s yet%s\n", verb,
                    nearest.typed, config->reports.text, nearest_words(&nearest, "", words));
        }
    }
    catalog_free(catalog);
}

/* ---- the actions ---- */

int user_check_name(const char *name, struct err *err)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= USER_NAME_MAX && !str_has_control(name);

    for (size_t i = 0; good && i < len;) {
        size_t n = str_utf8_length(name + i, len - i);

        good = n > 0;
        i += n;
    }
    return good ? 0
                : err_set(err, -E_INVALID,
                          "a user's name has 1 to %d bytes of UTF-8, without control characters",
                          USER_NAME_MAX);
}

int user_check_local(const struct config *config, const char *name, struct err *err)
{
    for (size_t i = 0; i < config->issuer_count; i++) {
        size_t len = strlen(config->issuers[i].name);

        if (strncasecmp(name, config->issuers[i].name, len) == 0 && name[len] == ':')
            return err_set(err, -E_INVALID,
                           "names that begin with '%s:' are those of users of the issuer %s",
                           config->issuers[i].name, config->issuers[i].name);
    }
    if (*name == ' ' || (*name != '\0' && name[strlen(name) - 1] == ' '))
        return err_set(err, -E_INVALID, "a user's name neither begins nor ends with a space");
    return user_check_name(name, err);
}

/* Checked before the password is asked for. */
static int check_new(struct command *command, struct err *err)
{
    struct user user = {0};
    int rc = user_check_local(command->settings, command->name, err)
                 ?: user_find(command->store, command->name, &user, err);

    if (rc < 0)
        return rc == -E_NOT_FOUND ? 0 : rc;
    rc = err_set(err, -E_EXISTS, "There is a user '%s' already%s.", command->name,
                 user.removed ? ", which is being removed; try again in a while" : "");
    user_done(&user);
    return rc;
}

static int do_add(struct command *command, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_ADD};
    char *grants = NULL, *allow = NULL;
    char hash[PASSWORD_HASH_TEXT];
    int rc = check_new(command, err)
                 ?: user_grants_with("", &command->grants, &grants, err)
                 ?: user_allow_list(&command->allow, &allow, err)
                 ?: read_hash(command->name, hash, err);

    op.user_add = (struct store_user_add){.name = command->name,
                                          .password_hash = hash,
                                          .allow = allow,
                                          .grants = grants,
                                          .is_operator = command->is_operator};
    if (rc == 0)
        rc = store_ask(command->store, &op, err);
    if (rc == 0)
        trail_line_user_added(command->trail, command->name, grants, command->is_operator);
    if (rc == 0 && command->grants.count == 0)
        fprintf(stderr, "'%s' may run no report yet; try: reportd user grant '%s' REPORT\n",
                command->name, command->name);
    free(grants);
    free(allow);
    return rc;
}

static int do_passwd(struct command *command, struct err *err)
{
    char hash[PASSWORD_HASH_TEXT];
    struct user user;
    int rc = user_find(command->store, command->name, &user, err);
    bool external = rc == 0 && user.identity != NULL;

    if (rc < 0)
        return rc;
    user_done(&user);
    if (external)
        return err_set(err, -E_INVALID, "'%s' is signed in by an identity provider", command->name);
    return read_hash(command->name, hash, err)
               ?: change_user(command,
                              (struct store_user_change){.password_hash = hash, .disabled = -1},
                              err);
}

static int do_disable(struct command *command, struct err *err)
{
    return change_rights(command, (struct store_user_change){.disabled = 1}, err);
}

static int do_enable(struct command *command, struct err *err)
{
    return change_user(command, (struct store_user_change){.disabled = 0}, err);
}

static int do_remove(struct command *command, struct err *err)
{
    return user_remove(&(struct user_removal){.config = command->settings,
                                              .store = command->store,
                                              .name = command->name,
                                              .trail = command->trail},
                       err);
}

typedef int grants_fn(const char *old, const struct words *words, char **ret, struct err *err);

static int change_grants(struct command *command, grants_fn *make, struct err *err)
{
    int rc;

    do { /* repeated if the user was changed meanwhile; a removed user is not found */
        char *grants = NULL;
        struct user user;

        rc = user_find(command->store, command->name, &user, err);
        if (rc < 0)
            return rc;
        rc = make(user.grants, &command->rest, &grants, err)
                 ?: change_rights(command,
                                  (struct store_user_change){
                                      .grants = grants, .old_grants = user.grants, .disabled = -1},
                                  err);
        user_done(&user);
        free(grants);
    } while (rc == -E_NOT_FOUND);
    return rc;
}

static int do_grant(struct command *command, struct err *err)
{
    return change_grants(command, user_grants_with, err);
}

static int do_revoke(struct command *command, struct err *err)
{
    return change_grants(command, user_grants_without, err);
}

static int do_allow(struct command *command, struct err *err)
{
    char *allow = NULL;
    int rc = user_allow_list(&command->rest, &allow, err)
                 ?: change_user(command, (struct store_user_change){.allow = allow, .disabled = -1},
                                err);

    free(allow);
    return rc;
}

static int do_operator(struct command *command, struct err *err)
{
    const char *to = command->rest.items[0];

    if (!str_eq(to, "on") && !str_eq(to, "off"))
        return err_set(err, -E_INVALID, "'%s' is neither on nor off", to);
    return change_user(
        command, (struct store_user_change){.disabled = -1, .operates = str_eq(to, "on") ? 1 : -1},
        err);
}

/* Read a limit in the form of struct store_user_change. */
int user_read_limit(const char *text, int *ret, struct err *err)
{
    int64_t number = -1;

    *ret = 0;
    if (text == NULL)
        return 0;
    if (!str_eq(text, "default") &&
        (!str_to_int64(text, &number) || number < 1 || number > STORE_ACTIVE_MAX))
        return err_set(err, -E_INVALID, "'%s' is not a limit: 1 to %d, or default", text,
                       STORE_ACTIVE_MAX);
    *ret = (int)number;
    return 0;
}

static int do_limit(struct command *command, struct err *err)
{
    struct store_user_change change = {.disabled = -1};

    return user_read_limit(command->active, &change.active_limit, err)
               ?: user_read_limit(command->running, &change.running_limit, err)
               ?: change_user(command, change, err);
}

/* FILE takes the place of the user's name. */
static int do_import(struct command *command, struct err *err)
{
    return user_import(command->name, command->settings, command->store, command->trail, err);
}

static int do_list(struct command *command, struct err *err)
{
    struct store_op op = {.verb = STORE_USER_LIST};
    int rc = store_ask(command->store, &op, err)
                 ?: user_list_print(op.user_list.users, op.user_list.count, command->json,
                                    store_now_ms(command->store), err);

    store_op_done(&op);
    return rc;
}

/* ---- the command line ---- */

/* 0: go on; otherwise the exit status + 1. The words after --grant and --allow, up to the next
 * option, belong to them. */
static int read_options(int argc, char **argv, struct command *ret)
{
    const struct verb_option options[] = {
        {.name = "config", .text = &ret->config},        {.name = "grant", .words = &ret->grants},
        {.name = "allow", .words = &ret->allow},         {.name = "json", .flag = &ret->json},
        {.name = "operator", .flag = &ret->is_operator}, {.name = "active", .text = &ret->active},
        {.name = "running", .text = &ret->running},      {0}};

    return options_read_words(&(struct verb_line){"user", usage, options}, argc, argv, &ret->words);
}

static int check_usage(struct command *command)
{
    struct words *words = &command->words;
    const struct verb_action *action = options_action("user", actions, words);

    if (action == NULL)
        return EXIT_USAGE;
    if (action->run != do_add &&
        (command->is_operator || command->grants.count + command->allow.count > 0))
        return options_wrong("user", "only add takes --grant, --allow and --operator");
    if ((action->run == do_limit) != (command->active != NULL || command->running != NULL))
        return options_wrong("user", "limit, and only that, takes --active and --running");
    if (action->run != do_list && command->json)
        return options_wrong("user", "only list takes --json");
    command->action = action;
    command->name = action->least > 0 ? words->items[1] : NULL;
    for (size_t i = 2; i < words->count; i++)
        command->rest.items[command->rest.count++] = words->items[i];
    return EXIT_GOOD;
}

/* The actions that add or remove users record that themselves. */
static void record_user_change(struct command *command)
{
    action_fn *run = command->action->run;
    struct trail_act act = {
        .event = TRAIL_USER, .change = command->action->name, .subject = command->name};
    bool each = run == do_grant || run == do_revoke;

    if (run == do_add || run == do_remove || run == do_import || run == do_list)
        return;
    if (run == do_operator)
        act.change = str_eq(command->rest.items[0], "on") ? "operator on" : "operator off";
    for (size_t i = 0; i < (each ? command->rest.count : 1); i++) {
        act.report = each ? command->rest.items[i] : NULL;
        trail_record(command->trail, &act);
    }
}

static int run_action(struct command *command, struct err *err)
{
    struct config *config = NULL;
    int rc = config_load(command->config, &config, err);

    command->settings = config;
    if (rc == 0 && command->action->run != do_list)
        rc = trail_line_open(config, &command->trail, err);

    /* Users may be added before the server has ever run. The other actions need an existing store,
     * and must not hide a wrong name by making a new one. */
    if (rc == 0)
        rc = offline_open_store(config,
                                (struct store_spec){.create = command->action->run == do_add ||
                                                              command->action->run == do_import,
                                                    .upgrade = true},
                                &command->store, err)
                 ?: command->action->run(command, err);
    if (rc == 0 && command->action->run == do_add)
        user_warn_of_unknown("user", config, &command->grants);
    if (rc == 0 && command->action->run == do_grant)
        user_warn_of_unknown("user", config, &command->rest);
    if (rc == 0)
        record_user_change(command);
    rc = trail_line_close(command->trail, rc, err);
    store_free(command->store);
    config_free(config);
    return rc;
}

int verb_user(int argc, char **argv)
{
    struct command command = {.config = "reportd.conf"};
    struct err err = {0};
    int rc = read_options(argc, argv, &command);

    if (rc != 0)
        return rc - 1;
    rc = check_usage(&command);
    if (rc != EXIT_GOOD)
        return rc;
    if (run_action(&command, &err) < 0)
        return options_failed("user", &err);
    return EXIT_GOOD;
}
