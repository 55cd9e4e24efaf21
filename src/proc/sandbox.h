/* src/proc/sandbox.h -- what a worker may not do, whatever a query makes it do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The whole process, before its first thread: no core dumps, no new privileges, `memory` bytes of
 * address space (0: no limit; not in a sanitizer build, which needs terabytes of it), first choice
 * of the kernel when memory runs out, not to be looked into by others of its user, and no system
 * call that starts programs, reaches other processes (also with a signal of a descriptor that is
 * ready), mounts, changes rights or times of files, truncates one by its name, watches folders, or
 * opens sockets other than local and IP ones (EPERM). Returns whether the kernel took the filter of
 * system calls (seccomp); the rest is done as far as the kernel offers it. */
bool sandbox_process(int64_t memory);
/* The same, all threads at once, when the database is open and no file of it is made any more: no
 * change of the rights of open files, and without `network` no socket. */
bool sandbox_opened(bool network);

/* Limit the processor time of the process: `ms` more from now on (0: no limit), rounded up to
 * seconds; at the limit it gets SIGXCPU, which from now on ends the process. Each call replaces the
 * limit of the previous one. */
void sandbox_limit_cpu(int64_t ms);

/* The files that are left to a worker. What libc, libcrypto and libpq read is allowed from the
 * beginning; without `network` no TCP connection is. What is open stays as it is. */
struct sandbox_files {
    int rules; /* -1: the kernel has no Landlock, and all that follows does nothing */
    uint64_t rights;
};
void sandbox_files_begin(struct sandbox_files *files, bool network);
/* A file, or a folder and all beneath it; NULL or one that is not there is fine. */
void sandbox_files_read(struct sandbox_files *files, const char *path);
/* A folder in which files may be made, but not listed: workers for other databases have theirs
 * there, under names that cannot be guessed. */
void sandbox_files_temp(struct sandbox_files *files, const char *folder);
/* From now on the calling thread and those it starts can open no other file in any way; nor can
 * they signal, or look into, a process that is not as restricted. False: the kernel has no
 * Landlock; sandbox_offers_landlock() says so beforehand. */
bool sandbox_files_apply(const struct sandbox_files *files);
void sandbox_files_end(struct sandbox_files *files);
bool sandbox_offers_landlock(void);
