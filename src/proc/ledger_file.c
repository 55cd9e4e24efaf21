/* src/proc/ledger_file.c -- makes and reads the head and the records of a deletion ledger. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "proc/ledger_impl.h"

enum { READ_AT_ONCE = 2048 }; /* number of records */

static const char magic_1[LEDGER_MAGIC_BYTES] = "reportd ledger1";
static const char magic[LEDGER_MAGIC_BYTES] = "reportd ledger2";

_Static_assert(LEDGER_KEY_BYTES == crypto_generichash_KEYBYTES &&
                   LEDGER_HASH_BYTES == crypto_generichash_BYTES_MIN &&
                   LEDGER_CHECK_BYTES == crypto_shorthash_BYTES &&
                   LEDGER_KEY_BYTES >= crypto_shorthash_KEYBYTES,
               "the layout is that of libsodium's hashes");

static void make_check(const struct ledger_head *head, const void *data, size_t len,
                       uint8_t out[LEDGER_CHECK_BYTES])
{
    crypto_shorthash(out, data, len, head->key);
}

/* The check of a record covers its number and the fields before the check. */
static void make_record_check(const struct ledger_head *head, int64_t number,
                              const struct ledger_record *record, uint8_t out[LEDGER_CHECK_BYTES])
{
    struct __attribute__((packed)) {
        uint64_t number;
        uint8_t record[offsetof(struct ledger_record, check)];
    } checked = {.number = htole64((uint64_t)number)};

    memcpy(checked.record, record, sizeof(checked.record));
    if (ledger_head_is_old(head))
        make_check(head, checked.record, sizeof(checked.record), out);
    else
        make_check(head, &checked, sizeof(checked), out);
}

/* ---- the head ---- */

void ledger_head_init(struct ledger_head *head, const struct guid *store, int64_t now_ms)
{
    *head = (struct ledger_head){.store = *store};
    randombytes_buf(head->key, sizeof(head->key));
    ledger_head_set(head, 0, now_ms);
}

void ledger_head_set(struct ledger_head *head, int64_t first, int64_t since_ms)
{
    memcpy(head->magic, magic, sizeof(magic));
    head->first = (int64_t)htole64((uint64_t)first);
    head->since_ms = (int64_t)htole64((uint64_t)since_ms);
    make_check(head, head, offsetof(struct ledger_head, check), head->check);
}

bool ledger_head_is_old(const struct ledger_head *head)
{
    return memcmp(head->magic, magic_1, sizeof(magic_1)) == 0;
}

int64_t ledger_head_size(const struct ledger_head *head)
{
    return ledger_head_is_old(head) ? sizeof(struct ledger_head_1) : sizeof(struct ledger_head);
}

int64_t ledger_head_since(const struct ledger_head *head)
{
    return (int64_t)le64toh((uint64_t)head->since_ms);
}

int64_t ledger_head_first(const struct ledger_head *head)
{
    return (int64_t)le64toh((uint64_t)head->first);
}

struct guid ledger_head_id(const struct ledger_head *head)
{
    struct guid id;

    crypto_generichash(id.bytes, GUID_BYTES, (const unsigned char *)magic, sizeof(magic), head->key,
                       LEDGER_KEY_BYTES);
    return id;
}

int64_t ledger_number(const struct ledger_head *head, int64_t end)
{
    return ledger_head_first(head) +
           (end - ledger_head_size(head)) / (int64_t)sizeof(struct ledger_record);
}

static bool take_old_head(const void *bytes, ssize_t len, struct ledger_head *ret)
{
    uint8_t check[LEDGER_CHECK_BYTES];
    struct ledger_head_1 old;

    if (len < (ssize_t)sizeof(old))
        return false;
    memcpy(&old, bytes, sizeof(old));
    *ret = (struct ledger_head){.since_ms = old.since_ms};
    memcpy(ret->magic, old.magic, sizeof(old.magic));
    memcpy(ret->key, old.key, sizeof(old.key));
    make_check(ret, &old, offsetof(struct ledger_head_1, check), check);
    return ledger_head_is_old(ret) && memcmp(check, old.check, sizeof(check)) == 0;
}

int ledger_head_read(int fd, const char *path, struct ledger_head *ret, struct err *err)
{
    uint8_t check[LEDGER_CHECK_BYTES];
    struct ledger_head head;
    ssize_t n = file_read_all(fd, &head, sizeof(head), 0);

    if (n < 0)
        return err_errno(err, -E_LEDGER, "read the deletion ledger '%s'", path);
    if (take_old_head(&head, n, ret))
        return 0;
    *ret = head;
    make_check(ret, ret, offsetof(struct ledger_head, check), check);
    if (n == sizeof(*ret) && memcmp(ret->magic, magic, sizeof(magic)) == 0 &&
        memcmp(check, ret->check, sizeof(check)) == 0)
        return 0;
    return err_set(err, -E_LEDGER,
                   "'%s' is not a deletion ledger, or its head is damaged: put back a copy of it; "
                   "if it is lost, move this one away and have another made with reportd fsck "
                   "--new-ledger (backups made before then are not restored without --resurrect)",
                   path);
}

/* ---- records ---- */

void ledger_hash(const struct ledger_head *head, const struct guid *id,
                 uint8_t out[LEDGER_HASH_BYTES])
{
    crypto_generichash(out, LEDGER_HASH_BYTES, id->bytes, GUID_BYTES, head->key, LEDGER_KEY_BYTES);
}

void ledger_record_init(const struct ledger_head *head, const struct guid *id, int64_t number,
                        int64_t now_ms, struct ledger_record *ret)
{
    ledger_hash(head, id, ret->hash);
    ret->time_ms = (int64_t)htole64((uint64_t)now_ms);
    ledger_record_number(head, number, ret);
}

void ledger_record_number(const struct ledger_head *head, int64_t number,
                          struct ledger_record *record)
{
    make_record_check(head, number, record, record->check);
}

int64_t ledger_record_time(const struct ledger_record *record)
{
    return (int64_t)le64toh((uint64_t)record->time_ms);
}

static bool is_good(const struct ledger_head *head, int64_t number,
                    const struct ledger_record *record)
{
    uint8_t check[LEDGER_CHECK_BYTES];

    make_record_check(head, number, record, check);
    return memcmp(check, record->check, sizeof(check)) == 0;
}

int ledger_each(int fd, const struct ledger_head *head, ledger_each_fn *each, void *context,
                struct ledger_scan *ret)
{
    struct ledger_record records[READ_AT_ONCE];
    int64_t at = ledger_head_size(head), number = ledger_head_first(head);
    size_t bad = 0;
    ssize_t n;

    *ret = (struct ledger_scan){.end = at};
    do {
        n = file_read_all(fd, records, sizeof(records), at);
        for (ssize_t i = 0; i < n / (ssize_t)sizeof(*records); i++, number++) {
            bool good = is_good(head, number, &records[i]);

            at += sizeof(*records);
            bad += !good;
            if (good)
                *ret = (struct ledger_scan){.end = at, .damaged = bad};
            if (!each(context, &records[i], number, good))
                return 0;
        }
    } while (n == sizeof(records));
    ret->behind = bad - ret->damaged + (n > 0 && n % (ssize_t)sizeof(*records) != 0);
    return n < 0 ? -1 : 0;
}

/* ---- a ledger in memory, for a restore ---- */

struct ledger_copy {
    struct ledger_head head;
    uint8_t (*hashes)[LEDGER_HASH_BYTES]; /* sorted */
    size_t count, cap;
    bool failed; /* out of memory */
    size_t damaged;
    int64_t records; /* the number of the next record */
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

static int read_ledger_copy(int fd, const char *path, struct ledger_copy *copy, struct err *err)
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
        rc = read_ledger_copy(fd, path, copy, err);
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
