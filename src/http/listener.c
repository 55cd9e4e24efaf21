/* src/http/listener.c -- the thread that accepts connections.
 *
 * The HTTP library could do this, but when there is no descriptor for a connection, it keeps trying
 * and uses a whole processor; and it lets connections beyond its limit wait for as long as others
 * are idle. */
#include "http/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/refusal.h"
#include "http/tls.h"

enum {
    AT_ONCE = 64,     /* accepted from one socket before the others are checked */
    PAUSE_MS = 250,   /* without a descriptor, or another resource that a connection needs */
    LINGER_MS = 2000, /* time for a refused client to read the answer and close */
};

/* A client that got a 503: what it sends is read until it closes, since closing first could discard
 * the answer. */
struct refused {
    int fd;
    int64_t until_ms; /* monotonic */
};

/* Everything except the counts belongs to the thread once it runs. */
struct listener {
    struct thread_owner owner;
    struct sockets sockets;
    int limit;
    listener_accept_fn *accept;
    listener_maintain_fn *maintain;
    void *context;
    pthread_t thread;
    bool running;
    int watched; /* -1: none */
    int wake;    /* eventfd: to stop, or a connection has ended during a pause; -1 */
    int spare;   /* used to accept and refuse a connection when no descriptor is left; -1 */
    atomic_int open;
    atomic_llong refusals;
    atomic_bool stopping, paused;
    atomic_bool leaving; /* new connections are left to the next process */
    struct refused refused[LISTENER_REFUSED_MAX];
    int refused_count;
    bool short_of; /* the lack of descriptors has been logged */
};

int listener_new(const struct config *config, struct listener **ret, struct err *err)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    const char *metrics = config->metrics_listen.text, *tls = config->tls_certificate.text;
    enum socket_kind kind = tls != NULL && *tls != '\0' ? SOCKET_TLS : SOCKET_PLAIN;
    int rc;

    if (listener == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    listener->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    listener->spare = listener->watched = -1;
    rc = listener->wake < 0 ? err_errno(err, -E_CONFIG, "make an eventfd") : 0;
    rc = rc ?: sockets_open(&listener->sockets, "listen", config->listen.text, kind, err);
    if (rc == 0 && metrics != NULL && *metrics != '\0')
        rc = sockets_open(&listener->sockets, "metrics_listen", metrics, SOCKET_METRICS, err);
    rc = rc ?: sockets_check_left(err);
    if (rc < 0) {
        listener_free(listener);
        return rc;
    }
    *ret = listener;
    return 0;
}

const char *listener_url(const struct listener *listener)
{
    return listener->sockets.url;
}

bool listener_has(const struct listener *listener, enum socket_kind kind)
{
    int i = listener->sockets.count;

    while (i > 0 && listener->sockets.of[i - 1].kind != kind)
        i--;
    return i > 0;
}

/* ---- refusing ---- */

static void drop_refused(struct listener *listener, int i)
{
    THREAD_CHECK(&listener->owner);
    CHECK(i < listener->refused_count);
    close(listener->refused[i].fd);
    listener->refused[i] = listener->refused[--listener->refused_count];
}

/* `keep`: a descriptor can be kept for a while. */
static void refuse_connection(struct listener *listener, enum socket_kind kind, int fd, bool keep)
{
    char text[REFUSAL_TEXT];
    size_t len = refusal_write(REFUSAL_FULL, text);
    bool good = kind == SOCKET_TLS ? refusal_send(fd, tls_refusal, sizeof(tls_refusal))
                                   : refusal_send(fd, text, len);

    if (!good || !keep) {
        close(fd);
        return;
    }
    if (listener->refused_count == LISTENER_REFUSED_MAX)
        drop_refused(listener, 0);
    listener->refused[listener->refused_count++] =
        (struct refused){.fd = fd, .until_ms = clock_mono_ms() + LINGER_MS};
}

/* Read what refused clients send; remove those that have closed or whose time is over. */
static void maintain_refused(struct listener *listener)
{
    int64_t now_ms = clock_mono_ms();
    char bytes[4096];

    for (int i = listener->refused_count - 1; i >= 0; i--) {
        ssize_t n = recv(listener->refused[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
            listener->refused[i].until_ms <= now_ms)
            drop_refused(listener, i);
    }
}

/* ---- accepting ---- */

static void open_spare(struct listener *listener)
{
    if (listener->spare < 0)
        listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Accept the next connection of a socket, or return -1: with EAGAIN there is none, otherwise it
 * cannot be accepted now. On the last descriptor a connection can only be refused, and earlier
 * refused ones are closed at once. */
static int accept_one(struct listener *listener, int socket, struct sockaddr_storage *address,
                      socklen_t *len, bool *ret_refuse)
{
    int fd;

    *len = sizeof(*address);
    *ret_refuse = false;
    fd = accept4(socket, (struct sockaddr *)address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
        return fd;
    if (!listener->short_of)
        log_warn("http.no_descriptors", "connections=%d", atomic_load(&listener->open));
    listener->short_of = true;
    while (listener->refused_count > 0)
        drop_refused(listener, 0);
    if (listener->spare >= 0)
        close(listener->spare);
    listener->spare = -1;
    *len = sizeof(*address);
    *ret_refuse = true;
    return accept4(socket, (struct sockaddr *)address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void take_client(struct listener *listener, enum socket_kind kind, int fd,
                        const struct sockaddr_storage *address, socklen_t len)
{
    enum listener_accepted accepted = LISTENER_FULL;

    if (atomic_fetch_add(&listener->open, 1) < listener->limit)
        accepted =
            listener->accept(listener->context, kind, fd, (const struct sockaddr *)address, len);
    else
        atomic_fetch_add(&listener->refusals, 1);
    if (accepted != LISTENER_TAKEN)
        atomic_fetch_sub(&listener->open, 1);
    if (accepted == LISTENER_FULL)
        refuse_connection(listener, kind, fd, true);
}

/* False: there are more connections, but no descriptor or memory for them. */
static bool accept_some(struct listener *listener, const struct listening *socket)
{
    for (int i = 0; i < AT_ONCE; i++) {
        struct sockaddr_storage address;
        socklen_t len;
        bool full;
        int fd = accept_one(listener, socket->fd, &address, &len, &full);

        if (fd < 0)
            return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        if (full) {
            atomic_fetch_add(&listener->refusals, 1);
            refuse_connection(listener, socket->kind, fd, false);
            open_spare(listener);
            continue;
        }
        listener->short_of = false;
        take_client(listener, socket->kind, fd, &address, len);
    }
    return true;
}

static bool is_closed(const struct listener *listener)
{
    return listener->paused || listener->leaving;
}

/* Wait until something arrives, `maintain_ms` are over, or, during a pause, a descriptor may be
 * free again. The sockets are the first entries of `polled`. */
static void await(struct listener *listener, struct pollfd *polled, int maintain_ms)
{
    int count = 0, sockets = is_closed(listener) ? 0 : listener->sockets.count;
    int wait_ms = listener->paused || listener->refused_count > 0 ? PAUSE_MS : -1;
    eventfd_t ignored;

    if (maintain_ms >= 0 && (wait_ms < 0 || maintain_ms < wait_ms))
        wait_ms = maintain_ms;
    for (int i = 0; i < listener->sockets.count; i++)
        polled[count++] =
            (struct pollfd){.fd = i < sockets ? listener->sockets.of[i].fd : -1, .events = POLLIN};
    polled[count++] = (struct pollfd){.fd = listener->wake, .events = POLLIN};
    polled[count++] = (struct pollfd){.fd = listener->watched, .events = POLLIN};
    for (int i = 0; i < listener->refused_count; i++)
        polled[count++] = (struct pollfd){.fd = listener->refused[i].fd, .events = POLLIN};
    poll(polled, (nfds_t)count, wait_ms);
    eventfd_read(listener->wake, &ignored);
}

static void *listener_thread(void *arg)
{
    struct listener *listener = arg;
    struct pollfd polled[SOCKETS_MAX + 2 + LISTENER_REFUSED_MAX];

    thread_own(&listener->owner);
    while (!listener->stopping) {
        bool good = true;

        await(listener, polled, listener->maintain(listener->context));
        maintain_refused(listener);
        open_spare(listener);
        for (int i = 0; i < listener->sockets.count && !listener->stopping; i++) {
            if (listener->leaving)
                continue;
            if (listener->paused || (polled[i].revents & POLLIN) != 0)
                good &= accept_some(listener, &listener->sockets.of[i]);
        }
        listener->paused = !good;
    }
    thread_disown(&listener->owner);
    return NULL;
}

void listener_watch(struct listener *listener, int fd)
{
    listener->watched = fd;
}

int listener_start(struct listener *listener, int limit, listener_accept_fn *accept,
                   listener_maintain_fn *maintain, void *context, struct err *err)
{
    int rc;

    listener->limit = limit;
    listener->accept = accept;
    listener->maintain = maintain;
    listener->context = context;
    open_spare(listener);
    rc = thread_start(&listener->thread, "listener", listener_thread, listener);
    if (rc != 0)
        return err_set(err, -E_CONFIG, "start the thread that accepts connections: %s",
                       strerror(rc));
    listener->running = true;
    return 0;
}

void listener_wake(struct listener *listener)
{
    eventfd_write(listener->wake, 1);
}

int64_t listener_refused(const struct listener *listener)
{
    return atomic_load(&listener->refusals);
}

void listener_ended(struct listener *listener)
{
    int open = atomic_fetch_sub(&listener->open, 1);

    CHECK(open > 0);
    if (listener->paused)
        listener_wake(listener);
}

void listener_leave(struct listener *listener)
{
    listener->leaving = true;
    eventfd_write(listener->wake, 1);
}

void listener_stop(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener->stopping = true;
    if (listener->running) {
        listener_wake(listener);
        pthread_join(listener->thread, NULL);
    }
    listener->running = false;
    while (listener->refused_count > 0)
        drop_refused(listener, 0);
    sockets_close(&listener->sockets);
}

void listener_free(struct listener *listener)
{
    if (listener == NULL)
        return;
    listener_stop(listener);
    if (listener->wake >= 0)
        close(listener->wake);
    if (listener->spare >= 0)
        close(listener->spare);
    free(listener);
}
