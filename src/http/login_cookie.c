/* src/http/login_cookie.c -- the cookie rd_refresh, and the Origin of requests that use it. */
#include "http/login_cookie.h"

#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "http/exchange_impl.h"

static const char cookie_name[] = "rd_refresh";
enum { REFRESH_LIFE_S = 30 * 24 * 3600 };

/* ---- Origin ---- */

enum origin { ORIGIN_NONE, ORIGIN_FOREIGN, ORIGIN_HTTP, ORIGIN_HTTPS };

/* The length of HOST[:PORT] without the default port of the scheme. */
static size_t authority_length(const char *authority, const char *port)
{
    size_t len = strlen(authority), own = strlen(port), host = len > own ? len - own : 0;

    if (host == 0 || strcmp(authority + host, port) != 0)
        return len;
    return authority[host - 1] == ']' || memchr(authority, ':', host) == NULL ? host : len;
}

static bool is_same_authority(const char *authority, const char *host, const char *port)
{
    size_t len = authority_length(authority, port);

    return len > 0 && len == authority_length(host, port) && strncasecmp(authority, host, len) == 0;
}

/* The Origin is this server's if it is SCHEME://HOST with the HOST of the header Host: a page can
 * set neither of the two. Only the Origin tells which scheme a proxy uses with the browser. */
static enum origin origin_of(struct exchange *ex)
{
    const char *origin = exchange_header(ex, MHD_HTTP_HEADER_ORIGIN);
    const char *host = exchange_header(ex, MHD_HTTP_HEADER_HOST);

    if (origin == NULL)
        return ORIGIN_NONE;
    if (host == NULL)
        return ORIGIN_FOREIGN;
    if (strncasecmp(origin, "http://", 7) == 0)
        return is_same_authority(origin + 7, host, ":80") ? ORIGIN_HTTP : ORIGIN_FOREIGN;
    if (strncasecmp(origin, "https://", 8) == 0)
        return is_same_authority(origin + 8, host, ":443") ? ORIGIN_HTTPS : ORIGIN_FOREIGN;
    return ORIGIN_FOREIGN;
}

static void refuse_origin(struct exchange *ex)
{
    exchange_fail(ex, -E_FORBIDDEN,
                  "With the cookie, the header Origin must be this server's own, as its own page "
                  "sends it. A proxy has to pass the header Host on as the browser sent it.");
}

bool login_cookie_check_origin(struct exchange *ex)
{
    if (origin_of(ex) != ORIGIN_FOREIGN)
        return true;
    refuse_origin(ex);
    return false;
}

/* ---- the cookie ---- */

struct single {
    const char *value;
    int count;
};

static void record_single(void *context, const char *value)
{
    struct single *single = context;

    single->value = value;
    single->count++;
}

static struct single cookie_of(struct exchange *ex)
{
    struct single single = {NULL, 0};

    exchange_each_cookie(ex, cookie_name, record_single, &single);
    return single;
}

bool login_cookie_is_given(struct exchange *ex)
{
    return cookie_of(ex).count > 0;
}

static bool read_session(const char *text, struct guid *ret)
{
    char session[GUID_TEXT];

    if (strlen(text) != LOGIN_COOKIE_TEXT - 1 || text[GUID_TEXT - 1] != '.')
        return false;
    memcpy(session, text, GUID_TEXT - 1);
    session[GUID_TEXT - 1] = '\0';
    return guid_parse(session, ret);
}

bool login_cookie_is_of(struct exchange *ex, const struct guid *session)
{
    struct single cookie = cookie_of(ex);
    struct guid own;

    return cookie.count == 1 && read_session(cookie.value, &own) &&
           memcmp(&own, session, sizeof(own)) == 0;
}

bool login_cookie_read(struct exchange *ex, struct login_cookie *ret)
{
    struct single cookie = cookie_of(ex);
    enum origin origin = origin_of(ex);

    if (origin == ORIGIN_NONE || origin == ORIGIN_FOREIGN) {
        refuse_origin(ex);
        return false;
    }
    if (cookie.count > 1) {
        exchange_fail(ex, -E_INVALID, "The cookie %s occurs twice: send it once.", cookie_name);
        return false;
    }
    if (cookie.count == 0 || !read_session(cookie.value, &ret->session)) {
        auth_refuse(ex);
        return false;
    }
    SHA256((const unsigned char *)cookie.value, strlen(cookie.value), ret->hash);
    return true;
}

void login_cookie_format(const struct guid *session, const char *secret,
                         char out[LOGIN_COOKIE_TEXT])
{
    guid_format(session, out);
    out[GUID_TEXT - 1] = '.';
    str_copy(out + GUID_TEXT, TOKEN_SECRET_TEXT, secret);
}

void login_cookie_set(struct exchange *ex, const char *text)
{
    exchange_add_header(ex, MHD_HTTP_HEADER_SET_COOKIE,
                        "%s=%s; Path=/User; Max-Age=%d; HttpOnly; SameSite=Strict%s", cookie_name,
                        text != NULL ? text : "", text != NULL ? REFRESH_LIFE_S : 0,
                        ex->client.https || origin_of(ex) == ORIGIN_HTTPS ? "; Secure" : "");
}
