/* src/cli/try_rows.h -- a report's JSON as flat rows: CSV, or a table for a terminal. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* `json` is a report as run_report() writes it, of `len` bytes. A column is named as in the SQL
 * ("orders[].id"); an object with arrays is as many rows as their elements, one without elements
 * is one row. Numbers keep their digits, null is empty. */

/* All of results as CSV with a header (RFC 4180). -E_NOMEM. */
int try_rows_csv(FILE *out, const char *json, size_t len);
/* The first `most` rows of results and each other set, in columns, then the summary. -E_NOMEM. */
int try_rows_table(FILE *out, const char *json, size_t len, size_t most);
