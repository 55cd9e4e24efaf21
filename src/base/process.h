/* src/base/process.h -- what a process makes sure of at its start: standard streams, signals. */
#pragma once

/* Take those of the descriptors 0, 1 and 2 that are closed, so that no file or socket that is
 * opened later gets their number and what is meant for a standard stream is never written into it.
 * They stand for /dev/null, opened the other way round: reading and writing fail (EBADF) as on a
 * closed one. Ends the process if that cannot be done. Call it first thing in main(). */
void descriptors_fill_standard(void);

/* Ignore, from now on, what by default ends or stops a process although it says nothing about it:
 * SIGUSR1, SIGUSR2, SIGALRM, SIGQUIT, SIGPIPE, SIGXFSZ, SIGXCPU, timers, SIGIO, what a terminal
 * sends to its background (SIGTTIN, SIGTTOU), and the real-time signals. What stops a program
 * (SIGTERM, SIGINT, SIGHUP, SIGTSTP) and what tells of a fault stay as they are. */
void signals_ignore(void);
