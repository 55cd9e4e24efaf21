/* src/core/trail_file.h -- a file of lines that several processes append to, each line whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct trail_file {
    const char *path; /* borrowed */
    bool reserve;     /* keep room on the disk for what comes next */
    int fd;           /* -1: not open */
};

/* Open it, if it is not, or if it was removed; then 0. -E_CONFIG: others may write it, or it is no
 * file. -E_TRAIL: it can't be opened or made, or there is no room to reserve. */
int trail_file_open(struct trail_file *file, struct err *err);
/* The same of a file that is there, and 0 without one. Only looks. */
int trail_file_check(const char *path, struct err *err);
/* Append whole lines after a whole line: all of them, or, with -E_TRAIL, nothing. Opens the
 * file. */
int trail_file_append(struct trail_file *file, const char *lines, size_t len, struct err *err);
void trail_file_close(struct trail_file *file);
