/* src/cli/receipt.c -- `reportd receipt`: checks whether a deletion receipt is genuine, and prints
 * what it says. */
#include <stdio.h>
#include <string.h>

#include "cli/options.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "http/receipt.h"

enum { LINE_MAX_BYTES = 2 * RECEIPT_TEXT_MAX }; /* with surrounding white space */

struct checking {
    const char *file, *jwks;
    char *receipt; /* or a file that contains it; NULL: standard input */
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd receipt [-c FILE] [--jwks FILE] [RECEIPT]\n\n"
            "Check the receipt of a deletion (the header X-Deletion-Receipt, or data.receipt\n"
            "of DELETE /Report/List) and print its claims as JSON. RECEIPT is a file that\n"
            "contains it, or the receipt itself; without RECEIPT, or with -, standard input\n"
            "is read. For several receipts, one per line, the claims of each are printed on\n"
            "one line, and those that are not genuine are named by their line.\n\n"
            "  -c, --config FILE  the configuration, whose receipt_key_file has the keys\n"
            "                     (default: reportd.conf)\n"
            "  --jwks FILE        take the keys from FILE, a JWK Set as the server publishes\n"
            "                     it at /.well-known/jwks.json, and read no configuration\n"
            "  -h, --help         print this\n\n"
            "The exit status is 0 if all receipts are genuine, 1 if not, 2 for wrong usage.\n");
}

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct checking *ret)
{
    const struct verb_option options[] = {
        {.name = "config", .text = &ret->file}, {.name = "jwks", .text = &ret->jwks}, {0}};
    int rc = options_read(&(struct verb_line){"receipt", usage, options}, argc, argv);

    if (rc != 0)
        return rc;
    if (optind < argc && strcmp(argv[optind], "-") != 0)
        ret->receipt = argv[optind];
    if (optind + 1 < argc)
        return options_wrong("receipt", "too many arguments") + 1;
    return 0;
}

/* Open the keys of --jwks or of the configuration. */
static int open_checking_keys(const struct checking *c, struct receipt_keys **ret, struct err *err)
{
    struct config *config;
    int rc;

    if (c->jwks != NULL)
        return receipt_keys_read(c->jwks, ret, err);
    rc = config_load(c->file, &config, err);
    if (rc < 0)
        return rc;
    rc = receipt_keys_read(config->receipt_key_file.text, ret, err);
    config_free(config);
    return rc;
}

static bool may_be_receipt(const char *text)
{
    return strchr(text, '/') == NULL && strchr(text, '.') != strrchr(text, '.');
}

/* A file that is read line by line, one line ahead. */
struct lines {
    FILE *file;
    long number, next_number; /* from 1 */
    char text[LINE_MAX_BYTES], next[LINE_MAX_BYTES];
};

/* Take the next line that is not blank, without surrounding white space. 1; 0: there is none;
 * -E_INVALID. */
static int take_line(struct lines *lines, struct err *err)
{
    static const char white[] = " \t\r\n";
    size_t len;

    memcpy(lines->text, lines->next, sizeof(lines->text));
    lines->number = lines->next_number;
    for (;;) {
        lines->next[0] = '\0';
        if (fgets(lines->next, sizeof(lines->next), lines->file) == NULL)
            return lines->text[0] != '\0';
        lines->next_number++;
        len = strlen(lines->next);
        if (len + 1 == sizeof(lines->next) && lines->next[len - 1] != '\n')
            return err_set(err, -E_INVALID, "line %ld is longer than any receipt",
                           lines->next_number);
        while (len > 0 && strchr(white, lines->next[len - 1]) != NULL)
            lines->next[--len] = '\0';
        memmove(lines->next, lines->next + strspn(lines->next, white), len + 1);
        if (lines->next[0] != '\0')
            return lines->text[0] != '\0';
    }
}

static int print_claims(const struct receipt_keys *keys, const char *text, size_t flags,
                        struct err *err)
{
    json_t *claims;
    int rc = receipt_verify(keys, text, &claims, err);

    if (rc < 0)
        return rc;
    json_dumpf(claims, stdout, flags);
    putchar('\n');
    json_decref(claims);
    return 0;
}

/* Each line is a receipt. If there are several, the claims of each are printed on one line, and one
 * that is not genuine does not keep the others from being checked. `name`: of the file, for
 * messages. */
static int check_lines(const struct receipt_keys *keys, FILE *file, const char *name,
                       struct err *err)
{
    struct lines lines = {.file = file};
    long count = 0, bad = 0;
    int rc = take_line(&lines, err); /* takes nothing yet, but reads ahead */

    while (rc >= 0 && (rc = take_line(&lines, err)) == 1) {
        bool alone = count == 0 && lines.next[0] == '\0';

        rc = print_claims(keys, lines.text, alone ? JSON_INDENT(2) : JSON_COMPACT, err);
        count++;
        if (rc < 0 && alone)
            return rc;
        if (rc < 0)
            say_line(stderr, "reportd receipt: line %ld: %s", lines.number, err->text);
        bad += rc < 0;
        rc = 0;
    }
    if (rc < 0)
        return rc;
    if (ferror(file) || count == 0)
        return err_set(err, -E_INVALID, "%s has no receipt", name);
    return bad == 0 ? 0
                    : err_set(err, -E_INVALID, "%ld of %ld receipts are not genuine", bad, count);
}

static int check_named(const struct receipt_keys *keys, const char *receipt, struct err *err)
{
    FILE *file = fopen(receipt, "re");
    char name[96];
    int rc;

    if (file == NULL && may_be_receipt(receipt))
        return print_claims(keys, receipt, JSON_INDENT(2), err);
    if (file == NULL)
        return err_errno(err, -E_INVALID,
                         "'%.64s' is neither a receipt nor a file that can be read", receipt);
    snprintf(name, sizeof(name), "the file '%.64s'", receipt);
    rc = check_lines(keys, file, name, err);
    fclose(file);
    return rc;
}

static int check_receipt(const struct checking *c, struct err *err)
{
    struct receipt_keys *keys = NULL;
    int rc = open_checking_keys(c, &keys, err);

    if (rc < 0)
        return rc;
    rc = c->receipt != NULL ? check_named(keys, c->receipt, err)
                            : check_lines(keys, stdin, "standard input", err);
    receipt_keys_free(keys);
    return rc;
}

int verb_receipt(int argc, char **argv)
{
    struct checking checking = {.file = "reportd.conf"};
    struct err err = {0};
    int rc = read_arguments(argc, argv, &checking);

    if (rc != 0)
        return rc - 1;
    rc = check_receipt(&checking, &err);
    if (rc < 0)
        say_line(stderr, "reportd receipt: %s", err.text);
    return rc < 0 ? EXIT_FAILED : EXIT_GOOD;
}
