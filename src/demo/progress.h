/* src/demo/progress.h -- progress of the demo: a bar on a terminal, else a line per phase. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct demo_progress {
    const char *phase; /* borrowed */
    bool terminal;     /* standard error is one */
    int shown;         /* percent, -1 before the first */
    int64_t began_ms;  /* monotonic */
};

/* A phase starts, with nothing done. `phase` is at most 14 characters, borrowed. */
void demo_progress_begin(struct demo_progress *progress, const char *phase);
/* So much of it is done; cheap to call for every row. */
void demo_progress_show(struct demo_progress *progress, int64_t done, int64_t total);
/* It is all done: print how long it took. */
void demo_progress_end(struct demo_progress *progress);
