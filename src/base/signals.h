/* src/base/signals.h -- the signals that would end a process for nothing. */
#pragma once

/* Ignore, from now on, what by default ends or stops a process although it says nothing about it:
 * SIGUSR1, SIGUSR2, SIGALRM, SIGQUIT, SIGPIPE, SIGXFSZ, SIGXCPU, timers, SIGIO, what a terminal
 * sends to its background (SIGTTIN, SIGTTOU), and the real-time signals. What stops a program
 * (SIGTERM, SIGINT, SIGHUP, SIGTSTP) and what tells of a fault stay as they are. */
void signals_ignore(void);
