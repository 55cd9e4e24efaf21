/* src/http/reply.c -- answers: the envelope, problem details, headers, the access log line. */
#include "http/exchange_impl.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "core/api_key.h"
#include "http/cors.h"
#include "http/metrics.h"
#include "http/router.h"
#include "http/sender.h"

enum { ANSWER_MAX = 16 << 20, LOGGED_PATH_MAX = 200, STREAM_BLOCK = 512 };

static const char json_media_type[] = "application/json";

void exchange_add_header(struct exchange *ex, const char *name, const char *format, ...)
{
    va_list args;
    char value[EXCHANGE_HEADER_TEXT];

    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    exchange_add_text(ex, name, value);
}

static bool has_header(const struct exchange *ex, const char *name)
{
    for (size_t i = 0; i < ex->header_count; i++) {
        if (str_eq_nocase(ex->headers[i].name, name))
            return true;
    }
    return false;
}

void exchange_count_limit(struct exchange *ex, enum metrics_limit limit)
{
    metrics_limit(server_metrics(ex->server), limit);
}

static void count_answer(const struct exchange *ex, int64_t us)
{
    const struct router *router = server_router(ex->server);
    bool named = ex->route != NULL && *ex->route->method != '\0';
    size_t route = named ? (size_t)(ex->route - router->routes) : router->count;

    if (ex->status != 0)
        metrics_request(server_metrics(ex->server), route, ex->status, us);
}

/* An API key in the path, where it does not belong, is not logged. */
static void hide_key(char *path)
{
    char *key = strstr(path, API_KEY_PREFIX);

    if (key != NULL)
        key[strlen(API_KEY_PREFIX)] = '\0';
}

/* One line per answer: who asked for what is in the store; never values, tokens or bodies. */
static void log_answer(struct exchange *ex)
{
    char path[LOGGED_PATH_MAX], reference[GUID_TEXT], address[ADDRESS_TEXT];
    const char *user = ex->user != NULL ? ex->user->name : "";
    const char *key = ex->user != NULL && ex->user->key != NULL ? ex->user->key->name : "";
    const char *given = exchange_query(ex, "reference");
    long us = (long)(clock_mono_us() - ex->began_us);
    struct guid id;

    count_answer(ex, us);
    if (!log_is_on(LOG_INFO))
        return;
    str_copy(path, sizeof(path), ex->path);
    hide_key(path);
    exchange_address(ex, address);
    if (given != NULL && guid_parse(given, &id)) {
        guid_format(&id, reference);
        log_info("http.answer",
                 "request=%s method=%s path=%s reference=%s user=%s key=%s address=%s status=%d "
                 "us=%ld",
                 ex->request_id, ex->method, path, reference, user, key, address, ex->status, us);
    } else {
        log_info("http.answer",
                 "request=%s method=%s path=%s user=%s key=%s address=%s status=%d us=%ld",
                 ex->request_id, ex->method, path, user, key, address, ex->status, us);
    }
}

void exchange_record(struct exchange *ex, const struct trail_act *act)
{
    struct trail_act done = *act;
    char address[ADDRESS_TEXT];

    exchange_address(ex, address);
    done.address = address;
    done.request = ex->request_id;
    if (ex->user != NULL) {
        done.user = ex->user->name;
        if (ex->user->key != NULL)
            done.key = ex->user->key->name;
    }
    trail_record(ex->services->trail, &done);
}

/* The request did not get that far, or returned nothing; or its handler has recorded the action. */
static bool is_no_act(const struct exchange *ex)
{
    return ex->services->trail == NULL || ex->route == NULL || ex->route->trail == TRAIL_NONE ||
           ex->user == NULL || ex->act.recorded || ex->head || ex->status == MHD_HTTP_NOT_MODIFIED;
}

/* Record the action of the route. */
static void record_act(struct exchange *ex)
{
    static const struct guid none;
    const struct exchange_act *known = &ex->act;
    const struct store_find *find = ex->op.verb == STORE_FIND ? &ex->op.find : NULL;
    struct trail_act act = {.change = known->change,
                            .subject = known->subject,
                            .report = known->report,
                            .outcome = known->outcome};

    if (is_no_act(ex))
        return;
    act.event = ex->route->trail;
    if (find != NULL && find->found && act.report == NULL)
        act.report = find->report.name;
    if (!guid_eq(&known->reference, &none))
        act.reference = &known->reference;
    else if (find != NULL)
        act.reference = &find->id;
    if (act.outcome == NULL && ex->status >= MHD_HTTP_BAD_REQUEST)
        act.outcome = "refused";
    exchange_record(ex, &act);
}

/* Before 1.0 the library ends a line of chunks at a bare LF, and trailers at a NUL, where others
 * see no end. */
static bool may_end_elsewhere(struct exchange *ex)
{
    return MHD_VERSION < 0x00097701 &&
           exchange_header(ex, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

/* A client that has not announced a length may still send a body: none of it must run as a
 * request. */
static bool must_close(struct exchange *ex)
{
    static const char *const plain[] = {"GET", "HEAD", "DELETE", "OPTIONS"};

    if (may_end_elsewhere(ex))
        return true;
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        if (strcmp(ex->method, plain[i]) == 0)
            return false;
    }
    return !ex->has_length;
}

/* Queue `response` and release it. */
static void queue(struct exchange *ex, int status, struct MHD_Response *response)
{
    if (MHD_queue_response(ex->connection, (unsigned)status, response) == MHD_YES)
        ex->status = status;
    MHD_destroy_response(response);
    log_answer(ex);
    record_act(ex);
}

/* Queue `response` (NULL: there was no memory for it), or hold it, and release it. */
static void send_response(struct exchange *ex, int status, const char *type,
                          struct MHD_Response *response)
{
    THREAD_CHECK(ex->thread);
    CHECK(!ex->replied);
    if (ex->unchecked && response != NULL)
        MHD_destroy_response(response);
    if (exchange_check_again(ex))
        return;
    ex->replied = true;
    if (ex->begun)
        gate_answered(server_gate(ex->server));
    if (response == NULL)
        return;
    MHD_add_response_header(response, "X-Request-Id", ex->request_id);
    if (must_close(ex))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (!has_header(ex, MHD_HTTP_HEADER_CACHE_CONTROL))
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (type != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    cors_allow(ex, response);
    for (size_t i = 0; i < ex->header_count; i++)
        MHD_add_response_header(response, ex->headers[i].name, ex->headers[i].value);
    free(ex->headers);
    ex->headers = NULL;
    if (ex->long_value != NULL)
        MHD_add_response_header(response, ex->long_name, ex->long_value);
    if (!exchange_hold(ex, status, response))
        queue(ex, status, response);
}

bool exchange_send_held(struct exchange *ex)
{
    struct MHD_Response *held = ex->held;

    ex->held = NULL;
    queue(ex, ex->held_status, held);
    return ex->status != 0;
}

/* Send the content of `text`, and empty it. */
static void send_text(struct exchange *ex, int status, const char *type, struct buf *text)
{
    size_t len = text->len;
    char *data = buf_take(text);

    send_response(ex, status, type,
                  data != NULL ? MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE)
                               : NULL);
}

static void send_envelope(struct exchange *ex, int status, bool result, const char *message,
                          const char *data)
{
    struct buf text;

    buf_init(&text, ANSWER_MAX);
    buf_add_str(&text,
                result ? "{\"result\": true, \"message\": " : "{\"result\": false, \"message\": ");
    json_add_string(&text, message);
    buf_add_str(&text, ", \"data\": ");
    buf_add_str(&text, data != NULL ? data : "{}");
    buf_add_char(&text, '}');
    send_text(ex, status, status == MHD_HTTP_NOT_MODIFIED ? NULL : json_media_type, &text);
}

/* RFC 3986: everything that is not unreserved is percent-encoded. */
static void add_uri_text(struct buf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (isalnum(*c) || strchr("-._~", *c) != NULL)
            buf_add_char(out, (char)*c);
        else
            buf_add_format(out, "%%%02X", *c);
    }
}

/* RFC 9457; `data` becomes an extension member. */
static void send_problem(struct exchange *ex, int code, const char *message, const char *data)
{
    struct buf text;

    buf_init(&text, ANSWER_MAX);
    buf_add_str(&text, "{\"type\":\"about:blank\",\"title\":");
    json_add_string(&text, err_title(code));
    buf_add_format(&text, ",\"status\":%d,\"detail\":", err_status(code));
    json_add_string(&text, message);
    buf_add_str(&text, ",\"instance\":\"urn:reportd:request:");
    add_uri_text(&text, ex->request_id);
    buf_add_char(&text, '"');
    if (data != NULL)
        buf_add_format(&text, ",\"data\":%s", data);
    buf_add_char(&text, '}');
    send_text(ex, err_status(code), "application/problem+json", &text);
}

void exchange_reply(struct exchange *ex, bool result, const char *message, const char *data)
{
    send_envelope(ex, MHD_HTTP_OK, result, message, data);
}

/* libmicrohttpd sends no body with a 304, whatever the response contains. */
void exchange_reply_unmodified(struct exchange *ex, bool result, const char *message,
                               const char *data)
{
    send_envelope(ex, MHD_HTTP_NOT_MODIFIED, result, message, data);
}

/* libmicrohttpd 0.9.75 writes a final chunk even after an answer without a body: stray bytes. */
static void forbid_chunks(struct MHD_Response *response)
{
    if (response != NULL)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
}

static ssize_t read_nothing(void *context, uint64_t offset, char *out, size_t max)
{
    (void)context, (void)offset, (void)out, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

void exchange_reply_unmodified_bytes(struct exchange *ex, int64_t size)
{
    uint64_t length = size >= 0 ? (uint64_t)size : MHD_SIZE_UNKNOWN;
    struct MHD_Response *response =
        MHD_create_response_from_callback(length, 1, read_nothing, NULL, NULL);

    if (size < 0)
        forbid_chunks(response);
    send_response(ex, MHD_HTTP_NOT_MODIFIED, NULL, response);
}

void exchange_reply_built(struct exchange *ex, struct buf *data)
{
    if (buf_failed(data))
        exchange_fail(ex, -E_NOMEM, "no memory for an answer");
    else
        exchange_reply(ex, true, "", buf_str(data));
    buf_done(data);
}

void exchange_begin_records(struct buf *text, size_t count)
{
    buf_init(text, ANSWER_MAX);
    buf_add_format(text,
                   "{\"result\": true, \"message\": \"\", \"recordCount\": %zu, \"data\": ", count);
}

void exchange_end_records(struct exchange *ex, struct buf *text)
{
    buf_add_char(text, '}');
    send_text(ex, MHD_HTTP_OK, json_media_type, text);
}

void exchange_reply_records(struct exchange *ex, size_t count, const char *data)
{
    struct buf text;

    exchange_begin_records(&text, count);
    buf_add_str(&text, data);
    exchange_end_records(ex, &text);
}

void exchange_reply_text(struct exchange *ex, int status, const char *type, const char *text)
{
    size_t len = strlen(text);
    struct buf copy;

    buf_init(&copy, len);
    buf_add(&copy, text, len);
    send_text(ex, status, type, &copy);
}

void exchange_reply_json(struct exchange *ex, const char *json)
{
    exchange_reply_text(ex, MHD_HTTP_OK, json_media_type, json);
}

void exchange_reply_constant(struct exchange *ex, const char *type, const char *bytes, size_t len)
{
    send_response(
        ex, MHD_HTTP_OK, type,
        MHD_create_response_from_buffer(len, (char *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT));
}

void exchange_reply_status(struct exchange *ex, int status)
{
    send_response(ex, status, NULL,
                  MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

/* Headers that belong to an error, unless the handler has added them. */
static void add_error_headers(struct exchange *ex, int code)
{
    static const struct {
        int status;
        const char *name, *value;
    } table[] = {
        {401, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"reportd\""},
        {429, MHD_HTTP_HEADER_RETRY_AFTER, "5"},
        {503, MHD_HTTP_HEADER_RETRY_AFTER, "2"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == err_status(code) && !has_header(ex, table[i].name))
            exchange_add_header(ex, table[i].name, "%s", table[i].value);
    }
}

static bool is_business(int code)
{
    return code == E_UNKNOWN_REPORT || code == E_UNKNOWN_REFERENCE || code == E_UNKNOWN_SESSION ||
           code == E_PARAM || code == E_NOT_COMPLETE || code == E_CHOICES;
}

/* The message for the client. An inner module's message about its own failure may name paths and
 * tables: that one goes to the log. */
static void public_message(struct exchange *ex, const struct err *err, char message[ERR_TEXT_MAX])
{
    int code = abs(err->code);

    str_copy(message, ERR_TEXT_MAX, err->text);
    if (err_status(code) < 500 || code == E_BUSY || code == E_DOUBT || code == E_CHOICES ||
        code == E_CODING)
        return;
    log_error("http.error", "request=%s title=%s text=%s detail=%s", ex->request_id,
              err_title(code), err->text, err->detail);
    if (code == E_LOST || code == E_LEDGER ||
        code == E_TRAIL) /* these say what to do, and contain no path */
        return;
    snprintf(message, ERR_TEXT_MAX,
             "%s. Try again in a moment; if this continues, give the operator the request id %s.",
             err_title(code), ex->request_id);
}

void exchange_reply_error(struct exchange *ex, const struct err *err, const char *data)
{
    int code = abs(err->code);
    char message[ERR_TEXT_MAX];

    public_message(ex, err, message);
    ex->act.outcome = err_title(code);
    /* There was nothing to get, or no line can be written. */
    ex->act.recorded = ex->act.recorded || code == E_NOT_COMPLETE || code == E_TRAIL;
    if (is_business(code) && !ex->wants_problem) {
        exchange_reply(ex, false, message, data);
        return;
    }
    add_error_headers(ex, code);
    if (ex->wants_problem)
        send_problem(ex, code, message, data);
    else
        send_envelope(ex, err_status(code), false, message, data);
}

void exchange_reply_file(struct exchange *ex, int status, int fd, int64_t first, int64_t length)
{
    struct MHD_Response *response =
        MHD_create_response_from_fd_at_offset64((uint64_t)length, fd, (uint64_t)first);

    if (response == NULL)
        close(fd);
    send_response(ex, status, json_media_type, response);
}

/* Data on its way to a client, for which the connection may have to be suspended: a part of a
 * stored result (`reader`), a conversion, or events. */
struct part {
    struct server *server;
    struct MHD_Connection *connection;
    struct transfer *transfer;
    size_t block; /* bytes at a time */
    struct spool_reader *reader;
    int64_t first, length; /* offsets for the reader */
    struct delivery delivery;
    bool begun; /* the delivery has begun */
    struct stream *stream;
};

static void on_part_ready(void *owner)
{
    const struct part *part = owner;
    struct server *server = part->server;

    MHD_resume_connection(part->connection); /* which may free `part` */
    gate_resumed(server_gate(server));
}

/* No HTTP thread waits for a database: the connection is suspended meanwhile. */
static ssize_t fetch_part(struct part *part, int64_t at)
{
    if (!gate_suspend(server_gate(part->server)))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    MHD_suspend_connection(part->connection);
    spool_reader_fetch(part->reader, at, on_part_ready, part);
    return 0;
}

static ssize_t read_body_part(void *context, uint64_t offset, char *out, size_t max)
{
    struct part *part = context;
    struct err err = {0};
    int64_t at = part->first + (int64_t)offset, left = part->length - (int64_t)offset;
    ssize_t n;

    if (transfer_is_ended(part->transfer))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!spool_reader_is_ready(part->reader, at))
        return fetch_part(part, at);
    n = spool_reader_read(part->reader, at, out, left < (int64_t)max ? (size_t)left : max, &err);
    if (n > 0)
        return n;
    log_error("http.result", "error=%s", err.text);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void on_delivered(struct delivery *delivery)
{
    on_part_ready(container_of(delivery, struct part, delivery));
}

/* Called when the headers are sent, and again when everything is delivered: the connection is
 * suspended in between. */
static ssize_t read_conversion(void *context, uint64_t offset, char *out, size_t max)
{
    struct part *part = context;

    (void)offset, (void)out, (void)max;
    if (part->begun)
        return part->delivery.whole ? MHD_CONTENT_READER_END_OF_STREAM
                                    : MHD_CONTENT_READER_END_WITH_ERROR;
    if (!gate_suspend(server_gate(part->server))) {
        transfer_break_off(part->transfer);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    part->begun = true;
    MHD_suspend_connection(part->connection);
    sender_start(server_sender(part->server), &part->delivery);
    return 0;
}

static ssize_t read_stream(void *context, uint64_t offset, char *out, size_t max)
{
    struct part *part = context;
    ssize_t n = stream_take(part->stream, out, max);

    (void)offset;
    if (n > 0)
        return n;
    if (n == STREAM_BROKEN)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == STREAM_OVER || !gate_suspend(server_gate(part->server)))
        return MHD_CONTENT_READER_END_OF_STREAM;
    MHD_suspend_connection(part->connection);
    stream_await(part->stream, on_part_ready, part);
    return 0;
}

static void release_source(const struct part *part)
{
    spool_reader_free(part->reader);
    conversion_free(part->delivery.conversion);
    stream_close(part->stream);
}

static void free_part(void *context)
{
    release_source(context);
    free(context);
}

/* Takes over what `source` has: a reader, a conversion or a stream. */
static void send_body_part(struct exchange *ex, int status, const char *type,
                           MHD_ContentReaderCallback read, const struct part *source)
{
    uint64_t size = source->reader != NULL ? (uint64_t)source->length : MHD_SIZE_UNKNOWN;
    struct part *part = malloc(sizeof(*part));
    struct MHD_Response *response = NULL;

    if (part != NULL) {
        *part = *source;
        part->server = ex->server;
        part->connection = ex->connection;
        part->transfer = ex->transfer;
        response = MHD_create_response_from_callback(size, part->block, read, part, free_part);
    }
    if (ex->head && source->delivery.conversion != NULL)
        forbid_chunks(response);
    if (response == NULL) {
        release_source(source);
        free(part);
    }
    send_response(ex, status, type, response);
}

void exchange_reply_conversion(struct exchange *ex, const char *type, struct conversion *conversion)
{
    struct part source = {.block = 1,
                          .delivery = {.conversion = conversion,
                                       .transfer = ex->transfer,
                                       .fd = exchange_socket(ex),
                                       .tls = exchange_tls(ex),
                                       .chunked = ex->chunked,
                                       .done = on_delivered}};

    send_body_part(ex, MHD_HTTP_OK, type, read_conversion, &source);
}

void exchange_reply_reader(struct exchange *ex, int status, struct spool_reader *reader,
                           int64_t first, int64_t length)
{
    struct part source = {.block = SEAL_CHUNK, .reader = reader, .first = first, .length = length};

    send_body_part(ex, status, json_media_type, read_body_part, &source);
}

void exchange_reply_stream(struct exchange *ex, struct stream *stream)
{
    struct part source = {.block = STREAM_BLOCK, .stream = stream};

    send_body_part(ex, MHD_HTTP_OK, "text/event-stream", read_stream, &source);
    ex->streams = ex->status != 0;
}
