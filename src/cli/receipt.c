/* src/cli/receipt.c -- `reportd receipt`: is a deletion receipt genuine, and what does it say? */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "core/config.h"
#include "http/receipt.h"

enum { INPUT_MAX = 2 * RECEIPT_TEXT_MAX }; /* with white space around it */

struct checking {
    const char *file, *jwks;
    bool rotate;
    char *receipt; /* or a file that has it; NULL: on standard input */
};

static void usage(FILE *out)
{
    fprintf(out, "usage: reportd receipt [-c FILE] [--jwks FILE] [RECEIPT]\n"
                 "       reportd receipt [-c FILE] --rotate\n\n"
                 "Check the receipt of a deletion (the header X-Deletion-Receipt, or data.receipt\n"
                 "of DELETE /Report/List) and print its claims as JSON. RECEIPT is a file that\n"
                 "contains it, or the receipt itself; without RECEIPT, or with -, standard input\n"
                 "is read.\n\n"
                 "  -c, --config FILE  the configuration, whose receipt_key_file has the keys\n"
                 "                     (default: reportd.conf)\n"
                 "  --jwks FILE        take the keys from FILE, a JWK Set as the server publishes\n"
                 "                     it at /.well-known/jwks.json, and read no configuration\n"
                 "  --rotate           put a new key before those in receipt_key_file, which stay\n"
                 "                     listed; copy the file to every node, then restart them\n"
                 "  -h, --help         print this\n\n"
                 "The exit status is 0 if the receipt is genuine, 1 if not, 2 for wrong usage.\n");
}

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct checking *ret)
{
    const struct verb_option options[] = {{.name = "config", .text = &ret->file},
                                          {.name = "jwks", .text = &ret->jwks},
                                          {.name = "rotate", .flag = &ret->rotate},
                                          {0}};
    int rc = options_read(&(struct verb_line){"receipt", usage, options}, argc, argv);

    if (rc != 0)
        return rc;
    if (optind < argc && strcmp(argv[optind], "-") != 0)
        ret->receipt = argv[optind];
    if (optind + 1 < argc || (ret->rotate && (optind < argc || ret->jwks != NULL)))
        return options_wrong("receipt", "too many arguments") + 1;
    return 0;
}

/* The keys of --jwks or of the configuration. */
static int open_keys(const struct checking *c, struct receipt_keys **ret, struct err *err)
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

/* All of the file without the white space around it; a failure is the buffer's. */
static char *read_input(FILE *file, struct buf *ret)
{
    char part[1024];
    size_t n, last;
    char *text;

    while ((n = fread(part, 1, sizeof(part), file)) > 0)
        buf_add(ret, part, n);
    if (ferror(file) || buf_failed(ret) || ret->len == 0)
        return NULL;
    text = ret->data + strspn(ret->data, " \t\r\n");
    for (last = strlen(text); last > 0 && strchr(" \t\r\n", text[last - 1]) != NULL; last--)
        text[last - 1] = '\0';
    return text;
}

static bool may_be_receipt(const char *text)
{
    return strchr(text, '/') == NULL && strchr(text, '.') != strrchr(text, '.');
}

/* The receipt itself, or what is in the file of that name. NULL: `err` says why. */
static char *find_text(const struct checking *c, struct buf *input, struct err *err)
{
    FILE *file;
    char *text;

    if (c->receipt == NULL) {
        text = read_input(stdin, input);
        if (text == NULL)
            err_set(err, -E_INVALID, "standard input has no receipt");
        return text;
    }
    file = fopen(c->receipt, "re");
    if (file == NULL && may_be_receipt(c->receipt))
        return c->receipt;
    if (file == NULL) {
        err_errno(err, -E_INVALID, "'%.64s' is neither a receipt nor a file that can be read",
                  c->receipt);
        return NULL;
    }
    text = read_input(file, input);
    if (text == NULL)
        err_set(err, -E_INVALID, "the file '%s' has no receipt", c->receipt);
    fclose(file);
    return text;
}

static int check_receipt(const struct checking *c, struct err *err)
{
    struct receipt_keys *keys = NULL;
    json_t *claims;
    struct buf input;
    const char *text;
    int rc = open_keys(c, &keys, err);

    if (rc < 0)
        return rc;
    buf_init(&input, INPUT_MAX);
    text = find_text(c, &input, err);
    rc = text == NULL ? -E_INVALID : receipt_verify(keys, text, &claims, err);
    if (rc == 0) {
        json_dumpf(claims, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(claims);
    }
    buf_done(&input);
    receipt_keys_free(keys);
    return rc;
}

static int rotate_key(const struct checking *c, struct err *err)
{
    struct config *config;
    int rc = config_load(c->file, &config, err);

    if (rc < 0)
        return rc;
    rc = receipt_keys_rotate(config->receipt_key_file.text, err);
    if (rc == 0)
        printf("%s has a new key; copy it to every node, then restart them\n",
               config->receipt_key_file.text);
    config_free(config);
    return rc;
}

int verb_receipt(int argc, char **argv)
{
    struct checking checking = {.file = "reportd.conf"};
    struct err err = {0};
    int rc = read_arguments(argc, argv, &checking);

    if (rc != 0)
        return rc - 1;
    rc = checking.rotate ? rotate_key(&checking, &err) : check_receipt(&checking, &err);
    if (rc < 0)
        fprintf(stderr, "reportd receipt: %s\n", err.text);
    return rc < 0 ? EXIT_FAILED : EXIT_GOOD;
}
