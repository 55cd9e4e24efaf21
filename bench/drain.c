/* bench/drain.c -- a client that costs nearly nothing: N connections, one download each, bytes
 * thrown away in the kernel (MSG_TRUNC). usage: drain PORT PATH CONNECTIONS TOKEN; prints seconds
 * and bytes. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, CHUNK = 1 << 20 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connect_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        perror("drain: connect");
        exit(1);
    }
    return fd;
}

static void ask(int fd, const char *path, const char *token)
{
    char text[8192];
    int len = snprintf(text, sizeof(text),
                       "GET %s HTTP/1.1\r\nHost: bench\r\nVersion: 2.0\r\nAuthorization: %s\r\n"
                       "Connection: close\r\n\r\n",
                       path, token);

    if (write(fd, text, (size_t)len) != len)
        exit(1);
}

int main(int argc, char **argv)
{
    static char chunk[CHUNK];
    struct pollfd fds[CONNECTIONS_MAX];
    int count, open_count;
    long long bytes = 0;
    double began = now();

    if (argc != 5 || (count = atoi(argv[3])) < 1 || count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: drain PORT PATH CONNECTIONS TOKEN\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = connect_to(atoi(argv[1])), .events = POLLIN};
        ask(fds[i].fd, argv[2], argv[4]);
    }
    open_count = count;
    while (open_count > 0 && poll(fds, (nfds_t)count, -1) > 0) {
        for (int i = 0; i < count; i++) {
            ssize_t n;

            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            n = recv(fds[i].fd, chunk, CHUNK, MSG_TRUNC);
            if (n > 0) {
                bytes += n;
                continue;
            }
            close(fds[i].fd);
            fds[i].fd = -1;
            open_count--;
        }
    }
    printf("%.6f %lld\n", now() - began, bytes);
    return 0;
}
