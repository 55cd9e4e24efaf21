/* src/spool/spool.h -- results: written by one worker, published as a whole, read by any node. One
 * interface over files in a folder and chunks in a table of PostgreSQL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/work_queue.h"
#include "core/report.h"
#include "spool/pack.h"
#include "spool/seal.h"

struct spool;

struct spool_spec {
    const char *place; /* a folder, or "postgresql": the database of the store */
    const char *store; /* the store's URL. If other nodes use it too, they use the spool as well */
    const char *temp;  /* if others use it: a folder of this node alone */
    bool existing;     /* make no folder: it is an error if one is not there */
};

/* Open, making folders (mode 0700) that are not there; a database is first asked when it is needed.
 * -E_CONFIG: "postgresql" without such a store. *ret is yours: spool_free(). */
int spool_open(const struct spool_spec *spec, struct spool **ret, struct err *err);
void spool_free(struct spool *spool); /* runs what is posted to the end; NULL is fine */
const char *spool_place(const struct spool *spool);   /* a folder's path, or "postgresql" */
bool spool_is_in_database(const struct spool *spool); /* where everything has to be encrypted */
/* A folder of this node, made by spool_open(), where a database may spill its sorts. */
const char *spool_temp_folder(const struct spool *spool);

/* Make this process the only one that may remove what it has not made itself: from the folder, or,
 * if other nodes use it too, from the temporary folder. 1. 0: another process, a server or an
 * audit, is it already. -E_SPOOL. Ends with spool_free(). */
int spool_lock(struct spool *spool, struct err *err);

/* Whose results are there? A file in the folder, SPOOL_MARK, has the id of the store. 1: of
 * `store`; 0: it is not there; -E_SPOOL: it names another store, with a message that says what to
 * do, or cannot be read. A database needs none: 1. Once it is known, spool_check() looks that it
 * stays so.
 */
#define SPOOL_MARK "store.id"
int spool_owner(struct spool *spool, const struct guid *store, struct err *err);
/* Write that file, durably. `replace`: in place of another store's; else -E_SPOOL if one was made
 * meanwhile, and -E_FULL if there is no room for it: then it is made as soon as a spool_check()
 * that tries, or a PUBLISH, finds that there is. */
int spool_own(struct spool *spool, const struct guid *store, bool replace, struct err *err);

/* Begin the result of (id, attempt), over if there was a try before: a descriptor to write to that
 * is yours, close-on-exec, or -E_SPOOL. Keep it until it is published. */
int spool_create(struct spool *spool, const struct guid *id, int attempt, struct err *err);

/* Remove the file of spool_create() that has not been published, and whose bytes were not synced:
 * so it waits for no disk, no more than spool_create() does. -E_SPOOL. */
int spool_forget(struct spool *spool, const struct guid *id, int attempt, struct err *err);

/* The size of what is published of (id, attempt), encrypted if it is; -E_NOT_FOUND or -E_SPOOL. */
int64_t spool_result_size(struct spool *spool, const struct guid *id, int attempt, struct err *err);
/* Is there, to be seen by any process, what a worker writes? Always so in a folder. */
bool spool_has_part(const struct spool *spool, const struct guid *id, int attempt);

/* A file, or the chunks of a result, that reportd, or a database for it, has made. */
enum spool_kind { SPOOL_PART, SPOOL_RESULT, SPOOL_TEMPORARY };
struct spool_file {
    const char
        *name; /* ID.ATTEMPT.json, ID.ATTEMPT.part, "temp/NAME" for temporary ones; borrowed */
    enum spool_kind kind;
    struct guid id; /* not for a temporary one, as is `attempt` */
    int attempt;
};
typedef void spool_each_fn(void *context, const struct spool_file *file);
/* Call `each` for every such file, in no particular order: how many, or -E_SPOOL. */
int64_t spool_each(struct spool *spool, spool_each_fn *each, void *context, struct err *err);

/* Remove, at start, what no report needs: all temporary files, and of the others those that `keep`
 * does not want. Returns how many were removed, or -E_SPOOL. */
int64_t spool_sweep(struct spool *spool, int (*keep)(void *context, const struct spool_file *file),
                    void *context, struct err *err);

/* Could a report be generated now? -E_FULL: there is no room to begin one; -E_SPOOL, with the
 * reason for the log: a folder of this node is missing, another one has taken its place, or it
 * cannot be written to. `try_it`: a file is written, too, that nobody ever sees; without it the
 * answer may be a millisecond old. */
int spool_check(struct spool *spool, bool try_it, struct err *err);

/* ---- reading ---- */

/* A published result. What has to be fetched from a database is fetched by the spool's own threads,
 * and at most SPOOL_ROW_BYTES of it are in memory. */
struct spool_reader;
enum {
    SPOOL_ROW_BYTES = SEAL_SEGMENT_BYTES, /* of a chunk in a table: with any byte all its segment */
    SPOOL_READERS_MAX = 256,              /* at the same time, of such */
};

/* Open the result of a complete report, with its key if it is encrypted. -E_NOT_FOUND: a folder has
 * it not; -E_BUSY: too many are read. *ret is yours: spool_reader_free(). */
int spool_reader_new(struct spool *spool, const struct report *report, struct spool_reader **ret,
                     struct err *err);
/* The same for a result from its row: `bytes` as a file would have them, from malloc(), which the
 * reader takes over in any case; NULL: -E_NOT_FOUND. -E_INTERNAL: they are not what was written. */
int spool_reader_of_bytes(const struct report *report, void *bytes, size_t len,
                          struct spool_reader **ret, struct err *err);
void spool_reader_free(struct spool_reader *reader); /* NULL is fine; not while it fetches */
int64_t spool_reader_size(const struct spool_reader *reader); /* of the result: the JSON */
int64_t spool_reader_end(const struct spool_reader *reader);  /* of its footer (core/footer.h) */
/* Of a result that is stored compressed: its frames, which the reader has from spool_reader_size()
 * on, once a byte of those places is ready. As spool_reader_read(). */
int spool_reader_frames(struct spool_reader *reader, struct pack_frames *ret, struct err *err);
/* If the bytes from this place on are those of a file: its descriptor is yours, *at their place in
 * it, and the reader freed. -1: they are not, and the reader is as it was. */
int spool_reader_take_fd(struct spool_reader *reader, int64_t *at);
/* Can the byte at this place be read without waiting? */
bool spool_reader_is_ready(const struct spool_reader *reader, int64_t at);
/* Make it so. `done` is called once, on a thread of the spool, and must not block; from then on the
 * reader may be freed. What went wrong is what the next read answers. */
void spool_reader_fetch(struct spool_reader *reader, int64_t at, void (*done)(void *owner),
                        void *owner);
/* Up to `max` bytes from a place that is ready: how many (0 only at the end). -E_NOT_FOUND: the
 * result is not there, or not any more; -E_INTERNAL: it is not what was written; -E_SPOOL. */
ssize_t spool_reader_read(struct spool_reader *reader, int64_t at, void *out, size_t max,
                          struct err *err);
/* Read on until `len` bytes are there, by a function as spool_reader_read(): 0, or what that says;
 * -E_INTERNAL: there are fewer. */
typedef ssize_t spool_read_fn(void *context, int64_t at, void *out, size_t max, struct err *err);
int spool_read_all(spool_read_fn *read, void *context, int64_t at, void *out, size_t len,
                   struct err *err);

/* ---- publishing and removing ---- */

enum { SPOOL_REFS_MAX = 1024 };
enum spool_verb { SPOOL_PUBLISH, SPOOL_DISCARD, SPOOL_REMOVE };

struct spool_ref {
    struct guid id;
    int attempt;
    bool left; /* out: it could not be removed */
};

/* One operation, done off the caller's thread.
 *   PUBLISH  makes the fsynced bytes of (id, attempt) its result, durably.
 *   DISCARD  removes what there is of attempts 1 … attempt, published or not; what is already gone
 *            is no error. For a report that lives on.
 *   REMOVE   the same before the report's row is dropped: a few chunks in the row's own database
 *            are left to go with it, in one transaction. */
struct spool_op {
    enum spool_verb verb;
    struct guid id;
    int attempt;
    /* REMOVE: instead of `id` and `attempt`, all of these; borrowed until `done`. */
    struct spool_ref *refs;
    size_t count;                      /* at most SPOOL_REFS_MAX */
    int fd;                            /* PUBLISH: of spool_create(); stays yours */
    void (*done)(struct spool_op *op); /* called once, on a spool thread; must not block */
    void *owner;
    int rc;
    struct err err;
    struct work_item item; /* the spool's, as is `posted` */
    bool posted;           /* and not yet answered */
};
void spool_post(struct spool *spool, struct spool_op *op);
/* Run it and wait; returns op->rc. */
int spool_run(struct spool *spool, struct spool_op *op);

/* ---- copying, between folders ---- */

/* Copy what is published of (id, attempt), `bytes` long as it is stored, encrypted or not.
 * -E_NOT_FOUND: it is not there, or not whole; -E_SPOOL. Durable after spool_sync(). */
int spool_copy(struct spool *from, struct spool *to, const struct guid *id, int attempt,
               int64_t bytes, struct err *err);
int spool_sync(struct spool *spool, struct err *err);
