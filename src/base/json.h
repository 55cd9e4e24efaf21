/* src/base/json.h -- JSON text written straight into a buffer: strings escaped, UTF-8 checked; and
 * the escapes of a text undone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Add `text` quoted and escaped (RFC 8259). False, with nothing added, if it is not UTF-8. */
bool json_add_text(struct buf *b, const char *text, size_t len);

/* Like json_add_text, for text of our own: invalid UTF-8 becomes '?'. NULL adds null. */
void json_add_string(struct buf *b, const char *text);

/* Like json_add_string, for a line that people read on a terminal: control characters that JSON
 * permits (DEL, C1, and those that change the direction of text) are escaped, too. The text is cut
 * after JSON_VISIBLE_MAX - 1 bytes. */
enum { JSON_VISIBLE_MAX = 1024 };
void json_add_visible(struct buf *b, const char *text);

/* `"key":` with a comma before it unless an object or array has just been opened. */
void json_add_key(struct buf *b, const char *key);
/* The same with a value, as json_add_string(). */
void json_add_member(struct buf *b, const char *key, const char *text);
void json_add_number(struct buf *b, const char *key, int64_t number);
void json_add_bool(struct buf *b, const char *key, bool value);
void json_add_time(struct buf *b, const char *key, int64_t ms); /* clock_format(); null for 0 */

/* Append the text between the quotes of a JSON text, without its escapes, as UTF-8. Half of a
 * surrogate pair (RFC 8259, 8.2, permits it) is appended as if it were a character, in three bytes
 * that begin with 0xED. If the text is not JSON, what cannot be read is appended unchanged. */
void json_text_decode(struct buf *out, const char *text, size_t len);
