/* src/proc/fetch.h -- what an https URL serves, fetched by libcurl in a process of its own, which
 * may open no file but certificates: whatever a server sends never meets this process's memory
 * before it is text. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/thread.h"
#include "proc/child.h"

enum { FETCH_TIMEOUT_MS = 5000, FETCH_BYTES_MAX = 256 << 10 };

/* One fetch at a time: fetch_init(). */
struct fetch {
    struct lock lock; /* guards the members below */
    struct child child;
    bool cancelled;
};

void fetch_init(struct fetch *fetch); /* nothing runs yet */
void fetch_done(struct fetch *fetch); /* while none runs */

/* Get `url`, at most FETCH_BYTES_MAX, within FETCH_TIMEOUT_MS or a second more; blocks. `ca`: a
 * file of the authorities to trust; NULL: the system's. Redirects are not followed, no proxy is
 * used. Appends to `ret`. -E_IO says what failed, in one line; -E_CANCELLED. */
int fetch_url(struct fetch *fetch, const char *url, const char *ca, struct buf *ret,
              struct err *err);
/* Any thread: the fetch that runs, and all later ones, end at once. */
void fetch_cancel(struct fetch *fetch);

/* The process: fetch what the socket asks for, and return the exit status. Called by `reportd
 * fetch`. */
int fetch_main(void);
