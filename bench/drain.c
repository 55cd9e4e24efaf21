/* bench/drain.c -- a client that costs nearly nothing: N connections, one download each, bytes
 * thrown away in the kernel (MSG_TRUNC), or one whose content is moved into a file there (splice).
 * usage: drain PORT PATH CONNECTIONS TOKEN[,TOKEN...] [FILE]; prints seconds and bytes. With a
 * token for each connection, each is read when LOW_BYTES have come: small pieces of a stream cost
 * this machine no wake-up each, as they would not if the client were another machine. */
#define _GNU_SOURCE /* splice */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, CHUNK = 1 << 20, LOW_BYTES = 1 << 16 };

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

/* The next of them; the last one stays. */
static const char *next_token(char **tokens)
{
    char *token = *tokens, *end = strchr(token, ',');

    if (end != NULL) {
        *end = '\0';
        *tokens = end + 1;
    }
    return token;
}

static void read_seldom(int fd)
{
    int low = LOW_BYTES;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) != 0)
        exit(1);
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

/* Of an answer in chunks: the lines between their bytes. */
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

/* What has come, up to the first byte of a chunk: how much of it. */
static size_t skip_lines(struct reading *reading, const char *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && reading->left == 0) {
        char byte = bytes[at++];

        if (byte == '\n')
            end_line(reading);
        else if (byte != '\r' && reading->len < sizeof(reading->line) - 1)
            reading->line[reading->len++] = byte;
    }
    return at;
}

/* Within the kernel, as cat's copies are. */
static void move_bytes(int from, int to, long long len)
{
    while (len > 0) {
        ssize_t n = splice(from, NULL, to, NULL, (size_t)len, SPLICE_F_MOVE);

        if (n <= 0)
            exit(1);
        len -= n;
    }
}

/* Up to `most` bytes of a chunk. */
static ssize_t save_part(int fd, const int tube[2], int out, long long most)
{
    size_t len = (size_t)(most < CHUNK ? most : CHUNK);
    ssize_t n = splice(fd, NULL, tube[1], NULL, len, SPLICE_F_MOVE);

    if (n > 0)
        move_bytes(tube[0], out, n);
    return n;
}

static long long save(int fd, const char *path)
{
    char bytes[512];
    struct reading reading = {0};
    int tube[2], out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long long total = 0;
    ssize_t n = 1;

    if (out < 0 || pipe(tube) != 0 || fcntl(tube[1], F_SETPIPE_SZ, CHUNK) < 0)
        exit(1);
    while (n > 0) {
        if (reading.left > 0) {
            n = save_part(fd, tube, out, reading.left);
            reading.left -= n;
            total += n;
        } else if ((n = recv(fd, bytes, sizeof(bytes), MSG_PEEK)) > 0) {
            n = recv(fd, bytes, skip_lines(&reading, bytes, (size_t)n), 0);
        }
    }
    if (n < 0 || fdatasync(out) != 0)
        exit(1);
    return total;
}

int main(int argc, char **argv)
{
    static char chunk[CHUNK];
    struct pollfd fds[CONNECTIONS_MAX];
    int count, open_count, streams = argc > 4 && strchr(argv[4], ',') != NULL;
    long long bytes = 0;
    double began = now();

    if (argc < 5 || argc > 6 || (count = atoi(argv[3])) < 1 || count > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: drain PORT PATH CONNECTIONS TOKEN[,TOKEN...] [FILE]\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = connect_to(atoi(argv[1])), .events = POLLIN};
        if (streams)
            read_seldom(fds[i].fd);
        ask(fds[i].fd, argv[2], next_token(&argv[4]));
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
