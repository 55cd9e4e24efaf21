/* src/base/service.c -- what the service manager puts into the environment. */
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

enum { FIRST_SOCKET = 3, NOTICE_MAX = 512 };

static struct {
    struct sockaddr_un notify; /* sun_family 0: there is no manager */
    socklen_t notify_len;
    int64_t watchdog_ms;
    int sockets[SERVICE_SOCKETS_MAX]; /* -1: already taken */
    int socket_count;
    bool taken;
} manager;

/* Returns the number in the variable, or -1, and unsets the variable. */
static long long take_variable(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long long number;

    if (text == NULL)
        return -1;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || number < 0)
        number = -1;
    unsetenv(variable);
    return number;
}

/* A path, or a name in the abstract namespace, in which @ stands for the NUL. */
static void read_notify(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un *to = &manager.notify;

    if (path != NULL && (*path == '/' || *path == '@') &&
        str_copy(to->sun_path, sizeof(to->sun_path), path)) {
        to->sun_family = AF_UNIX;
        manager.notify_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        if (*path == '@')
            to->sun_path[0] = '\0';
    }
    unsetenv("NOTIFY_SOCKET");
}

static void read_watchdog(void)
{
    long long us = take_variable("WATCHDOG_USEC"), pid = take_variable("WATCHDOG_PID");

    if (us > 0 && (pid < 0 || pid == getpid()))
        manager.watchdog_ms = us / 1000;
}

static void read_sockets(void)
{
    long long count = take_variable("LISTEN_FDS"), pid = take_variable("LISTEN_PID");

    unsetenv("LISTEN_FDNAMES");
    if (count <= 0 || pid != getpid())
        return;
    for (int i = 0; i < count && i < SERVICE_SOCKETS_MAX; i++) {
        int fd = FIRST_SOCKET + i, flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            continue;
        manager.sockets[manager.socket_count++] = fd;
    }
}

void service_init(void)
{
    read_notify();
    read_watchdog();
    read_sockets();
}

void service_notify(const char *format, ...)
{
    char text[NOTICE_MAX];
    va_list args;
    int fd;

    if (manager.notify.sun_family == 0)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&manager.notify,
           manager.notify_len);
    close(fd);
}

int64_t service_watchdog_ms(void)
{
    return manager.watchdog_ms;
}

/* The kernel may fill what follows: the rest of a sockaddr_in6, or of a path. */
static bool is_same_address(const struct sockaddr *a, const struct sockaddr *b, socklen_t len)
{
    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_UNIX)
        return str_eq(((const struct sockaddr_un *)(const void *)a)->sun_path,
                      ((const struct sockaddr_un *)(const void *)b)->sun_path);
    return memcmp(a, b, len) == 0;
}

int service_take_socket(const struct sockaddr *address, socklen_t len)
{
    for (int i = 0; i < manager.socket_count; i++) {
        struct sockaddr_storage own = {0};
        socklen_t own_len = sizeof(own);
        int fd = manager.sockets[i];

        if (fd < 0 || getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
            !is_same_address((const struct sockaddr *)&own, address, len))
            continue;
        manager.sockets[i] = -1;
        manager.taken = true;
        return fd;
    }
    return -1;
}

int service_left_socket(void)
{
    for (int i = 0; i < manager.socket_count; i++) {
        if (manager.sockets[i] >= 0)
            return manager.sockets[i];
    }
    return -1;
}

bool service_holds_sockets(void)
{
    return manager.taken;
}

bool service_logs_to_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return str_eq(stream, own);
}
