/* src/ctl/progress.h -- progress on standard error: one live line on a terminal, else
 * plain lines. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool live;        /* standard error is a terminal */
    bool drawn;       /* the live line is on the screen */
    int64_t began_ms; /* monotonic */
    int64_t drawn_ms; /* of the last bar */
};

/* The clock starts here. */
void progress_init(struct progress *progress);

/* Show a text. Live: in place of the last, with the seconds since progress_init(). */
void progress_line(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A bar of bytes, only live and at most ten times a second; `total` 0: not known. */
void progress_bar(struct progress *progress, int64_t done, int64_t total);

/* Take the live line away. */
void progress_done(struct progress *progress);
