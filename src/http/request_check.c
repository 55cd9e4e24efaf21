/* src/http/request_check.c -- the checks that every request must pass before the first step of its
 * route. */
#include "http/exchange_impl.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "base/version.h"
#include "core/json_read.h"
#include "http/console.h"
#include "http/headers.h"
#include "http/login_cookie.h"
#include "http/router.h"

/* A check returns true to go on; false: it has replied. */
typedef bool request_check_fn(struct exchange *ex);

static bool reply_refusal(struct exchange *ex)
{
    exchange_reply_error(ex, &ex->err, NULL);
    return false;
}

/* Read first, so that all refusals have the form that the client wants; true if the type is
 * acceptable. */
static bool read_accept(struct exchange *ex, const char *type)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_ACCEPT);
    struct accept_fit plain = {0}, problem = {0};

    if (value == NULL)
        return true;
    accept_feed(&plain, value, type);
    accept_feed(&problem, value, "application/problem+json");
    ex->wants_problem = problem.specificity == 3 && problem.q > 0;
    return plain.q > 0 || ex->wants_problem;
}

/* Closes the connection, since the unread rest of a body must not run as a request. */
static bool check_head(struct exchange *ex)
{
    return !ex->malformed || reply_refusal(ex);
}

static bool check_client(struct exchange *ex)
{
    if (ex->client.wrong == NULL)
        return true;
    err_set(&ex->err, -E_INVALID, "The request, which a trusted proxy sent, %s.", ex->client.wrong);
    return reply_refusal(ex);
}

static bool check_size(struct exchange *ex)
{
    int64_t most = exchange_body_max(ex);

    if (ex->announced <= most && ex->received <= most)
        return true;
    exchange_count_limit(ex, LIMIT_BODY);
    err_set(&ex->err, -E_TOO_LARGE, "The request body is too large: send at most %d bytes.",
            (int)most);
    return reply_refusal(ex);
}

static bool check_running(struct exchange *ex)
{
    ex->begun = gate_begin(server_gate(ex->server));
    if (ex->begun)
        return true;
    exchange_add_header(ex, MHD_HTTP_HEADER_CONNECTION, "close");
    err_set(&ex->err, -E_BUSY, "The server is shutting down: try again in a moment.");
    return reply_refusal(ex);
}

static bool refuse_method(struct exchange *ex, const char *allow)
{
    exchange_add_header(ex, MHD_HTTP_HEADER_ALLOW, "%s", allow);
    if (strcmp(ex->method, MHD_HTTP_METHOD_OPTIONS) == 0) {
        exchange_reply_status(ex, MHD_HTTP_NO_CONTENT);
        return false;
    }
    err_set(&ex->err, -E_METHOD, "This path takes %s.", allow);
    return reply_refusal(ex);
}

static bool has_console(const struct exchange *ex)
{
    return !str_eq(ex->services->config->console.text, "off");
}

/* metrics_listen serves /metrics only; if it is set, no other address serves that. */
static bool is_elsewhere(const struct exchange *ex)
{
    const char *metrics = ex->services->config->metrics_listen.text;
    bool moved = metrics != NULL && *metrics != '\0';

    return moved && ex->on_metrics != str_eq(ex->path, "/metrics");
}

static bool check_console(struct exchange *ex)
{
    if (has_console(ex) && console_holds(ex->path))
        console_guard(ex);
    return true;
}

static void reply_no_path(struct exchange *ex)
{
    exchange_fail(ex, -E_NO_PATH, "There is no such path: GET /openapi.json lists them.");
}

/* A path of operators that does not exist; only operators are told so. */
static void operators_unknown(struct exchange *ex)
{
    char allow[ROUTER_ALLOW_TEXT];

    router_find(&router_api, ex->method, ex->path, ex->has_escape, allow);
    if (allow[0] != '\0')
        refuse_method(ex, allow);
    else
        reply_no_path(ex);
}

/* Not a route of the table, so that it is not counted as one: it has no method. */
static const struct route unknown_of_operators = {
    "", "/Admin/", ROUTE_OPERATOR, false, operators_unknown, "", TRAIL_NONE};

/* Collect the methods of a path that exist instead; "*" is for OPTIONS (RFC 9110, 9.3.7). */
static void find_route(struct exchange *ex, char allow[ROUTER_ALLOW_TEXT])
{
    ex->route = router_find(server_router(ex->server), ex->head ? "GET" : ex->method, ex->path,
                            ex->has_escape, allow);
    if (strcmp(ex->path, "*") == 0)
        str_copy(allow, ROUTER_ALLOW_TEXT, "GET, HEAD, POST, DELETE, OPTIONS");
    if ((!has_console(ex) && console_holds(ex->path)) || is_elsewhere(ex) || ex->hides_slash) {
        ex->route = NULL;
        allow[0] = '\0';
    }
    if (ex->route == NULL && ex->of_operators && !is_elsewhere(ex))
        ex->route = &unknown_of_operators;
}

static bool check_route(struct exchange *ex)
{
    const char *type = "application/json";
    char allow[ROUTER_ALLOW_TEXT];
    bool fits;

    find_route(ex, allow);
    if (ex->route != NULL && ex->route->type != NULL)
        type = ex->route->type;
    fits = read_accept(ex, type) || *type == '\0';
    if (ex->route == NULL && allow[0] != '\0')
        return refuse_method(ex, allow);
    if (ex->route == NULL) {
        reply_no_path(ex);
        return false;
    }
    if (fits)
        return true;
    err_set(&ex->err, -E_NOT_ACCEPTABLE, "The answer is %s: let Accept allow it.", type);
    return reply_refusal(ex);
}

/* RFC 9110, 8.6: without either header there is no body, whatever the client sends next. */
static bool check_body_length(struct exchange *ex)
{
    bool later = ex->route->access == ROUTE_OPERATOR && ex->user == NULL;

    if (!ex->route->body || ex->route->access == ROUTE_COOKIE || ex->has_length || later)
        return true;
    err_set(&ex->err, -E_LENGTH, "Send a body, with Content-Length or in chunks.");
    return reply_refusal(ex);
}

static bool check_version(struct exchange *ex)
{
    enum route_access access = ex->route->access;

    if (access == ROUTE_PUBLIC || access == ROUTE_LOOPBACK ||
        str_eq(exchange_header(ex, "Version"), API_VERSION))
        return true;
    err_set(&ex->err, -E_INVALID, "Send the header `Version: %s`.", API_VERSION);
    return reply_refusal(ex);
}

static bool check_media_type(struct exchange *ex)
{
    const char *coding = exchange_header(ex, MHD_HTTP_HEADER_CONTENT_ENCODING);

    if (!media_type_is(exchange_header(ex, MHD_HTTP_HEADER_CONTENT_TYPE), "application/json")) {
        err_set(&ex->err, -E_MEDIA_TYPE, "Send the body with `Content-Type: application/json`.");
        return reply_refusal(ex);
    }
    if (coding != NULL && !str_eq_nocase(coding, "identity")) {
        err_set(&ex->err, -E_MEDIA_TYPE, "Send the body without a Content-Encoding.");
        return reply_refusal(ex);
    }
    return true;
}

/* The same object with its keys in lower case, so that they match in any case; NULL: two keys
 * become the same (`twice`), or out of memory. The values are shared. */
static json_t *fold_keys(json_t *object, const char **twice)
{
    json_t *folded = json_object(), *value;
    const char *key;
    struct buf lower;

    buf_init(&lower, EXCHANGE_BODY_MAX);
    json_object_foreach(object, key, value)
    {
        buf_reset(&lower);
        for (const char *c = key; *c != '\0'; c++)
            buf_add_char(&lower, (char)tolower((unsigned char)*c));
        if (json_object_get(folded, buf_str(&lower)) != NULL)
            *twice = key;
        if (buf_failed(&lower) || *twice != NULL ||
            json_object_set(folded, buf_str(&lower), value) != 0) {
            json_decref(folded);
            folded = NULL;
            break;
        }
    }
    buf_done(&lower);
    return folded;
}

static bool parse_body(struct exchange *ex)
{
    json_error_t where;
    const char *twice = NULL;
    bool starved;
    json_t *given = json_read(buf_str(&ex->raw), ex->raw.len, &where, &starved);

    if (json_is_object(given) && !buf_is_starved(&ex->raw))
        ex->body = fold_keys(given, &twice);
    if (twice != NULL)
        err_set(&ex->err, -E_INVALID, "The body has the key \"%.100s\" twice.", twice);
    else if (starved || buf_is_starved(&ex->raw) || json_is_object(given))
        err_set(&ex->err, -E_NOMEM, "no memory to read a body"); /* unless there is an error
                                                                  * already */
    else if (given != NULL)
        err_set(&ex->err, -E_INVALID, "The body must be a JSON object.");
    else
        err_set(&ex->err, -E_INVALID, "The body is not valid JSON: %s (line %d, column %d).",
                ex->raw.len == 0 ? "it is empty" : where.text, where.line, where.column);
    json_decref(given);
    return ex->body != NULL || reply_refusal(ex);
}

/* Who may connect to metrics_listen is for the operator to decide. */
static bool is_local(const struct exchange *ex)
{
    return ex->client.here || ex->on_metrics;
}

/* By now the token is verified, if one is needed. */
static bool check_right(struct exchange *ex)
{
    enum route_access access = ex->route->access;
    bool is_operator = ex->user != NULL && ex->user->is_operator;

    if (access == ROUTE_SESSION)
        return !auth_refuse_key(ex);
    if (access == ROUTE_OPERATOR && !is_operator)
        err_set(&ex->err, -E_FORBIDDEN, "This path is for operators only.");
    else if (access == ROUTE_LOOPBACK && !is_operator && !is_local(ex))
        err_set(&ex->err, -E_FORBIDDEN,
                "This path answers the server's own machine and operators only.");
    else
        return true;
    return reply_refusal(ex);
}

static bool check_may_record(struct exchange *ex)
{
    return ex->route->trail == TRAIL_NONE || trail_check(ex->services->trail, &ex->err) == 0 ||
           reply_refusal(ex);
}

void dispatch(struct exchange *ex)
{
    bool body = ex->route->body &&
                (ex->route->access != ROUTE_COOKIE || ex->received > 0 || ex->body_is != BODY_NONE);

    if (!check_right(ex) || !check_may_record(ex) || !check_body_length(ex) ||
        (body && !check_media_type(ex)))
        return;
    if (ex->body_is == BODY_FOLLOWS)
        exchange_await_body(ex);
    else if (!body || parse_body(ex))
        ex->route->start(ex);
}

void request_check(struct exchange *ex)
{
    static request_check_fn *const checks[] = {check_console,     check_head,   check_running,
                                               check_route,       check_client, check_size,
                                               check_body_length, check_version};

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i](ex))
            return;
    }
    switch (ex->route->access) {
    case ROUTE_TOKEN:
    case ROUTE_REPORT:
    case ROUTE_SESSION:
    case ROUTE_OPERATOR:
        auth_token(ex);
        return;
    case ROUTE_COOKIE:
        if (login_cookie_is_given(ex) || auth_signature(ex))
            dispatch(ex);
        return;
    case ROUTE_LOOPBACK:
        if (is_local(ex))
            dispatch(ex);
        else
            auth_token(ex);
        return;
    case ROUTE_PUBLIC:
    case ROUTE_VERSION:
        dispatch(ex);
        return;
    }
}
