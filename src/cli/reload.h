/* src/cli/reload.h -- what SIGHUP reads again, and the log of what differs. */
#pragma once

#include "core/catalog.h"
#include "core/config_compare.h"

/* Read the definitions again, and log each that was added, changed or removed. */
void reload_definitions(struct catalog *catalog);

/* Read the file of the configuration, and log what has changed in it since the start, which takes
 * a restart. A configuration that came from a pipe cannot be read again: nothing is logged. */
void reload_compare(const char *file, const struct config_snapshot *started);

/* Log the variables of the environment that stand for no key. */
void reload_warn_of_variables(void);
