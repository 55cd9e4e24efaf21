/* src/cli/options.c -- the options of a command line. */
#include "cli/options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
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
    char *what = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&what, format, args) < 0)
        what = NULL;
    va_end(args);
    say_line(stderr, "reportd%s%s: %s; try: reportd%s%s --help", space, verb,
             what != NULL ? what : "out of memory", space, verb);
    free(what);
    return EXIT_USAGE;
}

static int add_word(struct words *words, const char *text, struct err *err)
{
    CHECK(words != NULL); /* without words no letter stands for one */
    if (words->count == WORDS_MAX)
        return err_set(err, -E_INVALID, "there are too many arguments");
    words->items[words->count++] = text;
    return 0;
}

static int take_option(const struct verb_option *option, struct err *err)
{
    if (option->text != NULL)
        *option->text = optarg;
    if (option->flag != NULL)
        *option->flag = true;
    if (option->words != NULL)
        return add_word(option->words, optarg, err);
    return option->take != NULL ? option->take(option->context, optarg, err) : 0;
}

/* Fill `longs`, of OPTIONS_MAX + 2; returns the value of --config, whose short form is -c, or 0. */
static int list_options(const struct verb_option *options, struct option *longs)
{
    int config = 0;

    for (int i = 0; options[i].name != NULL; i++) {
        longs[i + 1] = (struct option){
            .name = options[i].name, .has_arg = options[i].flag == NULL, .val = FIRST_LONG + i};
        if (str_eq(options[i].name, "config"))
            config = longs[i + 1].val;
    }
    return config;
}

int options_read_words(const struct verb_line *line, int argc, char **argv, struct words *words)
{
    struct option longs[OPTIONS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
    int found, config = list_options(line->options, longs), rc = 0;
    /* "-": words between the options are returned in order, as values of option 1. */
    const char *letters = config != 0 ? "-:hc:" : "-:h";
    struct words *last = words;
    struct err err = {0};

    if (words == NULL)
        letters++;
    while (rc == 0 && (found = options_next(argc, argv, letters, longs, &err)) != -1) {
        const struct verb_option *option;

        if (found == 'h') {
            line->usage(stdout);
            return EXIT_GOOD + 1;
        }
        if (found == 1 || found == '?') {
            rc = found == 1 ? add_word(last, optarg, &err) : err.code;
            continue;
        }
        option = &line->options[(found == 'c' ? config : found) - FIRST_LONG];
        rc = take_option(option, &err);
        last = option->words != NULL ? option->words : last;
    }
    while (rc == 0 && words != NULL && optind < argc) /* behind "--" */
        rc = add_word(words, argv[optind++], &err);
    return rc == 0 ? 0 : options_wrong(line->verb, "%s", err.text) + 1;
}

int options_read(const struct verb_line *line, int argc, char **argv)
{
    return options_read_words(line, argc, argv, NULL);
}

const struct verb_action *options_action(const char *verb, const struct verb_action *table,
                                         const struct words *words)
{
    struct nearest nearest = {.typed = words->count > 0 ? words->items[0] : ""};
    const struct verb_action *action;
    char better[NEAREST_TEXT];
    size_t count = 0;

    while (table[count].name != NULL)
        count++;
    action = nearest_find(&nearest, table, count, sizeof(*table));
    if (words->count == 0)
        options_wrong(verb, "name an action");
    else if (action == NULL)
        options_wrong(verb, "there is no action '%s'%s", words->items[0],
                      nearest_words(&nearest, "", better));
    else if (words->count - 1 < action->least)
        options_wrong(verb, "say: %s %s", action->name, action->takes);
    else if (words->count - 1 > action->most)
        options_wrong(verb, "'%s' is too much", words->items[1 + action->most]);
    else
        return action;
    return NULL;
}

void options_print_actions(FILE *out, const struct verb_action *table)
{
    for (; table->name != NULL; table++)
        fprintf(out, "  %s %s\n      %s\n", table->name, table->takes, table->what);
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
        say_line(stderr, "reportd %s: %s", verb, err->detail);
    return EXIT_FAILED;
}
