/* src/http/base64url.h -- base64url without padding, as JOSE writes bytes (RFC 7515, 2). */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Append `len` bytes; a failure is the buffer's. */
void base64url_add(struct buf *out, const void *data, size_t len);

/* Decode exactly `len` characters into out[cap]: how many bytes, or -1 if they are not base64url
 * as base64url_add() writes it, or do not fit. */
int base64url_read(const char *text, size_t len, void *out, size_t cap);
