/* src/cli/main.c -- reportd: finds the verb and runs it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/nearest.h"
#include "base/process.h"
#include "base/version.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/config_compare.h"

static const struct verb {
    const char *name, *what;
    int (*run)(int argc, char **argv);
} verbs[] = {
#define X(function, name, arguments, what) {name, what, verb_##function},
    VERBS(X)
#undef X
};

static void usage(FILE *out)
{
    fprintf(out, "reportd -- an asynchronous report server\n\n"
                 "usage: reportd VERB [ARGUMENTS]\n       reportd VERB --help\n\n");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(out, "  %-11s  %s\n", verbs[i].name, verbs[i].what);
    fprintf(out, "\n  --version   print the version\n  -h, --help  print this\n");
}

static void warn_of_variable(void *context, const char *variable, const char *nearest)
{
    say_line(stderr, "reportd %s: warning: the environment variable %s stands for no key%s%s%s",
             (const char *)context, variable, nearest != NULL ? " (did you mean " : "",
             nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
}

static int run_verb(const struct verb *verb, int argc, char **argv)
{
    /* serve logs them itself. */
    if (verb->run != verb_serve && verb->run != verb_worker && verb->run != verb_fetch)
        config_each_unknown_variable(warn_of_variable, argv[0]);
    return verb->run(argc, argv);
}

static int run(int argc, char **argv)
{
    static char fsck[] = "fsck";
    struct nearest nearest = {0};
    char words[NEAREST_TEXT];
    const struct verb *verb;

    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("reportd %s\n", REPORTD_VERSION);
        return EXIT_GOOD;
    }
    if (argv[1][0] == '-')
        return options_wrong("", "there is no option %s", argv[1]);
    if (strcmp(argv[1], "audit") == 0) /* the former name of fsck */
        argv[1] = fsck;
    nearest.typed = argv[1];
    verb = nearest_find(&nearest, verbs, sizeof(verbs) / sizeof(verbs[0]), sizeof(verbs[0]));
    if (verb == NULL)
        return options_wrong("", "there is no verb '%s'%s", argv[1],
                             nearest_words(&nearest, "", words));
    return run_verb(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    descriptors_fill_standard();
    umask(077);               /* what the program makes, for example a store, is private to its
                               * user */
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error, like a full disk */
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    return options_flush(argv[1], run(argc, argv));
}
