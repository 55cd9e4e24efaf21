/* src/http/router.c -- the table of routes, and finding one. */
#include "http/router.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "http/admin.h"
#include "http/common.h"
#include "http/console.h"
#include "http/report.h"
#include "http/user.h"

/* clang-format off */
static const struct route routes[] = {
    /* method, path, access, JSON body, first step, media type, trail */
    {"POST", "/User/Login", ROUTE_VERSION, true, user_login, NULL, TRAIL_LOGIN},
    {"POST", "/User/RefreshToken", ROUTE_COOKIE, true, user_refresh, NULL, TRAIL_NONE},
    {"POST", "/User/Logout", ROUTE_COOKIE, true, user_logout, NULL, TRAIL_NONE},
    {"POST", "/User/Password", ROUTE_SESSION, true, user_password, NULL, TRAIL_USER},
    {"GET", "/User/Sessions", ROUTE_SESSION, false, user_sessions, NULL, TRAIL_NONE},
    {"DELETE", "/User/Session", ROUTE_SESSION, false, user_session_end, NULL, TRAIL_USER},
    {"GET", "/User/Me", ROUTE_TOKEN, false, user_me, NULL, TRAIL_NONE},
    {"POST", "/Report", ROUTE_REPORT, true, report_post, NULL, TRAIL_SUBMIT},
    {"GET", "/Report", ROUTE_REPORT, false, report_get, "", TRAIL_DOWNLOAD},
    {"GET", "/Report/Rows", ROUTE_TOKEN, false, report_rows, NULL, TRAIL_DOWNLOAD},
    {"POST", "/Report/Link", ROUTE_TOKEN, true, report_link, NULL, TRAIL_NONE},
    {"GET", "/Report/Link", ROUTE_PUBLIC, false, report_link_open, "", TRAIL_DOWNLOAD},
    {"DELETE", "/Report", ROUTE_REPORT, false, report_delete, NULL, TRAIL_DELETE},
    {"GET", "/Report/Status", ROUTE_REPORT, false, report_status, NULL, TRAIL_NONE},
    {"GET", "/Report/Events", ROUTE_TOKEN, false, report_events, "text/event-stream", TRAIL_NONE},
    {"GET", "/Report/List", ROUTE_TOKEN, false, report_list, NULL, TRAIL_NONE},
    {"DELETE", "/Report/List", ROUTE_TOKEN, false, report_delete_many, NULL, TRAIL_DELETE},
    {"GET", "/Report/Types", ROUTE_TOKEN, false, report_types, NULL, TRAIL_NONE},
    {"GET", "/Admin/Overview", ROUTE_OPERATOR, false, admin_overview, NULL, TRAIL_NONE},
    {"POST", "/Admin/Queue", ROUTE_OPERATOR, true, admin_queue, NULL, TRAIL_QUEUE},
    {"GET", "/Admin/Reports", ROUTE_OPERATOR, false, admin_list, NULL, TRAIL_NONE},
    {"DELETE", "/Admin/Reports", ROUTE_OPERATOR, false, report_delete_many, NULL, TRAIL_DELETE},
    {"DELETE", "/Admin/Report", ROUTE_OPERATOR, false, admin_delete, NULL, TRAIL_DELETE},
    {"GET", "/Common/HealthCheck", ROUTE_PUBLIC, false, common_health, NULL, TRAIL_NONE},
    {"GET", "/openapi.json", ROUTE_PUBLIC, false, common_openapi, NULL, TRAIL_NONE},
    {"GET", "/.well-known/jwks.json", ROUTE_PUBLIC, false, report_keys, NULL, TRAIL_NONE},
    {"GET", "/", ROUTE_PUBLIC, false, console_index, "", TRAIL_NONE},
    {"GET", "/console/{name}", ROUTE_PUBLIC, false, console_asset, "", TRAIL_NONE},
    {"GET", "/metrics", ROUTE_LOOPBACK, false, common_metrics, "text/plain", TRAIL_NONE},
};
/* clang-format on */

const struct router router_api = {routes, sizeof(routes) / sizeof(routes[0])};

static void allow_method(char allow[ROUTER_ALLOW_TEXT], const char *method)
{
    size_t len = strlen(allow);

    snprintf(allow + len, ROUTER_ALLOW_TEXT - len, "%s%s%s", len > 0 ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* These paths match byte for byte, so that a proxy's rule for them applies. */
static bool is_exact(const struct route *route)
{
    static const char *const beginnings[] = {"/metrics", "/Admin/", "/.well-known/"};

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (str_starts(route->path, beginnings[i]))
            return true;
    }
    return false;
}

static bool is_alike(const char *own, const char *path)
{
    while (*own != '\0' && *own != '{' &&
           tolower((unsigned char)*own) == tolower((unsigned char)*path)) {
        own++;
        path++;
    }
    if (*own == '{')
        return *path != '\0';
    return *own == '\0' && (*path == '\0' || str_eq(path, "/"));
}

static bool matches(const struct route *route, const char *path, bool escaped)
{
    if (!is_alike(route->path, path))
        return false;
    return !is_exact(route) || (!escaped && strcmp(route->path, path) == 0);
}

const struct route *router_find(const struct router *router, const char *method, const char *path,
                                bool escaped, char allow[ROUTER_ALLOW_TEXT])
{
    allow[0] = '\0';
    for (size_t i = 0; i < router->count; i++) {
        const struct route *route = &router->routes[i];

        if (!matches(route, path, escaped))
            continue;
        if (strcmp(route->method, method) == 0)
            return route;
        allow_method(allow, route->method);
    }
    if (allow[0] != '\0')
        allow_method(allow, "OPTIONS");
    return NULL;
}
