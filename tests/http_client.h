/* tests/http_client.h -- a blocking HTTP/1.1 client for tests: says bytes, gives bytes back. */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

/* The whole answer: status line, headers, an empty line, body. Yours to free(). */
struct answer {
    int status;
    char *text, *body;
};

static inline int http_connect(const char *url)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
        abort();
    return fd;
}

/* Read up to the end of the connection. */
static inline struct answer http_read(int fd)
{
    struct answer answer = {0};
    struct buf text;
    char part[4096];
    ssize_t n;

    buf_init(&text, 64 << 20);
    while ((n = read(fd, part, sizeof(part))) > 0)
        buf_add(&text, part, (size_t)n);
    close(fd);
    answer.text = buf_take(&text);
    answer.body = strstr(answer.text, "\r\n\r\n");
    answer.body = answer.body != NULL ? answer.body + 4 : answer.text + strlen(answer.text);
    if (strncmp(answer.text, "HTTP/1.1 ", 9) == 0)
        answer.status = atoi(answer.text + 9);
    return answer;
}

/* One request: "METHOD PATH", further header lines (each with \r\n at its end), a body or NULL. */
static inline int http_send(const char *url, const char *line, const char *headers,
                            const char *body)
{
    int fd = http_connect(url);
    struct buf text;

    buf_init(&text, 64 << 20);
    buf_add_format(&text, "%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s", line, headers);
    if (body != NULL)
        buf_add_format(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_add_format(&text, "\r\n%s", body != NULL ? body : "");
    for (size_t at = 0; at < text.len;) {
        ssize_t n = send(fd, text.data + at, text.len - at, MSG_NOSIGNAL);

        if (n < 0)
            break; /* the server has answered early */
        at += (size_t)n;
    }
    buf_done(&text);
    return fd;
}

static inline struct answer http_ask(const char *url, const char *line, const char *headers,
                                     const char *body)
{
    return http_read(http_send(url, line, headers, body));
}

static inline void answer_done(struct answer *answer)
{
    free(answer->text);
    *answer = (struct answer){0};
}

#endif
