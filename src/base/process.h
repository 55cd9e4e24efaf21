/* src/base/process.h -- what a process prepares at its start: standard streams, signals. */
#pragma once

#include <stdbool.h>

/* Occupy those of the descriptors 0, 1 and 2 that are closed, so that no file or socket opened
 * later gets their number, and what is meant for a standard stream is never written into it. They
 * become /dev/null, opened in the wrong direction: reading and writing fail (EBADF), as on a closed
 * one. Ends the process if that is impossible. Call it first in main(). */
void descriptors_fill_standard(void);

/* From now on no process of the same user may look into this one: not its memory, environment or
 * descriptors, and not as a tracer (prctl(2), PR_SET_DUMPABLE). Root may. It dumps no core. */
void process_hide(void);

/* Pass the variables that `is_secret` names on to getenv() and libraries as before, but take them
 * out of /proc/PID/environ. While there is one thread. */
void process_hide_variables(bool (*is_secret)(const char *variable));

/* From now on ignore the signals that by default end or stop a process but have no meaning for it:
 * SIGUSR1, SIGUSR2, SIGALRM, SIGQUIT, SIGPIPE, SIGXFSZ, SIGXCPU, timers, SIGIO, what a terminal
 * sends to its background (SIGTTIN, SIGTTOU), and the real-time signals. What stops a program
 * (SIGTERM, SIGINT, SIGHUP, SIGTSTP) and what tells of a fault stay as they are. */
void signals_ignore(void);
