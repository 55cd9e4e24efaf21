/* src/base/base64.h -- bytes as base64, in JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Append a string of JSON with the bytes as base64 (RFC 4648, 4). False: there is no room. */
bool base64_add(struct buf *out, const void *bytes, size_t len);
