/* src/http/listener.c -- listening sockets from addresses in the configuration. */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"

enum { BACKLOG = 1024 }; /* connections the kernel keeps for us */

/* Split "HOST:PORT" or "[IPv6]:PORT". */
static bool split_listen(const char *listen_at, char host[LISTENER_HOST_TEXT], char port[8])
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
    if (end == start || end - start >= LISTENER_HOST_TEXT)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return str_copy(port, 8, colon + 1);
}

int listener_open(const char *listen_at, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[LISTENER_HOST_TEXT], port[8];
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

void listener_url(int socket, char ret_url[LISTENER_URL_TEXT])
{
    struct sockaddr_storage bound = {0};
    socklen_t len = sizeof(bound);
    char host[LISTENER_HOST_TEXT], port[8];

    ret_url[0] = '\0';
    if (getsockname(socket, (struct sockaddr *)&bound, &len) != 0 ||
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(ret_url, LISTENER_URL_TEXT,
             bound.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}
