/* src/base/file.c -- files: whole reads and writes, and folders that are fsynced. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

int file_sync_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd >= 0 ? fsync(fd) : -1;
    int saved = errno;

    if (fd >= 0)
        close(fd);
    free(copy);
    errno = saved;
    return rc;
}

bool file_has_name(int fd, const char *path, int flags)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && fstatat(AT_FDCWD, path, &named, flags) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int file_write_all(int fd, const void *data, size_t len, int64_t offset)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
        offset += n;
    }
    return 0;
}

ssize_t file_read_all(int fd, void *data, size_t len, int64_t offset)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = pread(fd, (char *)data + have, len - have, offset + (int64_t)have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

int file_append(int fd, struct buf *out)
{
    char part[4096];
    ssize_t n = 0;

    while (!buf_failed(out) && (n = read(fd, part, sizeof(part))) > 0)
        buf_add(out, part, (size_t)n);
    explicit_bzero(part, sizeof(part));
    return n < 0 ? -1 : 0;
}

int file_make_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_errno(err, -E_IO, "cannot make the folder %s", path);
    return 0;
}

/* copy_file_range() does not work between all pairs of file systems. */
static ssize_t copy_some(int from, int to, size_t max)
{
    ssize_t n = copy_file_range(from, NULL, to, NULL, max, 0);

    if (n < 0 && errno != ENOSPC && errno != EDQUOT && errno != EIO && errno != EINTR)
        n = sendfile(to, from, NULL, max);
    return n;
}

int64_t file_copy(int from, int to, int64_t bytes)
{
    enum { AT_ONCE = 1 << 30 };
    int64_t copied = 0;

    while (copied < bytes) {
        ssize_t n =
            copy_some(from, to, bytes - copied < AT_ONCE ? (size_t)(bytes - copied) : AT_ONCE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        copied += n;
    }
    return copied;
}

void file_remove_beside(const char *path, const char *const ends[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *name;

        if (asprintf(&name, "%s%s", path, ends[i]) < 0)
            continue;
        unlink(name);
        free(name);
    }
}
