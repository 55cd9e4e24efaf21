/* bench/drain.c -- a client that costs nearly nothing: N connections, one download each, bytes
 * thrown away in the kernel (MSG_TRUNC), or one whose chunks are written to a file, a MiB at a
 * time. usage: drain PORT PATH CONNECTIONS TOKEN [FILE]; prints seconds and bytes. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, CHUNK = 1 << 20, PARTS_MAX = CHUNK / 4, IOV_MOST = 1024 };

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

/* Of an answer in chunks: where its bytes are in what has come. */
struct reading {
    char line[256];
    size_t len;     /* of the line that is not in a chunk */
    long long left; /* bytes of the chunk */
    int in_body;
};

static void end_line(struct reading *reading)
{
    if (reading->len > 0 && reading->in_body)
        reading->left = strtoll(reading->line, NULL, 16);
    else if (reading->len == 0)
        reading->in_body = 1;
    reading->len = 0;
    memset(reading->line, 0, sizeof(reading->line));
}

static int find_parts(struct reading *reading, char *bytes, size_t len, struct iovec *parts)
{
    int count = 0;

    for (size_t at = 0; at < len;) {
        if (reading->left > 0) {
            size_t n = len - at < (size_t)reading->left ? len - at : (size_t)reading->left;

            parts[count++] = (struct iovec){bytes + at, n};
            reading->left -= (long long)n;
            at += n;
        } else if (bytes[at++] == '\n') {
            end_line(reading);
        } else if (bytes[at - 1] != '\r' && reading->len < sizeof(reading->line) - 1) {
            reading->line[reading->len++] = bytes[at - 1];
        }
    }
    return count;
}

static long long save(int fd, const char *path)
{
    static char bytes[CHUNK];
    static struct iovec parts[PARTS_MAX];
    struct reading reading = {0};
    int out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long long total = 0;
    ssize_t n;

    while (out >= 0 && (n = recv(fd, bytes, CHUNK, MSG_WAITALL)) > 0) {
        int count = find_parts(&reading, bytes, (size_t)n, parts);

        for (int at = 0; at < count; at += IOV_MOST) {
            ssize_t m = writev(out, parts + at, count - at < IOV_MOST ? count - at : IOV_MOST);

            if (m < 0)
                exit(1);
            total += m;
        }
    }
    if (out < 0 || fdatasync(out) != 0)
        exit(1);
    return total;
}

int main(int argc, char **argv)
{
    static char chunk[CHUNK];
    struct pollfd fds[CONNECTIONS_MAX];
    int count, open_count;
    long long bytes = 0;
    double began = now();

    if (argc < 5 || argc > 6 || (count = atoi(argv[3])) < 1 || count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: drain PORT PATH CONNECTIONS TOKEN [FILE]\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = connect_to(atoi(argv[1])), .events = POLLIN};
        ask(fds[i].fd, argv[2], argv[4]);
    }
    if (argc == 6) {
        bytes = save(fds[0].fd, argv[5]);
        printf("%.6f %lld\n", now() - began, bytes);
        return 0;
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
