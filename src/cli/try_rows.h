/* src/cli/try_rows.h -- a report's result as flat rows: CSV, or a table for a terminal. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "render/form.h"

/* All of results as the server sends it with format=csv. -E_NOMEM, -E_INTERNAL. */
int try_rows_csv(FILE *out, const struct form_spec *spec, struct err *err);
/* The first `most` rows of results and of each other set, in columns, then the summary. As above.
 */
int try_rows_table(FILE *out, const struct form_spec *spec, size_t most, struct err *err);
