/* src/store/sqlite_reserve.c -- disk blocks reserved for what must work while the disk is full: two
 * files beside the store, with no content.
 *
 * A change needs room in the write-ahead log before it frees any, and a start needs room for the
 * log's index. So when the disk is full, a deletion or the end of a report takes the blocks of
 * these files; right after it the log is emptied and the files are restored. Submits and claims are
 * refused until they are, so that nothing that never stops can use them up. A login makes the store
 * grow a little, so it may take only one of the files.
 *
 * The log can always be emptied, since blocks in the database are allocated for its pages before
 * they are committed (sqlite_log.c). */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/seam.h"
#include "store/sqlite_impl.h"

enum { PART_LEAST = 16 * 1024, /* bytes; not worth keeping below */ CHUNK = 16 * 1024 };

/* More reports than the reserve has room for would use it up in vain. */
static int reserve_for_many(size_t count)
{
    return count <= STORE_MANY_FULL ? SQLITE_RESERVE_FILES : 0;
}

/* The verbs that are not named here let the store grow a little, or not at all. */
int sqlite_reserve_for(const struct store_op *op)
{
    switch (op->verb) {
    case STORE_SUBMIT:
    case STORE_PROBE:
    case STORE_CLAIM:
    case STORE_USER_ADD:
    case STORE_ENROL:
        return 0;
    case STORE_TOMBSTONE:
    case STORE_DELETE_ROW:
    case STORE_LEDGER_NOTE: /* without it no row is dropped */
    case STORE_FINISH:
    case STORE_REQUEUE:
    case STORE_RECOVER:
    case STORE_SWEEP:
        return SQLITE_RESERVE_FILES;
    case STORE_TOMBSTONE_MANY:
        return reserve_for_many(op->tombstone_many.count);
    case STORE_DELETE_ROWS:
        return reserve_for_many(op->delete_rows.count);
    default:
        return 1;
    }
}

/* Size of the file in bytes; -1: it is not open, or was removed. */
static int64_t reserve_size(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0 ? st.st_size : -1;
}

static bool has_all_blocks(const struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++) {
        if (reserve_size(shared->reserve[i]) < SQLITE_RESERVE_BYTES)
            return false;
    }
    return true;
}

static void close_reserve(struct sqlite_shared *shared, int i)
{
    if (shared->reserve[i] >= 0)
        close(shared->reserve[i]);
    shared->reserve[i] = -1;
}

static void open_reserve(struct sqlite_shared *shared, int i, int flags)
{
    char *path;

    if (asprintf(&path, "%s-reserve%d", shared->path, i + 1) < 0)
        return;
    shared->reserve[i] = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    free(path);
}

void sqlite_reserve_open(struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++)
        open_reserve(shared, i, 0);
}

void sqlite_reserve_close(struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++)
        close_reserve(shared, i);
}

/* A file system without fallocate() has to be given bytes, which must not be compressible. */
static int write_blocks(int fd, int64_t from, int64_t size)
{
    unsigned char chunk[CHUNK];

    randombytes_buf(chunk, sizeof(chunk));
    for (int64_t at = from; at < size; at += CHUNK) {
        if (pwrite(fd, chunk, sizeof(chunk), at) != (ssize_t)sizeof(chunk))
            return -1;
    }
    return 0;
}

static bool take_blocks(int fd, int64_t size)
{
    if (SEAM_FAILS("store.reserve"))
        return false;
    if (fallocate(fd, 0, 0, size) == 0)
        return true;
    return errno == EOPNOTSUPP && write_blocks(fd, reserve_size(fd), size) == 0;
}

/* Make as much of one file as there is room for. */
static void make_part(struct sqlite_shared *shared, int i)
{
    int64_t have = reserve_size(shared->reserve[i]);

    if (have < 0) {
        close_reserve(shared, i);
        open_reserve(shared, i, O_CREAT);
        have = reserve_size(shared->reserve[i]);
    }
    for (int64_t size = SQLITE_RESERVE_BYTES; have >= 0 && size >= PART_LEAST && size > have;
         size /= 2) {
        if (take_blocks(shared->reserve[i], size))
            return;
    }
}

bool sqlite_reserve_make(struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++)
        make_part(shared, i);
    SEAM_STEP("store", "reserve", "made");
    return has_all_blocks(shared);
}

static bool is_removed(const struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++) {
        if (reserve_size(shared->reserve[i]) < 0)
            return true;
    }
    return false;
}

/* Another process may have taken the reserve, which sqlite_maintain() restores, or removed the
 * files, which nobody else would notice. */
bool sqlite_has_reserve(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    c->whole =
        has_all_blocks(c->shared) || (is_removed(c->shared) && sqlite_reserve_make(c->shared));
    return c->whole;
}

bool sqlite_reserve_take(struct sqlite_shared *shared, int files)
{
    for (int i = 0; i < files; i++) {
        if (reserve_size(shared->reserve[i]) > 0 && ftruncate(shared->reserve[i], 0) == 0) {
            SEAM_STEP("store", "reserve", "taken");
            return true;
        }
    }
    return false;
}

bool sqlite_reserve_remove(struct sqlite_shared *shared)
{
    bool removed = false;

    for (int i = 0; i < SQLITE_RESERVE_FILES; i++) {
        char *path;

        close_reserve(shared, i);
        if (asprintf(&path, "%s-reserve%d", shared->path, i + 1) < 0)
            continue;
        removed |= unlink(path) == 0;
        free(path);
    }
    return removed;
}
