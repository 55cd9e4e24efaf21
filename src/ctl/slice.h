/* src/ctl/slice.h -- values of a JSON text as they stand in it, so that a number keeps all its
 * digits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of the text, borrowed. Of a text that is not JSON a slice is anything that lies in it. */
struct slice {
    const char *at, *end;
};

/* What is in the array or object `value`; of another value nothing. */
struct slice slice_inside(struct slice value);
/* Take the next member or (with `key` NULL) element off `rest`; false: there is none. The key has
 * its quotes. */
bool slice_next(struct slice *rest, struct slice *key, struct slice *value);
/* The value of an object's member whose key has no escapes; false: it has none. */
bool slice_member(struct slice object, const char *name, struct slice *ret);

bool slice_is(struct slice value, const char *text);
/* False: it is no whole number. */
bool slice_number(struct slice value, int64_t *ret);
