/* src/proc/worker.h -- the worker process: one report at a time, from socket to .part file. */
#pragma once

enum { WORKER_SOCKET = 3 }; /* the descriptor serve leaves the socket on */

/* Serve jobs until the socket ends; returns the exit status. Called by `reportd worker`. */
int worker_main(void);
