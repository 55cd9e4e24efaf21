/* src/proc/hang_up.h -- clients that hang up while their connection sleeps, which the HTTP library
 * does not notice. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A client has hung up once it sends no more: by the end of its half of the TCP connection, or, in
 * TLS, by an alert, which close_notify is (RFC 8446, 6.1). */

/* For epoll(7): what may be a hang-up. */
uint32_t hang_up_events(bool tls);
/* Has the client hung up? For a socket that nothing reads meanwhile. A record of TLS 1.3 does not
 * reveal its type; an alert is recognized by its length, which otherwise only two bytes of a next
 * request would have. An alert after a next request is not seen. */
bool hang_up_is(int fd, bool tls);
