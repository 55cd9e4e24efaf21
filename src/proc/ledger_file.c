/* src/proc/ledger_file.c -- the head and the records of a deletion ledger, made and read. */
#include <endian.h>
#include <sodium.h>
#include <string.h>

#include "base/file.h"
#include "proc/ledger_impl.h"

enum { READ_AT_ONCE = 2048 }; /* records */

static const char magic[LEDGER_MAGIC_BYTES] = "reportd ledger1";

_Static_assert(LEDGER_KEY_BYTES == crypto_generichash_KEYBYTES &&
                   LEDGER_HASH_BYTES == crypto_generichash_BYTES_MIN &&
                   LEDGER_CHECK_BYTES == crypto_shorthash_BYTES &&
                   LEDGER_KEY_BYTES >= crypto_shorthash_KEYBYTES,
               "the layout is that of libsodium's hashes");

/* Of what stands before it. */
static void make_check(const struct ledger_head *head, const void *data, size_t len,
                       uint8_t out[LEDGER_CHECK_BYTES])
{
    crypto_shorthash(out, data, len, head->key);
}

void ledger_head_init(struct ledger_head *head, int64_t now_ms)
{
    memcpy(head->magic, magic, sizeof(magic));
    randombytes_buf(head->key, sizeof(head->key));
    ledger_head_set_since(head, now_ms);
}

void ledger_head_set_since(struct ledger_head *head, int64_t since_ms)
{
    head->since_ms = (int64_t)htole64((uint64_t)since_ms);
    make_check(head, head, offsetof(struct ledger_head, check), head->check);
}

int64_t ledger_head_since(const struct ledger_head *head)
{
    return (int64_t)le64toh((uint64_t)head->since_ms);
}

int ledger_head_read(int fd, const char *path, struct ledger_head *ret, struct err *err)
{
    uint8_t check[LEDGER_CHECK_BYTES];
    ssize_t n = file_read_all(fd, ret, sizeof(*ret), 0);

    if (n < 0)
        return err_errno(err, -E_LEDGER, "read the deletion ledger '%s'", path);
    make_check(ret, ret, offsetof(struct ledger_head, check), check);
    if (n == sizeof(*ret) && memcmp(ret->magic, magic, sizeof(magic)) == 0 &&
        memcmp(check, ret->check, sizeof(check)) == 0)
        return 0;
    return err_set(err, -E_LEDGER,
                   "'%s' is not a deletion ledger, or its head is damaged: put back a copy of it, "
                   "or name another file in deletion_ledger (a new one is made, and backups made "
                   "before then are not restored without --resurrect)",
                   path);
}

void ledger_hash(const struct ledger_head *head, const struct guid *id,
                 uint8_t out[LEDGER_HASH_BYTES])
{
    crypto_generichash(out, LEDGER_HASH_BYTES, id->bytes, GUID_BYTES, head->key, LEDGER_KEY_BYTES);
}

void ledger_record_init(const struct ledger_head *head, const struct guid *id, int64_t now_ms,
                        struct ledger_record *ret)
{
    ledger_hash(head, id, ret->hash);
    ret->time_ms = (int64_t)htole64((uint64_t)now_ms);
    make_check(head, ret, offsetof(struct ledger_record, check), ret->check);
}

int64_t ledger_record_time(const struct ledger_record *record)
{
    return (int64_t)le64toh((uint64_t)record->time_ms);
}

static bool is_good(const struct ledger_head *head, const struct ledger_record *record)
{
    uint8_t check[LEDGER_CHECK_BYTES];

    make_check(head, record, offsetof(struct ledger_record, check), check);
    return memcmp(check, record->check, sizeof(check)) == 0;
}

int ledger_each(int fd, const struct ledger_head *head, ledger_each_fn *each, void *context,
                struct ledger_scan *ret)
{
    struct ledger_record records[READ_AT_ONCE];
    int64_t at = sizeof(*head);
    size_t bad = 0;
    ssize_t n;

    *ret = (struct ledger_scan){.end = at};
    do {
        n = file_read_all(fd, records, sizeof(records), at);
        for (ssize_t i = 0; i < n / (ssize_t)sizeof(*records); i++) {
            at += sizeof(*records);
            if (!is_good(head, &records[i])) {
                bad++;
                continue;
            }
            *ret = (struct ledger_scan){.end = at, .damaged = bad};
            if (!each(context, &records[i]))
                return 0;
        }
    } while (n == sizeof(records));
    return n < 0 ? -1 : 0;
}
