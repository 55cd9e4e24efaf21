/* src/cli/reload.c -- reads the configuration, the definitions and the signing keys again at
 * SIGHUP. */
#include "cli/reload.h"

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static void log_definition(void *context, enum catalog_change change, const struct definition *def)
{
    static const char *const events[] = {[CATALOG_ADDED] = "definition.added",
                                         [CATALOG_CHANGED] = "definition.changed",
                                         [CATALOG_REMOVED] = "definition.removed"};
    int *counts = context;

    counts[change]++;
    log_info(events[change], "report=%s file=%s", def->name, def->file);
}

void reload_definitions(struct catalog *catalog)
{
    int counts[CATALOG_REMOVED + 1] = {0};
    struct err err = {0};
    int broken = catalog_reload(catalog, log_definition, counts, &err);

    if (broken < 0)
        log_error("definitions.reload", "error=%s", err.text);
    else
        log_info("definitions.reload", "broken=%d added=%d changed=%d removed=%d", broken,
                 counts[CATALOG_ADDED], counts[CATALOG_CHANGED], counts[CATALOG_REMOVED]);
}

static void log_change(enum config_change change, enum config_reload reload, const char *name,
                       const char *key)
{
    static const char *const events[] = {[CONFIG_KEY_CHANGED] = "config.changed",
                                         [CONFIG_SOURCE_ADDED] = "config.source_added",
                                         [CONFIG_SOURCE_CHANGED] = "config.source_changed",
                                         [CONFIG_SOURCE_REMOVED] = "config.source_removed",
                                         [CONFIG_ISSUER_CHANGED] = "config.issuer_changed"};
    static const char *const effects[] = {
        [CONFIG_RELOADED] = "now", [CONFIG_RESTART] = "after a restart"};

    if (*key != '\0')
        log_event(reload == CONFIG_RELOADED ? LOG_INFO : LOG_WARN, events[change],
                  "name=%s key=%s takes_effect=%s", name, key, effects[reload]);
    else
        log_event(reload == CONFIG_RELOADED ? LOG_INFO : LOG_WARN, events[change],
                  "name=%s takes_effect=%s", name, effects[reload]);
}

void reload_config(struct config *running, const struct config_snapshot *started)
{
    struct config *config;
    struct err err = {0};
    struct stat st;

    if (stat(running->file, &st) == 0 && !S_ISREG(st.st_mode))
        return;
    if (config_load(running->file, &config, &err) < 0) {
        log_error("config.unusable", "error=%s", err.text);
        return;
    }
    config_adopt(&(struct config_comparison){
        .running = running, .before = started, .now = config, .each = log_change});
}

int reload_check_receipt_key(const struct config *config, struct store *store,
                             const struct receipt_keys *keys, struct err *err)
{
    return store_check_key(store,
                           &(struct store_key_file){.name = "receipt.key",
                                                    .path = config->receipt_key_file.text,
                                                    .key = receipt_keys_id_at,
                                                    .keys = keys},
                           err);
}

/* A missing file is an error here, although a start would make it. */
static int check_there(const char *path, struct err *err)
{
    return access(path, F_OK) == 0 ? 0 : err_errno(err, -E_CONFIG, "read the key file '%s'", path);
}

static int reload_tokens(const struct reload_keys *all, struct err *err)
{
    const char *path = all->config->key_file.text;
    struct token_keys *now;
    int rc = check_there(path, err) ?: token_keys_open(path, &now, err);

    if (rc == 0 && token_keys_adopt(all->tokens, now)) {
        token_cache_forget(all->token_cache);
        log_info("key.changed", "key=%s signs=%s", "key_file", token_keys_id_at(all->tokens, 0));
    }
    return rc;
}

static int reload_receipts(const struct reload_keys *all, struct err *err)
{
    const char *path = all->config->receipt_key_file.text;
    struct receipt_keys *now = NULL;
    int rc = check_there(path, err) ?: receipt_keys_open(path, &now, err);

    rc = rc ?: reload_check_receipt_key(all->config, all->store, now, err);
    if (rc < 0)
        receipt_keys_free(now);
    else if (receipt_keys_adopt(all->receipts, now))
        log_info("key.changed", "key=%s signs=%s", "receipt_key_file",
                 receipt_keys_id(all->receipts));
    return rc;
}

void reload_keys(const struct reload_keys *all)
{
    struct err err = {0};

    if (reload_tokens(all, &err) < 0)
        log_error("key.unusable", "key=%s error=%s", "key_file", err.text);
    if (reload_receipts(all, &err) < 0)
        log_error("key.unusable", "key=%s error=%s", "receipt_key_file", err.text);
    if (all->issuers != NULL)
        issuers_reload(all->issuers);
}

static void log_variable(void *context, const char *variable, const char *nearest)
{
    (void)context;
    log_warn("config.unknown_variable", "variable=%s did_you_mean=%s", variable,
             nearest != NULL ? nearest : "");
}

void reload_warn_of_variables(void)
{
    config_each_unknown_variable(log_variable, NULL);
}
