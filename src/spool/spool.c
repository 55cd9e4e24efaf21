/* src/spool/spool.c -- the folder of the result files: create, publish, remove, sweep. */
#include "spool/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/seam.h"
#include "base/str.h"

enum {
    NAME_CAP = GUID_TEXT + 24, /* ID.ATTEMPT.json */
    REMOVE_THREADS = 2,        /* a file of gigabytes takes a while; others need not wait for it */
};

static const char PART[] = "part", PUBLISHED[] = "json", TEMP[] = "temp";

struct spool {
    char *folder, *temp_folder;
    int dir;              /* all file names are relative to this descriptor */
    struct lane *publish; /* one thread: what waits meanwhile shares the next fsync */
    struct lane *remove;
};

static void file_name(char out[NAME_CAP], const struct guid *id, int attempt, const char *suffix)
{
    char text[GUID_TEXT];

    guid_format(id, text);
    snprintf(out, NAME_CAP, "%s.%d.%s", text, attempt, suffix);
}

static struct spool_op *to_op(struct lane_item *item)
{
    return (struct spool_op *)((char *)item - offsetof(struct spool_op, item));
}

/* ---- publish ---- */

static void rename_one(struct spool *spool, struct spool_op *op)
{
    char part[NAME_CAP], published[NAME_CAP];

    file_name(part, &op->id, op->attempt, PART);
    file_name(published, &op->id, op->attempt, PUBLISHED);
    op->rc = 0;
    if (SEAM_FAILS("spool.rename") || renameat(spool->dir, part, spool->dir, published) < 0)
        op->rc = err_errno(&op->err, -E_SPOOL, "publish '%s'", part);
    SEAM_STEP("spool", "publish", "renamed");
}

/* All renames, one fsync of the folder, all answers. */
static void run_publish(void *context, struct lane_item *batch)
{
    struct spool *spool = context;
    struct err synced = {0};

    for (struct lane_item *item = batch; item != NULL; item = item->next)
        rename_one(spool, to_op(item));
    if (SEAM_FAILS("spool.folder_fsync") || fsync(spool->dir) < 0)
        err_errno(&synced, -E_SPOOL, "fsync '%s'", spool->folder);
    SEAM_STEP("spool", "publish", "synced");
    while (batch != NULL) {
        struct spool_op *op = to_op(batch);

        batch = batch->next; /* the op is its owner's again after done */
        if (op->rc == 0 && synced.code != 0) {
            op->rc = synced.code;
            op->err = synced;
        }
        op->done(op);
    }
}

/* ---- remove ---- */

/* The folder is not fsynced: what a power loss brings back has no row, and the sweep takes it
 * before anything is served. */
static void run_remove(void *context, struct lane_item *batch)
{
    static const char *const suffixes[] = {PART, PUBLISHED};
    struct spool *spool = context;
    struct spool_op *op = to_op(batch);

    op->rc = 0;
    for (int attempt = 1; attempt <= op->attempt; attempt++) {
        for (int i = 0; i < 2; i++) {
            char name[NAME_CAP];

            file_name(name, &op->id, attempt, suffixes[i]);
            if ((SEAM_FAILS("spool.unlink") || unlinkat(spool->dir, name, 0) < 0) &&
                errno != ENOENT)
                op->rc = err_errno(&op->err, -E_SPOOL, "remove '%s'", name);
            SEAM_STEP("spool", "remove", "unlinked");
        }
    }
    op->done(op);
}

void spool_post(struct spool *spool, struct spool_op *op)
{
    /* The lanes have no queue_max, so they take all. */
    lane_push(op->verb == SPOOL_PUBLISH ? spool->publish : spool->remove, &op->item);
}

/* ---- open ---- */

static int make_folder(const char *folder, struct err *err)
{
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_errno(err, -E_SPOOL, "make the folder '%s'", folder);
    return 0;
}

static int open_folder(struct spool *spool, const char *folder, struct err *err)
{
    int rc = make_folder(folder, err);

    if (rc < 0)
        return rc;
    /* Absolute, since workers get the temporary one and need not share our working folder. */
    spool->folder = realpath(folder, NULL);
    if (spool->folder == NULL || asprintf(&spool->temp_folder, "%s/%s", spool->folder, TEMP) < 0) {
        spool->temp_folder = NULL;
        return err_errno(err, -E_SPOOL, "find the folder '%s'", folder);
    }
    rc = make_folder(spool->temp_folder, err);
    if (rc < 0)
        return rc;
    spool->dir = open(spool->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir < 0)
        return err_errno(err, -E_SPOOL, "open the folder '%s'", folder);
    return 0;
}

static int start_lanes(struct spool *spool, struct err *err)
{
    spool->publish = lane_new(&(struct lane_spec){
        .name = "spool-publish", .threads = 1, .run = run_publish, .context = spool});
    spool->remove = lane_new(&(struct lane_spec){.name = "spool-remove",
                                                 .threads = REMOVE_THREADS,
                                                 .batch_max = 1,
                                                 .run = run_remove,
                                                 .context = spool});
    if (spool->publish == NULL || spool->remove == NULL)
        return err_set(err, -E_SPOOL, "cannot start the threads of the spool");
    return 0;
}

int spool_lock(struct spool *spool, struct err *err)
{
    if (flock(spool->dir, LOCK_EX | LOCK_NB) == 0)
        return 1;
    if (errno == EWOULDBLOCK)
        return 0;
    return err_errno(err, -E_SPOOL, "lock the folder '%s'", spool->folder);
}

int spool_open(const char *folder, struct spool **ret, struct err *err)
{
    struct spool *spool = calloc(1, sizeof(*spool));
    int rc;

    if (spool == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    spool->dir = -1;
    rc = open_folder(spool, folder, err);
    if (rc == 0)
        rc = start_lanes(spool, err);
    if (rc < 0) {
        spool_free(spool);
        return rc;
    }
    *ret = spool;
    return 0;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    lane_free(spool->publish);
    lane_free(spool->remove);
    if (spool->dir >= 0)
        close(spool->dir);
    free(spool->folder);
    free(spool->temp_folder);
    free(spool);
}

const char *spool_folder(const struct spool *spool)
{
    return spool->folder;
}

const char *spool_temp_folder(const struct spool *spool)
{
    return spool->temp_folder;
}

/* ---- files ---- */

int spool_create(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    char name[NAME_CAP];
    int fd = -1;

    file_name(name, id, attempt, PART);
    if (!SEAM_FAILS("spool.create"))
        fd = openat(spool->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, -E_SPOOL, "create '%s'", name);
    return fd;
}

int spool_result(struct spool *spool, const struct guid *id, int attempt, int64_t *ret_bytes,
                 struct err *err)
{
    char name[NAME_CAP];
    struct stat st;
    int fd;

    file_name(name, id, attempt, PUBLISHED);
    fd = openat(spool->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno == ENOENT ? -E_NOT_FOUND : -E_SPOOL, "open '%s'", name);
    if (fstat(fd, &st) < 0) {
        int rc = err_errno(err, -E_SPOOL, "look at '%s'", name);

        close(fd);
        return rc;
    }
    *ret_bytes = st.st_size;
    return fd;
}

int64_t spool_free_bytes(const struct spool *spool)
{
    struct statvfs vfs;

    if (fstatvfs(spool->dir, &vfs) < 0)
        return -1;
    return (int64_t)(vfs.f_bavail * vfs.f_frsize);
}

static bool look_at(const struct spool *spool, const char *name, struct stat *st)
{
    return fstatat(spool->dir, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

int64_t spool_result_size(const struct spool *spool, const struct guid *id, int attempt)
{
    char name[NAME_CAP];
    struct stat st;

    file_name(name, id, attempt, PUBLISHED);
    return look_at(spool, name, &st) ? st.st_size : -1;
}

bool spool_has_part(const struct spool *spool, const struct guid *id, int attempt)
{
    char name[NAME_CAP];
    struct stat st;

    file_name(name, id, attempt, PART);
    return look_at(spool, name, &st);
}

/* ---- all files ---- */

/* What a folder's entry is to us; false: nothing. */
typedef bool parse_fn(const struct dirent *entry, struct spool_file *ret);

/* Exactly a name we make: ID.ATTEMPT and one of our suffixes. */
static bool parse_result(const struct dirent *entry, struct spool_file *ret)
{
    char id[GUID_TEXT], digits[12] = "", again[NAME_CAP];
    const char *name = entry->d_name;
    int64_t number;

    if (sscanf(name, "%36[0-9a-f-].%10[0-9].", id, digits) != 2 || !guid_parse(id, &ret->id) ||
        !str_to_int64(digits, &number) || number < 1 || number > INT32_MAX)
        return false;
    ret->name = name;
    ret->attempt = (int)number;
    ret->kind = str_eq(strrchr(name, '.') + 1, PART) ? SPOOL_PART : SPOOL_RESULT;
    file_name(again, &ret->id, ret->attempt, ret->kind == SPOOL_PART ? PART : PUBLISHED);
    return str_eq(again, name);
}

/* Databases name their temporary files as they like. */
static bool parse_temporary(const struct dirent *entry, struct spool_file *ret)
{
    *ret = (struct spool_file){.kind = SPOOL_TEMPORARY};
    return entry->d_type != DT_DIR;
}

static int64_t each_in(const char *folder, parse_fn *parse,
                       void (*each)(void *context, const struct spool_file *file), void *context,
                       struct err *err)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int64_t count = 0;

    if (dir == NULL)
        return err_errno(err, -E_SPOOL, "read the folder '%s'", folder);
    while ((entry = readdir(dir)) != NULL) {
        char name[sizeof(TEMP) + 1 + sizeof(entry->d_name)];
        struct spool_file file;

        if (!parse(entry, &file))
            continue;
        if (file.kind == SPOOL_TEMPORARY) {
            snprintf(name, sizeof(name), "%s/%s", TEMP, entry->d_name);
            file.name = name;
        }
        count++;
        each(context, &file);
    }
    closedir(dir);
    return count;
}

int64_t spool_each(const struct spool *spool,
                   void (*each)(void *context, const struct spool_file *file), void *context,
                   struct err *err)
{
    int64_t temporary = each_in(spool->temp_folder, parse_temporary, each, context, err);
    int64_t results;

    if (temporary < 0)
        return temporary;
    results = each_in(spool->folder, parse_result, each, context, err);
    return results < 0 ? results : temporary + results;
}

/* ---- sweep ---- */

struct sweep {
    const struct spool *spool;
    int (*keep)(void *context, const struct guid *id, int attempt);
    void *context;
    int64_t removed; /* or -E_SPOOL */
    struct err *err;
};

static void sweep_file(void *context, const struct spool_file *file)
{
    struct sweep *sweep = context;

    if (file->kind == SPOOL_RESULT && sweep->keep(sweep->context, &file->id, file->attempt))
        return;
    SEAM_STEP("spool", "sweep", "found");
    if (unlinkat(sweep->spool->dir, file->name, 0) < 0 && errno != ENOENT && errno != EISDIR) {
        sweep->removed = err_errno(sweep->err, -E_SPOOL, "remove '%s'", file->name);
    } else if (sweep->removed >= 0) {
        sweep->removed++;
        SEAM_STEP("spool", "sweep", "unlinked");
    }
}

int64_t spool_sweep(struct spool *spool,
                    int (*keep)(void *context, const struct guid *id, int attempt), void *context,
                    struct err *err)
{
    struct sweep sweep = {.spool = spool, .keep = keep, .context = context, .err = err};
    int64_t seen = spool_each(spool, sweep_file, &sweep, err);

    return seen < 0 ? seen : sweep.removed;
}
