/* src/http/server.c -- libmicrohttpd: the socket, the thread pool, the way into an exchange. */
#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "http/bearer.h"
#include "http/completed.h"
#include "http/exchange_impl.h"
#include "http/user.h"

enum {
    IDLE_S = 60, /* a connection that says nothing is closed */
    /* Request headers of up to 10 KB; 431 above. The library clears it after each request. */
    CONNECTION_MEMORY = 12 * 1024,
    BACKLOG = 1024,       /* connections the kernel keeps for us */
    SEND_GRACE_MS = 5000, /* at the stop, for answers on their way */
    HOST_TEXT = 80,
    SPARES = 64, /* some 10 KB each */
};

struct server {
    struct services services;
    struct MHD_Daemon *daemon;
    struct lane *password_lane;
    struct bearers *bearers;
    struct completed *completed;
    int socket; /* ours only until the daemon has it; else -1 */
    char url[HOST_TEXT + 32];
    int64_t began_ms;         /* monotonic */
    char first_id[GUID_TEXT]; /* of a request: the others count on from it */
    atomic_ullong ids_made;
    pthread_mutex_t spare_mutex;
    void *spares[SPARES]; /* see server_take_spare() */
    int spare_count;
    pthread_mutex_t mutex;
    pthread_cond_t change;
    /* under the mutex */
    bool stopping, closing;
    int64_t unanswered, unsent; /* requests begun: without an answer, not over */
    int64_t fetching;           /* connections suspended for a part of a result */
    int64_t answers[SERVER_CLASSES];
};

/* The library calls this when the headers are there, for each part of the body, and at its end;
 * then again after each suspension, until an answer is queued. An answer to the first call closes
 * the connection, so ordinary ones wait for the last. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct exchange *ex = *state;
    bool good;

    (void)version;
    if (ex == NULL) {
        *state = ex = exchange_new(context, connection, method, url);
        if (ex == NULL)
            return MHD_NO;
        good = !exchange_is_hopeless(ex) || exchange_run(ex);
    } else if (*size > 0) {
        good = exchange_receive(ex, data, *size);
        *size = 0;
    } else {
        good = exchange_run(ex);
    }
    return good ? MHD_YES : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    exchange_free(*state);
    *state = NULL;
}

/* The library calls this before it closes the socket, too. */
static void on_connection(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        peer_free(*state);
        *state = NULL;
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL && server->services.transfers != NULL)
        *state = peer_new(server->services.transfers, info->connect_fd);
}

/* Split "HOST:PORT" or "[IPv6]:PORT". */
static bool split_listen(const char *listen_at, char host[HOST_TEXT], char port[8])
{
    const char *colon = strrchr(listen_at, ':');
    const char *start = listen_at, *end = colon;
    int64_t number;

    if (colon == NULL || !str_to_int64(colon + 1, &number) || number < 0 || number > 65535)
        return false;
    if (*start == '[') {
        start++;
        end--;
        if (end <= start || *end != ']')
            return false;
    } else if (memchr(start, ':', (size_t)(end - start)) != NULL) {
        return false;
    }
    if (end == start || end - start >= HOST_TEXT)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return str_copy(port, 8, colon + 1);
}

/* A listening socket, or -E_CONFIG. */
static int bind_to(const char *listen_at, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[HOST_TEXT], port[8];
    int on = 1, fd;

    if (!split_listen(listen_at, host, port))
        return err_set(err, -E_CONFIG,
                       "listen = \"%s\": write ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                       listen_at);
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(err, -E_CONFIG, "listen = \"%s\": there is no address '%s'", listen_at,
                       host);
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
                    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)) {
        int saved = errno;

        close(fd);
        fd = -1;
        errno = saved;
    }
    freeaddrinfo(found);
    return fd >= 0 ? fd : err_errno(err, -E_CONFIG, "listen on %s", listen_at);
}

/* Write the URL with the port that was bound. */
static void name_url(struct server *server)
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    char host[HOST_TEXT], port[8];

    if (getsockname(server->socket, (struct sockaddr *)&bound, &len) != 0 ||
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(server->url, sizeof(server->url),
             bound.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

/* During the stop a new connection is closed at once. MHD_quiesce_daemon() would do it sooner, but
 * that of 0.9.75 races with its own threads for the epoll entry, and aborts when it loses. */
static enum MHD_Result on_accept(void *context, const struct sockaddr *address, socklen_t len)
{
    struct server *server = context;
    bool open;

    (void)address;
    (void)len;
    pthread_mutex_lock(&server->mutex);
    open = !server->stopping;
    pthread_mutex_unlock(&server->mutex);
    return open ? MHD_YES : MHD_NO;
}

static int start_daemon(struct server *server, struct err *err)
{
    const struct config *config = server->services.config;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;

    server->daemon = MHD_start_daemon(
        flags, 0, on_accept, server, on_request, server, /**/
        MHD_OPTION_LISTEN_SOCKET, server->socket, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, /**/
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)config->http_threads.number,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections.number,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_errno(err, -E_CONFIG, "start the HTTP threads (see http_threads, connections)");
    server->socket = -1;
    return 0;
}

static void init_lock(struct server *server)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->change, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&server->mutex, NULL);
    pthread_mutex_init(&server->spare_mutex, NULL);
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
    init_lock(server);
    server->password_lane = user_lane_new();
    server->bearers = bearers_new();
    server->completed = completed_new();
    server->socket = bind_to(services->config->listen.text, err);
    rc = server->socket < 0 ? server->socket : 0;
    if (rc == 0 && (server->bearers == NULL || server->completed == NULL))
        rc = err_set(err, -E_NOMEM, "start the server: out of memory");
    if (rc == 0 && server->password_lane == NULL)
        rc = err_set(err, -E_NOMEM, "start the threads that check passwords: out of memory");
    if (rc == 0) {
        name_url(server);
        rc = start_daemon(server, err);
    }
    if (rc != 0) {
        server_free(server);
        return rc;
    }
    *ret = server;
    return 0;
}

const char *server_url(const struct server *server)
{
    return server->url;
}

/* Wait until every request that has begun has its answer, and a while until it is sent too: a
 * client that reads slowly may not hold up the stop. */
static void drain(struct server *server)
{
    int64_t deadline;
    struct timespec until;
    int rc = 0;

    pthread_mutex_lock(&server->mutex);
    server->stopping = true;
    while (server->unanswered > 0)
        pthread_cond_wait(&server->change, &server->mutex);
    deadline = clock_mono_ms() + SEND_GRACE_MS;
    until = (struct timespec){deadline / 1000, deadline % 1000 * 1000000};
    while (server->unsent > 0 && rc == 0)
        rc = pthread_cond_timedwait(&server->change, &server->mutex, &until);
    /* libmicrohttpd may not be stopped while a connection is suspended. */
    server->closing = true;
    while (server->fetching > 0)
        pthread_cond_wait(&server->change, &server->mutex);
    pthread_mutex_unlock(&server->mutex);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    if (server->daemon != NULL) {
        drain(server);
        MHD_stop_daemon(server->daemon);
    }
    if (server->socket >= 0)
        close(server->socket);
    lane_free(server->password_lane);
    while (server->spare_count > 0)
        free(server->spares[--server->spare_count]);
    pthread_mutex_destroy(&server->spare_mutex);
    bearers_free(server->bearers);
    completed_free(server->completed);
    pthread_cond_destroy(&server->change);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

bool server_begin(struct server *server)
{
    bool open;

    pthread_mutex_lock(&server->mutex);
    open = !server->stopping;
    if (open) {
        server->unanswered++;
        server->unsent++;
    }
    pthread_mutex_unlock(&server->mutex);
    return open;
}

void server_answered(struct server *server, int status)
{
    int class = status / 100;

    pthread_mutex_lock(&server->mutex);
    server->unanswered--;
    server->answers[class > 0 && class < SERVER_CLASSES ? class : 0]++;
    if (server->stopping)
        pthread_cond_signal(&server->change);
    pthread_mutex_unlock(&server->mutex);
}

void server_end(struct server *server, bool answered)
{
    pthread_mutex_lock(&server->mutex);
    server->unsent--;
    if (!answered)
        server->unanswered--;
    if (server->stopping)
        pthread_cond_signal(&server->change);
    pthread_mutex_unlock(&server->mutex);
}

bool server_may_fetch(struct server *server)
{
    bool may;

    pthread_mutex_lock(&server->mutex);
    may = !server->closing;
    server->fetching += may;
    pthread_mutex_unlock(&server->mutex);
    return may;
}

void server_fetched(struct server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->fetching--;
    if (server->stopping)
        pthread_cond_signal(&server->change);
    pthread_mutex_unlock(&server->mutex);
}

void server_counts(struct server *server, struct server_counts *ret)
{
    pthread_mutex_lock(&server->mutex);
    memcpy(ret->answers, server->answers, sizeof(ret->answers));
    pthread_mutex_unlock(&server->mutex);
    ret->uptime_ms = clock_mono_ms() - server->began_ms;
}

/* A GUID whose last 12 digits count: the random ones before them tell servers apart. */
void server_name_request(struct server *server, char out[GUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t count = atomic_fetch_add_explicit(&server->ids_made, 1, memory_order_relaxed);

    memcpy(out, server->first_id, GUID_TEXT);
    for (int i = GUID_TEXT - 2; i >= GUID_TEXT - 13; i--, count >>= 4)
        out[i] = digits[count & 15];
}

void *server_take_spare(struct server *server)
{
    void *spare = NULL;

    pthread_mutex_lock(&server->spare_mutex);
    if (server->spare_count > 0)
        spare = server->spares[--server->spare_count];
    pthread_mutex_unlock(&server->spare_mutex);
    return spare;
}

void server_give_spare(struct server *server, void *spare)
{
    pthread_mutex_lock(&server->spare_mutex);
    if (server->spare_count < SPARES) {
        server->spares[server->spare_count++] = spare;
        spare = NULL;
    }
    pthread_mutex_unlock(&server->spare_mutex);
    free(spare);
}

struct bearers *server_bearers(struct server *server)
{
    return server->bearers;
}

struct completed *server_completed(struct server *server)
{
    return server->completed;
}

struct lane *server_password_lane(struct server *server)
{
    return server->password_lane;
}

const struct services *server_services(const struct server *server)
{
    return &server->services;
}
