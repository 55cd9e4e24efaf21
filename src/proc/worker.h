/* src/proc/worker.h -- the worker process: one report at a time, from socket to .part file. */
#pragma once

enum { WORKER_SOCKET = 3 }; /* the descriptor serve leaves the socket on */

/* The variable in which serve passes on the key worker_memory, in bytes. It is not the key's own
 * variable, which would win over the file when that is read again. */
#define WORKER_MEMORY_VARIABLE "REPORTD_MEMORY_OF_WORKER"

/* Serve jobs until the socket ends; returns the exit status. Called by `reportd worker`. */
int worker_main(void);
