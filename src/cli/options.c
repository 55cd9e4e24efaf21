/* src/cli/options.c -- the options of a command line. */
#include "cli/options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/str.h"
#include "cli/verbs.h"

enum { OPTIONS_MAX = 16, FIRST_LONG = 256 };

/* Report what getopt_long() refused with '?' or ':'. */
static int refuse_option(int found, char *const *argv, const struct option *longs, struct err *err)
{
    const char *word = argv[optind - 1];
    struct nearest nearest = {.typed = str_starts(word, "--") ? word + 2 : ""};
    size_t typed = strcspn(nearest.typed, "=");
    char name[64], words[NEAREST_TEXT];

    if (found == ':')
        return err_set(err, -E_INVALID, "%.64s needs a value", word);
    str_copy(name, typed < sizeof(name) ? typed + 1 : sizeof(name), nearest.typed);
    for (const struct option *one = longs; one->name != NULL; one++) {
        if (optopt != 0 && one->val == optopt && typed > 0 && strncmp(one->name, name, typed) == 0)
            return err_set(err, -E_INVALID, "--%s takes no value", one->name);
    }
    if (optopt != 0)
        return err_set(err, -E_INVALID, "there is no option -%c", optopt);
    nearest.typed = name;
    for (const struct option *one = longs; one->name != NULL; one++)
        nearest_try(&nearest, one->name);
    return err_set(err, -E_INVALID, "there is no option --%s%s", name,
                   nearest_words(&nearest, "--", words));
}

/* No option accepts an empty value, which a script's unset variable would give. */
static int refuse_empty(int found, const struct option *longs, struct err *err)
{
    for (; longs->name != NULL; longs++) {
        if (longs->val == found)
            return err_set(err, -E_INVALID, "--%s needs a value", longs->name);
    }
    return err_set(err, -E_INVALID, "-%c needs a value", found);
}

int options_next(int argc, char **argv, const char *letters, const struct option *longs,
                 struct err *err)
{
    int found;

    opterr = 0;
    found = getopt_long(argc, argv, letters, longs, NULL);
    if (found == '?' || found == ':')
        refuse_option(found, argv, longs, err);
    else if (found > 1 && optarg != NULL && *optarg == '\0') /* 1 is a word that is not an option */
        refuse_empty(found, longs, err);
    else
        return found;
    return '?';
}

int(options_wrong)(const char *verb, const char *format, ...)
{
    const char *space = *verb != '\0' ? " " : "";
    va_list args;

    fprintf(stderr, "reportd%s%s: ", space, verb);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; try: reportd%s%s --help\n", space, verb);
    return EXIT_USAGE;
}

static int take_option(const struct verb_option *option, struct err *err)
{
    if (option->text != NULL)
        *option->text = optarg;
    if (option->flag != NULL)
        *option->flag = true;
    return option->take != NULL ? option->take(option->context, optarg, err) : 0;
}

int options_read(const struct verb_line *line, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
    const char *letters = ":h";
    struct err err = {0};
    int found, config = 0, rc = 0;

    for (int i = 0; line->options[i].name != NULL; i++) {
        longs[i + 1] = (struct option){.name = line->options[i].name,
                                       .has_arg = line->options[i].flag == NULL,
                                       .val = FIRST_LONG + i};
        if (str_eq(line->options[i].name, "config")) {
            letters = ":hc:";
            config = longs[i + 1].val;
        }
    }
    while (rc == 0 && (found = options_next(argc, argv, letters, longs, &err)) != -1) {
        if (found == 'h') {
            line->usage(stdout);
            return EXIT_GOOD + 1;
        }
        found = found == 'c' ? config : found;
        rc = found == '?' ? err.code : take_option(&line->options[found - FIRST_LONG], &err);
    }
    return rc == 0 ? 0 : options_wrong(line->verb, "%s", err.text) + 1;
}

int options_flush(const char *verb, int status)
{
    if ((fflush(stdout) == 0 && ferror(stdout) == 0) || status != EXIT_GOOD)
        return status;
    fprintf(stderr, "reportd %s: cannot write standard output\n", verb);
    return EXIT_FAILED;
}

void say_line(FILE *out, const char *format, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&line, format, args) < 0)
        line = NULL;
    va_end(args);
    if (line != NULL)
        str_plain(line);
    fprintf(out, "%s\n", line != NULL ? line : "out of memory");
    free(line);
}

int options_failed(const char *verb, const struct err *err)
{
    say_line(stderr, "reportd %s: %s", verb, err->text); /* it may contain the name of a file */
    if (err->detail[0] != '\0')
        fprintf(stderr, "reportd %s: %s\n", verb, err->detail);
    return EXIT_FAILED;
}
