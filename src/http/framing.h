/* src/http/framing.h -- the rules for the head of a request, so that no program takes it for
 * another request or for two (RFC 9112). Pure text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { TARGET_PARAMETERS_MAX = 64 }; /* of the query: more than any path has */

/* A request target as it was sent; the library decodes it later, in place. */
struct target {
    size_t len;            /* bytes of all of it */
    const char *fault;     /* what is wrong with it, for the client; NULL: nothing */
    size_t host, host_len; /* of an absolute URL: where its HOST[:PORT] is; else 0 */
    size_t path;           /* where the path begins; `len`: there is none, which means "/" */
    bool asterisk;         /* "*", of OPTIONS only */
    bool of_operators;     /* the path begins with /Admin/, byte for byte */
    bool has_escape;       /* the path has a % … */
    bool hides_slash;      /* … or even a %2F, which is no "/" (RFC 3986, 2.2) */
};

/* Paths, http URLs (RFC 9112, 3.2.1 and 3.2.2) and "*" (3.2.4); not CONNECT, which has another
 * form. Printable ASCII (3.2) with well-formed percent-encoding (RFC 3986, 2.1), but without %00,
 * since text after it would be ignored. */
void target_read(const char *text, struct target *ret);

/* The header fields that reportd or its HTTP library reads. A field of which there is one may not
 * occur twice; those with a list mean the same on one line and on several (RFC 9110, 5.3). */
#define REQUEST_FIELDS(X)                                                                          \
    X(ACCEPT, "Accept", LIST)                                                                      \
    X(ACCEPT_ENCODING, "Accept-Encoding", LIST)                                                    \
    X(REQUEST_HEADERS, "Access-Control-Request-Headers", LIST)                                     \
    X(REQUEST_METHOD, "Access-Control-Request-Method", SINGLE)                                     \
    X(AUTHORIZATION, "Authorization", SINGLE)                                                      \
    X(CONNECTION, "Connection", LIST)                                                              \
    X(CONTENT_ENCODING, "Content-Encoding", LIST)                                                  \
    X(CONTENT_LENGTH, "Content-Length", SINGLE)                                                    \
    X(CONTENT_TYPE, "Content-Type", SINGLE)                                                        \
    X(COOKIE, "Cookie", SINGLE)                                                                    \
    X(EXPECT, "Expect", LIST)                                                                      \
    X(FORWARDED, "Forwarded", LIST)                                                                \
    X(HOST, "Host", SINGLE)                                                                        \
    X(IDEMPOTENCY_KEY, "Idempotency-Key", SINGLE)                                                  \
    X(IF_MATCH, "If-Match", LIST)                                                                  \
    X(IF_MODIFIED_SINCE, "If-Modified-Since", SINGLE)                                              \
    X(IF_NONE_MATCH, "If-None-Match", LIST)                                                        \
    X(IF_RANGE, "If-Range", SINGLE)                                                                \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", SINGLE)                                          \
    X(LAST_EVENT_ID, "Last-Event-ID", SINGLE)                                                      \
    X(ORIGIN, "Origin", SINGLE)                                                                    \
    X(PREFER, "Prefer", LIST)                                                                      \
    X(RANGE, "Range", SINGLE)                                                                      \
    X(TRANSFER_ENCODING, "Transfer-Encoding", SINGLE)                                              \
    X(VERSION, "Version", SINGLE)                                                                  \
    X(X_FORWARDED_FOR, "X-Forwarded-For", LIST)                                                    \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto", LIST)                                                \
    X(X_REQUEST_ID, "X-Request-Id", SINGLE)

enum request_field {
#define X(id, name, rule) FIELD_##id,
    REQUEST_FIELDS(X)
#undef X
        FIELD_COUNT
};

/* The head of a request; zero-initialised except for its first members. */
struct head {
    const char *method;
    bool old; /* HTTP/1.0: Host may be missing, Transfer-Encoding must (RFC 9112, 3.2 and 6.1) */
    /* the functions' */
    struct err err;                    /* of the first fault */
    unsigned short count[FIELD_COUNT]; /* on how many lines it is */
    const char *value[FIELD_COUNT];    /* on the last one */
    bool blank[FIELD_COUNT];           /* one of its values has trailing blanks */
};

/* The next line, with its name and value as they were sent, except for blanks before the value.
 * Terminated; borrowed until head_check(). */
void head_add(struct head *head, const char *name, const char *value);

/* 0, or the error to answer before the connection is closed: -E_INVALID, or -E_CODING for another
 * transfer coding than chunked (RFC 9112, 6.1). `err` is set then. */
int head_check(struct head *head, const struct target *target, struct err *err);

const char *field_name(enum request_field field); /* "Host" */

/* Bytes of a value without trailing blanks (RFC 9110, 5.5). */
size_t field_length(const char *value);
