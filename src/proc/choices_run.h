/* src/proc/choices_run.h -- the choices of a parameter (`-- values`), in a worker: listed for a
 * form, and what was given checked against them. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "core/param_check.h"
#include "source/source.h"

enum {
    CHOICES_ROWS_MAX = 10000,
    CHOICES_BYTES_MAX = 1 << 20, /* of the list as JSON */
};

/* The message to a user of a worker that has no memory: -E_NOMEM. */
int choices_no_memory(struct err *err);

/* Append [{"value":"1","label":"Ann"},…] in the query's order; rows whose value is NULL or outside
 * the limits of the parameter are left out, a label that is NULL or missing is the value. A moment
 * without an offset is in UTC, as parameters are bound; the value is in RFC 3339. -E_SOURCE says
 * what is wrong with the query or with what it gives; -E_CANCELLED. */
int choices_list(struct source *source, const struct definition *def, const struct param *param,
                 const struct claims *claims, struct buf *out, struct err *err);

/* Is every value, of a list too, among the choices? -E_SOURCE if not: the message names the
 * parameter and quote no value. No value at all is always one. -E_CANCELLED. */
int choices_check(struct source *source, const struct param *param, const struct param_value *value,
                  const struct claims *claims, struct err *err);
