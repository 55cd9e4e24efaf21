/* src/base/file.h -- files: operations that several modules share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* fsync the folder of `path`, so that the name survives a power cut. 0, or -1 with errno. */
int file_sync_folder_of(const char *path);

/* Is `path` a name of the open file? `flags`: AT_SYMLINK_NOFOLLOW or 0. */
bool file_has_name(int fd, const char *path, int flags);

/* All `len` bytes at `offset`, whatever pwrite() and pread() leave over. 0, or -1 with errno. */
int file_write_all(int fd, const void *data, size_t len, int64_t offset);
/* The number of bytes, fewer than `len` only at the end of the file; -1 with errno. */
ssize_t file_read_all(int fd, void *data, size_t len, int64_t offset);

/* Append to `out` the rest of the file, from its current position; it may be a pipe. No other copy
 * of the content is left in memory. 0, or -1 with errno; what is too long fails the buffer. */
int file_append(int fd, struct buf *out);

/* Make the folder, for the owner alone, unless it is there. -E_IO. */
int file_make_folder(const char *path, struct err *err);

/* Remove the files PATH + each end that exist. */
void file_remove_beside(const char *path, const char *const ends[], size_t count);

/* Copy up to `bytes` from one file to another, from the current position of each, in the kernel,
 * and with shared blocks where the file system supports it; returns how many were copied, or -1
 * with errno. */
int64_t file_copy(int from, int to, int64_t bytes);
