/* src/proc/wire.h -- what serve and a worker say to each other over their socketpair. */
#ifndef PROC_WIRE_H
#define PROC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "core/report.h"

/* A frame is a 4-byte length (host order) and a JSON object of at most WIRE_FRAME_MAX bytes; RUN
 * carries the descriptor of the .part file (SCM_RIGHTS) with its first byte. */
enum { WIRE_FRAME_MAX = 4 << 20 };

enum wire_type { WIRE_RUN, WIRE_CANCEL, WIRE_PROGRESS, WIRE_DONE };

enum wire_outcome { WIRE_COMPLETE, WIRE_FAILED, WIRE_CANCELLED };

struct wire_message {
    enum wire_type type;
    struct guid id;
    int attempt;
    /* RUN, serve → worker; strings borrowed when sending, owned after receiving */
    char *definition_file, *definition_text; /* the file's name and its whole text */
    char *parameters;                        /* canonical */
    char *user_name, *source_url, *temp_folder;
    int64_t timeout_ms, row_limit, size_limit;
    int64_t clock_ahead_ms;        /* of this machine, before the store's */
    int64_t temp_limit;            /* bytes that its sorts may spill; 0: no limit */
    int64_t row_results;           /* a file of at most so many bytes needs no fsync */
    bool sealed;                   /* the result is to be encrypted … */
    uint8_t key[REPORT_KEY_BYTES]; /* … with this */
    int fd;                        /* .part; sending: borrowed, receiving: yours; else -1 */
    /* PROGRESS and DONE, worker → serve */
    int64_t rows, bytes;
    enum wire_outcome outcome;
    int64_t unsynced; /* DONE, COMPLETE: bytes of a file that was not fsynced; 0: it was */
    uint8_t digest[REPORT_DIGEST_BYTES];
    char *message; /* DONE with WIRE_FAILED: for the user */
    char *detail;  /* … and for the log, without values of parameters or data */
};

/* Frees the strings and forgets the key; closes nothing. */
void wire_message_done(struct wire_message *m);

/* Send a frame, blocking; -E_IO if the other side is gone. */
int wire_send(int socket, const struct wire_message *m, struct err *err);
/* Receive a frame, blocking: 1; 0 at the end; -E_IO. On 1 the strings and fd are yours. */
int wire_receive(int socket, struct wire_message *ret, struct err *err);

/* ---- the same in parts, for the side that may not block: proc/channel.h ---- */

struct wire_frame {
    struct wire_frame *next; /* the caller's */
    size_t len, sent;        /* bytes */
    int fd;                  /* goes with the first byte; -1: none. Borrowed from the message */
    char data[];
};
/* NULL: it cannot be one, and `err` says why. Yours: wire_frame_free(), which wipes it. */
struct wire_frame *wire_frame_new(const struct wire_message *m, struct err *err);
void wire_frame_free(struct wire_frame *frame); /* NULL is fine */
/* Send what is left of it, with `flags` of sendmsg(2). 1: all is sent; 0: the socket is full;
 * -E_IO. */
int wire_frame_send(int socket, struct wire_frame *frame, int flags, struct err *err);
/* Read the payload of a frame; `fd` came with it (-1: none) and stays yours on failure: -E_IO,
 * -E_NOMEM. */
int wire_read(const char *payload, size_t len, int fd, struct wire_message *ret, struct err *err);

#endif
