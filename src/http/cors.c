/* src/http/cors.c -- lets pages of other origins read answers. */
#include "http/cors.h"

#include <string.h>

#include "base/str.h"

/* Headers that a client of the API sends and reads, in addition to those that every page may. */
static const char sent[] = "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, "
                           "If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, "
                           "Last-Event-ID, Prefer, Range, Version, X-Request-Id";
static const char exposed[] = "ETag, Location, Retry-After, Content-Disposition, "
                              "Preference-Applied, X-Request-Id, X-Deletion-Receipt, "
                              "X-Report-State, X-Report-Rows, X-Report-Queue-Position";

/* Origins are compared byte for byte (RFC 6454, 6.2): browsers send one spelling only. */
static bool lists(const char *origins, const char *origin)
{
    size_t len = strlen(origin);

    while (len > 0 && *origins != '\0') {
        size_t n = strcspn(origins, " ");

        if (n == len && memcmp(origins, origin, len) == 0)
            return true;
        origins += n + (origins[n] == ' ');
    }
    return false;
}

static const char *allowed_methods(const struct exchange *ex)
{
    for (size_t i = 0; i < ex->header_count; i++) {
        if (str_eq(ex->headers[i].name, MHD_HTTP_HEADER_ALLOW))
            return ex->headers[i].value;
    }
    return NULL;
}

void cors_allow(struct exchange *ex, struct MHD_Response *response)
{
    const char *origins = ex->services->config->cors_origins.text, *methods;
    const char *origin = exchange_header(ex, MHD_HTTP_HEADER_ORIGIN);

    if (origins == NULL || *origins == '\0')
        return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    if (origin == NULL || !lists(origins, origin))
        return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    methods = str_eq(ex->method, MHD_HTTP_METHOD_OPTIONS) ? allowed_methods(ex) : NULL;
    if (methods == NULL)
        return;
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_METHODS, methods);
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_HEADERS, sent);
    MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_MAX_AGE, "600");
}
