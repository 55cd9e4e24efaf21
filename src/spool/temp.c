/* src/spool/temp.c -- the folder of temporary files, which one process has to itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "spool/spool_impl.h"

enum { CHECK_BYTES = 16 * 1024 }; /* with less than this no report can begin */

static const char TEMP[] = "temp/"; /* before the name of a temporary file */

/* The folder, and so what is published in it, survives a power loss; also if the process that made
 * it was killed right afterwards. */
static int make_temp_folder(const char *folder, struct err *err)
{
    bool made = mkdir(folder, 0700) == 0;

    if (!made && errno != EEXIST)
        return err_errno(err, -E_SPOOL, "make the folder '%s'", folder);
    SEAM_STEP("spool", "open", "made");
    if ((SEAM_FAILS("spool.parent_fsync") || file_sync_folder_of(folder) < 0) &&
        (made || errno != EACCES)) /* the operator made it, in a folder that belongs to others */
        return err_errno(err, -E_SPOOL, "fsync the folder that '%s' is in", folder);
    return 0;
}

int spool_dir_open(const char *folder, bool existing, int *ret_dir, char **ret_path,
                   struct err *err)
{
    char *path;
    int dir;

    if (!existing && make_temp_folder(folder, err) < 0)
        return -E_SPOOL;
    /* Absolute, since it is passed to workers, which need not have our working folder. */
    path = realpath(folder, NULL);
    if (path == NULL && errno == ENOENT)
        return err_set(err, -E_SPOOL,
                       "There is no folder '%s': is it the one that the server uses, and is it "
                       "mounted?",
                       folder);
    if (path == NULL)
        return err_errno(err, -E_SPOOL, "find the folder '%s'", folder);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        free(path);
        return err_errno(err, -E_SPOOL, "open the folder '%s'", folder);
    }
    *ret_dir = dir;
    *ret_path = path;
    return 0;
}

int spool_temp_open(struct spool_temp *temp, const char *folder, bool existing, struct err *err)
{
    return spool_dir_open(folder, existing, &temp->dir, &temp->folder, err);
}

void spool_temp_close(struct spool_temp *temp)
{
    if (temp->folder == NULL)
        return;
    close(temp->dir);
    free(temp->folder);
}

int spool_temp_lock(const struct spool_temp *temp, struct err *err)
{
    if (flock(temp->dir, LOCK_EX | LOCK_NB) == 0)
        return 1;
    if (errno == EWOULDBLOCK)
        return 0;
    return err_errno(err, -E_SPOOL, "lock the folder '%s'", temp->folder);
}

/* Databases choose the names of their temporary files. */
int64_t spool_temp_each(const struct spool_temp *temp, spool_each_fn *each, void *context,
                        struct err *err)
{
    DIR *dir = opendir(temp->folder);
    const struct dirent *entry;
    int64_t count = 0;

    if (dir == NULL)
        return err_errno(err, -E_SPOOL, "read the folder '%s'", temp->folder);
    while ((entry = readdir(dir)) != NULL) {
        char name[sizeof(TEMP) + sizeof(entry->d_name)];
        struct spool_file file = {.name = name, .kind = SPOOL_TEMPORARY};

        if (entry->d_type == DT_DIR)
            continue;
        snprintf(name, sizeof(name), "%s%s", TEMP, entry->d_name);
        count++;
        each(context, &file);
    }
    closedir(dir);
    return count;
}

int spool_temp_drop(const struct spool_temp *temp, const struct spool_file *file, struct err *err)
{
    const char *name = file->name + strlen(TEMP);

    if (unlinkat(temp->dir, name, 0) < 0 && errno != ENOENT)
        return err_errno(err, -E_SPOOL, "remove '%s'", file->name);
    return 0;
}

/* A folder that was removed, or over which something else was mounted, can be written to while it
 * is open, but nobody finds what is in it. */
static bool folder_is_in_place(int dir, const char *path)
{
    struct stat opened;

    return fstat(dir, &opened) == 0 && opened.st_nlink > 0 && file_has_name(dir, path, 0);
}

/* For file systems with unnamed files. */
static int try_to_write(int dir, const char *path, struct err *err)
{
    static const char bytes[CHECK_BYTES];
    int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    int rc = 0;

    if (fd < 0)
        return errno == EOPNOTSUPP || errno == EISDIR
                   ? 0
                   : err_errno(err, errno == ENOSPC ? -E_FULL : -E_SPOOL, "write in '%s'", path);
    if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
        rc = err_errno(err, errno == ENOSPC ? -E_FULL : -E_SPOOL, "write in '%s'", path);
    close(fd);
    return rc;
}

int spool_dir_check(int dir, const char *path, bool try_it, struct err *err)
{
    struct statvfs vfs;

    if (!folder_is_in_place(dir, path))
        return err_set(err, -E_SPOOL,
                       "the folder '%s' is missing, or is another one than at the start: put it "
                       "back (is its file system mounted?) or restart the server",
                       path);
    if (fstatvfs(dir, &vfs) < 0 || faccessat(dir, ".", W_OK | X_OK, 0) < 0)
        return err_errno(err, -E_SPOOL, "the folder '%s' cannot be written to", path);
    if (vfs.f_bavail * vfs.f_frsize < CHECK_BYTES || (vfs.f_files > 0 && vfs.f_favail == 0))
        return err_set(err, -E_FULL, "the file system of '%s' has no room; free some", path);
    return try_it ? try_to_write(dir, path, err) : 0;
}
