/* src/source/sqlite_file.c -- the file of an SQLite source: which file it is, and how it is
 * opened. */
#include "source/sqlite_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "File format read version" in the header, 2 for WAL (https://www.sqlite.org/fileformat.html). */
enum { HEADER_BYTES = 20, READ_VERSION = 19, READ_VERSION_WAL = 2 };

static bool has_wal(const struct sqlite_file *file)
{
    char name[PATH_MAX + 8];
    struct stat wal;

    snprintf(name, sizeof(name), "%s-wal", file->real);
    return stat(name, &wal) == 0 && wal.st_size > 0;
}

/* Can a -shm be made beside the file? Not in a read-only file system, as under the systemd unit. */
static bool is_beside_writable(const struct sqlite_file *file)
{
    char folder[PATH_MAX];

    snprintf(folder, sizeof(folder), "%.*s/", (int)(strrchr(file->real, '/') - file->real),
             file->real);
    return access(folder, W_OK) == 0;
}

bool sqlite_file_identify(struct sqlite_file *file, const char *path)
{
    unsigned char header[HEADER_BYTES] = {0};
    int fd, saved;
    ssize_t n;

    *file = (struct sqlite_file){.wal = false};
    if (snprintf(file->path, sizeof(file->path), "%s", path) >= (int)sizeof(file->path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (realpath(path, file->real) == NULL)
        return false;
    fd = open(file->real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    n = fstat(fd, &file->stat) == 0 && S_ISREG(file->stat.st_mode)
            ? pread(fd, header, sizeof(header), 0)
            : -1;
    saved = errno;
    close(fd);
    errno = saved;
    file->wal = n == HEADER_BYTES && header[READ_VERSION] == READ_VERSION_WAL;
    file->foreign = file->stat.st_uid != geteuid() || !is_beside_writable(file);
    file->immutable = file->wal && file->foreign && !has_wal(file);
    return n >= 0;
}

void sqlite_file_uri(const struct sqlite_file *file, struct buf *out)
{
    buf_add_str(out, "file:");
    for (const char *from = file->real; *from != '\0'; from++) {
        if (strchr("%?#", *from) != NULL)
            buf_add_format(out, "%%%02X", (unsigned char)*from);
        else
            buf_add_char(out, *from);
    }
    if (file->immutable)
        buf_add_str(out, "?immutable=1");
}

bool sqlite_file_is_same(const struct sqlite_file *file)
{
    const struct stat *then = &file->stat;
    struct stat now;

    /* Its owner may have opened or closed it meanwhile, which changes how it has to be opened. */
    if (file->wal && file->foreign && file->immutable == has_wal(file))
        return false;
    return stat(file->path, &now) == 0 && now.st_dev == then->st_dev &&
           now.st_ino == then->st_ino && now.st_size == then->st_size &&
           now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == then->st_mtim.tv_nsec &&
           now.st_ctim.tv_sec == then->st_ctim.tv_sec && /* cp -p restores mtime, but not ctime */
           now.st_ctim.tv_nsec == then->st_ctim.tv_nsec;
}
