/* src/render/json_rows.h -- rows of columns → JSON objects, nested as the column names say. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/definition.h"
#include "core/footer.h"
#include "source/source.h"

struct json_rows;

/* Plan the shape of the rows of a statement. Names that it gives with AS nest, others are plain
 * keys: "a.b" makes an object (columns of one object must be together), "a[].b" an array of the row
 * whose plain columns equal the previous row's, "a[].c[].d" an array of the element whose columns
 * do: plain columns first, then those of the array, then those of the array in it. An element whose
 * columns are all NULL is left out, so that a LEFT JOIN without a match gives []. -E_SOURCE names
 * the column that does not fit. `def` is borrowed. */
int json_rows_new(const struct definition *def, const struct statement *statement,
                  const char *const *columns, size_t count, struct json_rows **ret,
                  struct err *err);
void json_rows_free(struct json_rows *rows);

/* Append one database row. Between objects the commas are added; the surrounding brackets are the
 * caller's. An object with an array stays open until the next object or json_rows_end(). -E_SOURCE
 * names the column: NaN, infinity, text that is not UTF-8, a number with a fraction in a scaled
 * column, text that is not JSON in a json column. */
int json_rows_add(struct json_rows *rows, const struct source_value *row, struct buf *out,
                  struct err *err);
void json_rows_end(struct json_rows *rows, struct buf *out);

/* Where in `out` the last json_rows_add() has begun an object of the first level, if it has. */
size_t json_rows_object_at(const struct json_rows *rows);

/* What the columns are, by their names, declarations and all values so far, into `part`, of which
 * only `name`, `at`, `end` and `rows` are left as they are. Yours, also on -E_NOMEM. */
int json_rows_describe(const struct json_rows *rows, const struct definition *def,
                       struct footer_part *part, struct err *err);

/* How many objects the rows have begun: rows that nest into one count once. */
size_t json_rows_objects(const struct json_rows *rows);
