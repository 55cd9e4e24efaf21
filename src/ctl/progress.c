/* src/ctl/progress.c -- progress on standard error. */
#include "ctl/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/wrap.h"

enum { COLUMNS_MOST = 80, BAR_MOST = 30, BAR_LEAST = 5, BAR_EVERY_MS = 100, LINE_MAX_BYTES = 256 };

void progress_init(struct progress *progress)
{
    const char *terminal = getenv("TERM");

    *progress = (struct progress){.live = isatty(STDERR_FILENO) && terminal != NULL &&
                                          !str_eq(terminal, "") && !str_eq(terminal, "dumb"),
                                  .began_ms = clock_mono_ms()};
}

/* The width of a line: the size of the terminal may have changed. */
static int line_width(void)
{
    int columns = wrap_terminal(stderr);

    return (columns > 0 && columns < COLUMNS_MOST ? columns : COLUMNS_MOST) - 1;
}

/* Redraw the live line: text wider than the terminal would stay in the line above. */
__attribute__((format(printf, 2, 3))) static void draw(struct progress *progress,
                                                       const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fprintf(stderr, "\r\033[K%.*s", line_width(), line);
    fflush(stderr);
    progress->drawn = true;
}

void progress_line(struct progress *progress, const char *format, ...)
{
    char words[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    if (progress->live)
        draw(progress, "%s, %lld s", words,
             (long long)(clock_mono_ms() - progress->began_ms) / 1000);
    else
        fprintf(stderr, "%s\n", words);
}

void progress_bar(struct progress *progress, int64_t done, int64_t total)
{
    static const char full[] = "##############################";
    int64_t now = clock_mono_ms();
    int64_t ms = now - progress->began_ms;
    char size[32], speed[32], words[LINE_MAX_BYTES];
    int width;

    if (!progress->live || (done != total && now - progress->drawn_ms < BAR_EVERY_MS))
        return;
    progress->drawn_ms = now;
    str_human_size(size, sizeof(size), done);
    str_human_size(speed, sizeof(speed), ms > 0 ? done * 1000 / ms : 0);
    if (total <= 0) {
        draw(progress, "%s  %s/s", size, speed);
        return;
    }
    snprintf(words, sizeof(words), "%3.0f %%  %s  %s/s", (double)done * 100 / (double)total, size,
             speed);
    width = line_width() - (int)strlen(words) - (int)strlen("  []");
    if (width > BAR_MOST)
        width = BAR_MOST;
    if (width >= BAR_LEAST)
        draw(progress, "%s  [%-*.*s]", words, width, (int)((double)done / (double)total * width),
             full);
    else
        draw(progress, "%s", words);
}

void progress_done(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
    fflush(stderr);
}
