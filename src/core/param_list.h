/* src/core/param_list.h -- the value of a list parameter: split, and written in its one form. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

enum { PARAM_LIST_MAX = 10000 }; /* values of a list */

/* Split `text`, values with commas between them ("1,2,3", blanks around a value dropped) or a JSON
 * array (RFC 8259) of strings, numbers and booleans. `out` gets each value ended by a NUL, as many
 * as *ret_count; empty text is the empty list. NULL, or what is wrong, to be put behind "Parameter
 * 'x' ". When `out` has failed the answer means nothing. */
const char *param_list_split(const char *text, struct buf *out, size_t *ret_count);

/* Append `count` values, each ended by a NUL, as a list: with commas, or, where these would not say
 * it, as a JSON array of strings. */
void param_list_add(struct buf *out, const char *items, size_t count);
