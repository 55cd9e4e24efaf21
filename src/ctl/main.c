/* src/ctl/main.c -- reportctl: reads the command line, runs the command, reports the outcome. */
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/process.h"
#include "base/str.h"
#include "base/version.h"
#include "base/wrap.h"
#include "cli/options.h"
#include "ctl/api.h"
#include "ctl/signal.h"
#include "ctl/token_source.h"

struct command {
    const char *name, *arguments, *options;
    size_t least, most;
    ctl_run *run;
    const char *what, *more;
};

static const struct command commands[] = {
#define X(name, arguments, options, least, most, run, what, more)                                  \
    {name, arguments, options, least, most, run, what, more},
    CTL_COMMANDS(X)
#undef X
};

struct option_row {
    char letter;
    const char *name, *argument, *what;
    size_t offset; /* in struct ctl_options */
};

static const struct option_row option_rows[] = {
#define X(member, letter, name, argument, what)                                                    \
    {letter, name, argument, what, offsetof(struct ctl_options, member)},
    CTL_OPTIONS(X)
#undef X
};

enum {
    HELP_INDENT = 26,
    COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]),
    OPTION_COUNT = sizeof(option_rows) / sizeof(option_rows[0]),
};

static const char everybodys[] = "SEJhV";

/* The exit status for each code of base/err.h; for codes that are not listed it is CTL_FAILED. */
static const struct {
    int code, status;
} exits[] = {
    {0, CTL_GOOD},
    {-E_INVALID, CTL_USAGE},
    {-E_BUSY, CTL_UNREACHABLE},
    {-E_AUTH, CTL_AUTH},
    {-E_FORBIDDEN, CTL_AUTH},
    {-E_LIMIT, CTL_LIMIT},
    {-E_IO, CTL_LOCAL},
    {-E_NOMEM, CTL_LOCAL},
    {-E_UNKNOWN_REFERENCE, CTL_UNKNOWN},
    {-E_CANCELLED, CTL_INTERRUPTED},
};

static int exit_status(int code)
{
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        if (exits[i].code == code)
            return exits[i].status;
    }
    return CTL_FAILED;
}

static bool takes(const struct command *command, char letter)
{
    return strchr(everybodys, letter) != NULL ||
           (command != NULL && strchr(command->options, letter) != NULL);
}

/* The options of a command, or, for NULL, those of every command. */
static void print_options(const struct command *command)
{
    printf("\noptions:\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        char text[48];

        if (!takes(command, row->letter))
            continue;
        snprintf(text, sizeof(text), "--%s%s%s", row->name, row->argument != NULL ? " " : "",
                 row->argument != NULL ? row->argument : "");
        if (row->letter >= 'a')
            printf("  -%c, %-19s ", row->letter, text);
        else
            printf("      %-19s ", text);
        wrap_print(stdout, HELP_INDENT, HELP_INDENT, row->what);
    }
}

static void print_exits(void)
{
    printf("\nexit status:\n");
#define X(name, number, what) printf("  %3d  %s\n", number, what);
    CTL_EXITS(X)
#undef X
}

static void print_help(const struct command *command)
{
    if (command != NULL) {
        printf("reportctl %s -- %s\n\nusage: reportctl %s [OPTIONS]%s%s\n", command->name,
               command->what, command->name, command->arguments[0] != '\0' ? " " : "",
               command->arguments);
        if (command->more[0] != '\0') {
            putchar('\n');
            wrap_print(stdout, 0, 0, command->more);
        }
    } else {
        printf("reportctl -- the client of reportd, the report server\n\n"
               "usage: reportctl COMMAND [ARGUMENTS]\n       reportctl COMMAND --help\n\n");
        for (size_t i = 0; i < COMMAND_COUNT; i++)
            printf("  %-8s %s\n", commands[i].name, commands[i].what);
    }
    print_options(command);
    print_exits();
}

/* NULL: there is no such command, as `err` (may be NULL) says. */
static const struct command *find_command(const char *name, struct err *err)
{
    struct nearest nearest = {.typed = name};
    char words[NEAREST_TEXT];

    const struct command *found =
        nearest_find(&nearest, commands, COMMAND_COUNT, sizeof(commands[0]));

    if (found == NULL)
        err_set(err, -E_INVALID, "there is no command '%s'%s", name,
                nearest_words(&nearest, "", words));
    return found;
}

/* Every process on the machine can read arguments, and shells keep a history of them. */
static int refuse_secrets(int argc, char **argv, struct err *err)
{
    for (int i = 1; i < argc; i++) {
        if (token_is_in(argv[i]))
            return err_set(
                err, -E_INVALID,
                "an API key or a token is no argument, since others can read it: "
                "put it in a file for login --key-file FILE, or in the variable " TOKEN_VARIABLE);
    }
    return 0;
}

/* Read the options, wherever they are; the other words are left in argv from optind on. */
static int read_ctl_options(int argc, char **argv, struct ctl_options *ret, char *ret_seen,
                            struct err *err)
{
    struct option longs[OPTION_COUNT + 1] = {{NULL, 0, NULL, 0}};
    size_t seen = 0;
    int found;

    if (refuse_secrets(argc, argv, err) < 0)
        return err->code;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        longs[i] = (struct option){option_rows[i].name, option_rows[i].argument != NULL, NULL,
                                   option_rows[i].letter};
    while ((found = options_next(argc, argv, ":hu:o:", longs, err)) != -1) {
        if (found == '?')
            return err->code;
        for (size_t i = 0; i < OPTION_COUNT; i++) {
            const char **value = (const char **)((char *)ret + option_rows[i].offset);

            if (option_rows[i].letter != found)
                continue;
            if (*value == NULL)
                ret_seen[seen++] = (char)found;
            *value = optarg != NULL ? optarg : "";
        }
    }
    return 0;
}

/* Check the words against the command's entry. */
static int check_words(const struct command *command, const struct ctl *ctl, const char *seen,
                       struct err *err)
{
    for (; *seen != '\0'; seen++) {
        for (size_t i = 0; i < OPTION_COUNT; i++) {
            if (option_rows[i].letter == *seen && !takes(command, *seen))
                return err_set(err, -E_INVALID, "%s has no option --%s", command->name,
                               option_rows[i].name);
        }
    }
    if (ctl->count < command->least)
        return err_set(err, -E_INVALID, "%s needs %s", command->name, command->arguments);
    if (ctl->count > command->most)
        return err_set(err, -E_INVALID, "%s: there is nothing to do with '%s'", command->name,
                       ctl->arguments[command->most]);
    return 0;
}

/* For --json: in the form of the API's envelope, if the server has sent none. */
static void print_failure(const struct err *err)
{
    json_t *answer = json_pack("{sb ss s{}}", "result", 0, "message", err->text, "data");

    json_dumpf(answer, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(answer);
}

/* Run the command line; *ret_command is the command, NULL if there is none. */
static int run(int argc, char **argv, const struct command **ret_command, struct err *err)
{
    struct ctl ctl = {.count = 0};
    char seen[OPTION_COUNT + 1] = "";
    int rc = read_ctl_options(argc, argv, &ctl.options, seen, err);

    for (int i = 1; i < argc && rc != 0 && *ret_command == NULL; i++)
        *ret_command = find_command(argv[i], NULL); /* whose help may be useful */
    if (rc != 0)
        return rc;
    if (ctl.options.version != NULL) {
        printf("reportctl %s\n", REPORTD_VERSION);
        return 0;
    }
    if (optind < argc) {
        *ret_command = find_command(argv[optind], err);
        if (*ret_command == NULL)
            return err->code;
    }
    if (ctl.options.help != NULL) {
        print_help(*ret_command);
        return 0;
    }
    if (*ret_command == NULL)
        return err_set(err, -E_INVALID, "which command?");
    ctl.arguments = argv + optind + 1;
    ctl.count = (size_t)(argc - optind - 1);
    rc = check_words(*ret_command, &ctl, seen, err) ?: (*ret_command)->run(&ctl, err);
    if (rc != 0 && ctl.options.json != NULL && !api_has_printed() && !signal_reader_lost())
        print_failure(err);
    return rc;
}

/* End like a program that does not ignore SIGPIPE: `reportctl list | head -1` is not a failure. */
static void end_by_pipe(void)
{
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
}

int main(int argc, char **argv)
{
    const struct command *command = NULL;
    struct err err = {.code = 0};
    bool unwritten;
    int status;

    descriptors_fill_standard();
    signal_catch();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    status = exit_status(run(argc, argv, &command, &err));
    curl_global_cleanup();
    if (status == CTL_INTERRUPTED && signal_last() != 0)
        status = 128 + signal_last(); /* as in a shell */
    unwritten = fflush(stdout) != 0 || ferror(stdout);
    if (signal_reader_lost() || (unwritten && signal_reader_gone()))
        end_by_pipe();
    if (unwritten && status == CTL_GOOD) {
        err_set(&err, -E_IO, "cannot write standard output");
        status = CTL_LOCAL;
    }
    str_plain(err.text); /* it may quote a server */
    if (status == CTL_USAGE)
        fprintf(stderr, "reportctl: %s; try: reportctl%s%s --help\n", err.text,
                command != NULL ? " " : "", command != NULL ? command->name : "");
    else if (status != CTL_GOOD)
        fprintf(stderr, "reportctl: %s\n", err.text);
    return status;
}
