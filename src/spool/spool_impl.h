/* src/spool/spool_impl.h -- what a backend implements. Only src/spool/ includes this. */
#pragma once

#include <stdatomic.h>

#include "base/str.h"
#include "base/thread.h"
#include "spool/spool.h"

/* A chunk in memory. */
struct spool_row {
    const char *data;
    size_t len;
    void *owner; /* the backend's, for `release` */
};

/* A backend. All but open and close may be called by several threads at the same time. */
struct spool_ops {
    bool in_database;
    size_t publish_batch; /* operations that `publish` is given at most; 0: all that wait */
    int publish_threads, remove_threads, fetch_threads;
    int (*open)(const struct spool_spec *spec, struct spool **ret, struct err *err);
    void (*close)(struct spool *spool);
    const char *(*place)(const struct spool *spool);
    const char *(*temp_folder)(const struct spool *spool);
    int (*lock)(struct spool *spool, struct err *err);
    int (*owner)(struct spool *spool, const struct guid *store, struct err *err); /* NULL: 1 */
    int (*own)(struct spool *spool, const struct guid *store, bool replace, struct err *err);
    int (*create)(struct spool *spool, const struct guid *id, int attempt, struct err *err);
    int (*forget)(struct spool *spool, const struct guid *id, int attempt,
                  struct err *err); /* NULL: the file has no name */
    /* Fills rc and err of each; does not call `done`. */
    void (*publish)(struct spool *spool, struct work_item *batch);
    int (*remove)(struct spool *spool, const struct spool_op *op, struct err *err);
    /* -E_NOT_FOUND, -E_SPOOL */
    int64_t (*size)(struct spool *spool, const struct guid *id, int attempt, struct err *err);
    bool (*has_part)(const struct spool *spool, const struct guid *id, int attempt);
    int64_t (*each)(struct spool *spool, spool_each_fn *each, void *context, struct err *err);
    /* Of these at least the ones that no report needs; NULL: as `each`. */
    int64_t (*each_idle)(struct spool *spool, spool_each_fn *each, void *context, struct err *err);
    /* Remove one that `each` has shown. */
    int (*drop)(struct spool *spool, const struct spool_file *file, struct err *err);
    int (*check)(struct spool *spool, bool try_it, struct err *err);
    /* As spool_copy(), both of this backend, and spool_sync(); NULL: it can't. */
    int (*copy)(struct spool *from, struct spool *to, const struct spool_file *file, int64_t bytes,
                struct err *err);
    int (*sync)(struct spool *spool, struct err *err);
    /* Either a descriptor of the result, which becomes the caller's (-E_NOT_FOUND, -E_SPOOL) … */
    int (*open_result)(struct spool *spool, const struct guid *id, int attempt, struct err *err);
    /* … or one chunk of it (-E_NOT_FOUND, -E_SPOOL), which is `release`d. */
    int (*fetch)(struct spool *spool, const struct spool_file *file, int32_t number,
                 struct spool_row *ret, struct err *err);
    void (*release)(struct spool_row *row);
};

/* The backend's, embedded first in its own struct. */
struct spool {
    const struct spool_ops *ops;
    /* the engine's */
    struct work_queue *publish, *remove, *fetch;
    atomic_int readers;         /* that fetch */
    _Atomic int64_t checked_us; /* clock_mono_us(): when the last check found it good; 0: bad */
};

extern const struct spool_ops spool_folder;
extern const struct spool_ops spool_postgres;

static inline struct spool_op *spool_op_of(struct work_item *item)
{
    return container_of(item, struct spool_op, item);
}

/* reader.c: run by the fetching threads. */
void spool_reader_run(void *context, struct work_item *batch);

/* Is the spool used by other nodes too? */
static inline bool spool_is_shared(const struct spool_spec *spec)
{
    return str_starts(spec->store, "postgres");
}

/* Names of files. */
enum { SPOOL_NAME_CAP = GUID_TEXT + 24 }; /* ID.ATTEMPT.json */
void spool_file_name(char out[SPOOL_NAME_CAP], const struct guid *id, int attempt,
                     enum spool_kind kind);

/* mark.c: the file that says whose results are in a folder; `path` is for the message. As
 * spool_owner() and spool_own(). */
int spool_mark_read(int dir, const char *path, const struct guid *store, struct err *err);
int spool_mark_write(int dir, const char *path, const struct guid *store, bool replace,
                     struct err *err);
void spool_mark_tidy(int dir); /* remove what a crash has left next to the mark */

/* temp.c: a folder where temporary files are, of this node alone. */
struct spool_temp {
    char *folder; /* absolute */
    int dir;
};
int spool_temp_open(struct spool_temp *temp, const char *folder, bool existing, struct err *err);
void spool_temp_close(struct spool_temp *temp);                      /* zeroed, or opened */
int spool_temp_lock(const struct spool_temp *temp, struct err *err); /* as spool_lock() */
int64_t spool_temp_each(const struct spool_temp *temp, spool_each_fn *each, void *context,
                        struct err *err);
int spool_temp_drop(const struct spool_temp *temp, const struct spool_file *file, struct err *err);
/* spool_check() of one folder, open as `dir`. */
int spool_dir_check(int dir, const char *path, bool try_it, struct err *err);
/* Make the folder if it is not there, unless it has to be (`existing`), and open it; `ret_path` is
 * its absolute path, yours. */
int spool_dir_open(const char *folder, bool existing, int *ret_dir, char **ret_path,
                   struct err *err);
