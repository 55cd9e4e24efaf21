/* src/http/forwarded.h -- the headers in which trusted proxies name the client. Pure text. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "base/address.h"

/* `trusted` is trusted_proxies of the configuration: networks, and "unix:" for the peers of Unix
 * sockets, separated by spaces; NULL: none. No peer is none. */
bool client_is_proxy(const char *trusted, const struct sockaddr *peer);

/* What the headers of a trusted proxy say. Set `trusted`, then feed Forwarded (RFC 7239, 4), or
 * X-Forwarded-For; several lines in their order. The client is the rightmost address that is
 * not trusted, or, if all are, the leftmost. */
struct forwarded {
    const char *trusted;
    bool any;               /* a node is named: what follows is about the client */
    bool bad;               /* by something that is no address */
    struct address address; /* unless it is bad */
    bool https;             /* what it was asked with; of Forwarded only */
};
void forwarded_feed(struct forwarded *forwarded, const char *header);
void forwarded_feed_x(struct forwarded *forwarded, const char *header);
