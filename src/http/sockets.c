/* src/http/sockets.c -- opens listening sockets for the addresses in the configuration. */
#include "http/sockets.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/service.h"
#include "base/str.h"

enum { BACKLOG = 1024 }; /* connections that the kernel queues for us */

static in_port_t *port_of(struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

/* The entry of `key` that is being opened. */
struct opening {
    struct sockets *sockets;
    const char *key, *entry;
    enum socket_kind kind;
};

/* A socket bound to the address, the service manager's if that has one; -1: errno says why. */
static int open_socket(const struct sockaddr *at, socklen_t len)
{
    int fd = service_take_socket(at, len), on = 1, saved;

    if (fd >= 0)
        return fd;
    fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || ((at->sa_family == AF_UNIX ||
                    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0) &&
                   bind(fd, at, len) == 0))
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* "http://127.0.0.1:8080", or "". */
static void write_url(const struct opening *opening, const struct sockaddr *address, socklen_t len,
                      char ret_url[SOCKETS_URL_TEXT])
{
    const char *scheme = opening->kind == SOCKET_TLS ? "https" : "http";
    char host[CONFIG_HOST_TEXT], port[CONFIG_PORT_TEXT];

    ret_url[0] = '\0';
    if (getnameinfo(address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(ret_url, SOCKETS_URL_TEXT,
                 address->sa_family == AF_INET6 ? "%s://[%s]:%s" : "%s://%s:%s", scheme, host,
                 port);
}

static int socket_fail(const struct opening *opening, const char *what, struct err *err)
{
    return err_errno(err, -E_CONFIG, "%s = \"%s\": %s", opening->key, opening->entry, what);
}

/* Takes over `fd`, which is bound, and `path`. */
static int add_socket(const struct opening *opening, int fd, char *path, struct err *err)
{
    struct sockets *sockets = opening->sockets;
    struct listening *listening = &sockets->of[sockets->count];
    struct stat st = {0};

    CHECK(sockets->count < SOCKETS_MAX);
    if ((path != NULL && (chmod(path, 0660) < 0 || lstat(path, &st) < 0)) ||
        listen(fd, BACKLOG) < 0) {
        socket_fail(opening, "listen", err);
        close(fd);
        free(path);
        return err->code;
    }
    *listening = (struct listening){
        .fd = fd, .kind = opening->kind, .path = path, .device = st.st_dev, .inode = st.st_ino};
    sockets->count++;
    return 0;
}

static int check_room(const struct opening *opening, struct err *err)
{
    if (opening->sockets->count < SOCKETS_MAX)
        return 0;
    return err_set(err, -E_CONFIG, "%s = \"%s\": there are at most %d addresses in all",
                   opening->key, opening->entry, SOCKETS_MAX);
}

/* The resolver returns 127.0.0.1 twice if /etc/hosts calls ::1 localhost, too. */
static bool is_duplicate(const struct addrinfo *found, const struct addrinfo *at)
{
    while (found != at && (found->ai_addrlen != at->ai_addrlen ||
                           memcmp(found->ai_addr, at->ai_addr, at->ai_addrlen) != 0))
        found = found->ai_next;
    return found != at;
}

/* Open one more address. 0: it is open, or this machine has no such address, for example no
 * IPv6. */
static int add_address(const struct opening *opening, const struct addrinfo *at, struct err *err)
{
    char url[SOCKETS_URL_TEXT];
    int fd, why, rc = check_room(opening, err);

    if (rc < 0)
        return rc;
    fd = open_socket(at->ai_addr, at->ai_addrlen);
    if (fd >= 0)
        return add_socket(opening, fd, NULL, err);
    why = errno;
    write_url(opening, at->ai_addr, at->ai_addrlen, url);
    socket_fail(opening, url, err);
    if (why == EADDRINUSE)
        return err_set(err, -E_CONFIG,
                       "%s = \"%s\": %s: Address already in use; choose another port with %s, or "
                       "see which program has this one: ss -ltnp 'sport = :%d'",
                       opening->key, opening->entry, url, opening->key,
                       ntohs(*port_of(at->ai_addr)));
    if (why != EAFNOSUPPORT && why != EADDRNOTAVAIL)
        return err->code;
    log_warn("listen.skipped", "url=%s error=%s", url, strerror(why));
    return 0;
}

static void log_address(const struct opening *opening, const char *url)
{
    struct sockets *sockets = opening->sockets;

    if (*sockets->url == '\0')
        str_copy(sockets->url, sizeof(sockets->url), url);
    log_info("listen.open", "key=%s url=%s", opening->key, url);
}

/* Open all addresses of the name, with one port: if it is 0, that of the first. */
static int open_addresses(const struct opening *opening, struct addrinfo *found, struct err *err)
{
    const struct sockets *sockets = opening->sockets;
    struct sockaddr_in6 bound = {0}; /* or a shorter one, of IPv4 */
    socklen_t len = sizeof(bound);
    char url[SOCKETS_URL_TEXT];
    int rc = 0, before = sockets->count;

    for (struct addrinfo *at = found; rc == 0 && at != NULL; at = at->ai_next) {
        bool first = sockets->count == before;

        if (is_duplicate(found, at))
            continue;
        rc = add_address(opening, at, err);
        if (!first || sockets->count == before)
            continue;
        getsockname(sockets->of[before].fd, (struct sockaddr *)&bound, &len);
        for (struct addrinfo *each = found; each != NULL; each = each->ai_next)
            *port_of(each->ai_addr) = *port_of((struct sockaddr *)&bound);
    }
    if (rc == 0 && sockets->count == before)
        rc = err->code;
    if (rc == 0) {
        write_url(opening, (struct sockaddr *)&bound, len, url);
        log_address(opening, url);
    }
    return rc;
}

/* *ret_found is yours: freeaddrinfo(). */
static int resolve_host(const struct opening *opening, struct addrinfo **ret_found, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char host[CONFIG_HOST_TEXT], port[CONFIG_PORT_TEXT];

    if (!config_split_listen(opening->entry, host, port))
        return err_set(err, -E_CONFIG, "%s = \"%s\" is not ADDRESS:PORT", opening->key,
                       opening->entry);
    if (getaddrinfo(host, port, &hints, ret_found) != 0)
        return err_set(err, -E_CONFIG, "%s = \"%s\": there is no address '%s'", opening->key,
                       opening->entry, host);
    return 0;
}

static int open_host(const struct opening *opening, struct err *err)
{
    struct addrinfo *found;
    int rc = resolve_host(opening, &found, err);

    if (rc < 0)
        return rc;
    rc = open_addresses(opening, found, err);
    freeaddrinfo(found);
    return rc;
}

/* ---- Unix sockets ---- */

/* True if nothing listens on it: a server has left it behind. */
static bool is_stale(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 &&
                   errno == ECONNREFUSED;
    struct stat st;

    if (fd >= 0)
        close(fd);
    return refused && lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Take a socket of the service manager, which makes and removes its path. 0: there is none. */
static int take_path(const struct opening *opening, const struct sockaddr_un *at, struct err *err)
{
    int fd = service_take_socket((const struct sockaddr *)at, sizeof(*at));
    int rc = fd < 0 ? 0 : add_socket(opening, fd, NULL, err);

    if (fd >= 0 && rc == 0)
        log_address(opening, opening->entry);
    return rc < 0 ? rc : fd >= 0;
}

static int open_unix_socket(const struct opening *opening, const char *path, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd, rc = check_room(opening, err);
    char *copy;

    if (rc < 0)
        return rc;
    if (!str_copy(at.sun_path, sizeof(at.sun_path), path))
        return err_set(err, -E_CONFIG, "%s = \"%s\": the path of a socket has at most %zu bytes",
                       opening->key, opening->entry, sizeof(at.sun_path) - 1);
    rc = take_path(opening, &at, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    fd = open_socket((const struct sockaddr *)&at, sizeof(at));
    if (fd < 0 && errno == EADDRINUSE) {
        if (is_stale(&at) && unlink(path) == 0)
            fd = open_socket((const struct sockaddr *)&at, sizeof(at));
        else
            errno = EADDRINUSE;
    }
    if (fd < 0 && errno == EADDRINUSE)
        return err_set(err, -E_CONFIG,
                       "%s = \"%s\": the path is in use; choose another one, or see which program "
                       "has it: ss -lxp | grep '%.100s'",
                       opening->key, opening->entry, path);
    if (fd < 0)
        return socket_fail(opening, "bind", err);
    copy = strdup(path);
    if (copy == NULL) {
        close(fd);
        unlink(path);
        return err_set(err, -E_NOMEM, "out of memory");
    }
    rc = add_socket(opening, fd, copy, err);
    if (rc == 0)
        log_address(opening, opening->entry);
    return rc;
}

/* ---- all sockets ---- */

int sockets_open(struct sockets *sockets, const char *key, const char *list, enum socket_kind kind,
                 struct err *err)
{
    char *copy = strdup(list), *rest = copy, *entry;
    int rc = copy == NULL ? err_set(err, -E_NOMEM, "out of memory") : 0;

    while (rc == 0 && (entry = strsep(&rest, " ")) != NULL) {
        struct opening opening = {sockets, key, entry, kind};

        if (*entry == '\0')
            continue;
        if (!str_starts(entry, CONFIG_UNIX)) {
            rc = open_host(&opening, err);
            continue;
        }
        if (kind == SOCKET_TLS)
            opening.kind = SOCKET_PLAIN;
        rc = open_unix_socket(&opening, entry + strlen(CONFIG_UNIX), err);
    }
    free(copy);
    return rc;
}

int sockets_check_left(struct err *err)
{
    struct opening opening = {.kind = SOCKET_PLAIN};
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    char url[SOCKETS_URL_TEXT];
    int fd = service_left_socket();

    if (fd < 0)
        return 0;
    getsockname(fd, (struct sockaddr *)&at, &len);
    if (at.ss_family == AF_UNIX)
        snprintf(url, sizeof(url), CONFIG_UNIX "%s", ((struct sockaddr_un *)&at)->sun_path);
    else
        write_url(&opening, (struct sockaddr *)&at, len, url);
    return err_set(err, -E_CONFIG,
                   "the service manager holds a socket at %s, which neither listen nor "
                   "metrics_listen names: name it there, or remove it from the unit's .socket",
                   url);
}

int sockets_check(const char *key, const char *list, struct err *err)
{
    char *copy = strdup(list), *rest = copy, *entry;
    int rc = copy == NULL ? err_set(err, -E_NOMEM, "out of memory") : 0;

    while (rc == 0 && (entry = strsep(&rest, " ")) != NULL) {
        struct opening opening = {.key = key, .entry = entry};
        struct addrinfo *found = NULL;

        if (*entry == '\0' || str_starts(entry, CONFIG_UNIX))
            continue;
        rc = resolve_host(&opening, &found, err);
        if (rc == 0)
            freeaddrinfo(found);
    }
    free(copy);
    return rc;
}

static void remove_path(struct listening *listening)
{
    struct stat st;

    if (listening->path != NULL && lstat(listening->path, &st) == 0 &&
        st.st_dev == listening->device && st.st_ino == listening->inode)
        unlink(listening->path);
    free(listening->path);
}

void sockets_close(struct sockets *sockets)
{
    while (sockets->count > 0) {
        struct listening *listening = &sockets->of[--sockets->count];

        close(listening->fd);
        remove_path(listening);
    }
}
