/* src/render/json_value.h -- one value of a row → JSON, as its column is declared. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "core/definition.h"
#include "source/source.h"

enum { JSON_VALUE_MAX = 64 << 20 }; /* bytes of one text, blob or JSON value of the database */

/* Append `value` of the column `name`; `column` is its declaration, NULL if it has none: then it
 * prints by what the database gives. -E_SOURCE names the column and says why it cannot print;
 * `out` may then hold a part of the value. A buffer that is full is for the caller to see. */
int json_value_add(struct buf *out, const struct source_value *value, const char *name,
                   const struct column *column, struct err *err);

/* Could the column, as it is declared, print values of that kind (which the database calls `type`)?
 * SOURCE_NULL: the kind is not known. -E_SOURCE says what it takes. */
int json_value_suits(const struct column *column, enum source_kind kind, const char *type,
                     struct err *err);
