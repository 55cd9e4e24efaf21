/* src/core/key_file.c -- reads, makes and replaces a file that contains a secret. */
#include "core/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"

enum { NEW_FILE_MAX = 65536 };

static int failed(const struct key_file *file, const char *what, struct err *err)
{
    return err_errno(err, -E_CONFIG, "%s the %s '%s'", what, file->what, file->path);
}

/* ---- reading ---- */

static int read_all(const struct key_file *file, int fd, struct buf *ret, struct err *err)
{
    if (file_append(fd, ret) < 0)
        return failed(file, "read", err);
    if (buf_failed(ret))
        return err_set(err, -E_CONFIG, "the %s '%s' is too long", file->what, file->path);
    return 0;
}

/* O_NONBLOCK: opening a pipe would block, here and in the program that wrote a made-up token. Only
 * a public key may be a pipe. */
static int open_key_file(const struct key_file *file)
{
    return open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (file->is_public ? 0 : O_NONBLOCK));
}

static int read_file(const struct key_file *file, int fd, struct buf *ret, struct err *err)
{
    struct stat st;

    if (file->is_public)
        return read_all(file, fd, ret, err);
    if (fstat(fd, &st) != 0)
        return failed(file, "look at", err);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -E_CONFIG, "the %s '%s' is not a file", file->what, file->path);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, -E_CONFIG, "the %s '%s' is open to others (mode %04o): chmod 600 '%s'",
                       file->what, file->path, (unsigned)st.st_mode & 07777, file->path);
    return read_all(file, fd, ret, err);
}

/* ---- making ---- */

/* The temporary name "PATH.new", for file systems without unnamed files; NULL: out of memory. */
static char *temporary_name(const struct key_file *file)
{
    char *name;

    return asprintf(&name, "%s.new", file->path) < 0 ? NULL : name;
}

static int close_failed(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

/* Make that file, empty, and lock it while it has its name; returns its descriptor or -1. A file
 * that a crash has left may be another name of the key that is in use, so it is unlinked and never
 * written to. */
static int open_temporary(const char *name)
{
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool made = fd >= 0;

        if (!made && errno != EEXIST)
            return -1;
        if (!made)
            fd = open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
            return close_failed(fd);
        if (made && file_has_name(fd, name, AT_SYMLINK_NOFOLLOW))
            return fd;
        if (file_has_name(fd, name, AT_SYMLINK_NOFOLLOW))
            unlink(name);
        close(fd);
    }
}

/* Remove what a crash has left: a secret that is not used, or another name of the file. */
static void sweep_temporary(const struct key_file *file)
{
    char *name = temporary_name(file);
    int fd = name != NULL ? open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC) : -1;

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        file_has_name(fd, name, AT_SYMLINK_NOFOLLOW))
        unlink(name);
    if (fd >= 0)
        close(fd);
    free(name);
}

/* Make a file without a name in the folder of the file; returns its descriptor or -1. */
static int open_nameless(const struct key_file *file)
{
    char *copy = strdup(file->path);
    int fd = copy != NULL ? open(dirname(copy), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;

    free(copy);
    return fd;
}

static int sync_folder(const struct key_file *file, struct err *err)
{
    return file_sync_folder_of(file->path) == 0 ? 0 : failed(file, "write the folder of", err);
}

static bool write_all(int fd, const struct buf *content)
{
    bool good = !SEAM_FAILS("key_file.write") &&
                file_write_all(fd, content->data, content->len, 0) == 0 && fsync(fd) == 0;

    if (good)
        SEAM_STEP("key_file", "make", "written");
    return good;
}

/* A file without a name, so that a crash leaves nothing. link() and not rename(), which would
 * replace a key that is already in use. */
static bool publish_nameless(const struct key_file *file, int fd, const struct buf *content)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return write_all(fd, content) &&
           (linkat(AT_FDCWD, path, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) == 0 ||
            errno == EEXIST);
}

/* For file systems without unnamed files. */
static bool publish_named(const struct key_file *file, const struct buf *content)
{
    char *name = temporary_name(file);
    int fd = name != NULL ? open_temporary(name) : -1;
    bool good = false;

    if (fd >= 0) {
        int saved;

        good = write_all(fd, content) && (link(name, file->path) == 0 || errno == EEXIST);
        saved = errno;
        SEAM_STEP("key_file", "make", "linked");
        unlink(name);
        close(fd);
        errno = saved;
    }
    free(name);
    return good;
}

static int make_file(const struct key_file *file, struct err *err)
{
    struct buf content;
    int fd, rc = 0;
    bool good;

    buf_init(&content, NEW_FILE_MAX);
    file->make(&content);
    if (buf_failed(&content)) {
        key_file_done(&content);
        return err_set(err, -E_NOMEM, "out of memory for a new %s", file->what);
    }
    fd = SEAM_FAILS("key_file.nameless") ? -1 : open_nameless(file);
    good = fd >= 0 ? publish_nameless(file, fd, &content) : publish_named(file, &content);
    if (!good)
        rc = failed(file, "make", err);
    if (fd >= 0)
        close(fd);
    key_file_done(&content);
    return rc < 0 ? rc : sync_folder(file, err);
}

/* ---- the interface ---- */

void key_file_random(struct buf *out)
{
    char *place = buf_reserve(out, KEY_FILE_RANDOM_BYTES);

    if (place == NULL)
        return;
    randombytes_buf(place, KEY_FILE_RANDOM_BYTES);
    out->len += KEY_FILE_RANDOM_BYTES;
}

int key_file_open(const struct key_file *file, struct buf *ret, struct err *err)
{
    int fd, rc;

    if (sodium_init() < 0)
        return err_set(err, -E_CONFIG, "libsodium can't be used on this machine");
    if (!file->is_public)
        sweep_temporary(file);
    fd = open_key_file(file);
    if (fd < 0 && errno == ENOENT && file->make != NULL) {
        rc = make_file(file, err);
        if (rc < 0)
            return rc;
        fd = open_key_file(file);
    }
    if (fd < 0)
        return failed(file, "open", err);
    rc = read_file(file, fd, ret, err);
    close(fd);
    return rc;
}

/* The operator may replace it as root: it stays the server's, which could not read it otherwise. */
static bool keep_owner(const struct key_file *file, int fd)
{
    struct stat old;

    return stat(file->path, &old) == 0 &&
           (old.st_uid == geteuid() || fchown(fd, old.st_uid, old.st_gid) == 0);
}

static int replace_file(const struct key_file *file, const struct buf *content, struct err *err)
{
    char *name = temporary_name(file);
    int fd = name != NULL ? open_temporary(name) : -1;
    int rc = 0;

    if (fd < 0 || !keep_owner(file, fd) || !write_all(fd, content) ||
        rename(name, file->path) != 0) {
        rc = failed(file, "replace", err);
        if (fd >= 0)
            unlink(name);
    } else {
        SEAM_STEP("key_file", "replace", "renamed");
    }
    if (fd >= 0)
        close(fd);
    free(name);
    return rc < 0 ? rc : sync_folder(file, err);
}

/* Open and lock the file while it has its name; returns its descriptor or -1. */
static int open_locked(const char *path)
{
    for (;;) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

        if (fd < 0 || flock(fd, LOCK_EX) < 0)
            return close_failed(fd);
        if (file_has_name(fd, path, 0))
            return fd;
        close(fd);
    }
}

static int change_file(const struct key_file *file, key_file_change_fn *change, void *context,
                       struct err *err)
{
    struct buf before, after;
    int fd = open_locked(file->path), rc;

    if (fd < 0)
        return failed(file, "open", err);
    buf_init(&before, NEW_FILE_MAX);
    buf_init(&after, NEW_FILE_MAX);
    rc = read_file(file, fd, &before, err) ?: change(context, file, &before, &after, err);
    if (rc == 0)
        rc = buf_failed(&after) ? err_set(err, -E_NOMEM, "out of memory")
                                : replace_file(file, &after, err);
    key_file_done(&before);
    key_file_done(&after);
    close(fd);
    return rc;
}

/* A symbolic link stays: others may use the file that it leads to. */
int key_file_change(const struct key_file *file, key_file_change_fn *change, void *context,
                    struct err *err)
{
    char real[PATH_MAX];
    struct key_file there = *file;

    if (realpath(file->path, real) == NULL)
        return failed(file, "open", err);
    there.path = real;
    return change_file(&there, change, context, err);
}

void key_file_done(struct buf *content)
{
    if (content->data != NULL)
        sodium_memzero(content->data, content->len);
    buf_done(content);
}
