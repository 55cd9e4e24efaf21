/* src/http/listener.h -- the address that is served: parsed, bound, and named. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "base/err.h"

enum { LISTENER_HOST_TEXT = 80, LISTENER_URL_TEXT = LISTENER_HOST_TEXT + 32 };

/* A listening socket, yours, close-on-exec and non-blocking, on "HOST:PORT" or "[IPv6]:PORT".
 * -E_CONFIG says why not. */
int listener_open(const char *listen_at, struct err *err);
/* "http://127.0.0.1:8080", with the port that was bound; "" if the socket does not say. */
void listener_url(int socket, char ret_url[LISTENER_URL_TEXT]);

#endif
