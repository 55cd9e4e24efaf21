/* src/http/exchange.c -- the steps of an exchange: run, suspended, resumed. */
#include "http/exchange_impl.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/headers.h"

/* A wait begins as ARMED and ends as WOKEN. Whichever comes second acts: the waker resumes a
 * connection that is SUSPENDED; the HTTP thread does not suspend one that is WOKEN. */
enum exchange_waiting { WAIT_NONE, WAIT_ARMED, WAIT_SUSPENDED, WAIT_WOKEN };

enum {
    RAW_FIRST = 1024,               /* so that a login's body is not copied while it grows */
    DISCARD_MAX = 16 * 1024 * 1024, /* bytes of a body that are read only to answer 413 properly */
};

/* Use the client's request id if it is safe in a log line and a header, else make one. */
static void choose_request_id(struct exchange *ex)
{
    const char *given = exchange_header(ex, "X-Request-Id");
    size_t len = 0;

    while (given != NULL && len <= EXCHANGE_REQUEST_ID_MAX && isgraph((unsigned char)given[len]))
        len++;
    if (len > 0 && len <= EXCHANGE_REQUEST_ID_MAX && given[len] == '\0') {
        memcpy(ex->request_id, given, len + 1);
        return;
    }
    server_name_request(ex->server, ex->request_id);
}

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *method, const char *path)
{
    struct exchange *ex = calloc(1, sizeof(*ex));

    if (ex == NULL)
        return NULL;
    ex->headers = malloc(EXCHANGE_HEADERS_MAX * sizeof(*ex->headers));
    if (ex->headers == NULL) {
        free(ex);
        return NULL;
    }
    ex->op.verb = STORE_VERB_COUNT;
    ex->services = server_services(server);
    ex->server = server;
    ex->connection = connection;
    ex->method = method;
    ex->path = path;
    ex->began_us = clock_mono_us();
    ex->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    ex->step = request_check;
    atomic_init(&ex->waiting, WAIT_NONE);
    buf_init(&ex->raw, EXCHANGE_BODY_MAX);
    return ex;
}

void *exchange_new_state(struct exchange *ex, size_t size, void (*state_free)(void *state))
{
    ex->state = calloc(1, size);
    ex->state_free = state_free;
    if (ex->state == NULL) {
        ex->state_free = NULL;
        exchange_fail(ex, -E_NOMEM, "out of memory");
    }
    return ex->state;
}

void exchange_drop_state(struct exchange *ex)
{
    if (ex->state_free != NULL)
        ex->state_free(ex->state);
    ex->state = NULL;
    ex->state_free = NULL;
}

void exchange_free(struct exchange *ex)
{
    if (ex == NULL)
        return;
    exchange_free_copies(ex);
    if (ex->held != NULL)
        MHD_destroy_response(ex->held);
    if (ex->begun)
        gate_end(server_gate(ex->server), ex->replied);
    exchange_drop_state(ex);
    transfer_done(ex->transfer);
    store_op_done(&ex->op);
    cached_token_release(ex->cached_token);
    free(ex->session_claims);
    json_decref(ex->body);
    if (ex->raw.data != NULL)
        sodium_memzero(ex->raw.data, ex->raw.len); /* it may contain a password */
    buf_done(&ex->raw);
    free(ex->long_value);
    free(ex->headers);
    free(ex);
}

bool exchange_streams(struct exchange *ex)
{
    if (!ex->streams)
        return false;
    ex->begun = false;
    exchange_free(ex);
    return true;
}

/* ---- head and body ---- */

/* An answer need not wait for the body: the client sends none before `100 Continue` (RFC 9110,
 * 10.1.1), or it is too long even to be discarded. */
static bool is_unread(struct exchange *ex)
{
    return ex->announced > DISCARD_MAX || exchange_header(ex, MHD_HTTP_HEADER_EXPECT) != NULL;
}

static void announce_body(struct exchange *ex)
{
    const char *length = exchange_header(ex, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (length != NULL && !str_to_int64(length, &ex->announced))
        ex->announced = INT64_MAX;
    if (ex->announced > 0 || exchange_header(ex, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL)
        ex->body_is = BODY_FOLLOWS;
}

void exchange_begin(struct exchange *ex, const struct target *target, const char *version)
{
    ex->chunked = strcmp(version, MHD_HTTP_VERSION_1_1) >= 0;
    ex->malformed = exchange_read_head(ex, target, version) != 0;
    choose_request_id(ex);
    ex->client = client_of(ex);
    announce_body(ex);
}

/* Start again after the body, which may have taken a long time: all checks are repeated, and
 * nothing from before counts twice. */
void exchange_await_body(struct exchange *ex)
{
    CHECK(ex->body_is == BODY_FOLLOWS && !ex->replied);
    ex->body_is = BODY_ARRIVES;
    ex->step = request_check;
    ex->header_count = 0;
    gate_end(server_gate(ex->server), false);
    ex->begun = false;
}

bool exchange_hold(struct exchange *ex, int status, struct MHD_Response *response)
{
    if (ex->body_is != BODY_FOLLOWS || ex->malformed || is_unread(ex))
        return false;
    ex->body_is = BODY_ARRIVES;
    ex->held = response;
    ex->held_status = status;
    return true;
}

int64_t exchange_body_max(const struct exchange *ex)
{
    return ex->route == NULL || ex->route->access == ROUTE_TOKEN ||
                   ex->route->access == ROUTE_REPORT || ex->route->access == ROUTE_OPERATOR ||
                   !ex->route->body
               ? EXCHANGE_BODY_MAX
               : EXCHANGE_OPEN_BODY_MAX;
}

bool exchange_receive(struct exchange *ex, const char *data, size_t len)
{
    ex->received += (int64_t)len;
    if (ex->received > DISCARD_MAX)
        return false;
    if (ex->replied || !ex->route->body || ex->received > exchange_body_max(ex))
        return true;
    if (ex->raw.data == NULL)
        buf_reserve(&ex->raw, RAW_FIRST);
    buf_add(&ex->raw, data, len);
    return true;
}

bool exchange_received(struct exchange *ex)
{
    ex->body_is = BODY_NONE;
    return ex->replied ? exchange_send_held(ex) : exchange_run(ex);
}

void exchange_add_text(struct exchange *ex, const char *name, const char *value)
{
    size_t i = ex->header_count;
    size_t len = str_whole(value, strnlen(value, EXCHANGE_HEADER_TEXT - 1));
    struct exchange_header *header;

    CHECK(!ex->replied && i < EXCHANGE_HEADERS_MAX && strlen(name) < sizeof(header->name));
    header = &ex->headers[i];
    str_copy(header->name, sizeof(header->name), name);
    memcpy(header->value, value, len);
    header->value[len] = '\0';
    ex->header_count++;
}

void exchange_add_long(struct exchange *ex, const char *name, char *value)
{
    free(ex->long_value);
    ex->long_name = name;
    ex->long_value = value;
}

/* Reply for a failed operation, so that handlers need not. */
static bool store_failed(struct exchange *ex)
{
    if (ex->op.rc == 0 || err_status(ex->op.rc) < 500)
        return false;
    exchange_checked(ex); /* what may have been done is not begun again */
    if (ex->otherwise != NULL) {
        ex->otherwise(ex);
        return true;
    }
    if (ex->op.err.code != -E_DOUBT && ex->op.err.code != -E_FULL)
        ex->op.err.code = ex->op.rc;
    exchange_reply_error(ex, &ex->op.err, NULL);
    return true;
}

static void run_step(struct exchange *ex)
{
    exchange_step *step = ex->step;

    THREAD_CHECK(ex->thread);
    CHECK(step != NULL);
    ex->step = NULL;
    atomic_store(&ex->waiting, WAIT_NONE);
    if (ex->posted) {
        ex->posted = false;
        if (store_failed(ex))
            return;
    }
    step(ex);
    if (!ex->replied && ex->step == NULL) {
        exchange_fail(ex, -E_INTERNAL, "a step of %s neither replied nor waits", ex->route->path);
    }
}

bool exchange_run(struct exchange *ex)
{
    for (;;) {
        int armed = WAIT_ARMED;

        run_step(ex);
        if (ex->body_is == BODY_ARRIVES)
            return true;
        if (ex->replied)
            return ex->status != 0;
        if (atomic_load(&ex->waiting) == WAIT_WOKEN)
            continue;
        MHD_suspend_connection(ex->connection);
        if (!atomic_compare_exchange_strong(&ex->waiting, &armed, WAIT_SUSPENDED)) {
            CHECK(armed == WAIT_WOKEN);
            MHD_resume_connection(ex->connection); /* woken meanwhile: nothing else resumes it */
        }
        return true;
    }
}

void exchange_await(struct exchange *ex, exchange_step *next)
{
    THREAD_CHECK(ex->thread);
    CHECK(!ex->replied && ex->step == NULL && next != NULL);
    ex->step = next;
    atomic_store(&ex->waiting, WAIT_ARMED);
}

void exchange_wake(struct exchange *ex)
{
    /* Unless the connection is suspended, `ex` may be freed right after the atomic exchange. */
    int waiting = atomic_exchange(&ex->waiting, WAIT_WOKEN);

    CHECK(waiting == WAIT_ARMED || waiting == WAIT_SUSPENDED);
    if (waiting == WAIT_SUSPENDED)
        MHD_resume_connection(ex->connection);
}

bool exchange_transfer(struct exchange *ex, const struct guid *id)
{
    CHECK(ex->transfer == NULL);
    if (transfer_begin(server_peer(ex->connection), id, &ex->transfer, &ex->err) == 0)
        return true;
    exchange_reply_error(ex, &ex->err, NULL);
    return false;
}

static void op_answered(struct store_op *op)
{
    exchange_wake(op->owner);
}

struct store_op *exchange_op(struct exchange *ex, enum store_verb verb)
{
    store_op_done(&ex->op);
    ex->op = (struct store_op){.verb = verb};
    return &ex->op;
}

void exchange_try(struct exchange *ex, exchange_step *next)
{
    ex->op.done = op_answered;
    ex->op.owner = ex;
    exchange_await(ex, next);
    store_post(ex->services->store, &ex->op);
}

void exchange_post(struct exchange *ex, exchange_step *next)
{
    ex->posted = true;
    exchange_try(ex, next);
}

json_t *exchange_member(struct exchange *ex, const char *key)
{
    char folded[64];
    size_t len = 0;

    for (; key[len] != '\0' && len < sizeof(folded) - 1; len++)
        folded[len] = (char)tolower((unsigned char)key[len]);
    folded[len] = '\0';
    return json_object_get(ex->body, folded);
}

int exchange_prefer_wait(struct exchange *ex, int most)
{
    const char *value = exchange_header(ex, "Prefer");

    return value != NULL ? prefer_wait(value, most) : -1;
}

void exchange_address(const struct exchange *ex, char out[ADDRESS_TEXT])
{
    address_format(&ex->client.address, out);
}

int exchange_socket(struct exchange *ex)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info != NULL ? info->connect_fd : -1;
}

gnutls_session_t exchange_tls(const struct exchange *ex)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info != NULL ? info->tls_session : NULL;
}
