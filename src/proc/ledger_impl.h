/* src/proc/ledger_impl.h -- the file of a deletion ledger: a head, then records of one length. Only
 * src/proc/ledger*.c includes this. */
#pragma once

#include "proc/ledger.h"

enum {
    LEDGER_KEY_BYTES = 32,
    LEDGER_HASH_BYTES = 16,
    LEDGER_CHECK_BYTES = 8,
    LEDGER_MAGIC_BYTES = 16,
};

/* Numbers are little-endian. The key is random and used for this file only: without a reference,
 * the file reveals only how many reports were deleted and when. Records are numbered, from `first`
 * on: a checksum (SipHash under that key) of the number and the record distinguishes a record in
 * its place from what a crash has left, and from one that was moved there. */
struct __attribute__((packed)) ledger_head {
    char magic[LEDGER_MAGIC_BYTES];
    uint8_t key[LEDGER_KEY_BYTES];
    int64_t since_ms;
    int64_t first;
    struct guid store; /* whose deletions these are */
    uint8_t unused[8];
    uint8_t check[LEDGER_CHECK_BYTES];
};
/* Format 1, which is rewritten when a server opens it: without the id of a store, and with records
 * without numbers. */
struct __attribute__((packed)) ledger_head_1 {
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
_Static_assert(sizeof(struct ledger_head) == 96 && sizeof(struct ledger_head_1) == 64 &&
                   sizeof(struct ledger_record) == 32,
               "the layout of every ledger");

/* ledger_file.c */
/* With a new key. */
void ledger_head_init(struct ledger_head *head, const struct guid *store, int64_t now_ms);
/* Of a rewrite: the first record that is kept, and from when on all are in it. Format 2. */
void ledger_head_set(struct ledger_head *head, int64_t first, int64_t since_ms);
bool ledger_head_is_old(const struct ledger_head *head); /* format 1: read, and appended to */
int64_t ledger_head_size(const struct ledger_head *head);
int64_t ledger_head_since(const struct ledger_head *head);
int64_t ledger_head_first(const struct ledger_head *head);
struct guid ledger_head_id(const struct ledger_head *head); /* does not reveal the key */
/* The number that a record at the end of a file has. */
int64_t ledger_number(const struct ledger_head *head, int64_t end);
/* Read and check; `path` is for the message. */
int ledger_head_read(int fd, const char *path, struct ledger_head *ret, struct err *err);
void ledger_hash(const struct ledger_head *head, const struct guid *id,
                 uint8_t out[LEDGER_HASH_BYTES]);
void ledger_record_init(const struct ledger_head *head, const struct guid *id, int64_t number,
                        int64_t now_ms, struct ledger_record *ret);
/* Give a record of format 1 its number. */
void ledger_record_number(const struct ledger_head *head, int64_t number,
                          struct ledger_record *record);
int64_t ledger_record_time(const struct ledger_record *record);

/* Every record in the order of the file, good or not; false: stop. */
typedef bool ledger_each_fn(void *context, const struct ledger_record *record, int64_t number,
                            bool good);
struct ledger_scan {
    int64_t end;    /* after the last good record */
    size_t damaged; /* before it */
    size_t behind;  /* bytes after it that are not a record: left by a crash, or damaged */
};
/* 0, or -1 with errno. */
int ledger_each(int fd, const struct ledger_head *head, ledger_each_fn *each, void *context,
                struct ledger_scan *ret);
