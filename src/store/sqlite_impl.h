/* src/store/sqlite_impl.h -- what the files of the SQLite backend share: the connection, its
 * statements, the running reports. Only src/store/sqlite*.c includes this. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/thread.h"
#include "store/fair_queue.h"
#include "store/sqlite_statements.h"
#include "store/store_impl.h"

enum sqlite_statement {
#define X(name, sql) SQL_##name,
    SQLITE_STATEMENTS(X)
#undef X
        SQL_COUNT
};

enum {
    /* Marks the file as ours, so that another program's database is not taken for a store: "RPTD".
     */
    SQLITE_APPLICATION_ID = 0x52505444,
    SQLITE_BUSY_MS = 5000, /* how long to wait for another process that writes */
    SQLITE_PAGE = 4096,    /* bytes of a page */
    /* So many pages (137 GB) that the first byte of a page number is 0 or 1: see sqlite_scrub.c. */
    SQLITE_PAGES_MAX = 0x01ffffff,
    SQLITE_RESERVE_FILES = 2,
    SQLITE_RESERVE_BYTES = 512 * 1024, /* of each */
    SQLITE_FILES = 3,                  /* of a database: itself, -wal, -shm */
};

/* The numbered migrations: [0] makes schema 1. */
extern const char *const sqlite_migrations[];
extern const int sqlite_migration_count;

/* Which file it is, whatever its name is by now. */
struct sqlite_file_id {
    dev_t device;
    ino_t inode;
};

/* What all connections to one database share. Progress is kept here and not in the file: it is
 * worth nothing after a crash, since RECOVER starts the report again. */
struct sqlite_shared {
    char *path;
    int fd;     /* of the file; or -1 */
    bool alone; /* the file is this process's; other processes note whose reports they change */
    int reserve[SQLITE_RESERVE_FILES];         /* sqlite_reserve.c; -1: not there */
    char *names[SQLITE_FILES];                 /* of the place: sqlite_open.c */
    struct sqlite_file_id files[SQLITE_FILES]; /* … as they were opened */
    struct lock lock;                          /* guards the following */
    struct sqlite_running *running;            /* few: one per worker */
    struct fair_queue *queue;                  /* whose report is next */
    void *holders;                             /* who holds slots: see sqlite_active.c */
    struct sqlite_listener *listener;          /* NULL: not listening */
};

/* A slot that a transaction releases. */
struct sqlite_release {
    int64_t user_id, seq;
};

/* The name of a user: it never changes, and nobody else gets the number. */
struct sqlite_owner {
    int64_t user_id; /* 0: nobody's yet */
    char name[USER_NAME_MAX + 1];
};
enum { SQLITE_OWNERS = 64 };

struct sqlite_conn {
    struct store_conn base;
    sqlite3 *db;
    struct sqlite_shared *shared; /* the writer's: readers are closed before it */
    bool writes;
    sqlite3_stmt *statements[SQL_COUNT]; /* prepared at first use */
    /* of the writer */
    struct sqlite3_io_methods log_methods; /* sqlite_log.c: of the log's file */
    const struct sqlite3_io_methods *log_real;
    bool durable;          /* the transaction in progress */
    bool ending;           /* … and its last frame is being written */
    bool unsynced;         /* the log has a commit that was not synced */
    bool torn;             /* … and may never get to the disk: a sync has failed */
    int64_t pages;         /* of the database, whose blocks are in its file */
    int64_t pages_then;    /* … once the current transaction is committed */
    bool dropped;          /* deleted bytes may still be in the write-ahead log */
    bool full;             /* the last trouble was a full disk */
    bool whole;            /* the reserve was, when it was last looked at … */
    bool taken;            /* … and some of it was taken since, to be restored at once */
    int64_t checkpoint_ms; /* monotonic: of the last one */
    bool holders_stale;    /* they have to be read again */
    int64_t data_version;  /* of SQLite, when they were read: another process's commit changes it */
    struct sqlite_release *releases; /* of the current transaction */
    size_t release_count, release_cap;
    int64_t counts[REPORT_STATE_COUNT];        /* what the current transaction adds */
    struct sqlite_owner owners[SQLITE_OWNERS]; /* by user_id, of the latest changes of reports */
};

/* sqlite_open.c */
int sqlite_open(const struct store_spec *spec, const char *path, struct store_conn **ret,
                struct err *err);
int sqlite_open_reader(struct store_conn *like, struct store_conn **ret, struct err *err);
void sqlite_close(struct store_conn *conn);
/* -E_STORE: there are others in the places of the files that are open. */
int sqlite_place_check(const struct sqlite_shared *shared, struct err *err);

/* sqlite_backup.c */
int sqlite_backup(struct store_conn *conn, const char *path, const struct store_backup_watch *watch,
                  struct err *err);

/* sqlite_reserve.c: all of it is the writer's. Is it whole, so that more may be begun? */
bool sqlite_has_reserve(struct store_conn *conn);
void sqlite_reserve_open(struct sqlite_shared *shared); /* as it is, maybe not there */
void sqlite_reserve_close(struct sqlite_shared *shared);
/* As far as there is room for it; is it whole now? */
bool sqlite_reserve_make(struct sqlite_shared *shared);
/* How many of the files an operation may take. */
int sqlite_reserve_for(const struct store_op *op);
/* Give the blocks of one of the first `files` back to the disk; false: they have none left. */
bool sqlite_reserve_take(struct sqlite_shared *shared, int files);
/* Give back the files themselves, too: a start may need their inodes. */
bool sqlite_reserve_remove(struct sqlite_shared *shared);

/* sqlite_log.c: from now on each commit gives blocks to the pages it adds (SQLITE_FULL: there are
 * none) and syncs the log if `durable` says so. The log is open. Returns SQLite's code. */
int sqlite_log_watch(struct sqlite_conn *c);
/* Sync the commits that were not. */
int sqlite_log_sync(struct sqlite_conn *c, struct err *err);

/* sqlite_scrub.c: the name of the VFS that every connection uses. */
const char *sqlite_scrub_vfs(void);

/* sqlite_sql.c: one statement being run. Binding and reading never fail visibly: the first trouble
 * sticks, sql_next() is false from then on and sql_end() tells. Values bound and columns read are
 * borrowed until sql_end(). */
struct sql {
    struct sqlite_conn *conn;
    sqlite3_stmt *stmt; /* NULL: could not be prepared */
    int rc;             /* sticky: SQLITE_OK or the first trouble */
};

/* A statement with its values; sql_bind(): those of its parameters from `first` on. */
struct sql sql_start_values(struct store_conn *conn, enum sqlite_statement which,
                            const struct store_value *values);
#define sql_start(conn, which, ...) sql_start_values((conn), (which), VALUES(__VA_ARGS__))
void sql_bind(struct sql *q, int first, const struct store_value *values);
bool sql_next(struct sql *q); /* true: there is a row */

/* A text that was made for the statement; NULL: there was no memory for it. */
static inline struct store_value value_made(const char *text)
{
    return (struct store_value){.kind = VALUE_TEXT, .data = text, .len = -1};
}

int64_t sql_get_int(struct sql *q, int column);
bool sql_get_bool(struct sql *q, int column);
bool sql_is_null(struct sql *q, int column);
char *sql_get_text(struct sql *q, int column); /* yours to free(); NULL for SQL NULL */
void sql_get_name(struct sql *q, int column, char *out, size_t size); /* "" for SQL NULL */
void sql_get_blob(struct sql *q, int column, void *out, int len);     /* zeros unless `len` long */
void *sql_copy_blob(struct sql *q, int column, size_t *ret_len);      /* yours; NULL for SQL NULL */
struct guid sql_get_guid(struct sql *q, int column);

/* Reset the statement. 0, or -E_STORE with a message for people and SQLite's own in the detail. */
int sql_end(struct sql *q, struct err *err);
/* Run a statement whose rows nobody wants, to the end. */
int sql_run(struct sql *q, struct err *err);
int sql_run_values(struct store_conn *conn, struct err *err, enum sqlite_statement which,
                   const struct store_value *values);
#define sql_do(conn, err, which, ...) sql_run_values((conn), (err), (which), VALUES(__VA_ARGS__))
/* SQLite's trouble `rc` with this connection as an -E_STORE; `err` has -E_FULL if it is that. */
int sqlite_trouble(struct sqlite_conn *conn, int rc, struct err *err);
int sqlite_no_memory(struct err *err); /* -E_STORE */
/* The disk is, so far, too full for more than what frees space. */
int sqlite_full(struct err *err);
/* Is `rc`, which has just come from this connection, due to a full disk? */
bool sqlite_is_full(struct sqlite_conn *conn, int rc);
/* Unprepared text, any number of statements; `rc` of SQLite. */
int sqlite_exec(struct sqlite_conn *conn, const char *text);

/* A growing array for rows: room for element `count` of `size` bytes, zeroed; NULL: no memory, and
 * the query has failed. */
void *sql_grow(struct sql *q, void **array, size_t count, size_t size);

/* sqlite_running.c: the reports for which this process has a job, from the claim until the attempt
 * is over or the row is deleted, whatever its user may still do and whether it is deleted. The
 * queue counts them, too. Called in the writer's transaction; a start and an end take effect with
 * its commit. */
struct sqlite_running;
/* `source`: "": it is not known, or of no consequence. -E_STORE: no memory. */
int sqlite_running_start(struct store_conn *conn, const struct report *report, const char *source,
                         struct err *err);
void sqlite_running_end(struct store_conn *conn, const struct guid *id);
bool sqlite_running_has(struct store_conn *conn, const struct guid *id);
int64_t sqlite_running_on(struct store_conn *conn, const char *source); /* how many run there */
void sqlite_running_commit(struct sqlite_shared *shared);
/* After a rollback: only what the table knows runs; into a queue that counts nothing yet. */
int sqlite_running_read_again(struct store_conn *conn, struct fair_queue *queue, struct err *err);
/* What runs, with its source; freed by store_op_done(). */
int sqlite_running_list(struct store_conn *conn, struct store_overview *arg, struct err *err);
/* If that report runs: put its rows and bytes so far into it. */
void sqlite_running_read(struct store_conn *conn, struct report *report);
void sqlite_running_free(struct sqlite_shared *shared);

/* sqlite_counts.c: a report moves from a state to another; SQLITE_NOWHERE: it is new, or is gone
 * for good. */
enum { SQLITE_NOWHERE = -1 };
void sqlite_counts(struct store_conn *conn, int from, int to);
/* Write what the transaction has added; before the commit. */
int sqlite_counts_write(struct store_conn *conn, struct err *err);

/* sqlite_active.c: who holds slots. All but sqlite_active_list() are the writer's, inside a
 * transaction, which sqlite_active_begin() starts and sqlite_active_commit() ends; a rollback sets
 * `holders_stale`. */
int sqlite_active_begin(struct store_conn *conn, struct err *err);
void sqlite_active_commit(struct store_conn *conn);
int sqlite_active_count(struct store_conn *conn, int64_t user_id); /* slots that the user holds */
int sqlite_active_take(struct store_conn *conn, int64_t user_id, int64_t seq, struct err *err);
void sqlite_active_release(struct store_conn *conn, int64_t user_id, int64_t seq);
/* A JSON list of seqs that has all that hold a slot of this user's in whatever this connection
 * begins to read from now on; the query says which do. sqlite3_free() it; NULL: no memory. */
char *sqlite_active_list(struct store_conn *conn, int64_t user_id);
void sqlite_active_free(struct sqlite_conn *c); /* of the writer */
/* A limit of the user is another one now, or a report of the user's: for the process that has the
 * store, if that is not this one. */
int sqlite_active_changed(struct store_conn *conn, int64_t user_id, struct err *err);
/* How many of the user's reports may run has changed. */
int sqlite_queue_read_user(struct store_conn *conn, int64_t user_id, struct err *err);

/* The queue, which all connections share: only the writer changes it, for its transaction, and it
 * is read again after a rollback. `seq` moves from a state to another; -E_STORE: out of memory. */
struct sqlite_step {
    int64_t user_id, seq;
    int from, to; /* enum report_state, or SQLITE_NOWHERE */
};
int sqlite_queue_step(struct store_conn *conn, const struct sqlite_step *step, const char *name,
                      struct err *err);
int64_t sqlite_queue_position(struct store_conn *conn, int64_t user_id, int64_t seq);

/* sqlite_read.c: in the current transaction; -E_STORE if the store knows no such ledger. */
int sqlite_ledger_count(struct store_conn *conn, const struct store_counted *counted,
                        struct err *err);

/* sqlite_user.c: may the user run it now? -E_NOT_FOUND: there is no such user. */
int sqlite_may_run(struct store_conn *conn, int64_t user_id, const char *name, bool *ret,
                   struct err *err);

/* sqlite_listen.c */
int sqlite_subscribe(struct store_conn *conn, struct err *err);
void sqlite_unsubscribe(struct store_conn *conn);

/* sqlite_report.c: end what the user may not run any more, and count it. */
int sqlite_revoke(struct store_conn *conn, int64_t user_id, struct store_user_change *arg,
                  struct err *err);

/* sqlite_report.c: the queued report `seq` is the claimer's. */
int sqlite_take(struct store_conn *conn, int64_t seq, struct store_claim *arg, struct err *err);
/* A row that starts with SQLITE_REPORT_COLUMNS. */
void sqlite_read_report(struct sql *q, struct report *ret);
/* Read all rows, with the columns after theirs: none, the parameters, or these and the user's name;
 * store_op_done() frees *ret_reports. */
enum sqlite_with { SQLITE_ALONE, SQLITE_WITH_PARAMETERS, SQLITE_WITH_OWNER };
int sqlite_read_reports(struct sql *q, enum sqlite_with with, struct report **ret_reports,
                        size_t *ret_count, struct err *err);

/* The verbs. */
#define X(name, member, kind)                                                                      \
    int sqlite_##member(struct store_conn *conn, struct store_##member *arg, struct err *err);
STORE_VERBS(X)
#undef X
