/* src/spool/temp.c -- the folder of temporary files, which one process has for itself. */
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

#include "base/str.h"
#include "spool/spool_impl.h"

static const char TEMP[] = "temp/"; /* before the name of a temporary file */

int spool_dir_open(const char *folder, bool existing, int *ret_dir, char **ret_path,
                   struct err *err)
{
    char *path;
    int dir;

    if (!existing && mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_errno(err, -E_SPOOL, "make the folder '%s'", folder);
    /* Absolute, since workers get it and need not share our working folder. */
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

/* Databases name their temporary files as they like. */
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

int64_t spool_dir_free_bytes(int dir)
{
    struct statvfs vfs;

    if (fstatvfs(dir, &vfs) < 0)
        return -1;
    return (int64_t)(vfs.f_bavail * vfs.f_frsize);
}
