/* src/demo/progress.c -- the progress bar of `reportd demo`. */
#include "demo/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { BAR = 40 };

void demo_progress_begin(struct demo_progress *progress, const char *phase)
{
    *progress = (struct demo_progress){
        .phase = phase,
        .terminal = isatty(STDERR_FILENO) == 1,
        .shown = -1,
        .began_ms = clock_mono_ms(),
    };
    demo_progress_show(progress, 0, 1);
}

void demo_progress_show(struct demo_progress *progress, int64_t done, int64_t total)
{
    static const char full[] = "########################################";
    int percent = total > 0 ? (int)(done * 100 / total) : 100;
    int filled = percent * BAR / 100;

    if (!progress->terminal || percent == progress->shown)
        return;
    progress->shown = percent;
    fprintf(stderr, "\r%-14s [%.*s%*s] %3d %%", progress->phase, filled, full, BAR - filled, "",
            percent);
}

void demo_progress_end(struct demo_progress *progress)
{
    double seconds = (double)(clock_mono_ms() - progress->began_ms) / 1000;

    demo_progress_show(progress, 1, 1);
    if (progress->terminal)
        fprintf(stderr, " %6.1f s\n", seconds);
    else
        fprintf(stderr, "%s: done in %.1f s\n", progress->phase, seconds);
}
