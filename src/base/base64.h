/* src/base/base64.h -- bytes as base64: in JSON, and as JOSE writes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Append a string of JSON with the bytes as base64 (RFC 4648, 4). False: there is no room. */
bool base64_add(struct buf *out, const void *bytes, size_t len);

/* Append `len` bytes as base64url without padding (RFC 7515, 2); a failure is the buffer's. */
void base64url_add(struct buf *out, const void *data, size_t len);

/* Decode exactly `len` characters into out[cap]: how many bytes, or -1 if they are not base64url
 * as base64url_add() writes it, or do not fit. */
int base64url_read(const char *text, size_t len, void *out, size_t cap);
