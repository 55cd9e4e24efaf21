/* src/http/console.c -- GET / and /console/NAME: the web console, whose files are in the
 * program. */
#include "http/console.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "http/headers.h"

static const char folder[] = "/console/";

/* Headers of every answer at these paths: nothing from other origins, and nothing inline, is run or
 * shown. */
static const struct {
    const char *name, *value;
} guards[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Frame-Options", "DENY"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
};

bool console_holds(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, "//") == 0 || str_eq_nocase(path, "/console") ||
           strncasecmp(path, folder, sizeof(folder) - 1) == 0;
}

void console_guard(struct exchange *ex)
{
    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++)
        exchange_add_text(ex, guards[i].name, guards[i].value);
}

static bool takes_gzip(struct exchange *ex)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    struct codings codings = {0};

    if (value != NULL)
        codings_feed(&codings, value);
    return codings_accept(&codings, CODING_GZIP);
}

static const char page[] = "index.html";

/* The browser revalidates its copy each time (`no-cache`), so that a page never mixes files of two
 * versions for longer than a reload. The page itself is short, and scanners report a compressed
 * page as open to BREACH. */
static void send_file(struct exchange *ex, const struct console_file *file)
{
    bool gzip = !str_eq(file->name, page) && takes_gzip(ex);
    const struct console_bytes *bytes = gzip ? &file->gzip : &file->plain;
    const char *etag = gzip ? file->gzip_etag : file->etag;

    exchange_add_text(ex, MHD_HTTP_HEADER_ETAG, etag);
    exchange_add_text(ex, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    exchange_add_text(ex, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
    if (etag_listed(exchange_header(ex, MHD_HTTP_HEADER_IF_NONE_MATCH), etag)) {
        exchange_reply_unmodified_bytes(ex, bytes->end - bytes->first);
        return;
    }
    if (gzip)
        exchange_add_text(ex, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    exchange_reply_constant(ex, file->type, bytes->first, (size_t)(bytes->end - bytes->first));
}

static void send_named(struct exchange *ex, const char *name)
{
    for (size_t i = 0; i < console_file_count; i++) {
        if (str_eq_nocase(console_files[i].name, name)) {
            send_file(ex, &console_files[i]);
            return;
        }
    }
    exchange_fail(ex, -E_NO_PATH, "The console has no such file: GET / is its page.");
}

void console_index(struct exchange *ex)
{
    send_named(ex, page);
}

void console_asset(struct exchange *ex)
{
    send_named(ex, ex->path + sizeof(folder) - 1);
}
