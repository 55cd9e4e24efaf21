/* src/proc/choices.h -- the choices of a parameter, for a form: fetched by a worker process of
 * their own, kept for a minute for each user and its claims. */
#pragma once

#include "base/err.h"
#include "core/config.h"
#include "core/definition.h"
#include "proc/loop.h"

/* One thread and one worker process, apart from those that run reports: forms take no worker from a
 * report, and wait for none. The process is started when it is needed and ended after a minute
 * without work. */
struct choices;

enum {
    CHOICES_PATIENCE_MS = 5000,  /* from the question to the answer, the wait for others included */
    CHOICES_KEPT_MS = 60 * 1000, /* an answer; never one that failed */
    CHOICES_KEPT_BYTES = 8 << 20, /* all answers that are kept … */
    CHOICES_KEPT_MAX = 256,       /* … and their number: the oldest is dropped first */
    CHOICES_WAITING_MAX = 64,     /* different questions that wait for the worker … */
    CHOICES_WAITING_USER_MAX = 8, /* … and those of one user */
};

/* `config` and `temp_folder` are borrowed until choices_free(). -E_NOMEM, -E_INTERNAL. */
int choices_new(const struct config *config, const char *temp_folder, struct choices **ret,
                struct err *err);

/* Embedded in what asks; its first part is filled in by the caller and stays as it is until
 * `done`. */
struct choices_ask {
    const struct definition *def; /* held */
    const struct param *param;    /* of it, with `values` */
    const char *user, *claims;    /* `claims`: of its session, as in core/claims.h; "": none */
    int fd;   /* the client's socket, open until `done`: a client that hangs up (hang_up.h) ends its
                 request */
    bool tls; /* it speaks TLS */
    void (*done)(struct choices_ask *ask); /* called once, by the thread of the choices */
    void *owner;
    /* the answer */
    char *json;     /* yours to free(): an array, as choices_list() makes it. NULL: … */
    struct err err; /* … -E_CHOICES, with a message for the user, or -E_BUSY */
    /* the choices' own */
    struct choices *choices;
    struct loop_message message;
    struct loop_watch hang_up;
    bool watched;
    struct choices_ask *next;
};
/* Any thread; never blocks. */
void choices_ask(struct choices *choices, struct choices_ask *ask);

/* The definitions were read again: nothing fetched before is given any more. Any thread. */
void choices_forget(struct choices *choices);
/* Answer what waits, and every later request, with -E_BUSY. Any thread. */
void choices_stop(struct choices *choices);
/* Once there are no more requests; NULL is fine. */
void choices_free(struct choices *choices);
