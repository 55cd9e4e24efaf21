/* src/http/console.h -- GET / and /console/NAME: the page for people, which is in the program. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "http/exchange.h"

/* The files, made by tools/embed-web from the folder web/. */
struct console_bytes {
    const char *first, *end;
};
struct console_file {
    const char *name, *type;
    const char *etag, *gzip_etag; /* strong (RFC 9110, 8.8.3): of the bytes that are sent */
    struct console_bytes plain, gzip;
};
extern const struct console_file console_files[];
extern const size_t console_file_count;

/* First steps of the routes (see http/router.c). */
exchange_step console_index, console_asset;

/* Whether a path is the console's: `/` (one slash more at the end is fine) and all of /console. */
bool console_holds(const char *path);
/* Add the headers that every answer at such a path has. */
void console_guard(struct exchange *ex);
