/* src/proc/ledger_impl.h -- the file of a deletion ledger: a head, then records of one length. Only
 * src/proc/ledger*.c includes this. */
#ifndef PROC_LEDGER_IMPL_H
#define PROC_LEDGER_IMPL_H

#include "proc/ledger.h"

enum {
    LEDGER_KEY_BYTES = 32,
    LEDGER_HASH_BYTES = 16,
    LEDGER_CHECK_BYTES = 8,
    LEDGER_MAGIC_BYTES = 16,
};

/* Numbers are little-endian. The key is random and of this file alone: without a reference the file
 * says nothing but how many reports were deleted and when. A checksum (SipHash under that key)
 * tells a record from what a crash has left. */
struct __attribute__((packed)) ledger_head {
    char magic[LEDGER_MAGIC_BYTES];
    uint8_t key[LEDGER_KEY_BYTES];
    int64_t since_ms;
    uint8_t check[LEDGER_CHECK_BYTES];
};
struct __attribute__((packed)) ledger_record {
    uint8_t hash[LEDGER_HASH_BYTES]; /* keyed BLAKE2b of the reference's bytes */
    int64_t time_ms;
    uint8_t check[LEDGER_CHECK_BYTES];
};
_Static_assert(sizeof(struct ledger_head) == 64 && sizeof(struct ledger_record) == 32,
               "the layout of every ledger");

/* ledger_file.c */
void ledger_head_init(struct ledger_head *head, int64_t now_ms); /* with a new key */
void ledger_head_set_since(struct ledger_head *head, int64_t since_ms);
int64_t ledger_head_since(const struct ledger_head *head);
/* Read and check; `path` is for the words. */
int ledger_head_read(int fd, const char *path, struct ledger_head *ret, struct err *err);
void ledger_hash(const struct ledger_head *head, const struct guid *id,
                 uint8_t out[LEDGER_HASH_BYTES]);
void ledger_record_init(const struct ledger_head *head, const struct guid *id, int64_t now_ms,
                        struct ledger_record *ret);
int64_t ledger_record_time(const struct ledger_record *record);

/* Every record in the order of the file; false: stop. */
typedef bool ledger_each_fn(void *context, const struct ledger_record *record);
struct ledger_scan {
    int64_t end;    /* behind the last good record */
    size_t damaged; /* before it */
};
/* 0, or -1 with errno. */
int ledger_each(int fd, const struct ledger_head *head, ledger_each_fn *each, void *context,
                struct ledger_scan *ret);

#endif
