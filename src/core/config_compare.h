/* src/core/config_compare.h -- what differs between two configurations, and which variables of the
 * environment are no keys: names only, since a value may have a password. */
#pragma once

#include "core/config.h"

/* Call `each` for every variable REPORTD_… that does not stand for a key, with the nearest variable
 * of a key, NULL if none is near. Those that Kubernetes sets for a service called reportd, and
 * those of the project's own tools and tests, are left out. */
void config_each_unknown_variable(void (*each)(void *context, const char *variable,
                                               const char *nearest),
                                  void *context);

/* What was configured at the start, whatever becomes of the configuration and the environment. */
struct config_snapshot;

/* *ret is yours: config_snapshot_free(). NULL: no memory. */
struct config_snapshot *config_snapshot_new(const struct config *config);
void config_snapshot_free(struct config_snapshot *snapshot); /* NULL is fine */

enum config_change {
    CONFIG_KEY_CHANGED,
    CONFIG_SOURCE_ADDED,
    CONFIG_SOURCE_CHANGED,
    CONFIG_SOURCE_REMOVED,
    CONFIG_ISSUER_CHANGED, /* or added, or removed */
};

/* What SIGHUP compares: the configuration that runs, what it was at the start, and what the file
 * says now. */
struct config_comparison {
    struct config *running;
    const struct config_snapshot *before;
    struct config *now;
    /* `name` is that of the key or source, `key` that of a source that has changed, else "". */
    void (*each)(enum config_change change, enum config_reload reload, const char *name,
                 const char *key);
};

/* Apply each RELOADED key, and max_running of sources, and call `each` for every difference: once
 * for those, each time for the others. A key that the environment overrode at the start does not
 * differ. Takes over `now`; a text that was replaced, which threads may still read, is freed with
 * the running configuration. One thread at a time. */
void config_adopt(const struct config_comparison *all);
