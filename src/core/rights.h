/* src/core/rights.h -- whether others may write what decides, or read what is secret. */
#pragma once

#include "base/err.h"
#include "core/config.h"

/* -E_CONFIG names the first file that is open to more than it may be, and the chmod to type: the
 * configuration, an embedded store and the folder of definitions may not be written by group or
 * others; a store, and a configuration with a password in it, not be
 * read by others. What is not there, or no file (a pipe), and the folders above are not checked.
 * Only looks. */
int rights_check(const struct config *config, struct err *err);
/* The same of one file, "the definition": not to be written by group or others. */
int rights_check_file(const char *what, const char *path, struct err *err);
