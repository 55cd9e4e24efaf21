/* src/ctl/http.h -- one HTTP request by libcurl, repeated where that is safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    HTTP_TRIES = 3,
    HTTP_HEADERS_MAX = 4,
    HTTP_BODY_MAX = 16 << 20,  /* bytes of an answer that is kept in memory */
    HTTP_RETRY_AFTER_MAX = 30, /* seconds: longer than that is for the user to wait */
    HTTP_STALLED_S = 120,      /* no byte for so long: give up (a long poll takes 60) */
    HTTP_CONNECT_TIMEOUT_MS = 10000,
};

struct http;

/* Gets the content of a 200 or 206 as it arrives; other content is kept in the answer. 0, or -E_IO
 * to end the transfer. `status` is the answer's. */
typedef int http_write_fn(void *context, long status, const void *data, size_t len);

struct http_request {
    const char *method, *path; /* "GET", "/Report?reference=…"; the server's URL comes before it */
    const char *token;         /* for Authorization; NULL: none */
    const char *body;          /* JSON; NULL: none */
    const char *headers[HTTP_HEADERS_MAX]; /* further ones, "Name: value"; NULL: none */
    bool repeatable; /* may be sent again after a broken connection or a 503 */
    bool compressed; /* the content may be, on its way: `write` gets it decompressed */
    http_write_fn *write;
    void *context;
    bool for_stdout; /* -E_IO as soon as its reader is gone */
};

struct http_answer {
    long status;
    struct buf body;
    int tries; /* how often it was sent */
};

/* `server`: an http or https URL without a query; -E_INVALID. `cacert`: a PEM file of the
 * authorities to trust; NULL: the file that CURL_CA_BUNDLE or SSL_CERT_FILE names, else the
 * system's. -E_IO: it cannot be read. A server on this machine is never reached through a proxy.
 * *ret is yours: http_free(). */
int http_new(const char *server, const char *cacert, struct http **ret, struct err *err);
void http_free(struct http *http);            /* NULL is fine */
const char *http_server(const struct http *); /* normalised: no trailing slash; borrowed */
/* The absolute path of the `cacert` that it was made with, borrowed; NULL: none. */
const char *http_cacert(const struct http *http);

/* True if the server is this machine. */
bool http_is_local(const struct http *http);
/* True if what is sent there can be read on the way: http to another machine. */
bool http_is_exposed(const struct http *http);

/* Send it and wait; redirects are not followed. 0: there is an answer, of any status; -E_BUSY:
 * there is none, and err says why; -E_CANCELLED: a signal arrived; -E_IO: `write` failed. A
 * repeatable request is sent at most HTTP_TRIES times. The answer (in every case) is yours:
 * http_answer_done(). */
int http_send(struct http *http, const struct http_request *request, struct http_answer *ret,
              struct err *err);
void http_answer_done(struct http_answer *answer);

/* Sleep before the next try: as the last answer's Retry-After says, else `tried` seconds. */
void http_pause(struct http *http, int tried);

/* A header of the last answer, borrowed until the next request; NULL if absent. */
const char *http_header(struct http *http, const char *name);
/* … as a number; `otherwise` if absent or no number. */
int64_t http_header_number(struct http *http, const char *name, int64_t otherwise);
