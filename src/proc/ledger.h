/* src/proc/ledger.h -- the deletion ledger: a file outside the store that remembers which reports
 * were deleted, so that a backup of the store that is restored does not bring them back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/work_queue.h"
#include "store/store.h"

struct ledger;

struct ledger_spec {
    const char *path;
    struct store *store; /* borrowed: whose deletions it has, and whose clock counts */
    int64_t horizon_ms;  /* older records are removed, at once and as long as it is open; 0: none */
    bool create;         /* make it if it is not there, and the store misses none of this node */
    bool give_up;        /* the one that the store knows is lost: make one, or go on with this */
};

/* Open the ledger and take its lock. A record that a crash has left torn at the end is cut off. The
 * store records which ledger it is, and how many records it has, before an operation is done. A
 * ledger is refused if it has fewer records than the store knows, belongs to another store, or is
 * not the one that the store knows in its place. -E_LEDGER, whose message names the path and what
 * to do. *ret is yours: ledger_free(). */
int ledger_open(const struct ledger_spec *spec, struct ledger **ret, struct err *err);
/* Waits for what is posted, then closes. NULL is fine. */
void ledger_free(struct ledger *ledger);

/* Remember deletions: as many as there are in one operation, and all operations that wait share one
 * fdatasync. Fill ids, count, done, owner; keep all of it until `done`. */
struct ledger_op {
    const struct guid *ids; /* borrowed */
    size_t count;
    void (*done)(struct ledger_op *op); /* called once, on the ledger's thread; must not block */
    void *owner;
    /* 0: durable, each of them; -E_LEDGER, -E_STORE: perhaps none, post it again later */
    int rc;
    struct err err;
    struct store_counted counted; /* out: for the DELETE_ROW of each of them */
    struct work_item item;        /* the ledger's */
};
void ledger_post(struct ledger *ledger, struct ledger_op *op); /* any thread */
/* Post and wait; returns op->rc. Without ids, the result says whether one could be recorded now.
 * For the command line and the health probe: `done` is not used. */
int ledger_run(struct ledger *ledger, struct ledger_op *op);

/* What a ledger that no server has open remembers. */
struct ledger_copy;
/* -E_NOT_FOUND: there is none; -E_BUSY: a server has it open; -E_LEDGER: it is not a ledger, or its
 * head is damaged. *ret is yours: ledger_copy_free(). */
int ledger_copy_new(const char *path, struct ledger_copy **ret, struct err *err);
void ledger_copy_free(struct ledger_copy *copy); /* NULL is fine */
bool ledger_copy_has(const struct ledger_copy *copy, const struct guid *id);
/* UTC: every deletion from then on is in it. */
int64_t ledger_copy_since_ms(const struct ledger_copy *copy);
/* Which ledger it is, whatever it is called, and whether this store's (true if it does not say). */
struct guid ledger_copy_id(const struct ledger_copy *copy);
bool ledger_copy_is_of(const struct ledger_copy *copy, const struct guid *store);
/* False: it does not name its store. */
bool ledger_copy_store(const struct ledger_copy *copy, struct guid *ret);
const char *ledger_copy_path(const struct ledger_copy *copy); /* where it is; the copy's */
/* The numbers of the first record that it still has, and of the next one it would get. */
int64_t ledger_copy_first(const struct ledger_copy *copy);
int64_t ledger_copy_records(const struct ledger_copy *copy);
/* Records that cannot be read: the medium has lost them; or, at its end, a power loss has left one
 * that was never answered, which cannot be distinguished. */
size_t ledger_copy_damaged(const struct ledger_copy *copy);
