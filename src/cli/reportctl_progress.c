/* src/cli/reportctl_progress.c -- progress on standard error. */
#include "cli/reportctl_progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { BAR_WIDTH = 30, BAR_EVERY_MS = 100 };

void progress_init(struct progress *progress)
{
    *progress = (struct progress){.live = isatty(STDERR_FILENO), .began_ms = clock_mono_ms()};
}

static void begin_line(struct progress *progress)
{
    if (progress->live)
        fputs("\r\033[K", stderr);
    progress->drawn = progress->live;
}

void progress_line(struct progress *progress, const char *format, ...)
{
    va_list args;

    begin_line(progress);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    if (progress->live)
        fprintf(stderr, ", %lld s", (long long)(clock_mono_ms() - progress->began_ms) / 1000);
    else
        fputc('\n', stderr);
    fflush(stderr);
}

void progress_bar(struct progress *progress, int64_t done, int64_t total)
{
    static const char full[] = "##############################";
    int64_t now = clock_mono_ms();
    int64_t ms = now - progress->began_ms;
    char size[32], speed[32];
    int filled;

    if (!progress->live || (done != total && now - progress->drawn_ms < BAR_EVERY_MS))
        return;
    progress->drawn_ms = now;
    str_human_size(size, sizeof(size), done);
    str_human_size(speed, sizeof(speed), ms > 0 ? done * 1000 / ms : 0);
    begin_line(progress);
    if (total > 0) {
        filled = (int)((double)done / (double)total * BAR_WIDTH);
        fprintf(stderr, "[%-*.*s] %3.0f %%  ", BAR_WIDTH, filled, full,
                (double)done * 100 / (double)total);
    }
    fprintf(stderr, "%s  %s/s", size, speed);
    fflush(stderr);
}

void progress_done(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    fflush(stderr);
}
