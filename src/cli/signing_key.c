/* src/cli/signing_key.c -- `reportd signing-key`: the keys of access tokens and of receipts. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "cli/trail_line.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "http/receipt.h"
#include "http/token_keys.h"
#include "store/store.h"

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd signing-key ACTION [-c FILE] [ARGUMENTS]\n\n"
            "Replace the keys that sign access tokens (key_file) and receipts of deletions\n"
            "(receipt_key_file). The server may be running.\n\n"
            "  list\n"
            "      list the ids of the keys, those that sign first\n"
            "  rotate token|receipt\n"
            "      put a new key before the others, which stay: nobody is logged out, and all\n"
            "      receipts can still be checked. Where nodes have copies of the file, copy\n"
            "      it to each. Then send each node a SIGHUP, after which it signs with it\n"
            "  retire token|receipt ID\n"
            "      take a key that was replaced out of the file, as if it were stolen. Of\n"
            "      token: ends all sessions. Of receipt: what it has signed can no longer\n"
            "      be checked. Copies and SIGHUP as above. Write -- before an ID that\n"
            "      begins with '-'.\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  -h, --help         print this\n\n"
            "A rotation drops keys of tokens that were replaced %d days ago: no refresh\n"
            "token lives so long. Keys of receipts stay until they are retired.\n\n"
            "The exit status is 0 on success, 1 on failure, 2 for wrong usage.\n",
            TOKEN_KEY_DAYS);
}

struct command {
    const char *file; /* of the configuration */
    const struct action *action;
    bool is_token; /* or of receipts */
    const char *id;
    const struct config *config;
};

static const char *path_of(const struct command *command)
{
    return command->is_token ? command->config->key_file.text
                             : command->config->receipt_key_file.text;
}

/* ---- the actions ---- */

static int list_tokens(const struct config *config, struct err *err)
{
    struct token_keys *keys;
    const char *id;
    int rc = token_keys_open(config->key_file.text, &keys, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; (id = token_keys_id_at(keys, i)) != NULL; i++)
        printf("token\t%s\t%s\n", id, i == 0 ? "signs" : "replaced");
    token_keys_free(keys);
    return 0;
}

static int list_keys(const struct command *command, struct err *err)
{
    struct receipt_keys *keys;
    const char *id;
    size_t len;
    int rc = list_tokens(command->config, err)
                 ?: receipt_keys_open(command->config->receipt_key_file.text, &keys, err);

    if (rc != 0)
        return rc;
    for (size_t i = 0; (id = receipt_keys_id_at(keys, i, &len)) != NULL; i++)
        printf("receipt\t%s\t%s\n", id, i == 0 ? "signs" : "replaced");
    receipt_keys_free(keys);
    return 0;
}

static void say_what_is_next(const struct command *command, const char *done)
{
    printf("%s %s. Copy it to every node that has its own copy; then send each reportd serve a "
           "SIGHUP\n",
           path_of(command), done);
}

static int do_rotate(const struct command *command, struct err *err)
{
    int rc = command->is_token ? token_keys_rotate(path_of(command), err)
                               : receipt_keys_rotate(path_of(command), err);

    if (rc == 0)
        say_what_is_next(command, "has a new key");
    return rc;
}

/* A stolen key of tokens may have been used to make the refresh tokens of users who were logged
 * in. */
static int end_sessions(const struct config *config, struct err *err)
{
    struct store_op op = {.verb = STORE_SESSIONS_END};
    struct store *store;
    int rc = offline_open_store(config, (struct store_spec){.upgrade = true}, &store, err);

    if (rc < 0)
        return rc;
    rc = store_ask(store, &op, err);
    store_free(store);
    if (rc == 0)
        printf("%lld sessions have ended\n", (long long)op.sessions_end.ended);
    return rc;
}

static int do_retire(const struct command *command, struct err *err)
{
    int rc = command->is_token ? token_keys_retire(path_of(command), command->id, err)
                               : receipt_keys_retire(path_of(command), command->id, err);

    if (rc == 0)
        say_what_is_next(command, "does not have that key any more");
    return rc == 0 && command->is_token ? end_sessions(command->config, err) : rc;
}

/* ---- the verb ---- */

static const struct action {
    const char *name;
    int words; /* including the name */
    int (*run)(const struct command *command, struct err *err);
} actions[] = {{"list", 1, list_keys}, {"rotate", 2, do_rotate}, {"retire", 3, do_retire}};

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct command *ret)
{
    const struct verb_option options[] = {{.name = "config", .text = &ret->file}, {0}};
    int rc = options_read(&(struct verb_line){"signing-key", usage, options}, argc, argv);
    const char *name = argv[optind], *which;

    if (rc != 0)
        return rc;
    if (name == NULL)
        return options_wrong("signing-key", "name an action: list, rotate or retire") + 1;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (str_eq(name, actions[i].name))
            ret->action = &actions[i];
    }
    if (ret->action == NULL)
        return options_wrong("signing-key", "there is no action '%s'", name) + 1;
    if (argc - optind != ret->action->words)
        return options_wrong("signing-key", "say: %s%s", name,
                             ret->action->words == 1   ? ""
                             : ret->action->words == 2 ? " token|receipt"
                                                       : " token|receipt ID") +
               1;
    which = ret->action->words > 1 ? argv[optind + 1] : "token";
    ret->is_token = str_eq(which, "token");
    if (!ret->is_token && !str_eq(which, "receipt"))
        return options_wrong("signing-key", "'%s' is neither token nor receipt", which) + 1;
    ret->id = ret->action->words > 2 ? argv[optind + 2] : NULL;
    return 0;
}

/* Run the action, with a line in the audit trail if it changes anything. */
static int run_recorded(const struct command *command, struct err *err)
{
    struct trail_act act = {.event = TRAIL_SIGNING_KEY,
                            .change = command->action->name,
                            .subject = command->is_token ? "token" : "receipt"};
    struct trail *trail = NULL;
    int rc = 0;

    if (command->action->run == list_keys)
        return list_keys(command, err);
    rc = trail_line_open(command->config, &trail, err) ?: command->action->run(command, err);
    if (rc == 0)
        trail_record(trail, &act);
    return trail_line_close(trail, rc, err);
}

int verb_signing_key(int argc, char **argv)
{
    struct command command = {.file = "reportd.conf"};
    struct config *config = NULL;
    struct err err = {0};
    int rc = read_arguments(argc, argv, &command);

    if (rc != 0)
        return rc - 1;
    rc = config_load(command.file, &config, &err);
    command.config = config;
    if (rc == 0)
        rc = run_recorded(&command, &err);
    if (rc < 0)
        say_line(stderr, "reportd signing-key: %s", err.text);
    config_free(config);
    return rc < 0 ? EXIT_FAILED : EXIT_GOOD;
}
