/* src/proc/sandbox.h -- what a worker may not do, whatever a query makes it do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The whole process, before its first thread: no core dumps, no new privileges, `memory` bytes of
 * address space (0: no limit; not in a sanitizer build, which needs terabytes of it), first choice
 * of the kernel when memory runs out, and no system call that starts programs, traces or mounts,
 * or opens sockets other than local and IP ones (EPERM). Returns whether the kernel took the
 * filter of system calls (seccomp); the rest is done as far as the kernel offers it. */
bool sandbox_process(int64_t memory);

/* The processor time of the process: `ms` more from now on (0: no limit), rounded up to seconds; at
 * the end of it SIGXCPU, which from now on ends the process. Each call replaces what the one before
 * has set. */
void sandbox_limit_cpu(int64_t ms);

/* The calling thread and those it starts from now on: no file may be opened for writing, made or
 * removed but beneath `folder` (NULL: nowhere), nor run. What is open stays as it is. Returns
 * false if the kernel has no Landlock, as sandbox_offers_landlock() tells before. */
bool sandbox_thread(const char *folder);
bool sandbox_offers_landlock(void);
