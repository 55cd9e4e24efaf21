/* src/cli/serve_check.c -- `reportd serve --check`. */
#include "cli/serve_check.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/offline.h"
#include "cli/options.h"
#include "core/catalog.h"
#include "core/trail.h"
#include "http/issuers.h"
#include "http/receipt.h"
#include "http/sockets.h"
#include "http/tls.h"
#include "http/token.h"
#include "store/store.h"

int serve_check_problem(const char *text)
{
    say_line(stderr, "reportd serve: %s", text);
    return 1;
}

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* For a path that a start would make: the nearest existing one, the path itself or a folder above
 * it, has to permit that. */
static int check_makeable(const char *key, const char *path)
{
    char *copy = strdup(path), *folder = copy;
    char text[512];
    int problems = 0;

    while (folder != NULL && !exists(folder))
        folder = dirname(folder);
    if (folder != NULL && access(folder, str_eq(folder, path) ? W_OK : W_OK | X_OK) != 0) {
        snprintf(text, sizeof(text), "%s '%.300s' cannot be made or written in '%.100s': %s", key,
                 path, folder, strerror(errno));
        problems = serve_check_problem(text);
    }
    free(copy);
    return problems;
}

static int check_keys(const struct config *config)
{
    const char *token_file = config->key_file.text, *receipts = config->receipt_key_file.text;
    struct receipt_keys *receipt_keys = NULL;
    struct token_keys *keys = NULL;
    struct err err = {0};
    int problems = 0;

    if (!exists(token_file))
        problems += check_makeable("key_file", token_file);
    else if (token_keys_open(token_file, &keys, &err) < 0)
        problems += serve_check_problem(err.text);
    if (!exists(receipts))
        problems += check_makeable("receipt_key_file", receipts);
    else if (receipt_keys_open(receipts, &receipt_keys, &err) < 0)
        problems += serve_check_problem(err.text);
    token_keys_free(keys);
    receipt_keys_free(receipt_keys);
    return problems;
}

static int check_issuer_keys(const struct config *config)
{
    struct err err = {0};

    return issuers_check(config, &err) < 0 ? serve_check_problem(err.text) : 0;
}

static int check_trail(const struct config *config)
{
    const char *path = config->audit_log.text;
    struct trail_key key;
    struct err err = {0};
    int problems = 0;

    if (trail_check_config(config, &err) < 0)
        return serve_check_problem(err.text);
    if (!is_set(path))
        return 0;
    if (!exists(config->audit_key_file.text))
        problems += check_makeable("audit_key_file", config->audit_key_file.text);
    else if (trail_key_open(config->audit_key_file.text, false, &key, &err) < 0)
        problems += serve_check_problem(err.text);
    trail_key_done(&key);
    return problems + check_makeable("audit_log", path);
}

static int is_configured_source(void *context, const char *source)
{
    return config_source_url(context, source) != NULL;
}

static void print_definition_problem(void *context, const char *text)
{
    (void)context;
    say_line(stderr, "%s", text);
}

static int check_definitions(const struct config *config)
{
    const struct catalog_spec spec = {.folder = config->reports.text,
                                      .timezone = config_timezone(config),
                                      .source_known = is_configured_source,
                                      .problem = print_definition_problem,
                                      .context = (void *)(uintptr_t)config};
    struct catalog *catalog = NULL;
    struct err err = {0};

    if (catalog_check_rights(config->reports.text, &err) < 0 ||
        catalog_new(&spec, &catalog, &err) < 0)
        return serve_check_problem(err.text);
    catalog_free(catalog);
    return 0;
}

static int check_addresses(const struct config *config)
{
    struct tls *tls = NULL;
    struct err err = {0};
    int problems = 0;

    if (tls_open(config->tls_certificate.text, config->tls_key.text, &tls, &err) < 0)
        problems += serve_check_problem(err.text);
    tls_free(tls);
    if (sockets_check("listen", config->listen.text, &err) < 0)
        problems += serve_check_problem(err.text);
    if (is_set(config->metrics_listen.text) &&
        sockets_check("metrics_listen", config->metrics_listen.text, &err) < 0)
        problems += serve_check_problem(err.text);
    return problems;
}

/* A store of an older version is fine, and so is a missing one: a start upgrades or makes it. */
static int check_store(const struct config *config)
{
    const char *path = config_store_path(config);
    struct store *store = NULL;
    struct err err = {0};
    int rc;

    if (path != NULL && !exists(path))
        return check_makeable("store", path);
    rc = offline_open_store(config, (struct store_spec){0}, &store, &err);
    store_free(store);
    if (rc == 0 || rc == -E_CHANGED || rc == -E_NOT_FOUND)
        return 0;
    return serve_check_problem(err.text);
}

int serve_check(const struct config *config)
{
    const char *spool = config->spool.text;
    int problems = check_keys(config) + check_trail(config) + check_definitions(config) +
                   check_addresses(config) + check_issuer_keys(config);

    if (strcmp(spool, "postgresql") != 0)
        problems += check_makeable("spool", spool);
    problems += check_makeable("deletion_ledger", config->deletion_ledger.text);
    return problems + check_store(config);
}
