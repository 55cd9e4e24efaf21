/* src/cli/check.h -- the parts of `reportd check`: what the text of the SQL shows, what the
 * database says. */
#pragma once

#include <stdbool.h>

#include "core/definition.h"
#include "core/problems.h"

enum check_engine { CHECK_UNKNOWN, CHECK_SQLITE, CHECK_POSTGRES };

/* check_sql.c: warnings about SQL that is valid, and probably not meant so. Asks no database. */
void check_sql(const struct definition *def, enum check_engine engine, struct problems *problems);

/* check_columns.c: checks the columns of results, a set or the summary, whose `names` the database
 * gives. A summary is `one_object`: a run reports it if the rows belong to two. */
void check_columns(const struct statement *statement, const char *const *names, size_t count,
                   bool one_object, enum check_engine engine, struct problems *problems);

/* check_database.c: every statement, compiled and rehearsed by the database at `url` with all
 * parameters NULL; and the names and types of the columns, which check_columns() checks, too. */
void check_database(const struct definition *def, enum check_engine engine, const char *url,
                    struct problems *problems);
