/* src/spool/spool.h -- result files: ID.ATTEMPT.part while written, ID.ATTEMPT.json once published.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/lane.h"

struct spool;

/* Open the folder, making it (mode 0700) if there is none. *ret is yours: spool_free(). */
int spool_open(const char *folder, struct spool **ret, struct err *err);
void spool_free(struct spool *spool); /* runs what is posted to the end; NULL is fine */
const char *spool_folder(const struct spool *spool);
/* A folder in it, made by spool_open(), where a database may spill its sorts. */
const char *spool_temp_folder(const struct spool *spool);

/* Make this process the only one that may remove what it has not made itself: 1. 0: another process
 * has the folder, a server or an audit. -E_SPOOL. Ends with spool_free(). */
int spool_lock(struct spool *spool, struct err *err);

/* Create the .part file (truncating what an earlier try left): a descriptor that is yours,
 * close-on-exec, or -E_SPOOL. */
int spool_create(struct spool *spool, const struct guid *id, int attempt, struct err *err);

/* Open a published result for reading: a descriptor that is yours, or -E_SPOOL (-E_NOT_FOUND if
 * it is not there). *ret_bytes is its size. */
int spool_result(struct spool *spool, const struct guid *id, int attempt, int64_t *ret_bytes,
                 struct err *err);

/* The size of the published file of (id, attempt), or -1: it is not there. */
int64_t spool_result_size(const struct spool *spool, const struct guid *id, int attempt);
bool spool_has_part(const struct spool *spool, const struct guid *id, int attempt);

/* A file that reportd, or a database for it, has made. */
enum spool_kind { SPOOL_PART, SPOOL_RESULT, SPOOL_TEMPORARY };
struct spool_file {
    const char *name; /* in the folder, "temp/NAME" for a temporary one; borrowed */
    enum spool_kind kind;
    struct guid id; /* but for a temporary one, as is `attempt` */
    int attempt;
};
/* Call `each` for every such file, in no order: how many, or -E_SPOOL. */
int64_t spool_each(const struct spool *spool,
                   void (*each)(void *context, const struct spool_file *file), void *context,
                   struct err *err);

/* Remove every file that is no published result, at start, before any worker runs: .part files and
 * temporary ones. `keep` says whether the published file of (id, attempt) still has its row;
 * returns how many were removed, or -E_SPOOL. */
int64_t spool_sweep(struct spool *spool,
                    int (*keep)(void *context, const struct guid *id, int attempt), void *context,
                    struct err *err);

/* Free bytes on the spool's file system, or -1. */
int64_t spool_free_bytes(const struct spool *spool);

enum spool_verb { SPOOL_PUBLISH, SPOOL_REMOVE };

/* One operation on files, done off the caller's thread. PUBLISH renames the fsynced .part of
 * (id, attempt) and fsyncs the folder, sharing that fsync with others. REMOVE unlinks what there
 * is of attempts 1 … attempt, published or not; what is already gone is no error. */
struct spool_op {
    enum spool_verb verb;
    struct guid id;
    int attempt;
    void (*done)(struct spool_op *op); /* called once, on a spool thread; must not block */
    void *owner;
    int rc;
    struct err err;
    struct lane_item item; /* the spool's */
};
void spool_post(struct spool *spool, struct spool_op *op);

#endif
