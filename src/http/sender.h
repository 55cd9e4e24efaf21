/* src/http/sender.h -- the thread that sends conversions to their clients, a block at a time, past
 * libmicrohttpd, whose chunks are no larger than a connection's memory. */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "http/conversion.h"
#include "proc/loop.h"

struct sender;
/* -E_INTERNAL, -E_NOMEM. *ret is yours: sender_free(). */
int sender_new(struct sender **ret, struct err *err);
void sender_free(struct sender *sender); /* when there is no delivery; NULL is fine */
/* Break off all deliveries, those in progress and those that begin. Any thread. */
void sender_stop(struct sender *sender);

/* A conversion whose first block is ready, on its way to a client. Fill in the members before
 * `whole`; until `done` nothing else may use it, the conversion or the socket. */
struct delivery {
    struct conversion *conversion; /* borrowed, as `transfer` */
    struct transfer *transfer;
    int fd;                                  /* of the connection; all before it is sent */
    gnutls_session_t tls;                    /* NULL: plain HTTP */
    bool chunked;                            /* RFC 9112, 7.1; else the bytes alone */
    void (*done)(struct delivery *delivery); /* on the sender's thread; must not block */
    bool whole;                              /* all is sent but the last chunk; else it broke off */
    /* The sender's. */
    struct sender *sender;
    struct loop_message message;
    struct loop_watch watch; /* while the client is slow */
    struct loop_timer patience;
    bool watched;
    int left; /* bytes that were not acknowledged when `patience` was set */
    LIST_ENTRY(delivery) entry;
    char head[20]; /* of the chunk */
    size_t sent;   /* of the block, with what is around it */
};
/* Any thread. */
void sender_start(struct sender *sender, struct delivery *delivery);
