/* src/cli/prompt.h -- reads a line of standard input; a terminal is prompted for it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Read a line, without its end (LF or CR LF), into line[cap], byte by byte, so that no buffer keeps
 * it. On a terminal `question` is shown on standard error first and, unless `echo`, what is typed
 * is not. *ret_len bytes, which may have NULs, and a NUL; `cap`: the line is longer. The end of
 * the input ends a line.
 *
 * A signal ends it, whenever it comes, and leaves the terminal as it was: -E_CANCELLED. One that
 * the caller has a handler for is handled, too. SIGTSTP (Ctrl-Z) stops the process; when it
 * continues, it asks again. -E_IO: it cannot be read. */
int prompt_line(const char *question, bool echo, char *line, size_t cap, size_t *ret_len,
                struct err *err);
