/* src/proc/ledger_copy.c -- what a deletion ledger remembers, in memory, for a restore. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "proc/ledger_impl.h"

struct ledger_copy {
    struct ledger_head head;
    uint8_t (*hashes)[LEDGER_HASH_BYTES]; /* in order */
    size_t count, cap;
    bool failed; /* no memory */
    size_t damaged;
    int64_t records; /* the number that the next one would have */
    char *path;
};

static int compare_hashes(const void *left, const void *right)
{
    return memcmp(left, right, LEDGER_HASH_BYTES);
}

static bool add_hash(void *context, const struct ledger_record *record, int64_t number, bool good)
{
    struct ledger_copy *copy = context;

    (void)number;
    if (!good)
        return true;
    copy->failed = !array_grow(&copy->hashes, copy->count, &copy->cap, LEDGER_HASH_BYTES);
    if (copy->failed)
        return false;
    memcpy(copy->hashes[copy->count++], record->hash, LEDGER_HASH_BYTES);
    return true;
}

static int read_all(int fd, const char *path, struct ledger_copy *copy, struct err *err)
{
    struct ledger_scan scan;
    int rc = ledger_head_read(fd, path, &copy->head, err);

    if (rc < 0)
        return rc;
    if (ledger_each(fd, &copy->head, add_hash, copy, &scan) < 0)
        return err_errno(err, -E_LEDGER, "read the deletion ledger '%s'", path);
    if (copy->failed)
        return err_set(err, -E_NOMEM, "out of memory");
    copy->damaged = scan.damaged + scan.behind;
    copy->records = ledger_number(&copy->head, scan.end);
    if (copy->count > 0)
        qsort(copy->hashes, copy->count, LEDGER_HASH_BYTES, compare_hashes);
    return 0;
}

int ledger_copy_new(const char *path, struct ledger_copy **ret, struct err *err)
{
    struct ledger_copy *copy;
    int fd, rc;

    if (sodium_init() < 0)
        return err_set(err, -E_CONFIG, "libsodium can't be used on this machine");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno == ENOENT ? -E_NOT_FOUND : -E_LEDGER,
                         "open the deletion ledger '%s'", path);
    copy = calloc(1, sizeof(*copy));
    if (copy != NULL)
        copy->path = strdup(path);
    if (copy == NULL || copy->path == NULL)
        rc = err_set(err, -E_NOMEM, "out of memory");
    else if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        rc = err_set(err, -E_BUSY,
                     "a reportd serve has the deletion ledger '%s' open; stop it first", path);
    else
        rc = read_all(fd, path, copy, err);
    close(fd);
    if (rc < 0) {
        ledger_copy_free(copy);
        return rc;
    }
    *ret = copy;
    return 0;
}

void ledger_copy_free(struct ledger_copy *copy)
{
    if (copy == NULL)
        return;
    free(copy->hashes);
    free(copy->path);
    free(copy);
}

bool ledger_copy_has(const struct ledger_copy *copy, const struct guid *id)
{
    uint8_t hash[LEDGER_HASH_BYTES];

    ledger_hash(&copy->head, id, hash);
    return copy->count > 0 &&
           bsearch(hash, copy->hashes, copy->count, LEDGER_HASH_BYTES, compare_hashes) != NULL;
}

int64_t ledger_copy_since_ms(const struct ledger_copy *copy)
{
    return ledger_head_since(&copy->head);
}

size_t ledger_copy_damaged(const struct ledger_copy *copy)
{
    return copy->damaged;
}

struct guid ledger_copy_id(const struct ledger_copy *copy)
{
    return ledger_head_id(&copy->head);
}

bool ledger_copy_is_of(const struct ledger_copy *copy, const struct guid *store)
{
    return ledger_head_is_old(&copy->head) || guid_eq(&copy->head.store, store);
}

int64_t ledger_copy_first(const struct ledger_copy *copy)
{
    return ledger_head_first(&copy->head);
}

int64_t ledger_copy_records(const struct ledger_copy *copy)
{
    return copy->records;
}

const char *ledger_copy_path(const struct ledger_copy *copy)
{
    return copy->path;
}

bool ledger_copy_store(const struct ledger_copy *copy, struct guid *ret)
{
    *ret = copy->head.store;
    return !ledger_head_is_old(&copy->head);
}
