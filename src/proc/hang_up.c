/* src/proc/hang_up.c -- detects clients that hang up while their connection is suspended. */
#include "proc/hang_up.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    RECORD_HEADER = 5, /* type, version, length (RFC 8446, 5.1) */
    RECORD_ALERT = 21,
    RECORD_DATA = 23,
    SEALED_ALERT =
        2 + 1 + 16, /* level and description, the real type, the tag of all our ciphers */
};

uint32_t hang_up_events(bool tls)
{
    return EPOLLRDHUP | EPOLLET | (tls ? EPOLLIN : 0U);
}

static bool has_alert(int fd)
{
    unsigned char record[RECORD_HEADER];

    if (recv(fd, record, sizeof(record), MSG_PEEK | MSG_DONTWAIT) != sizeof(record))
        return false;
    return record[0] == RECORD_ALERT ||
           (record[0] == RECORD_DATA && record[3] * 256 + record[4] == SEALED_ALERT);
}

bool hang_up_is(int fd, bool tls)
{
    struct pollfd polled = {.fd = fd, .events = POLLRDHUP};

    return poll(&polled, 1, 0) > 0 || (tls && has_alert(fd));
}
