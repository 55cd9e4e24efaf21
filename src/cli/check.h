/* src/cli/check.h -- the parts of `reportd check`: what the text of the SQL shows, what the
 * database says. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <stdbool.h>

#include "core/definition.h"
#include "core/problems.h"

/* check_sql.c: warnings about SQL that is valid, and probably not meant so. Asks no database;
 * `postgres`: it is one, which cuts long names. */
void check_sql(const struct definition *def, bool postgres, struct problems *problems);

/* check_database.c: every statement, compiled and rehearsed by the database at `url` with all
 * parameters NULL; the names and types of the columns. */
void check_database(const struct definition *def, const char *url, struct problems *problems);

#endif
