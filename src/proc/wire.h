/* src/proc/wire.h -- what serve and a worker say to each other over their socketpair. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "core/report.h"

/* A frame is one packet of a SOCK_SEQPACKET socket and one of three structs, entirely or not at
 * all; both ends are the same program, so they agree on its layout. Orders go to the worker: RUN is
 * a struct wire_run and comes with two descriptors (SCM_RIGHTS), the .part file and a sealed memfd
 * with the texts; CANCEL is only the head. Answers go to serve and contain no descriptor. */
enum wire_type { WIRE_RUN, WIRE_CANCEL, WIRE_PROGRESS, WIRE_DONE };

/* AGAIN: not in this process, which may only use the database that it had before; it ends, and a
 * new one has to get the same RUN, with the answer's `runs`. */
enum wire_outcome { WIRE_COMPLETE, WIRE_FAILED, WIRE_CANCELLED, WIRE_AGAIN, WIRE_OUTCOME_COUNT };

/* Which attempt of which report a frame is about. */
struct wire_head {
    uint32_t type; /* enum wire_type */
    int32_t attempt;
    struct guid id;
};

/* The texts of a RUN; all are needed. */
#define WIRE_TEXTS(X)                                                                              \
    X(definition_file) /* its name */                                                              \
    X(definition_text) /* the whole of it */                                                       \
    X(parameters)      /* canonical */                                                             \
    X(user_name)                                                                                   \
    X(claims) /* of its session: core/claims.h; "": none */                                        \
    X(source_url)                                                                                  \
    X(temp_folder)                                                                                 \
    X(timezone) /* of a definition that sets none; "": none */                                     \
    X(choices)  /* the parameter whose choices are asked for; "": the report is to run */

struct wire_texts {
#define X(name) const char *name;
    WIRE_TEXTS(X)
#undef X
};

enum {
    WIRE_TEXT_COUNT = sizeof(struct wire_texts) / sizeof(const char *),
    WIRE_TEXTS_MAX = 4 << 20, /* bytes of all of them */
    WIRE_MESSAGE_MAX = ERR_TEXT_MAX,
};

struct wire_run {
    struct wire_head head;
    int64_t timeout_ms, row_limit, size_limit;
    int64_t clock_ahead_ms;               /* of this machine, before the store's */
    int64_t temp_limit;                   /* bytes that its sorts may spill; 0: no limit */
    int64_t row_results;                  /* a file of at most this many bytes needs no fsync */
    int64_t runs;                         /* how often it has been run, but its database changed */
    uint64_t sealed;                      /* 1: the result has to be encrypted … */
    uint8_t key[REPORT_KEY_BYTES];        /* … with this */
    uint32_t packed;                      /* 1: the result has to be compressed */
    uint32_t text_bytes[WIRE_TEXT_COUNT]; /* wire_order_write_texts(): without their NULs */
};

/* PROGRESS and DONE. */
struct wire_answer {
    struct wire_head head;
    int64_t rows, bytes;
    int64_t footer;                      /* DONE, COMPLETE: as in struct report */
    int64_t unsynced;                    /* DONE, COMPLETE: bytes not fsynced; 0: all are */
    uint8_t digest[REPORT_DIGEST_BYTES]; /* DONE, COMPLETE */
    uint64_t outcome;                    /* DONE: enum wire_outcome */
    uint64_t spent;                      /* DONE, 1: the process ends, and runs no other report */
    int64_t runs;                        /* DONE, AGAIN */
    char message[WIRE_MESSAGE_MAX];      /* DONE, FAILED: for the user; UTF-8 … */
    char detail[WIRE_MESSAGE_MAX];       /* … and for the log: no values of parameters or data */
};

/* A RUN or CANCEL with what belongs to it. */
struct wire_order {
    struct wire_run run;     /* CANCEL: only its head */
    struct wire_texts texts; /* RUN: borrowed when sending, in `map` when received */
    int fd;                  /* RUN: what is written to; borrowed when sending, yours when received;
                              * else -1 */
    int texts_fd;            /* RUN, sending: the memfd; else -1 */
    void *map;               /* RUN, received: the memfd; else NULL */
};

/* Put the texts into a memfd that can no longer be changed. -E_IO says what failed. */
int wire_order_write_texts(struct wire_order *order, struct err *err);
/* Let go of the texts of an order that was received, or of the memfd of one that was sent, and
 * forget the key; `fd` stays open. */
void wire_order_done(struct wire_order *order);

/* Send it, with `flags` of sendmsg(2). 1: it is sent; 0: the socket is full; -E_IO. */
int wire_send_order(int socket, const struct wire_order *order, int flags, struct err *err);
/* Receive one, blocking: 1, and it is yours: wire_order_done(); 0: the end; -E_IO: broken, or a
 * frame that is malformed, truncated or without its descriptors. */
int wire_receive_order(int socket, struct wire_order *ret, struct err *err);

/* Set both texts, cut if need be; what is not UTF-8 becomes '?'. NULL is "". */
void wire_answer_set_message(struct wire_answer *answer, const char *message, const char *detail);
/* Send it, blocking; -E_IO if the other side is gone. */
int wire_send_answer(int socket, const struct wire_answer *answer, struct err *err);
/* Receive one, without blocking: 1; WIRE_NOTHING: there is none at the moment; 0: the end; -E_IO.
 * Everything that was sent comes before the end, also from a worker that died. */
enum { WIRE_NOTHING = 2 };
int wire_receive_answer(int socket, struct wire_answer *ret, struct err *err);
