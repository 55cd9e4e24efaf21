/* src/cli/options.h -- the options of a command line, and one way to say what is wrong. */
#pragma once

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/verbs.h"

/* getopt_long() that says nothing by itself: the next option's letter, -1 after the last; '?' with
 * what is wrong in `err`, -E_INVALID. `letters` begins with ':', or with "-:". */
int options_next(int argc, char **argv, const char *letters, const struct option *longs,
                 struct err *err);

enum { WORDS_MAX = 256 };
/* Words of the command line, or of a field; borrowed. */
struct words {
    const char *items[WORDS_MAX];
    size_t count;
};

/* An option of a verb: it sets what it has of these. A name of NULL ends a list of them. */
struct verb_option {
    const char *name;
    const char **text; /* its value, borrowed from argv; the last one if it is given again */
    bool *flag;
    struct words *words; /* gets its value, and the words that follow */
    /* For each value; 0, or -E_INVALID with its message. */
    int (*take)(void *context, const char *text, struct err *err);
    void *context;
};

/* A verb of reportd: every one has --help (-h), and the short form of --config is -c. */
struct verb_line {
    const char *verb;
    void (*usage)(FILE *out);
    const struct verb_option *options;
};

/* Read the options, wherever they are; the other words are then argv[optind] and so on. 0: go on;
 * otherwise the exit status + 1: help was printed, or options_wrong() was called. */
int options_read(const struct verb_line *line, int argc, char **argv);
/* The same; `words` gets the words that do not belong to an option. */
int options_read_words(const struct verb_line *line, int argc, char **argv, struct words *words);

/* An action, which is the first word of a verb that has several: "add" of user. Each verb has a
 * `struct command` of its own. */
struct command;
typedef int action_fn(struct command *command, struct err *err);

struct verb_action {
    const char *name, *takes, *what; /* `takes` and `what` are for the help */
    action_fn *run;
    size_t least, most; /* number of words after the action */
};

/* The action that the words begin with, and that they are enough for, of a table that ends with a
 * name of NULL. NULL: options_wrong() was called. */
const struct verb_action *options_action(const char *verb, const struct verb_action *table,
                                         const struct words *words);
/* Two lines of help for each. */
void options_print_actions(FILE *out, const struct verb_action *table);

/* Print in one line on standard error what is wrong with the use of a verb ("": of reportd itself),
 * and where the help is; returns EXIT_USAGE. */
int options_wrong(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print one line, without control characters: it may quote what somebody else has written. */
void say_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print why a verb failed, without control characters, and the detail; returns EXIT_FAILED. */
int options_failed(const char *verb, const struct err *err);

/* As a macro it lets the compiler see that. */
#define options_wrong(...)                                                                         \
    __extension__({                                                                                \
        options_wrong(__VA_ARGS__);                                                                \
        EXIT_USAGE;                                                                                \
    })

/* The exit status after `status` of a verb: EXIT_FAILED, with the reason on standard error, if its
 * output could not be written. */
int options_flush(const char *verb, int status);
