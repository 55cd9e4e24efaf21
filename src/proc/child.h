/* src/proc/child.h -- a worker, or another process of this program, as its parent sees it: spawned,
 * killed, reaped. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
    pid_t pid; /* 0: none */
    int pidfd; /* readable when it has exited; -1: none */
};

/* How a child ended. */
struct child_end {
    int signal;       /* 0: it exited */
    char message[32]; /* "exit 1", "signal 9" */
};

/* Start this program's `verb` (posix_spawn, so that no thread's state crosses a fork) with a
 * socketpair on WORKER_SOCKET, in a separate process group (serve decides about a terminal's
 * Ctrl-C), with no other descriptor than standard error and only the variables that it needs.
 * *ret_socket is our end of the pair and yours. -E_IO says what failed. */
int child_spawn(const char *verb, struct child *ret, int *ret_socket, struct err *err);

/* SIGKILL. It still has to be reaped when pidfd becomes readable. */
void child_kill(const struct child *child);

/* Has it ended, now or within `patience_ms`? Then it is reaped: pidfd is closed, `child` cleared
 * and *ret_end says how. */
bool child_reap(struct child *child, int patience_ms, struct child_end *ret_end);
