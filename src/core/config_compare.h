/* src/core/config_compare.h -- what differs between two configurations, and which variables of the
 * environment are no keys: names only, since a value may have a password. */
#pragma once

#include "core/config.h"

/* Call `each` for every variable REPORTD_… that stands for no key, with the key's variable that is
 * nearest, NULL if none is near. Those that Kubernetes sets for a service called reportd, and those
 * of the project's own tools and tests, are left out. */
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
};

/* Call `each` for every difference of `now` from the snapshot, with the name of the key or source.
 * A key that the environment overrode at the start does not differ. */
void config_compare(const struct config_snapshot *before, const struct config *now,
                    void (*each)(void *context, enum config_change change, const char *name),
                    void *context);
