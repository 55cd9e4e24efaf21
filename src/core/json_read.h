/* src/core/json_read.h -- reads JSON texts with jansson, which does not distinguish a malformed
 * text from a lack of memory. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* As json_loadb(), keys twice refused, a byte order mark before it ignored (RFC 8259, 8.1). NULL:
 * `where` (may be NULL) says what is wrong, unless *ret_starved: there was no memory, and nothing
 * is known of the text. */
json_t *json_read(const char *text, size_t len, json_error_t *where, bool *ret_starved);
