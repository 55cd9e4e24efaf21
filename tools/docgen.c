/* tools/docgen.c -- print a section of the documentation from a table in the code. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "core/config.h"
#include "core/places.h"
#include "core/report.h"
#include "ctl/ctl.h"
#include "http/metrics.h"
#include "proc/states.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum { MANUAL_COLUMNS = 78 };

/* Text of a manual page: lines that are not too long, and a new one for each sentence. */
static void print_text(const char *text)
{
    size_t column = 0;

    while (*(text += strspn(text, " \n")) != '\0') {
        size_t len = strcspn(text, " \n");

        if (column > 0 && column + 1 + len > MANUAL_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%.*s", column > 0 ? " " : "", (int)len, text);
        if (text[len - 1] == '.') {
            putchar('\n');
            column = 0;
        }
        text += len;
    }
    if (column > 0)
        putchar('\n');
}

/* The same for words that lack the full stop. */
static void print_sentence(const char *words)
{
    char text[1024];

    snprintf(text, sizeof(text), "%s.", words);
    print_text(text);
}

static void config_table(void)
{
    config_print_markdown(stdout);
}

static const char *kind_words(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_SPOOL:
        return "A path relative to the file, or `postgresql`.";
    case CONFIG_STORE:
        return "A path relative to the file, or a URL.";
    case CONFIG_LEDGER:
    case CONFIG_RECEIPT_KEY:
    case CONFIG_PATH:
    case CONFIG_FILE:
        return "A path relative to the file.";
    case CONFIG_INT:
        return "A whole number.";
    case CONFIG_DURATION:
        return "A duration: ms, s, m, h or d follow the number.";
    case CONFIG_SIZE:
    case CONFIG_LIMIT:
        return "A size in bytes; K, M, G or T may follow the number.";
    case CONFIG_ZONE:
        return "A name of the tz database.";
    case CONFIG_LISTEN:
    case CONFIG_NETWORKS:
    case CONFIG_ORIGINS:
    case CONFIG_CHOICE:
        break;
    }
    return "";
}

static void config_manual(void)
{
    static const struct {
        const char *name, *fallback, *what;
        enum config_kind kind;
        enum config_reload reload;
    } keys[] = {
#define X(name, kind, reload, fallback, lowest, highest, what)                                     \
    {#name, fallback, what, CONFIG_##kind, CONFIG_##reload},
        CONFIG_KEYS(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        printf(".It Ic %s Pq default: %s%.*s\n", keys[i].name,
               *keys[i].fallback != '\0' ? "Li " : "none", (int)strcspn(keys[i].fallback, "|"),
               keys[i].fallback);
        print_sentence(keys[i].what);
        if (keys[i].kind == CONFIG_CHOICE)
            printf("One of\n.Li %s .\n", keys[i].fallback);
        else
            print_text(kind_words(keys[i].kind));
        print_sentence(keys[i].reload == CONFIG_RELOADED ? "A change is applied at SIGHUP"
                                                         : "A change needs a restart");
    }
}

static const struct {
    const char *name;
    unsigned moves;
} states[] = {
#define X(name, text, moves) {text, moves},
    REPORT_STATES(X)
#undef X
};

static void states_table(void)
{
    printf("| state | may become |\n|---|---|\n");
    for (size_t from = 0; from < ARRAY_SIZE(states); from++) {
        const char *comma = "";

        printf("| %s | ", states[from].name);
        for (size_t to = 0; to < ARRAY_SIZE(states); to++) {
            if ((states[from].moves & 1u << to) != 0) {
                printf("%s%s", comma, states[to].name);
                comma = ", ";
            }
        }
        printf("%s |\n", *comma == '\0' ? "(gone)" : "");
    }
}

struct phase {
    const char *name, *what;
    unsigned moves;
};

static void phases_table(const struct phase *phases, size_t count)
{
    printf("| name | means | may become |\n|---|---|---|\n");
    for (size_t from = 0; from < count; from++) {
        const char *comma = "";

        printf("| %s | %s | ", phases[from].name, phases[from].what);
        for (size_t to = 0; to < count; to++) {
            if ((phases[from].moves & 1u << to) != 0) {
                printf("%s%s", comma, phases[to].name);
                comma = ", ";
            }
        }
        printf("%s |\n", *comma == '\0' ? "(gone)" : "");
    }
}

static void job_phases(void)
{
    static const struct phase phases[] = {
#define X(name, text, moves, what) {text, what, moves},
        JOB_PHASES(X)
#undef X
    };

    phases_table(phases, ARRAY_SIZE(phases));
}

static void worker_states(void)
{
    static const struct phase phases[] = {
#define X(name, text, moves, what) {text, what, moves},
        WORKER_STATES(X)
#undef X
    };

    phases_table(phases, ARRAY_SIZE(phases));
}

/* Its words, each as code, behind a prefix unless it has a folder. */
static void print_words(const char *words, const char *prefix, const char *folder)
{
    const char *comma = "";

    while (*(words += strspn(words, " ")) != '\0') {
        size_t len = strcspn(words, " ");

        printf("%s`%s%.*s`", comma, memchr(words, '/', len) != NULL ? folder : prefix, (int)len,
               words);
        comma = ", ";
        words += len;
    }
}

static void places_table(void)
{
    static const struct {
        const char *what, *where, *stores, *erased, *lasts, *fsck, *tests;
    } places[] = {
#define X(name, stores, where, made, what, erased, lasts, fsck, seams, tests)                      \
    {what, where, stores, erased, lasts, #fsck, tests},
        REPORT_PLACES(X)
#undef X
    };

    printf("| place | where | stores | erased by | may stay | `reportd fsck` | tests |\n"
           "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        printf("| %s | %s%s%s | ", places[i].what, *places[i].where != '\0' ? "`" : "",
               places[i].where, *places[i].where != '\0' ? "`" : "");
        fputs(strcmp(places[i].stores, PLACE_ALL) == 0 ? "all" : places[i].stores, stdout);
        fputs(" | ", stdout);
        print_words(places[i].erased, "", "");
        printf(" | %s | %s | ", places[i].lasts,
               strcmp(places[i].fsck, "fsck_nothing") == 0 ? "" : "looks");
        print_words(places[i].tests, "tests/e2e/", "tests/");
        puts(" |");
    }
}

static void states_drawing(void)
{
    printf("```mermaid\nstateDiagram-v2\n    [*] --> %s\n", states[0].name);
    for (size_t from = 0; from < ARRAY_SIZE(states); from++) {
        for (size_t to = 0; to < ARRAY_SIZE(states); to++) {
            if ((states[from].moves & 1u << to) != 0)
                printf("    %s --> %s\n", states[from].name, states[to].name);
        }
        if (states[from].moves == 0)
            printf("    %s --> [*]\n", states[from].name);
    }
    printf("```\n");
}

static void verbs_manual(void)
{
#define X(function, name, arguments, what)                                                         \
    puts(*arguments != '\0' ? ".It Ic " name " Ar \"" arguments "\"" : ".It Ic " name);            \
    print_sentence(what);
    VERBS(X)
#undef X
}

static const struct {
    char letter;
    const char *name, *argument, *what;
} options[] = {
#define X(member, letter, name, argument, what) {letter, name, argument, what},
    CTL_OPTIONS(X)
#undef X
};

static void print_flag(char letter, const char *name, const char *argument)
{
    if (islower(letter))
        printf(" Fl %c", letter);
    else
        printf(" Fl -%s", name);
    if (argument != NULL)
        printf(" Ar %s", argument);
}

static void print_own_options(const char *letters)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (strchr(letters, options[i].letter) == NULL)
            continue;
        printf(" Oo");
        print_flag(options[i].letter, options[i].name, options[i].argument);
        printf(" Oc");
    }
}

static void commands_manual(void)
{
    static const struct {
        const char *name, *arguments, *letters, *what, *more;
    } commands[] = {
#define X(name, arguments, letters, least, most, run, what, more)                                  \
    {name, arguments, letters, what, more},
        CTL_COMMANDS(X)
#undef X
    };

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        printf(".It Ic %s", commands[i].name);
        print_own_options(commands[i].letters);
        if (commands[i].arguments[0] != '\0')
            printf(" Ar \"%s\"", commands[i].arguments);
        putchar('\n');
        print_sentence(commands[i].what);
        print_text(commands[i].more);
    }
}

static void options_manual(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        printf(".It ");
        if (islower(options[i].letter))
            printf("Fl %c , ", options[i].letter);
        printf("Fl -%s", options[i].name);
        if (options[i].argument != NULL)
            printf(" Ar %s", options[i].argument);
        putchar('\n');
        print_sentence(options[i].what);
    }
}

static void exits_manual(void)
{
#define X(name, number, what)                                                                      \
    printf(".It %d\n", number);                                                                    \
    print_sentence(what);
    CTL_EXITS(X)
#undef X
}

static void metrics_table(void)
{
    printf("| metric | type | labels | what it is |\n|---|---|---|---|\n");
#define X(id, name, type, labels, help)                                                            \
    printf("| `reportd_%s` | %s | %s | %s |\n", name, type, labels, help);
    METRICS(X)
#undef X
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } sections[] = {
        {"config-table", config_table},       {"config-manual", config_manual},
        {"states-table", states_table},       {"states-drawing", states_drawing},
        {"job-phases", job_phases},           {"worker-states", worker_states},
        {"places-table", places_table},       {"verbs-manual", verbs_manual},
        {"commands-manual", commands_manual}, {"options-manual", options_manual},
        {"exits-manual", exits_manual},       {"metrics-table", metrics_table},
    };

    for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(sections); i++) {
        if (strcmp(argv[1], sections[i].name) == 0) {
            sections[i].print();
            return 0;
        }
    }
    fprintf(stderr, "usage: docgen SECTION, one of\n");
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
        fprintf(stderr, "  %s\n", sections[i].name);
    return 2;
}
