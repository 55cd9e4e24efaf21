/* src/http/exchange.h -- one request and its answer: what a handler sees of HTTP. */
#pragma once

#include <gnutls/gnutls.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/thread.h"
#include "core/trail.h"
#include "core/user.h"
#include "http/metrics.h"
#include "http/services.h"
#include "http/token.h"
#include "http/token_cache.h"
#include "proc/streams.h"
#include "proc/transfers.h"
#include "spool/spool.h"
#include "store/store.h"

struct conversion;
struct exchange;
struct field_copy;
struct server;

/* A handler is a chain of steps, each run on an HTTP thread. A step ends by replying (exactly once)
 * or by awaiting the next step; it returns at once either way. */
typedef void exchange_step(struct exchange *ex);

enum route_access {
    ROUTE_PUBLIC,  /* no token, no Version header */
    ROUTE_VERSION, /* no token (login), but the Version header */
    ROUTE_TOKEN,   /* a valid access token or API key: ex->user is set before the first step */
    ROUTE_REPORT, /* as ROUTE_TOKEN; its first operation may check the session: exchange_access() */
    ROUTE_SESSION,  /* a valid access token */
    ROUTE_COOKIE,   /* a token whose signature holds, expired or not: ex->claims; or the cookie of a
                     * login, which the first step then reads */
    ROUTE_OPERATOR, /* as ROUTE_TOKEN, of an operator */
    ROUTE_LOOPBACK, /* from this machine, or as ROUTE_OPERATOR, but without the Version header */
};

/* The routes are one table (http/router.c): method, path, access, whether a JSON body is read
 * (ex->body is then a JSON object; with ROUTE_COOKIE it may be missing), first step, media type of
 * the answer (NULL: JSON; "": the first step reads Accept), what the audit trail says of it. HEAD
 * goes where GET goes. */
struct route {
    const char *method, *path;
    enum route_access access;
    bool body;
    exchange_step *start;
    const char *type;
    enum trail_event trail;
};

enum {
    EXCHANGE_BODY_MAX = 256 * 1024,    /* bytes of a request body: 413 above … */
    EXCHANGE_OPEN_BODY_MAX = 8 * 1024, /* … and of one that needs no token */
    EXCHANGE_REQUEST_ID_MAX = 128,
    EXCHANGE_HEADERS_MAX = 16,
    EXCHANGE_HEADER_TEXT = 256,
};

/* Where a request comes from: its peer, or the client that a trusted proxy names. */
struct client {
    struct address address;
    bool https;        /* it came over TLS, to this server or to a trusted proxy */
    bool here;         /* from this machine, and not through a proxy that leaves out from where */
    const char *wrong; /* what the proxy's headers must not be; NULL: they are good */
};

/* What the audit trail is to have of an exchange, besides user, address and outcome. A report that
 * STORE_FIND has found is known without. Borrowed until the exchange has been answered. */
struct exchange_act {
    bool recorded; /* by the handler itself */
    const char *change, *subject, *report, *outcome;
    struct guid reference; /* zero: none */
};

struct exchange_header {
    char name[48], value[EXCHANGE_HEADER_TEXT];
};

struct exchange {
    const struct services *services;
    struct server *server;
    const struct thread_owner *thread; /* the HTTP thread that all steps run on */
    struct MHD_Connection *connection;
    const struct route *route;
    struct client client;
    const char *method, *path; /* as sent, but without the query string */
    char request_id[EXCHANGE_REQUEST_ID_MAX + 1];
    int64_t began_us;
    bool head;                  /* HEAD: answer headers only (libmicrohttpd leaves the body out) */
    bool wants_problem;         /* Accept: application/problem+json */
    bool by_link;               /* by POST /Report/Link: what is not there is no such link */
    struct buf raw;             /* body as received */
    json_t *body;               /* parsed, NULL without one; read it with exchange_member() */
    const struct user *user;    /* ROUTE_TOKEN, ROUTE_REPORT, ROUTE_OPERATOR; the bearer's */
    struct token_claims claims; /* of the token */
    bool unchecked; /* its session was there before, but has to be checked again: nothing is
                     * answered before that */
    struct store_access access;        /* for that check */
    bool enrolled;                     /* the token's first request: its user has been looked up */
    bool awaited_keys;                 /* it has waited for the keys of an identity provider */
    struct cached_token *cached_token; /* held */
    char *session_claims; /* of a token that was just verified, until it is cached; NULL: none */
    exchange_step *after_auth; /* of auth_again() */
    struct transfer *transfer; /* of a result, from before it is looked up; NULL: none */
    uint64_t version;          /* taken before `op` was posted, where its answer is remembered */
    uint64_t age;              /* of the token cache, taken before the token was verified */
    void *state;               /* the handler's own, freed by … */
    void (*state_free)(void *state); /* … this, when the exchange ends */
    const char *long_name;           /* a header longer than EXCHANGE_HEADER_TEXT, … */
    char *long_value;                /* … NULL: none */
    struct exchange_act act;         /* for the audit trail */
    exchange_step *otherwise;        /* if an operation fails; NULL: the framework replies 503 */
    /* the framework's */
    exchange_step *step; /* the next one */
    atomic_int waiting;  /* enum exchange_waiting */
    bool posted;         /* the wait is for `op` */
    bool begun, replied;
    bool streams;              /* the answer is a stream */
    bool on_metrics;           /* it came to metrics_listen */
    bool from_proxy;           /* of trusted_proxies */
    bool malformed;            /* the head: `err` says how; answered before the body, and closed */
    bool hides_slash;          /* the path has a %2F */
    bool of_operators;         /* the path begins with /Admin/, byte for byte */
    bool has_escape;           /* % in the path, which `path` no longer has */
    bool has_length;           /* Content-Length or Transfer-Encoding */
    struct field_copy *copies; /* of fields on several lines, or with blanks after their value */
    bool chunked;              /* the client knows chunks: HTTP/1.1 */
    /* The library keeps a connection open only if its answer comes after the body: an earlier
     * answer is held meanwhile, and nothing of the body is kept. */
    enum { BODY_NONE, BODY_FOLLOWS, BODY_ARRIVES } body_is; /* NONE: none, or it is there */
    int64_t announced, received; /* bytes of the body: Content-Length, or 0; so far, kept or not */
    struct MHD_Response *held;   /* NULL: none */
    int held_status;
    int status;
    size_t header_count;
    struct store_op op; /* for exchange_post(): one at a time; verb STORE_VERB_COUNT: none yet */
    struct err err;     /* scratch for the steps: set before it is read */
    struct exchange_header *headers; /* EXCHANGE_HEADERS_MAX; NULL: sent */
};

/* Borrowed; NULL if absent. Query-parameter names match without regard to case. A header of
 * REQUEST_FIELDS (framing.h) has no blanks around it, and what is on several lines is one list
 * (RFC 9110, 5.3 and 5.5). Host is that of the target if it has one (RFC 9112, 3.2.2). */
const char *exchange_query(struct exchange *ex, const char *name);
const char *exchange_header(struct exchange *ex, const char *name);
/* Call `each` for every cookie of that name (RFC 6265, 5.4). */
void exchange_each_cookie(struct exchange *ex, const char *name,
                          void (*each)(void *context, const char *value), void *context);
/* Call `each` for every query parameter, also those that occur twice; `value` may be NULL. */
void exchange_each_query(struct exchange *ex,
                         void (*each)(void *context, const char *name, const char *value),
                         void *context);
/* A member of the body, its key matched without regard to case; borrowed, NULL if absent. */
json_t *exchange_member(struct exchange *ex, const char *key);
/* N of `Prefer: wait=N` (RFC 7240) in seconds, at most `most`; -1 if it is not asked for. */
int exchange_prefer_wait(struct exchange *ex, int most);
/* Numeric address of the client, without the port. */
void exchange_address(const struct exchange *ex, char out[ADDRESS_TEXT]);
/* The client's socket, borrowed; -1: there is none. */
int exchange_socket(struct exchange *ex);
/* Its TLS session, which only one thread at a time may use; borrowed; NULL: it speaks plain HTTP.
 */
gnutls_session_t exchange_tls(const struct exchange *ex);

/* Make ex->state: that many zeroed bytes, which are borrowed and outlive the steps. NULL: replied.
 * `state_free` frees them when the exchange ends, or in exchange_drop_state(). */
void *exchange_new_state(struct exchange *ex, size_t size, void (*state_free)(void *state));
void exchange_drop_state(struct exchange *ex);

/* Free the results of the last operation and hand out ex->op, zeroed except for its verb. */
struct store_op *exchange_op(struct exchange *ex, enum store_verb verb);

/* Post ex->op (verb and arguments filled in; done and owner are set here) and go on with `next`
 * when it has been answered, with the result in ex->op.rc. If it fails with -E_STORE (or another
 * code whose status is 5xx) the framework replies 503 itself, or calls ex->otherwise, and `next` is
 * not called. The op's results live until the next exchange_op() or the end. */
void exchange_post(struct exchange *ex, exchange_step *next);

/* For the first operation of a ROUTE_REPORT, which saves a shared store the look-up of the session:
 * NULL unless it has to be checked. */
const struct store_access *exchange_access(struct exchange *ex);
/* The operation has done something, so the session is there; or it has failed. */
void exchange_checked(struct exchange *ex);
/* It has found nothing: true: perhaps for want of a session; that is checked now, and the route
 * begins again. */
bool exchange_check_again(struct exchange *ex);

/* Does its session have the claims that the definition uses? As claims_check(). */
int exchange_check_claims(struct exchange *ex, const struct definition *def);

/* Count that the exchange has met a limit, for the metrics. */
void exchange_count_limit(struct exchange *ex, enum metrics_limit limit);

/* The same, but `next` is called after every failure too. */
void exchange_try(struct exchange *ex, exchange_step *next);

/* The answer may have the result of this report: a deletion from here on either shows in what the
 * store answers from here on, or ends the transfer. False: replied that there can be none now. */
bool exchange_transfer(struct exchange *ex, const struct guid *id);

/* For any other wait: call exchange_await() first, then start what will call exchange_wake(),
 * exactly once, from any thread; `next` runs on an HTTP thread after both. */
void exchange_await(struct exchange *ex, exchange_step *next);
void exchange_wake(struct exchange *ex);

/* Add an answer header before replying; one that the framework would add too (Retry-After) wins. */
void exchange_add_header(struct exchange *ex, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a value that is there already; cut at EXCHANGE_HEADER_TEXT - 1. */
void exchange_add_text(struct exchange *ex, const char *name, const char *value);

/* The same for one header of any length; takes `value`, from malloc(). */
void exchange_add_long(struct exchange *ex, const char *name, char *value);

/* Add a line to the audit trail: the content of `act`, with user, address and request id. */
void exchange_record(struct exchange *ex, const struct trail_act *act);

/* 200 and the envelope; `data` is JSON text, NULL for {}. */
void exchange_reply(struct exchange *ex, bool result, const char *message, const char *data);
/* The same with result true, no message and what `data` has, which ends with it: JSON text that was
 * built, or a failed buffer, which is an error. */
void exchange_reply_built(struct exchange *ex, struct buf *data);
/* As exchange_reply() of a list of records, with their number in this answer as recordCount. */
void exchange_reply_records(struct exchange *ex, size_t count, const char *data);
/* The same of data that is appended to `text` in between. */
void exchange_begin_records(struct buf *text, size_t count);
void exchange_end_records(struct exchange *ex, struct buf *text);
/* 200 and bare JSON text, without envelope. */
void exchange_reply_json(struct exchange *ex, const char *json);
/* Any bare text with its status and type; `text` is copied. */
void exchange_reply_text(struct exchange *ex, int status, const char *type, const char *text);
/* 200 and bytes that live as long as the program. */
void exchange_reply_constant(struct exchange *ex, const char *type, const char *bytes, size_t len);
/* No body: 204. */
void exchange_reply_status(struct exchange *ex, int status);
/* 304 for what exchange_reply() would answer: with its Content-Length, without its body. */
void exchange_reply_unmodified(struct exchange *ex, bool result, const char *message,
                               const char *data);
/* The same for a body of that many bytes; -1: it would be sent without a Content-Length. */
void exchange_reply_unmodified_bytes(struct exchange *ex, int64_t size);
/* The error in `err`, according to its code: 200 with result false for business errors
 * (UNKNOWN_REPORT, UNKNOWN_REFERENCE, PARAM, NOT_COMPLETE, CHOICES), their REST status as problem
 * details if the client wants these, and the proper status for all others (WWW-Authenticate,
 * Retry-After and Allow where they belong). `data` is JSON text for the envelope, NULL for {}. The
 * message of a 5xx (except for BUSY and DOUBT) goes to the log only; the client is told the title,
 * to try again, and the request id. */
void exchange_reply_error(struct exchange *ex, const struct err *err, const char *data);
/* The same with code and message as in err_set(). */
#define exchange_fail(ex, ...)                                                                     \
    do {                                                                                           \
        err_set(&(ex)->err, __VA_ARGS__);                                                          \
        exchange_reply_error((ex), &(ex)->err, NULL);                                              \
    } while (0)
/* Bytes first … first+length-1 of a file by sendfile; status 200 or 206; takes `fd`. */
void exchange_reply_file(struct exchange *ex, int status, int fd, int64_t first, int64_t length);
/* The same of a result that is read as it is sent; takes `reader`. Where that fails, or it turns
 * out not to be what was written, the connection is broken off, so that the client misses bytes. */
void exchange_reply_reader(struct exchange *ex, int status, struct spool_reader *reader,
                           int64_t first, int64_t length);
/* A result that is converted as it is sent, by blocks of which the first has been made; takes
 * `conversion`. Where making one fails, the connection is broken off. */
void exchange_reply_conversion(struct exchange *ex, const char *type,
                               struct conversion *conversion);
/* Events as they happen, until the stream or the client ends it; takes `stream`. */
void exchange_reply_stream(struct exchange *ex, struct stream *stream);
