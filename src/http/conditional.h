/* src/http/conditional.h -- conditional and range requests (RFC 9110, 13 and 14). Pure text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* True if the list of an If-None-Match header has `etag` (quoted, maybe W/) or is "*", by weak
 * comparison. NULL (no header) has nothing. */
bool etag_listed(const char *list, const char *etag);

/* True if a Range may be honoured: there is no If-Range, or it is the strong `etag` or exactly the
 * date `modified`. */
bool if_range_holds(const char *header, const char *etag, const char *modified);

/* The bytes that a Range header asks for, of `size`. RANGE_WHOLE: there is no header, or one to be
 * ignored (several ranges, another unit, malformed); RANGE_NONE: unsatisfiable. */
enum range_kind { RANGE_WHOLE, RANGE_PART, RANGE_NONE };
enum range_kind range_read(const char *header, int64_t size, int64_t *ret_first,
                           int64_t *ret_length);
