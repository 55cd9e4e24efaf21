/* src/http/router.h -- the table of routes, and finding one. */
#pragma once

#include <stddef.h>

#include "http/exchange.h"

enum { ROUTER_ALLOW_TEXT = 64 };

struct router {
    const struct route *routes;
    size_t count;
};

extern const struct router router_api; /* the routes of the API */

/* The route of `method` at `path`, or NULL. Case does not matter and one trailing slash is fine,
 * except for paths that a proxy may guard: /metrics, /Admin/ and /.well-known/ match byte for byte,
 * and not at all if the path had a % (`escaped`). {name} stands for any text. If NULL, `allow`
 * lists the methods of the path as in the header Allow; "": there is no such path. */
const struct route *router_find(const struct router *router, const char *method, const char *path,
                                bool escaped, char allow[ROUTER_ALLOW_TEXT]);
