/* src/base/json_text.h -- what stands between the quotes of a JSON text, without its escapes. */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Append `text` as UTF-8. Half of a surrogate pair (RFC 8259, 8.2, allows it) is appended as if it
 * were a character of its own, in three bytes that begin with 0xED. Of a text that is not JSON,
 * what cannot be read is appended as it is. */
void json_text_decode(struct buf *out, const char *text, size_t len);
