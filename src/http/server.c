/* src/http/server.c -- libmicrohttpd: the HTTP threads, and the way into an exchange. */
#include "http/server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "http/exchange_impl.h"
#include "http/forwarded.h"
#include "http/gate.h"
#include "http/idle.h"
#include "http/listener.h"
#include "http/metrics.h"
#include "http/refusal.h"
#include "http/router.h"
#include "http/sender.h"
#include "http/shares.h"
#include "http/tls.h"

enum {
    STALLED_S = 60, /* for a client that stops within a request, or accepts no more of the answer */
    /* Request headers of up to 10 KB; 431 above. The library clears this memory after each
     * request. */
    CONNECTION_MEMORY = 12 * 1024,
    ANSWER_MEMORY = 1536,      /* part of it, for the headers of the answer */
    TARGET_MAX = 10 * 1024,    /* part of it; 414 above */
    VALUE_MEMORY = 64,         /* part of it, for each header, cookie and query parameter */
    TOLD_AGAIN_MS = 60 * 1000, /* between two log lines that an address has too many connections */
    LAST_ANSWERS_MS = 1000,    /* at a stop, for requests that have been sent already */
};

/* A thread with its own share of the connections. */
struct http_thread {
    struct server *server;
    struct MHD_Daemon *daemon;
    enum socket_kind kind;     /* kind of its connections */
    struct thread_owner owner; /* valid while it handles a request */
    atomic_int connections;
    atomic_bool busy; /* handles a request */
};

/* A connection of a client, whose address the library keeps. */
struct connection {
    struct server *server;
    struct peer *peer; /* NULL: out of memory, or no results are served */
    struct tls_peer tls;
    struct idle idle;
    bool from_proxy;      /* of trusted_proxies */
    struct target target; /* of its request */
    bool refused;         /* a refusal was sent: nothing more is obeyed */
};

struct server {
    struct services services;
    struct http_thread *threads;
    int thread_count; /* those that were started */
    struct listener *listener;
    struct tls *tls; /* NULL: no TLS */
    struct sender *sender;
    struct idle_list *idle;
    struct shares *shares;
    struct metrics *metrics;
    int64_t began_ms; /* monotonic */
    int64_t told_ms;  /* monotonic, used by the listener: last log line about an address with too
                       * many connections */
    char first_id[GUID_TEXT]; /* of a request: the others count up from it */
    atomic_ullong ids_made;
    struct gate gate;
};

static struct connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

struct peer *server_peer(struct MHD_Connection *connection)
{
    struct connection *own = connection_of(connection);

    return own != NULL ? own->peer : NULL;
}

/* The library's time-out is for a client that accepts no more of an answer; idle.h handles the time
 * between two requests, and while one arrives. */
static void begin_request(struct server *server, struct MHD_Connection *connection)
{
    struct connection *own = connection_of(connection);

    if (own != NULL) {
        idle_begin(server->idle, &own->idle, IDLE_HEAD, clock_mono_ms());
        peer_asked(own->peer);
    }
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)STALLED_S);
}

static void end_request(struct server *server, struct MHD_Connection *connection)
{
    struct connection *own = connection_of(connection);

    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
    if (own != NULL)
        idle_begin(server->idle, &own->idle, IDLE_REQUEST, clock_mono_ms());
}

/* The headers have arrived, and part of the body, or all of it. */
static void await_body(struct server *server, struct MHD_Connection *connection, bool follows)
{
    struct connection *own = connection_of(connection);

    if (own == NULL)
        return;
    if (follows)
        idle_begin(server->idle, &own->idle, IDLE_BODY, clock_mono_ms());
    else
        idle_end(server->idle, &own->idle);
}

static void body_received(struct server *server, struct MHD_Connection *connection, size_t bytes)
{
    struct connection *own = connection_of(connection);

    if (own != NULL)
        idle_received(server->idle, &own->idle, bytes);
}

/* The state of a request that has no exchange any more: an event stream, which may live long. */
static char streaming;

/* Before 1.0 the library never answers if its memory does not suffice for the query parameters, so
 * the query of a rejected target is removed. The text belongs to the library, which changes it
 * itself. */
#if MHD_VERSION < 0x00097701
static void cut_query(const char *target)
{
    size_t path = strcspn(target, "?");

    if (target[path] == '?')
        ((char *)(uintptr_t)target)[path + 1] = '\0';
}
#else
static void cut_query(const char *target)
{
    (void)target;
}
#endif

/* Bypasses the library, whose memory may not suffice for an answer, or even for the request: it
 * would then send nothing. It reads the end of the connection, and closes it. */
static void refuse_request(struct http_thread *thread, struct connection *own, enum refusal refusal)
{
    char text[REFUSAL_TEXT];
    size_t len = refusal_write(refusal, text);

    if (thread->kind != SOCKET_TLS)
        refusal_send(own->idle.fd, text, len);
    else if (tls_send(own->tls.session, text, len) > 0)
        refusal_send(own->idle.fd, NULL, 0);
    shutdown(own->idle.fd, SHUT_RDWR);
    own->refused = true;
}

/* The target as it was sent: the library decodes it afterwards, including %00 and %2F. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_thread *thread = context;
    struct connection *own = connection_of(connection);

    begin_request(thread->server, connection);
    if (own == NULL)
        return NULL;
    target_read(target, &own->target);
    if (own->target.len > TARGET_MAX)
        refuse_request(thread, own, REFUSAL_TARGET);
    if (own->target.fault != NULL || own->refused)
        cut_query(target);
    return NULL;
}

/* Is there room for the headers of an answer? Otherwise the library closes the connection without
 * an answer, after the request has been carried out. */
static bool has_room(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *cookie =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_COOKIE);
    int values = MHD_get_connection_values(
        connection, MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND, NULL, NULL);

    return info->header_size + (size_t)values * VALUE_MEMORY +
               (cookie != NULL ? strlen(cookie) : 0) + ANSWER_MEMORY <=
           CONNECTION_MEMORY;
}

/* False: close the connection. */
static bool on_head(struct http_thread *thread, struct exchange *ex, const char *version)
{
    struct connection *own = ex != NULL ? connection_of(ex->connection) : NULL;

    if (own == NULL || own->refused)
        return false;
    if (!has_room(ex->connection)) {
        refuse_request(thread, own, REFUSAL_HEAD);
        return false;
    }
    ex->thread = &thread->owner;
    ex->on_metrics = thread->kind == SOCKET_METRICS;
    ex->from_proxy = own->from_proxy;
    exchange_begin(ex, &own->target, version);
    return (!ex->malformed && ex->body_is != BODY_FOLLOWS) || exchange_run(ex);
}

/* The library calls this when the headers have arrived, for each part of the body, and at its end;
 * then again after each suspension, until an answer is queued. An answer in the first call closes
 * the connection, so ordinary answers wait for the last call. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_thread *thread = context;
    struct exchange *ex = *state;
    bool good, more = *size > 0;

    thread_own(&thread->owner);
    atomic_store(&thread->busy, true);
    if (ex == NULL) {
        *state = ex = exchange_new(thread->server, connection, method, url);
        good = on_head(thread, ex, version);
    } else if (more) {
        body_received(thread->server, connection, *size);
        good = exchange_receive(ex, data, *size);
        *size = 0;
    } else {
        good = ex->body_is == BODY_ARRIVES ? exchange_received(ex) : exchange_run(ex);
    }
    if (good && !more && ex != NULL)
        await_body(thread->server, connection, ex->body_is == BODY_ARRIVES);
    if (good && ex != NULL && exchange_streams(ex))
        *state = &streaming;
    atomic_store(&thread->busy, false);
    thread_disown(&thread->owner);
    return good ? MHD_YES : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct http_thread *thread = context;

    if (*state == &streaming)
        gate_end(&thread->server->gate, true);
    else
        exchange_free(*state);
    *state = NULL;
    if (why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        end_request(thread->server, connection);
}

/* A proxy's connections are those of many clients. */
static bool is_from_proxy(const struct server *server, const struct sockaddr *peer)
{
    return client_is_proxy(server->services.config->trusted_proxies.text, peer);
}

static struct connection *open_connection(struct server *server, int fd,
                                          const struct sockaddr *peer)
{
    struct connection *own = calloc(1, sizeof(*own));

    if (own == NULL)
        return NULL;
    own->server = server;
    own->idle.fd = fd;
    own->from_proxy = is_from_proxy(server, peer);
    if (server->services.transfers != NULL)
        own->peer = peer_new(server->services.transfers, fd);
    idle_open(server->idle, &own->idle, clock_mono_ms());
    return own;
}

/* Half of all connections is left to others, however few there are. */
static int connections_per_address(const struct config *config)
{
    int64_t most = config->connections.number / 2, wanted = config->connections_per_address.number;

    return (int)(wanted == 0 ? config->connections.number : wanted < most ? wanted : most);
}

static bool enter_address(struct server *server, const struct sockaddr *peer)
{
    struct address address = address_of_peer(peer);
    struct share share = share_of_address(SHARE_CONNECTIONS, &address);
    int most = connections_per_address(server->services.config);
    int64_t now_ms = clock_mono_ms();
    char text[ADDRESS_TEXT];

    if (is_from_proxy(server, peer) || shares_take(server->shares, &share, most))
        return true;
    metrics_limit(server->metrics, LIMIT_ADDRESS);
    if (server->told_ms == 0 || now_ms - server->told_ms >= TOLD_AGAIN_MS) {
        server->told_ms = now_ms;
        address_format(&address, text);
        log_warn("http.address_full", "address=%s connections=%d", text, most);
    }
    return false;
}

static void leave_address(struct server *server, const struct sockaddr *peer, bool from_proxy)
{
    struct address address = address_of_peer(peer);
    struct share share = share_of_address(SHARE_CONNECTIONS, &address);

    if (!from_proxy)
        shares_give(server->shares, &share);
}

static void close_connection(struct server *server, struct connection *own)
{
    if (own != NULL)
        idle_close(server->idle, &own->idle);
    if (peer_close(own != NULL ? own->peer : NULL))
        listener_ended(server->listener);
    else
        listener_wake(server->listener); /* it still counts until on_maintain() finds that it is
                                          * over */
    free(own);
}

/* The client has finished its part of the handshake. */
static int on_handshake(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                        const gnutls_datum_t *message)
{
    struct connection *own =
        container_of((struct tls_peer *)gnutls_transport_get_ptr(session), struct connection, tls);

    (void)type, (void)when, (void)message;
    if (incoming != 0)
        idle_begin(own->server->idle, &own->idle, IDLE_REQUEST, clock_mono_ms());
    return 0;
}

/* The handshake may take as long as headers may. */
static void secure_connection(struct server *server, struct MHD_Connection *connection,
                              struct connection *own, int fd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    if (own == NULL || info == NULL) {
        shutdown(fd, SHUT_RDWR); /* no byte is read that would need the certificate */
        return;
    }
    tls_prepare(server->tls, &own->tls, info->tls_session, fd);
    gnutls_handshake_set_hook_function(info->tls_session, GNUTLS_HANDSHAKE_FINISHED,
                                       GNUTLS_HOOK_POST, on_handshake);
    idle_begin(server->idle, &own->idle, IDLE_HEAD, clock_mono_ms());
}

/* The library also calls this before it closes the socket. */
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_thread *thread = context;
    struct connection *own = *state;
    const struct sockaddr *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        leave_address(thread->server, peer,
                      own != NULL ? own->from_proxy : is_from_proxy(thread->server, peer));
        close_connection(thread->server, own);
        *state = NULL;
        atomic_fetch_sub(&thread->connections, 1);
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL)
        return;
    *state = own = open_connection(thread->server, info->connect_fd, peer);
    if (thread->kind == SOCKET_TLS)
        secure_connection(thread->server, connection, own, info->connect_fd);
}

/* Of the threads that are not handling a request, the one with the fewest connections. */
static struct http_thread *idlest_thread(struct server *server, enum socket_kind kind)
{
    struct http_thread *best = NULL;

    for (int i = 0; i < server->thread_count; i++) {
        struct http_thread *thread = &server->threads[i];
        int more_busy =
            best == NULL ? -1 : (int)atomic_load(&thread->busy) - (int)atomic_load(&best->busy);

        if (thread->kind != kind)
            continue;
        if (more_busy < 0 ||
            (more_busy == 0 && atomic_load(&thread->connections) < atomic_load(&best->connections)))
            best = thread;
    }
    CHECK(best != NULL);
    return best;
}

/* At the very end, a new connection is closed at once. The library closes what it does not
 * accept. */
static enum listener_accepted on_accept(void *context, enum socket_kind kind, int fd,
                                        const struct sockaddr *address, socklen_t len)
{
    struct server *server = context;
    struct http_thread *thread;

    if (!gate_is_open(&server->gate)) {
        close(fd);
        return LISTENER_LOST;
    }
    if (!enter_address(server, address))
        return LISTENER_FULL;
    thread = idlest_thread(server, kind);
    atomic_fetch_add(&thread->connections, 1);
    if (MHD_add_connection(thread->daemon, fd, address, len) == MHD_YES)
        return LISTENER_TAKEN;
    atomic_fetch_sub(&thread->connections, 1);
    leave_address(server, address, is_from_proxy(server, address));
    return LISTENER_LOST;
}

static int on_maintain(void *context)
{
    struct server *server = context;
    int64_t now_ms = clock_mono_ms();
    int idle_ms = idle_maintain(server->idle, now_ms), gone, wait_ms;

    if (server->services.transfers == NULL)
        return idle_ms;
    wait_ms = transfers_maintain(server->services.transfers, now_ms, &gone);
    while (gone-- > 0)
        listener_ended(server->listener);
    return wait_ms >= 0 && wait_ms < idle_ms ? wait_ms : idle_ms;
}

/* No bare CR or LF, no NUL, no folding in a head. For an older library, which hides these, see
 * request_head.c. */
static const struct MHD_OptionItem discipline[] = {
#if MHD_VERSION >= 0x00097701
    {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
#endif
    {MHD_OPTION_END, 0, NULL}};

/* The library's own pool would choose the thread by the number of the descriptor, even if that
 * thread is handling a request. */
static int start_thread(struct server *server, enum socket_kind kind, struct err *err)
{
    struct http_thread *thread = &server->threads[server->thread_count];
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                     MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem plain = {MHD_OPTION_END, 0, NULL};
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (char *)(uintptr_t)tls_priorities},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)tls_retrieve},
        {MHD_OPTION_END, 0, NULL}};

    thread->server = server;
    thread->kind = kind;
    if (kind == SOCKET_TLS)
        flags |= MHD_USE_TLS;
    thread->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, thread, /**/
        MHD_OPTION_URI_LOG_CALLBACK, on_target, thread, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        thread, MHD_OPTION_NOTIFY_CONNECTION, on_connection, thread, /**/
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->services.config->connections.number,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_ARRAY, discipline,
        MHD_OPTION_ARRAY, kind == SOCKET_TLS ? secure : &plain, MHD_OPTION_END);
    if (thread->daemon == NULL)
        return err_errno(err, -E_CONFIG, "start the HTTP threads (see http_threads, connections)");
    server->thread_count++;
    return 0;
}

static int start_http_threads(struct server *server, struct err *err)
{
    const struct config *config = server->services.config;
    int rc = 0, of_api = (int)config->http_threads.number;

    server->threads = calloc((size_t)of_api * SOCKET_KINDS, sizeof(server->threads[0]));
    if (server->threads == NULL)
        return err_set(err, -E_NOMEM, "start the HTTP threads: out of memory");
    for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
        int count = !listener_has(server->listener, kind) ? 0 : kind == SOCKET_METRICS ? 1 : of_api;

        while (rc == 0 && count-- > 0)
            rc = start_thread(server, kind, err);
    }
    return rc < 0 ? rc
                  : listener_start(server->listener, (int)config->connections.number, on_accept,
                                   on_maintain, server, err);
}

void server_reload(struct server *server)
{
    struct err err = {0};
    int rc = server->tls != NULL ? tls_reload(server->tls, &err) : 0;

    idle_list_set_time(server->idle, server->services.config->request_timeout.number);
    if (rc < 0)
        log_error("tls.reload", "error=%s", err.text);
    else if (server->tls != NULL)
        log_info("tls.reload", "replaced=%d", rc);
}

const struct router *server_router(const struct server *server)
{
    return server->services.router != NULL ? server->services.router : &router_api;
}

int server_new(const struct services *services, struct server **ret, struct err *err)
{
    struct server *server = calloc(1, sizeof(*server));
    struct guid id;
    int rc;

    if (server == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    server->services = *services;
    server->began_ms = clock_mono_ms();
    id = guid_new();
    guid_format(&id, server->first_id);
    gate_init(&server->gate);
    server->idle = idle_list_new(services->config->request_timeout.number);
    server->shares = shares_new();
    server->metrics = metrics_new(server_router(server)->count);
    rc = tls_open(services->config->tls_certificate.text, services->config->tls_key.text,
                  &server->tls, err)
             ?: listener_new(services->config, &server->listener, err);
    if (rc == 0 && (server->idle == NULL || server->shares == NULL || server->metrics == NULL))
        rc = err_set(err, -E_NOMEM, "start the server: out of memory");
    if (rc == 0)
        listener_watch(server->listener, idle_list_fd(server->idle));
    rc = rc ?: sender_new(&server->sender, err);
    if (rc == 0)
        rc = start_http_threads(server, err);
    if (rc != 0) {
        server_free(server);
        return rc;
    }
    *ret = server;
    return 0;
}

const char *server_url(const struct server *server)
{
    return listener_url(server->listener);
}

void server_drain(struct server *server)
{
    if (server == NULL)
        return;
    if (service_holds_sockets())
        listener_leave(server->listener);
    gate_drain(&server->gate);
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    if (service_holds_sockets()) { /* from now on, new connections are served by the next server */
        listener_stop(server->listener);
        idle_list_await(server->idle, LAST_ANSWERS_MS);
    }
    gate_close(&server->gate);
    sender_stop(server->sender);
    gate_await_resumed(&server->gate);
}

void server_hurry(struct server *server)
{
    if (server != NULL)
        gate_hurry(&server->gate);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    if (server->thread_count > 0) {
        server_drain(server);
        server_close(server);
        listener_stop(server->listener);
        for (int i = 0; i < server->thread_count; i++)
            MHD_stop_daemon(server->threads[i].daemon);
        if (server->services.transfers != NULL)
            transfers_finish(server->services.transfers);
    }
    free(server->threads);
    sender_free(server->sender);
    listener_free(server->listener);
    tls_free(server->tls);
    idle_list_free(server->idle);
    shares_free(server->shares);
    metrics_free(server->metrics);
    gate_done(&server->gate);
    free(server);
}

struct sender *server_sender(struct server *server)
{
    return server->sender;
}

struct shares *server_shares(struct server *server)
{
    return server->shares;
}

struct metrics *server_metrics(struct server *server)
{
    return server->metrics;
}

struct gate *server_gate(struct server *server)
{
    return &server->gate;
}

int64_t server_refused(const struct server *server)
{
    return listener_refused(server->listener);
}

int64_t server_uptime_ms(const struct server *server)
{
    return clock_mono_ms() - server->began_ms;
}

/* A GUID whose last 12 digits are a counter; the random digits before them tell servers apart. */
void server_name_request(struct server *server, char out[GUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t count = atomic_fetch_add_explicit(&server->ids_made, 1, memory_order_relaxed);

    memcpy(out, server->first_id, GUID_TEXT);
    for (int i = GUID_TEXT - 2; i >= GUID_TEXT - 13; i--, count >>= 4)
        out[i] = digits[count & 15];
}

const struct services *server_services(const struct server *server)
{
    return &server->services;
}
