/* src/http/refusal.c -- answers that bypass the HTTP library and are written to the socket. */
#include "http/refusal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

enum { READS = 16 }; /* limit, so that a client that keeps sending does not occupy the thread */

static const struct {
    const char *status, *header, *body;
} refusals[] = {
#define X(name, status, header, message)                                                           \
    {status, header, "{\"result\": false, \"message\": \"" message "\", \"data\": {}}\n"},
    REFUSALS(X)
#undef X
};

size_t refusal_write(enum refusal refusal, char out[REFUSAL_TEXT])
{
    const char *body = refusals[refusal].body;
    int len = snprintf(out, REFUSAL_TEXT,
                       "HTTP/1.1 %s\r\n"
                       "Content-Type: application/json; charset=utf-8\r\n"
                       "%s"
                       "Connection: close\r\n"
                       "Content-Length: %zu\r\n"
                       "\r\n%s",
                       refusals[refusal].status, refusals[refusal].header, strlen(body), body);

    CHECK(len > 0 && len < REFUSAL_TEXT);
    return (size_t)len;
}

bool refusal_send(int fd, const void *bytes, size_t len)
{
    bool good =
        send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 && shutdown(fd, SHUT_WR) == 0;
    char read[4096];

    for (int i = 0; i < READS && recv(fd, read, sizeof(read), MSG_DONTWAIT) > 0;)
        i++;
    return good;
}
