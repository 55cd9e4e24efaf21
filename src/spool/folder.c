/* src/spool/folder.c -- results as files: ID.ATTEMPT.part while being written, ID.ATTEMPT.json once
 * published. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "base/str.h"
#include "spool/spool_impl.h"

struct folder {
    struct spool spool;
    char *path;
    int dir; /* all file names are relative to this descriptor */
    struct spool_temp temp;
    struct guid owner;
    /* What is known of the mark: it names `owner`; it has to be made once there is room. */
    atomic_bool owned, unmarked;
    struct lock marking; /* held while the mark is made */
};

static struct folder *to_folder(struct spool *spool)
{
    return (struct folder *)spool;
}

static const struct folder *to_const_folder(const struct spool *spool)
{
    return (const struct folder *)spool;
}

/* ---- the mark of the owner ---- */

static int folder_owner(struct spool *spool, const struct guid *store, struct err *err)
{
    struct folder *folder = to_folder(spool);
    int rc = spool_mark_read(folder->dir, folder->path, store, err);

    folder->owner = *store;
    atomic_store(&folder->owned, rc > 0);
    return rc;
}

static int folder_own(struct spool *spool, const struct guid *store, bool replace, struct err *err)
{
    struct folder *folder = to_folder(spool);
    int rc = spool_mark_write(folder->dir, folder->path, store, replace, err);

    if (rc == 0)
        rc = folder_owner(spool, store, err); /* another store may have been faster */
    else
        atomic_store(&folder->unmarked, rc == -E_FULL && !replace);
    return rc < 0 ? rc : 0;
}

/* Make the mark, for which there was no room before; another store's mark is not replaced. */
static void mark_later(struct folder *folder)
{
    struct err ignored;

    if (!atomic_load(&folder->unmarked))
        return;
    lock_take(&folder->marking);
    if (atomic_load(&folder->unmarked) &&
        spool_mark_write(folder->dir, folder->path, &folder->owner, false, &ignored) == 0) {
        atomic_store(&folder->owned, true);
        atomic_store(&folder->unmarked, false);
    }
    lock_release(&folder->marking);
}

static int check_mark(struct folder *folder, bool try_it, struct err *err)
{
    bool unmarked;
    int rc;

    if (try_it)
        mark_later(folder);
    unmarked = atomic_load(&folder->unmarked); /* read first: the mark may be made meanwhile */
    if (!unmarked && !atomic_load(&folder->owned))
        return 0; /* the owner has not been checked yet */
    rc = spool_mark_read(folder->dir, folder->path, &folder->owner, err);
    if (rc == 0 && !unmarked)
        return err_set(err, -E_SPOOL,
                       "the file '" SPOOL_MARK "' of the folder '%s' is missing: put it back, or "
                       "restart the server",
                       folder->path);
    return rc < 0 ? rc : 0;
}

/* ---- publish ---- */

static void rename_one(const struct folder *folder, struct spool_op *op)
{
    char part[SPOOL_NAME_CAP], published[SPOOL_NAME_CAP];

    spool_file_name(part, &op->id, op->attempt, SPOOL_PART);
    spool_file_name(published, &op->id, op->attempt, SPOOL_RESULT);
    op->rc = 0;
    if (SEAM_FAILS("spool.rename") || renameat(folder->dir, part, folder->dir, published) < 0)
        op->rc = err_errno(&op->err, -E_SPOOL, "publish '%s'", part);
    SEAM_STEP("spool", "publish", "renamed");
}

/* All renames share one fsync of the folder. */
static void folder_publish(struct spool *spool, struct work_item *batch)
{
    struct folder *folder = to_folder(spool);
    struct err synced = {0};

    mark_later(folder);
    for (struct work_item *item = batch; item != NULL; item = item->next)
        rename_one(folder, spool_op_of(item));
    if (SEAM_FAILS("spool.folder_fsync") || fsync(folder->dir) < 0)
        err_errno(&synced, -E_SPOOL, "fsync '%s'", folder->path);
    SEAM_STEP("spool", "publish", "synced");
    for (struct work_item *item = batch; item != NULL && synced.code != 0; item = item->next) {
        struct spool_op *op = spool_op_of(item);

        if (op->rc == 0) {
            op->rc = synced.code;
            op->err = synced;
        }
    }
}

/* ---- remove ---- */

/* Its blocks are free at once, although a slow client may still have the file open: such a transfer
 * then finds its end. -1: errno. */
static int unlink_result(const struct folder *folder, const char *name)
{
    int fd = openat(folder->dir, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return -1;
    if (fd >= 0)
        close(fd);
    SEAM_STEP("spool", "remove", "truncated");
    return unlinkat(folder->dir, name, 0);
}

/* The folder is not fsynced: a file that reappears after a power loss has no row, and the sweep
 * removes it before anything is served. */
static int remove_attempts(const struct folder *folder, const struct guid *id, int last,
                           struct err *err)
{
    int rc = 0;

    for (int attempt = 1; attempt <= last; attempt++) {
        for (enum spool_kind kind = SPOOL_PART; kind <= SPOOL_RESULT; kind++) {
            char name[SPOOL_NAME_CAP];

            spool_file_name(name, id, attempt, kind);
            if ((SEAM_FAILS("spool.unlink") || unlink_result(folder, name) < 0) && errno != ENOENT)
                rc = err_errno(err, -E_SPOOL, "remove '%s'", name);
            SEAM_STEP("spool", "remove", "unlinked");
        }
    }
    return rc;
}

static int folder_remove(struct spool *spool, const struct spool_op *op, struct err *err)
{
    int rc = op->refs == NULL ? remove_attempts(to_folder(spool), &op->id, op->attempt, err) : 0;

    for (size_t i = 0; op->refs != NULL && i < op->count; i++) {
        struct spool_ref *ref = &op->refs[i];

        ref->left = remove_attempts(to_folder(spool), &ref->id, ref->attempt, err) < 0;
        rc = ref->left ? -E_SPOOL : rc;
    }
    return rc;
}

static int folder_drop(struct spool *spool, const struct spool_file *file, struct err *err)
{
    if (file->kind == SPOOL_TEMPORARY)
        return spool_temp_drop(&to_folder(spool)->temp, file, err);
    if (unlink_result(to_folder(spool), file->name) < 0 && errno != ENOENT)
        return err_errno(err, -E_SPOOL, "remove '%s'", file->name);
    return 0;
}

/* ---- open ---- */

static void folder_close(struct spool *spool)
{
    struct folder *folder = to_folder(spool);

    spool_temp_close(&folder->temp);
    if (folder->path != NULL)
        close(folder->dir);
    free(folder->path);
    lock_done(&folder->marking);
    free(folder);
}

/* The temporary folder is in the spool, unless several nodes share the spool. */
static int open_folder_temp(struct folder *folder, const struct spool_spec *spec, struct err *err)
{
    char *inside;
    int rc;

    if (spool_is_shared(spec))
        return spool_temp_open(&folder->temp, spec->temp, spec->existing, err);
    if (asprintf(&inside, "%s/temp", folder->path) < 0)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rc = spool_temp_open(&folder->temp, inside, spec->existing, err);
    free(inside);
    return rc;
}

static int folder_open(const struct spool_spec *spec, struct spool **ret, struct err *err)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    int rc;

    if (folder == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    lock_init(&folder->marking);
    rc = spool_dir_open(spec->place, spec->existing, &folder->dir, &folder->path, err)
             ?: open_folder_temp(folder, spec, err);
    if (rc < 0) {
        folder_close(&folder->spool);
        return rc;
    }
    *ret = &folder->spool;
    return 0;
}

static const char *folder_place(const struct spool *spool)
{
    return to_const_folder(spool)->path;
}

static const char *folder_temp(const struct spool *spool)
{
    return to_const_folder(spool)->temp.folder;
}

static int folder_lock(struct spool *spool, struct err *err)
{
    int rc = spool_temp_lock(&to_folder(spool)->temp, err);

    if (rc > 0)
        spool_mark_tidy(to_folder(spool)->dir);
    return rc;
}

static int folder_check(struct spool *spool, bool try_it, struct err *err)
{
    struct folder *folder = to_folder(spool);
    int rc =
        spool_dir_check(folder->dir, folder->path, try_it, err) ?: check_mark(folder, try_it, err);

    return rc < 0 ? rc : spool_dir_check(folder->temp.dir, folder->temp.folder, try_it, err);
}

/* ---- files ---- */

static int folder_create(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    char name[SPOOL_NAME_CAP];
    int fd;

    spool_file_name(name, id, attempt, SPOOL_PART);
    fd = openat(to_folder(spool)->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0)
        return err_errno(err, -E_SPOOL, "create '%s'", name);
    return fd;
}

static int folder_forget(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    char name[SPOOL_NAME_CAP];

    spool_file_name(name, id, attempt, SPOOL_PART);
    if (SEAM_FAILS("spool.unlink") || unlinkat(to_folder(spool)->dir, name, 0) < 0)
        return err_errno(err, -E_SPOOL, "remove '%s'", name);
    SEAM_STEP("spool", "forget", "unlinked");
    return 0;
}

static int folder_open_result(struct spool *spool, const struct guid *id, int attempt,
                              struct err *err)
{
    char name[SPOOL_NAME_CAP];
    int fd;

    spool_file_name(name, id, attempt, SPOOL_RESULT);
    fd = openat(to_folder(spool)->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno == ENOENT ? -E_NOT_FOUND : -E_SPOOL, "open '%s'", name);
    return fd;
}

static int64_t folder_size(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    char name[SPOOL_NAME_CAP];
    struct stat st;

    spool_file_name(name, id, attempt, SPOOL_RESULT);
    if (fstatat(to_folder(spool)->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return st.st_size;
    return err_errno(err, errno == ENOENT ? -E_NOT_FOUND : -E_SPOOL, "look at '%s'", name);
}

static bool folder_has_part(const struct spool *spool, const struct guid *id, int attempt)
{
    char name[SPOOL_NAME_CAP];

    spool_file_name(name, id, attempt, SPOOL_PART);
    return faccessat(to_const_folder(spool)->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- copying ---- */

/* A hard link would not work: a deletion truncates the file. */
static int copy_bytes(int from, int to, int64_t bytes, struct err *err)
{
    int64_t n = SEAM_FAILS("spool.copy") ? -1 : file_copy(from, to, bytes);

    if (n < 0)
        return err_errno(err, -E_SPOOL, "copy a result");
    return n == bytes ? 0 : err_set(err, -E_NOT_FOUND, "a result is not whole");
}

static int copy_result_file(int from, struct folder *to, const struct spool_file *file,
                            int64_t bytes, struct err *err)
{
    char part[SPOOL_NAME_CAP], published[SPOOL_NAME_CAP];
    int rc, fd;

    spool_file_name(part, &file->id, file->attempt, SPOOL_PART);
    spool_file_name(published, &file->id, file->attempt, SPOOL_RESULT);
    fd = folder_create(&to->spool, &file->id, file->attempt, err);
    if (fd < 0)
        return fd;
    rc = copy_bytes(from, fd, bytes, err);
    if (close(fd) < 0 && rc == 0)
        rc = err_errno(err, -E_SPOOL, "write '%s'", part);
    if (rc == 0 && renameat(to->dir, part, to->dir, published) < 0)
        rc = err_errno(err, -E_SPOOL, "publish '%s'", part);
    if (rc < 0)
        unlinkat(to->dir, part, 0);
    return rc;
}

static int folder_copy(struct spool *from, struct spool *to, const struct spool_file *file,
                       int64_t bytes, struct err *err)
{
    int fd = folder_open_result(from, &file->id, file->attempt, err), rc;
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) == 0 && st.st_size == bytes)
        rc = copy_result_file(fd, to_folder(to), file, bytes, err);
    else
        rc = err_set(err, -E_NOT_FOUND, "a result is not whole");
    close(fd);
    return rc;
}

/* Write the whole file system: cheaper than an fsync for each of many files. */
static int folder_sync(struct spool *spool, struct err *err)
{
    if (SEAM_FAILS("spool.syncfs") || syncfs(to_folder(spool)->dir) < 0)
        return err_errno(err, -E_SPOOL, "sync '%s'", to_folder(spool)->path);
    return 0;
}

/* ---- all files ---- */

/* Is it exactly a name that we make? */
static bool parse_name(const char *name, struct spool_file *ret)
{
    char id[GUID_TEXT], digits[12] = "", again[SPOOL_NAME_CAP];
    int64_t number;

    if (sscanf(name, "%36[0-9a-f-].%10[0-9].", id, digits) != 2 || !guid_parse(id, &ret->id) ||
        !str_to_int64(digits, &number) || number < 1 || number > INT32_MAX)
        return false;
    ret->name = name;
    ret->attempt = (int)number;
    ret->kind = str_eq(strrchr(name, '.'), ".part") ? SPOOL_PART : SPOOL_RESULT;
    spool_file_name(again, &ret->id, ret->attempt, ret->kind);
    return str_eq(again, name);
}

static int64_t folder_each(struct spool *spool, spool_each_fn *each, void *context, struct err *err)
{
    const struct folder *folder = to_folder(spool);
    int64_t count = spool_temp_each(&folder->temp, each, context, err);
    DIR *dir = count < 0 ? NULL : opendir(folder->path);
    const struct dirent *entry;

    if (count < 0)
        return count;
    if (dir == NULL)
        return err_errno(err, -E_SPOOL, "read the folder '%s'", folder->path);
    while ((entry = readdir(dir)) != NULL) {
        struct spool_file file;

        if (!parse_name(entry->d_name, &file))
            continue;
        count++;
        each(context, &file);
    }
    closedir(dir);
    return count;
}

const struct spool_ops spool_folder = {
    .publish_threads = 1, /* operations that arrive meanwhile share the next fsync */
    /* A truncation may wait for the disk (if it is mounted with discard, or has to write its
     * journal), and truncating gigabytes takes a while: others need not wait for it. */
    .remove_threads = 8,
    .open = folder_open,
    .close = folder_close,
    .place = folder_place,
    .temp_folder = folder_temp,
    .lock = folder_lock,
    .owner = folder_owner,
    .own = folder_own,
    .create = folder_create,
    .forget = folder_forget,
    .publish = folder_publish,
    .remove = folder_remove,
    .size = folder_size,
    .has_part = folder_has_part,
    .each = folder_each,
    .drop = folder_drop,
    .copy = folder_copy,
    .sync = folder_sync,
    .check = folder_check,
    .open_result = folder_open_result,
};
