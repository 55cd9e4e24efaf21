/* src/http/refusal.h -- answers that are written to the socket past the HTTP library, since it has
 * not got the connection, or has no memory for an answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Each with its status, an additional header or "", and the message of its envelope. */
#define REFUSALS(X)                                                                                \
    X(FULL, "503 Service Unavailable", "Retry-After: 5\r\n",                                       \
      "There are too many connections, or too many from your address. Try again in a moment.")     \
    X(PLAIN, "400 Bad Request", "",                                                                \
      "This port speaks HTTPS: use a URL that begins with https://.")                              \
    X(TARGET, "414 URI Too Long", "", "The URL of the request is too long: send at most 10 KB.")   \
    X(HEAD, "431 Request Header Fields Too Large", "",                                             \
      "The headers of the request are too long: send at most 10 KB.")

enum refusal {
#define X(name, status, header, message) REFUSAL_##name,
    REFUSALS(X)
#undef X
};

enum { REFUSAL_TEXT = 512 }; /* short enough for the buffer of a new socket */

/* All of it, terminated; returns its bytes. */
size_t refusal_write(enum refusal refusal, char out[REFUSAL_TEXT]);
/* Send it, or an alert of TLS, and the end. Then what the client has sent by now is read: closing
 * with bytes unread could take the answer away from it. More than a request may have is not waited
 * for. False: the client does not take it. */
bool refusal_send(int fd, const void *bytes, size_t len);
