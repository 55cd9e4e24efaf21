/* src/http/query.h -- reading query parameters, and those that choose reports in a list. */
#pragma once

#include "http/exchange.h"

enum { QUERY_MAX = 8 };

/* All parameters of the request, each of them one of `names`: values[i] is what names[i] has, ""
 * without a value, or NULL if it is not given; borrowed. -E_INVALID: there is another one, or one
 * occurs twice. */
int query_read(struct exchange *ex, const char *const *names, int count,
               const char *values[QUERY_MAX], struct err *err);

/* The value of one parameter, whatever others there are: "" without a value, NULL if it is not
 * given; borrowed. -E_INVALID: it occurs twice. */
int query_one(struct exchange *ex, const char *name, const char **ret, struct err *err);

/* A whole number from `least` to `most` (NULL: *ret stays as it is) or -E_INVALID, which names it.
 */
int query_number(const char *text, const char *name, int64_t least, int64_t most, int64_t *ret,
                 struct err *err);

/* A state that a caller may know of (NULL: *ret is -1, for all) or -E_INVALID. */
int query_state(const char *text, int *ret, struct err *err);
/* The name of a report (NULL: all) or -E_INVALID. */
int query_name(const char *text, const char **ret, struct err *err);
