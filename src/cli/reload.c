/* src/cli/reload.c -- read again at SIGHUP: the definitions, and, to compare, the configuration. */
#include "cli/reload.h"

#include <stddef.h>
#include <sys/stat.h>

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

static void log_change(void *context, enum config_change change, const char *name)
{
    static const char *const events[] = {[CONFIG_KEY_CHANGED] = "config.changed",
                                         [CONFIG_SOURCE_ADDED] = "config.source_added",
                                         [CONFIG_SOURCE_CHANGED] = "config.source_changed",
                                         [CONFIG_SOURCE_REMOVED] = "config.source_removed"};

    (void)context;
    log_warn(events[change], "name=%s takes_effect=%s", name, "after a restart");
}

void reload_compare(const char *file, const struct config_snapshot *started)
{
    struct config *config;
    struct err err = {0};
    struct stat st;

    if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
        return;
    if (config_load(file, &config, &err) < 0) {
        log_error("config.unusable", "error=%s", err.text);
        return;
    }
    config_compare(started, config, log_change, NULL);
    config_free(config);
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
