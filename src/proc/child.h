/* src/proc/child.h -- a worker as its parent sees it: spawned, talked to, killed, reaped. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
    pid_t pid;  /* 0: none */
    int pidfd;  /* readable when it has exited; -1: none */
    int socket; /* our end; -1: closed */
};

/* How long a worker that was stopped or hangs may hold up its parent in one send or receive. */
enum { CHILD_SOCKET_TIMEOUT_S = 2 };

/* Start this program's `worker` verb (posix_spawn, so that no thread's state crosses a fork) with a
 * socketpair on WORKER_SOCKET, in a process group of its own (a terminal's Ctrl-C is the server's
 * business), with no other descriptor than standard error. -E_IO says what failed. */
int child_spawn(struct child *ret, struct err *err);

/* SIGKILL. It still has to be reaped when pidfd becomes readable. */
void child_kill(const struct child *child);

/* Close our end: an idle worker exits by itself. */
void child_close_socket(struct child *child);

/* Wait for the exit (at once if pidfd is readable), close what is open, clear `child`. *ret_words
 * says how it ended: "exit 1", "signal 9". */
void child_reap(struct child *child, char ret_words[32]);

#endif
