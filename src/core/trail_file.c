/* src/core/trail_file.c -- appends whole lines to a file to which other processes append, too. */
#include "core/trail_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/seam.h"

enum {
    RESERVE_BYTES = 64 * 1024,
    LOCK_TRIES = 200, /* one millisecond each: another process appends only a few lines */
};

static int trail_file_failed(const struct trail_file *file, const char *what, struct err *err)
{
    return err_errno(err, -E_TRAIL, "%s the audit trail '%s'", what, file->path);
}

void trail_file_close(struct trail_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static int check_trail_rights(const struct trail_file *file, const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, -E_CONFIG, "the audit trail '%s' is not a file", file->path);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return err_set(err, -E_CONFIG,
                       "the audit trail '%s' can be written by others (mode %04o): chmod go-w it",
                       file->path, (unsigned)st->st_mode & 07777);
    if (st->st_uid != geteuid() && st->st_uid != 0 && geteuid() != 0)
        return err_set(err, -E_CONFIG,
                       "the audit trail '%s' belongs to another user (%u), who can write it: chown "
                       "it",
                       file->path, (unsigned)st->st_uid);
    return 0;
}

/* Blocks beyond the end of the file, so that a full disk is noticed while there is still room for
 * the actions in progress. Not every file system supports this. */
static int reserve_room(const struct trail_file *file, off_t size, struct err *err)
{
    if (!file->reserve || (!SEAM_FAILS("trail.reserve") &&
                           fallocate(file->fd, FALLOC_FL_KEEP_SIZE, size, RESERVE_BYTES) == 0))
        return 0;
    return errno == ENOSPC || errno == EDQUOT ? trail_file_failed(file, "reserve room for", err)
                                              : 0;
}

/* O_NONBLOCK: opening a pipe would block. */
static int open_trail_file(const char *path, int flags)
{
    return SEAM_FAILS("trail.open")
               ? -1
               : open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags, 0600);
}

int trail_file_check(const char *path, struct err *err)
{
    struct trail_file file = {.path = path, .fd = open_trail_file(path, 0)};
    struct stat st;
    int rc = 0;

    if (file.fd < 0)
        return errno == ENOENT ? 0 : trail_file_failed(&file, "open", err);
    if (fstat(file.fd, &st) == 0)
        rc = check_trail_rights(&file, &st, err);
    trail_file_close(&file);
    return rc;
}

int trail_file_open(struct trail_file *file, struct err *err)
{
    struct stat st;
    int rc;

    if (file->fd >= 0 && fstat(file->fd, &st) == 0 && st.st_nlink == 0)
        trail_file_close(file);
    if (file->fd < 0) {
        file->fd = open_trail_file(file->path, O_CREAT);
        if (file->fd < 0)
            return trail_file_failed(file, "open", err);
    }
    if (fstat(file->fd, &st) != 0)
        return trail_file_failed(file, "look at", err);
    rc = check_trail_rights(file, &st, err);
    if (rc < 0)
        trail_file_close(file);
    return rc < 0 ? rc : reserve_room(file, st.st_size, err);
}

static bool lock_trail(int fd)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return false;
        nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

/* False: a crash has left part of a line, which has to be ended. */
static bool ends_in_a_line(int fd, off_t size)
{
    char last = '\n';

    return size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

static bool write_bytes(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = SEAM_FAILS("trail.write") ? -1 : write(fd, bytes, len);

        if (n < 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* Called with the lock. A line that a full disk cut short is removed again. */
static int append_locked(const struct trail_file *file, const char *lines, size_t len,
                         struct err *err)
{
    struct stat st;
    int error;

    if (fstat(file->fd, &st) != 0)
        return trail_file_failed(file, "look at", err);
    if ((ends_in_a_line(file->fd, st.st_size) || write_bytes(file->fd, "\n", 1)) &&
        write_bytes(file->fd, lines, len))
        return 0;
    error = errno;
    if (ftruncate(file->fd, st.st_size) == 0)
        errno = error;
    return trail_file_failed(file, "write", err);
}

int trail_file_append(struct trail_file *file, const char *lines, size_t len, struct err *err)
{
    int rc = trail_file_open(file, err);

    /* If room could not be reserved, there may still be enough for these lines. */
    if (file->fd < 0)
        return rc;
    if (!lock_trail(file->fd))
        return trail_file_failed(file, "lock", err);
    rc = append_locked(file, lines, len, err);
    SEAM_STEP("trail", "append", "written");
    flock(file->fd, LOCK_UN);
    return rc;
}
