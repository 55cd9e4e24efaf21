/* src/base/guid.h -- GUIDs (RFC 9562): made time-ordered (version 7), printed lower case. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { GUID_BYTES = 16, GUID_TEXT = 37 }; /* GUID_TEXT: 36 characters and the NUL */

struct guid {
    uint8_t bytes[GUID_BYTES];
};

/* A new version 7 GUID: 48 bits of UTC milliseconds, 74 random bits. Time-ordered so that the
 * store's B-tree pages of one moment lie together. */
struct guid guid_new(void);

/* 36 characters 8-4-4-4-12, any case, nothing before or after; false: *ret untouched. */
bool guid_parse(const char *text, struct guid *ret);
void guid_format(const struct guid *id, char text[GUID_TEXT]);
/* Random bits of it, for a table. */
unsigned guid_hash(const struct guid *id);
bool guid_eq(const struct guid *a, const struct guid *b);
