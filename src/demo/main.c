/* src/demo/main.c -- reportd-demo, which `reportd demo` runs: makes a folder that is ready to
 * serve, with registry, reports, configuration and user. */
#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/process.h"
#include "base/str.h"
#include "cli/options.h"
#include "core/config.h"
#include "core/password.h"
#include "demo/files.h"
#include "demo/registry.h"
#include "store/store.h"

enum { PASSWORD_LENGTH = 20, PATH_BYTES_MAX = 4096 };

struct options {
    const char *folder;
    int64_t entities, seed;
    bool force;
};

static void usage(FILE *out)
{
    fputs("usage: reportd demo DIR [--entities N] [--seed S] [--force]\n\n"
          "Make a demo in the folder DIR: a registry of made-up entities, accounts and\n"
          "transactions (registry.db), three reports over it (reports/), a configuration\n"
          "(reportd.conf) and the user 'demo', whose password is printed once.\n\n"
          "  --entities N  entities, 1 to 1000000 (default 10000); each has 1.5 accounts\n"
          "                and 100 transactions on average\n"
          "  --seed S      the same seed makes the same registry (default 1)\n"
          "  --force       write into a folder that is not empty, over an earlier demo; its\n"
          "                user 'demo' gets a new password\n"
          "  -h, --help    print this\n",
          out);
}

static const char config_text[] = "# reportd.conf -- the demo. Every key: reportd serve --help\n"
                                  "# Paths are relative to this file.\n"
                                  "listen = \"127.0.0.1:8080\"\n"
                                  "store = \"reportd.db\"\n"
                                  "spool = \"spool\"\n"
                                  "reports = \"reports\"\n"
                                  "\n"
                                  "source registry {\n"
                                  "    url = \"sqlite:registry.db\"\n"
                                  "}\n";

static const struct {
    const char *path, *text;
} files[] = {
    {"reportd.conf", config_text},
    {"reports/EntityBalanceReport.sql", demo_entity_balance_report_sql},
    {"reports/TransactionSummary.sql", demo_transaction_summary_sql},
    {"reports/DistributionReconciliation.sql", demo_distribution_reconciliation_sql},
};

/* The path of a file in the folder; yours to free(). NULL: out of memory or too long. */
static char *path_in(const char *folder, const char *name)
{
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    buf_add_format(&path, "%s/%s", folder, name);
    return buf_take(&path);
}

static int expect_empty(const char *path, struct err *err)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool empty = true;

    if (folder == NULL)
        return err_errno(err, -E_IO, "cannot read the folder %s", path);
    while (empty && (entry = readdir(folder)) != NULL)
        empty = str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..");
    closedir(folder);
    if (!empty)
        return err_set(err, -E_EXISTS,
                       "the folder %s is not empty; name another one, or add --force to write the "
                       "demo into it",
                       path);
    return 0;
}

static int write_demo_file(const char *folder, const char *name, const char *text, struct err *err)
{
    char *path = path_in(folder, name);
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    int rc = 0;

    if (file == NULL || fputs(text, file) == EOF)
        rc = err_errno(err, -E_IO, "cannot write %s/%s", folder, name);
    if (file != NULL && fclose(file) != 0 && rc == 0)
        rc = err_errno(err, -E_IO, "cannot write %s/%s", folder, name);
    free(path);
    return rc;
}

static int write_files(const struct options *options, struct err *err)
{
    char *reports = path_in(options->folder, "reports");
    int rc = file_make_folder(options->folder, err);

    if (rc == 0 && !options->force)
        rc = expect_empty(options->folder, err);
    if (rc == 0 && reports == NULL)
        rc = err_set(err, -E_IO, "the path %s is too long", options->folder);
    if (rc == 0)
        rc = file_make_folder(reports, err);
    for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++)
        rc = write_demo_file(options->folder, files[i].path, files[i].text, err);
    free(reports);
    return rc;
}

static int write_registry(const struct options *options, struct err *err)
{
    char *path = path_in(options->folder, "registry.db"), size[32] = "";
    struct demo_spec spec = {path, options->entities, (uint64_t)options->seed};
    struct demo_totals totals;
    struct stat file;
    int rc;

    if (path == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    rc = demo_generate(&spec, &totals, err);
    if (rc == 0 && stat(path, &file) == 0)
        str_human_size(size, sizeof(size), file.st_size);
    free(path);
    if (rc == 0)
        printf("The registry in %s has %lld entities, %lld accounts, %lld transactions and %lld "
               "distributions (%s).\n",
               options->folder, (long long)totals.entities, (long long)totals.accounts,
               (long long)totals.transactions, (long long)totals.distributions, size);
    return rc;
}

/* Without letters and digits that are easily confused: 20 of 31 make 99 bits. */
static bool make_password(char password[PASSWORD_LENGTH + 1])
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";

    if (sodium_init() < 0)
        return false;
    for (int i = 0; i < PASSWORD_LENGTH; i++)
        password[i] = letters[randombytes_uniform(sizeof(letters) - 1)];
    password[PASSWORD_LENGTH] = '\0';
    return true;
}

/* Add the user, or, in an existing demo, set the new password. */
static int put_user(struct store *store, const char *hash, struct err *err)
{
    struct store_op add = {
        .verb = STORE_USER_ADD,
        .user_add = {.name = "demo", .password_hash = hash, .allow = "", .grants = "*"},
    };
    struct store_op change = {
        .verb = STORE_USER_CHANGE,
        .user_change = {.name = "demo", .password_hash = hash, .grants = "*", .disabled = 0},
    };
    int rc = store_run(store, &add);

    if (rc == -E_EXISTS)
        rc = store_run(store, &change);
    if (rc != 0)
        *err = rc == add.rc ? add.err : change.err;
    store_op_done(&add);
    store_op_done(&change);
    return rc;
}

static int make_demo_user(const struct options *options, struct err *err)
{
    char *path = path_in(options->folder, "reportd.conf");
    char password[PASSWORD_LENGTH + 1], hash[PASSWORD_HASH_TEXT];
    struct config *config = NULL;
    struct store *store = NULL;
    int rc = (path != NULL ? config_load(path, &config, err) : err_set(err, -E_NOMEM, "no memory"))
                 ?: store_open(&(struct store_spec){.url = config->store.text,
                                                    .create = true,
                                                    .erase_key = config->erase_key_file.text},
                               &store, err);

    if (rc == 0 && !(make_password(password) && password_hash(password, hash)))
        rc = err_set(err, -E_NOMEM, "out of memory for the password's hash");
    if (rc == 0)
        rc = put_user(store, hash, err);
    if (rc == 0)
        printf("\n  user      demo\n  password  %s   (shown only now)\n\n"
               "Serve it: reportd serve -c %s\n",
               password, path);
    store_free(store);
    config_free(config);
    free(path);
    return rc;
}

static int read_option_number(const char *option, const char *text, int64_t lowest, int64_t highest,
                              int64_t *ret)
{
    int64_t value;

    if (text == NULL)
        return EXIT_GOOD;
    if (!str_to_int64(text, &value) || value < lowest || value > highest)
        return options_wrong("demo", "--%s takes a number from %lld to %lld, not '%s'", option,
                             (long long)lowest, (long long)highest, text);
    *ret = value;
    return EXIT_GOOD;
}

/* 0: go on; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, struct options *ret)
{
    const char *entities = NULL, *seed = NULL;
    const struct verb_option options[] = {{.name = "entities", .text = &entities},
                                          {.name = "seed", .text = &seed},
                                          {.name = "force", .flag = &ret->force},
                                          {0}};
    int rc = options_read(&(struct verb_line){"demo", usage, options}, argc, argv);

    if (rc != 0)
        return rc;
    if (argc - optind != 1 || argv[optind][0] == '\0')
        return options_wrong("demo", "name one folder") + 1;
    ret->folder = argv[optind];
    rc = read_option_number("entities", entities, 1, DEMO_ENTITIES_MAX, &ret->entities);
    if (rc == EXIT_GOOD)
        rc = read_option_number("seed", seed, 0, INT64_MAX, &ret->seed);
    return rc == EXIT_GOOD ? 0 : rc + 1;
}

static int run(int argc, char **argv)
{
    struct options options = {.entities = DEMO_ENTITIES, .seed = 1};
    struct err err = {0};
    int rc = read_arguments(argc, argv, &options);

    if (rc != 0)
        return rc - 1;
    rc = write_files(&options, &err)
             ?: write_registry(&options, &err)
             ?: make_demo_user(&options, &err);
    if (rc != 0) {
        fprintf(stderr, "reportd demo: %s\n", err.text);
        return EXIT_FAILED;
    }
    return EXIT_GOOD;
}

int main(int argc, char **argv)
{
    descriptors_fill_standard();
    umask(077);
    return options_flush("demo", run(argc, argv));
}
