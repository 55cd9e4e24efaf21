/* src/proc/ledger.c -- a server's deletion ledger: appends that share an fdatasync, and the removal
 * of old records. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/thread.h"
#include "proc/ledger_impl.h"
#include "proc/recovery.h"

enum {
    RECORDS_AT_ONCE = 1024,   /* per write */
    RESERVE = 64 * 1024,      /* bytes allocated ahead: deletions continue while the disk is full */
    HORIZON_PARTS = 30,       /* the file is rewritten when a 30th of it is too old, … */
    LOOK_MS = 10 * 60 * 1000, /* … which is checked this often */
};

static struct log_trouble expire_trouble = LOG_TROUBLE("ledger.expire");
static struct log_trouble record_trouble = LOG_TROUBLE("ledger.note");

/* Everything except `work_queue` and `path` belongs to the one thread of the work queue. */
struct ledger {
    struct work_queue *work_queue;
    struct store *store;
    char *path;
    char *temp;         /* beside `path`: the next ledger while it is being written */
    bool give_up;       /* give up the ledgers that the store knows in its place */
    int64_t horizon_ms; /* 0: records are kept forever */
    int fd;             /* locked */
    struct ledger_head head;
    int64_t end;              /* end of what is durable */
    int64_t reserved;         /* allocated up to here */
    int64_t oldest_ms;        /* time of the first record; 0: there is none */
    int64_t look_ms;          /* monotonic: when to check for old records again */
    bool renamed;             /* the folder has not been fsynced since */
    struct ledger_op first;   /* posted only to have the thread check for old records */
    struct store_ledger note; /* last sent to the store, not counting DELETE_ROW */
    struct ledger_record records[RECORDS_AT_ONCE];
};

static struct ledger_op *op_of(struct work_item *item)
{
    return container_of(item, struct ledger_op, item);
}

/* ---- appending ---- */

static int unwritable(const struct ledger *ledger, const char *what, struct err *err)
{
    int saved = errno;

    err_set(err, -E_LEDGER,
            "The report can no longer be read, but its deletion is not yet recorded: it will be "
            "finished once the operator's deletion ledger can be written.");
    return err_detail(err, "%s '%s': %s", what, ledger->path, strerror(saved));
}

/* If the file was moved or replaced, what is written to the open one would never be read. If it was
 * cut, what followed `end` is gone, and a write would leave a hole. */
static bool ledger_is_in_place(const struct ledger *ledger)
{
    struct stat named, open;

    if (stat(ledger->path, &named) < 0 || fstat(ledger->fd, &open) < 0)
        return false;
    if (named.st_dev == open.st_dev && named.st_ino == open.st_ino && open.st_size >= ledger->end)
        return true;
    errno = ESTALE;
    return false;
}

static int misplaced(const struct ledger *ledger, struct err *err)
{
    return unwritable(ledger,
                      "removed, cut off or replaced while the server runs; put it back, or "
                      "restart the server:",
                      err);
}

/* A file system that does not support this causes trouble only once it is full. */
static void reserve_ahead(struct ledger *ledger)
{
    const int64_t ahead = INT64_C(2) * RESERVE;

    if (ledger->reserved - ledger->end >= RESERVE)
        return;
    if (fallocate(ledger->fd, FALLOC_FL_KEEP_SIZE, ledger->end, ahead) == 0)
        ledger->reserved = ledger->end + ahead;
}

static int write_records(struct ledger *ledger, size_t count, int64_t *at)
{
    size_t len = count * sizeof(ledger->records[0]);

    if (count == 0)
        return 0;
    if (SEAM_FAILS("ledger.write") || file_write_all(ledger->fd, ledger->records, len, *at) < 0)
        return -1;
    *at += (int64_t)len;
    return 0;
}

/* Write the records of a batch, from `end` on; what an earlier try left there is overwritten. */
static int write_batch(struct ledger *ledger, struct work_item *batch, int64_t now_ms,
                       int64_t *ret_end)
{
    size_t filled = 0;

    *ret_end = ledger->end;
    for (struct work_item *item = batch; item != NULL; item = item->next) {
        const struct ledger_op *op = op_of(item);

        for (size_t i = 0; i < op->count; i++) {
            int64_t number = ledger_number(&ledger->head, *ret_end) + (int64_t)filled;

            ledger_record_init(&ledger->head, &op->ids[i], number, now_ms,
                               &ledger->records[filled++]);
            if (filled < RECORDS_AT_ONCE)
                continue;
            if (write_records(ledger, filled, ret_end) < 0)
                return -1;
            filled = 0;
        }
    }
    return write_records(ledger, filled, ret_end);
}

/* Until the folder is fsynced after a rewrite, a power loss may bring back the old file, without
 * the new records. */
static int sync_name(struct ledger *ledger)
{
    if (ledger->renamed && file_sync_folder_of(ledger->path) < 0)
        return -1;
    ledger->renamed = false;
    return 0;
}

/* Could a record be written now? */
static int check_writable(struct ledger *ledger, struct err *err)
{
    struct statvfs vfs;

    if (access(ledger->path, W_OK) < 0)
        return unwritable(ledger, "not to be written:", err);
    reserve_ahead(ledger);
    if (ledger->reserved - ledger->end >= (int64_t)sizeof(struct ledger_record) ||
        fstatvfs(ledger->fd, &vfs) < 0 || vfs.f_bavail > 0)
        return 0;
    errno = ENOSPC;
    return unwritable(ledger, "write", err);
}

/* ---- what the store knows about it ---- */

static int64_t forget_ms(const struct ledger *ledger)
{
    return ledger->horizon_ms == 0 ? 0 : store_now_ms(ledger->store) - ledger->horizon_ms;
}

/* Tell the store how many records there are. */
static int record_now(struct ledger *ledger, struct err *err)
{
    struct store_ledger note = ledger->note;
    struct store_op op = {.verb = STORE_LEDGER_NOTE, .ledger_note = {&note, forget_ms(ledger)}};
    int rc;

    note.records = ledger_number(&ledger->head, ledger->end);
    rc = store_ask(ledger->store, &op, err);
    if (rc >= 0)
        ledger->note.records = note.records;
    return rc;
}

/* The store learns of a record together with the end of its row (DELETE_ROW). So its count covers
 * each deletion that has left no tombstone, and no crash or power loss undoes only the count. */
static int append_records(struct ledger *ledger, struct work_item *batch, struct err *err)
{
    int64_t now_ms = store_now_ms(ledger->store), end;

    if (!ledger_is_in_place(ledger)) /* before a write hides that it was cut */
        return misplaced(ledger, err);
    if (write_batch(ledger, batch, now_ms, &end) < 0)
        return unwritable(ledger, "write", err);
    if (end == ledger->end)
        return check_writable(ledger, err);
    SEAM_STEP("ledger", "append", "written");
    if (SEAM_FAILS("ledger.fdatasync") || fdatasync(ledger->fd) < 0 || sync_name(ledger) < 0)
        return unwritable(ledger, "fsync", err);
    if (!ledger_is_in_place(ledger))
        return misplaced(ledger, err);
    SEAM_STEP("ledger", "append", "synced");
    ledger->end = end;
    if (ledger->oldest_ms == 0)
        ledger->oldest_ms = now_ms;
    reserve_ahead(ledger);
    return 0; /* DELETE_ROW tells the store */
}

static void record_batch(void *context, struct work_item *batch)
{
    struct ledger *ledger = context;
    struct err err = {0};
    int rc = append_records(ledger, batch, &err);
    const struct store_counted counted = {ledger->note.id,
                                          ledger_number(&ledger->head, ledger->end)};

    while (batch != NULL) {
        struct ledger_op *op = op_of(batch);

        batch = batch->next; /* after `done`, the op belongs to its owner */
        op->counted = counted;
        op->rc = rc;
        op->err = err;
        op->done(op);
    }
}

void ledger_post(struct ledger *ledger, struct ledger_op *op)
{
    work_queue_push(ledger->work_queue, &op->item); /* it has no queue_max, so it accepts
                                                     * everything */
}

static void op_done(struct ledger_op *op)
{
    latch_count_down(op->owner);
}

int ledger_run(struct ledger *ledger, struct ledger_op *op)
{
    struct latch latch = LATCH_OF(1);

    op->done = op_done;
    op->owner = &latch;
    ledger_post(ledger, op);
    latch_wait(&latch);
    return op->rc;
}

/* ---- opening ---- */

#define IF_LOST                                                                                    \
    "If it is lost for good, have another made with reportd fsck --new-ledger: backups made "      \
    "before then are not restored without --resurrect"

/* The ledger that this node has lost if it opens the one that `note` names (or none). An embedded
 * store has one server. In a shared one, other nodes may have the same path on another machine of
 * the same name. Format 1 does not contain the store's id: if another ledger is in use, the file
 * belongs to another store. */
static const struct store_ledger *find_missed(const struct ledger *ledger,
                                              const struct store_ledgers *known)
{
    const struct store_ledger *missed = NULL;

    for (size_t i = 0; i < known->count; i++) {
        const struct store_ledger *one = &known->items[i];

        if (one->given_up_ms != 0)
            continue;
        if (guid_eq(&one->id, &ledger->note.id))
            return NULL;
        if (!store_is_shared(ledger->store) || strcmp(one->place, ledger->note.place) == 0)
            missed = one;
    }
    return missed;
}

static int lock_file(int fd, const char *path, struct err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_errno(err, -E_LEDGER, "lock the deletion ledger '%s'", path);
    return err_set(err, -E_LEDGER,
                   "the deletion ledger '%s' is in use by another process; each node needs a "
                   "deletion_ledger of its own",
                   path);
}

/* The empty, locked file that becomes the next ledger. */
static int open_ledger_temp(const struct ledger *ledger, int *ret_fd, struct err *err)
{
    int fd = open(ledger->temp, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return err_errno(err, -E_LEDGER, "make the deletion ledger '%s'", ledger->temp);
    rc = lock_file(fd, ledger->temp, err);
    if (rc == 0 && ftruncate(fd, 0) < 0)
        rc = err_errno(err, -E_LEDGER, "make the deletion ledger '%s'", ledger->temp);
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

/* link() and not rename(), which would replace a ledger that another process has made meanwhile. */
static int make_ledger_file(struct ledger *ledger, struct err *err)
{
    struct ledger_head head;
    struct guid store;
    int fd = -1, rc = recovery_identity(ledger->store, &store, err);

    if (rc == 0)
        rc = open_ledger_temp(ledger, &fd, err);
    if (rc < 0)
        return rc;
    ledger_head_init(&head, &store, store_now_ms(ledger->store));
    SEAM_STEP("ledger", "make", "opened");
    if (file_write_all(fd, &head, sizeof(head), 0) < 0 || fsync(fd) < 0 ||
        (link(ledger->temp, ledger->path) < 0 && errno != EEXIST) ||
        file_sync_folder_of(ledger->path) < 0)
        rc = err_errno(err, -E_LEDGER, "make the deletion ledger '%s'", ledger->path);
    SEAM_STEP("ledger", "make", "linked");
    unlink(ledger->temp);
    close(fd);
    return rc;
}

static bool record_oldest(void *context, const struct ledger_record *record, int64_t number,
                          bool good)
{
    struct ledger *ledger = context;

    (void)number;
    if (good && ledger->oldest_ms == 0)
        ledger->oldest_ms = ledger_record_time(record);
    return true;
}

/* The next record is written after the last good one; anything that a crash has left there is cut
 * off. */
static int read_open_ledger(struct ledger *ledger, struct err *err)
{
    struct ledger_scan scan;
    struct stat st;
    int rc = ledger_head_read(ledger->fd, ledger->path, &ledger->head, err);

    if (rc < 0)
        return rc;
    if (ledger_each(ledger->fd, &ledger->head, record_oldest, ledger, &scan) < 0 ||
        fstat(ledger->fd, &st) < 0)
        return err_errno(err, -E_LEDGER, "read the deletion ledger '%s'", ledger->path);
    if (scan.damaged > 0)
        log_error("ledger.damaged", "path=%s records=%zu", ledger->path, scan.damaged);
    if (st.st_size > scan.end) {
        log_warn("ledger.cut", "path=%s bytes=%ld", ledger->path, (long)(st.st_size - scan.end));
        if (ftruncate(ledger->fd, scan.end) < 0)
            return err_errno(err, -E_LEDGER, "cut the deletion ledger '%s'", ledger->path);
    }
    ledger->end = scan.end;
    return 0;
}

/* The disk of the ledger may not be mounted: a new ledger in its place would not know the deletions
 * of the old one, nor the old one its own. */
static int check_never_made(const struct ledger *ledger, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    const struct store_ledger *missed;
    int rc = store_ask(ledger->store, &op, err);

    missed = find_missed(ledger, &op.ledgers);
    if (missed != NULL && !ledger->give_up)
        rc = err_set(
            err, -E_LEDGER,
            "there is no deletion ledger '%s', and the store knows of one, '%s', with "
            "%lld records: mount its disk, put it back, or name it in deletion_ledger. " IF_LOST,
            ledger->path, missed->place, (long long)missed->records);
    store_op_done(&op);
    return rc;
}

static int open_ledger_file(struct ledger *ledger, bool create, struct err *err)
{
    int rc = 0;

    ledger->fd = SEAM_FAILS("ledger.open") ? -1 : open(ledger->path, O_RDWR | O_CLOEXEC);
    if (ledger->fd < 0 && errno == ENOENT && create) {
        rc = check_never_made(ledger, err) ?: make_ledger_file(ledger, err);
        if (rc < 0)
            return rc;
        log_info("ledger.made", "path=%s", ledger->path);
        ledger->fd = open(ledger->path, O_RDWR | O_CLOEXEC);
    }
    if (ledger->fd < 0)
        return err_errno(err, -E_LEDGER, "open the deletion ledger '%s'", ledger->path);
    rc = lock_file(ledger->fd, ledger->path, err);
    if (rc < 0)
        return rc;
    unlink(ledger->temp); /* left by a crash: possibly another name of this very file */
    return read_open_ledger(ledger, err);
}

/* ---- the horizon ---- */

/* A copy of the records that are young enough, made in the buffer of the appends. It begins with
 * the first such record and takes all after it, so that they keep their numbers. */
struct copying {
    struct ledger *ledger;
    struct ledger_head head; /* of the copy */
    int fd;
    int64_t cut_ms, end, oldest_ms;
    bool begun;
    size_t filled;
    int rc;
};

static int flush_copy(struct copying *copying)
{
    size_t len = copying->filled * sizeof(struct ledger_record);
    int rc = file_write_all(copying->fd, copying->ledger->records, len, copying->end);

    copying->end += (int64_t)len;
    copying->filled = 0;
    return rc;
}

/* A damaged record stays damaged, and a restore reports it. */
static bool copy_record(void *context, const struct ledger_record *record, int64_t number,
                        bool good)
{
    struct copying *copying = context;
    struct ledger_record *copy = &copying->ledger->records[copying->filled];

    if (!copying->begun && (!good || ledger_record_time(record) < copying->cut_ms))
        return true;
    if (!copying->begun) {
        copying->begun = true;
        copying->oldest_ms = ledger_record_time(record);
        ledger_head_set(&copying->head, number, ledger_head_since(&copying->head));
    }
    *copy = *record;
    if (good)
        ledger_record_number(&copying->head, number, copy);
    copying->filled++;
    if (copying->filled == RECORDS_AT_ONCE)
        copying->rc = flush_copy(copying);
    return copying->rc == 0;
}

static int copy_young(struct copying *copying)
{
    struct ledger *ledger = copying->ledger;
    struct ledger_scan scan;

    if (SEAM_FAILS("ledger.rewrite") ||
        ledger_each(ledger->fd, &ledger->head, copy_record, copying, &scan) < 0 ||
        copying->rc < 0 || flush_copy(copying) < 0 ||
        file_write_all(copying->fd, &copying->head, sizeof(copying->head), 0) < 0 ||
        fsync(copying->fd) < 0)
        return -1;
    SEAM_STEP("ledger", "expire", "copied");
    if (!ledger_is_in_place(ledger) || rename(ledger->temp, ledger->path) < 0)
        return -1;
    SEAM_STEP("ledger", "expire", "renamed");
    return 0;
}

/* Write the records that are not older than `cut_ms` to a temporary file, and rename that. */
static int rewrite(struct ledger *ledger, int64_t cut_ms, const struct ledger_head *head,
                   struct err *err)
{
    struct copying copying = {
        .ledger = ledger, .head = *head, .cut_ms = cut_ms, .end = sizeof(struct ledger_head)};
    int rc = open_ledger_temp(ledger, &copying.fd, err);

    if (rc < 0)
        return rc;
    if (copy_young(&copying) < 0) {
        rc = err_errno(err, -E_LEDGER, "rewrite the deletion ledger '%s'", ledger->path);
        unlink(ledger->temp);
        close(copying.fd);
        return rc;
    }
    close(ledger->fd);
    ledger->fd = copying.fd;
    ledger->head = copying.head;
    ledger->end = copying.end;
    ledger->reserved = 0;
    ledger->oldest_ms = copying.oldest_ms;
    ledger->renamed = true;
    return 0;
}

/* Remove what is older than the horizon. */
static int expire(struct ledger *ledger, int64_t now_ms, struct err *err)
{
    struct ledger_head head = ledger->head;
    int64_t cut_ms = now_ms - ledger->horizon_ms;
    int rc;

    /* In case no record is kept. */
    ledger_head_set(&head, ledger_number(&ledger->head, ledger->end), cut_ms);
    rc = rewrite(ledger, cut_ms, &head, err);
    if (rc == 0)
        reserve_ahead(ledger);
    return rc;
}

/* The file is rewritten when a good part of it is too old, not for each record. */
static bool has_old_records(const struct ledger *ledger, int64_t now_ms)
{
    int64_t kept_ms = ledger->horizon_ms + ledger->horizon_ms / HORIZON_PARTS;

    return ledger->horizon_ms != 0 && ledger->oldest_ms != 0 &&
           ledger->oldest_ms + kept_ms <= now_ms;
}

/* ---- the store of the ledger ---- */

static int check_note(const struct ledger *ledger, const struct store_ledger *known,
                      struct err *err)
{
    if (!guid_eq(&known->id, &ledger->note.id) || known->records <= ledger->note.records)
        return 0;
    return err_set(err, -E_LEDGER,
                   "the deletion ledger '%s' has lost its end: it has %lld records, and the store "
                   "knows of %lld. Put back the whole file, or move this one away. " IF_LOST,
                   ledger->path, (long long)ledger->note.records, (long long)known->records);
}

/* Others that are not given up may still be needed to restore an older backup. */
static int give_up_others(struct ledger *ledger, const struct store_ledgers *known, struct err *err)
{
    bool shared = store_is_shared(ledger->store);

    for (size_t i = 0; i < known->count; i++) {
        struct store_ledger other = known->items[i];
        struct store_op op = {.verb = STORE_LEDGER_NOTE, .ledger_note = {&other, 0}};

        if (other.given_up_ms != 0 || guid_eq(&other.id, &ledger->note.id) ||
            (shared && (!ledger->give_up || strcmp(other.place, ledger->note.place) != 0)))
            continue;
        other.given_up_ms = store_now_ms(ledger->store);
        if (store_run(ledger->store, &op) < 0)
            return err_set(err, -E_LEDGER, "%s", op.err.text);
        log_warn("ledger.given_up", "place=%s records=%lld", other.place, (long long)other.records);
    }
    return 0;
}

static int check_known(const struct ledger *ledger, const struct store_ledgers *known,
                       struct err *err)
{
    const struct store_ledger *missed = find_missed(ledger, known);
    int rc = 0;

    for (size_t i = 0; i < known->count && rc == 0; i++)
        rc = check_note(ledger, &known->items[i], err);
    if (rc < 0 || missed == NULL || ledger->give_up)
        return rc;
    return err_set(err, -E_LEDGER,
                   "the deletion ledger '%s' is not the one that the store knows, '%s' with %lld "
                   "records: put that one back, or name it in deletion_ledger. " IF_LOST,
                   ledger->path, missed->place, (long long)missed->records);
}

/* Is it this store's, with everything that the store knows of? If so, the store records it. */
static int check_ledger_store(struct ledger *ledger, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    struct guid store;
    int rc = recovery_identity(ledger->store, &store, err);

    if (rc == 0 && !ledger_head_is_old(&ledger->head) && !guid_eq(&store, &ledger->head.store))
        return err_set(err, -E_LEDGER,
                       "the deletion ledger '%s' is of another store: name a file of this store's "
                       "own in deletion_ledger, or move this one away",
                       ledger->path);
    if (rc < 0)
        return rc;
    ledger->note.id = ledger_head_id(&ledger->head);
    ledger->note.records = ledger_number(&ledger->head, ledger->end);
    rc = store_ask(ledger->store, &op, err)
             ?: check_known(ledger, &op.ledgers, err)
             ?: record_now(ledger, err)
             ?: give_up_others(ledger, &op.ledgers, err);
    store_op_done(&op);
    return rc;
}

/* A file of format 1 becomes one with this store's id and numbered records. If that fails, for
 * example for lack of room, the old format stays in use. */
static void upgrade(struct ledger *ledger)
{
    struct ledger_head head = ledger->head;
    struct guid store;
    struct err err;

    if (!ledger_head_is_old(&head) || recovery_identity(ledger->store, &store, &err) < 0)
        return;
    head.store = store;
    ledger_head_set(&head, 0, ledger_head_since(&head));
    if (rewrite(ledger, INT64_MIN, &head, &err) < 0)
        log_warn("ledger.upgrade", "error=%s", err.text);
}

static int64_t maintain_ledger(void *context)
{
    struct ledger *ledger = context;
    int64_t now_ms = store_now_ms(ledger->store), wait_ms = ledger->look_ms - clock_mono_ms();
    struct err err;

    if (wait_ms > 0)
        return wait_ms;
    if (!has_old_records(ledger, now_ms) || expire(ledger, now_ms, &err) >= 0)
        log_trouble_over(&expire_trouble);
    else
        log_trouble(&expire_trouble, &err);
    /* This also forgets those that were given up long ago; the first time, the start has done
     * it. */
    if (ledger->look_ms == 0 || record_now(ledger, &err) >= 0)
        log_trouble_over(&record_trouble);
    else
        log_trouble(&record_trouble, &err);
    wait_ms = SEAM_PATIENCE_MS(LOOK_MS);
    ledger->look_ms = clock_mono_ms() + wait_ms;
    return wait_ms;
}

/* ---- start and end ---- */

static void on_none(struct ledger_op *op)
{
    (void)op;
}

/* In a shared store, the place includes the machine. */
static void name_place(struct ledger *ledger)
{
    char host[HOST_NAME_MAX + 1] = "";
    bool shared = store_is_shared(ledger->store);

    if (shared)
        gethostname(host, sizeof(host) - 1);
    snprintf(ledger->note.place, sizeof(ledger->note.place), "%s%s%s", host, shared ? ":" : "",
             ledger->path);
}

/* A symbolic link is resolved here: a rewritten ledger replaces the file, not the link. */
static int find_path(struct ledger *ledger, const char *path, struct err *err)
{
    char real[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (realpath(path, real) != NULL) {
        ledger->path = strdup(real);
    } else if (errno == ENOENT) {
        char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
        bool found = folder != NULL && realpath(folder, real) != NULL;

        free(folder);
        if (!found)
            return err_errno(err, -E_LEDGER, "find the folder of the deletion ledger '%s'", path);
        if (asprintf(&ledger->path, "%s/%s", real, slash == NULL ? path : slash + 1) < 0)
            ledger->path = NULL;
    } else {
        return err_errno(err, -E_LEDGER, "find the deletion ledger '%s'", path);
    }
    if (ledger->path != NULL)
        name_place(ledger);
    if (ledger->path == NULL || asprintf(&ledger->temp, "%s.new", ledger->path) < 0) {
        ledger->temp = NULL;
        return err_set(err, -E_NOMEM, "out of memory");
    }
    return 0;
}

static int start(struct ledger *ledger, struct err *err)
{
    const struct work_queue_spec spec = {.name = "ledger",
                                         .threads = 1,
                                         .gather = true,
                                         .run = record_batch,
                                         .maintain = maintain_ledger,
                                         .context = ledger};

    reserve_ahead(ledger);
    ledger->work_queue = work_queue_new(&spec);
    if (ledger->work_queue == NULL)
        return err_set(err, -E_NOMEM, "can't start the deletion ledger's thread");
    ledger->first.done = on_none;
    ledger_post(ledger, &ledger->first);
    return 0;
}

int ledger_open(const struct ledger_spec *spec, struct ledger **ret, struct err *err)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    int rc;

    if (ledger == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    ledger->fd = -1;
    ledger->store = spec->store;
    ledger->horizon_ms = spec->horizon_ms;
    ledger->give_up = spec->give_up;
    rc = sodium_init() < 0 ? err_set(err, -E_CONFIG, "libsodium can't be used on this machine")
                           : find_path(ledger, spec->path, err);
    if (rc == 0)
        rc = open_ledger_file(ledger, spec->create, err) ?: check_ledger_store(ledger, err);
    if (rc == 0)
        upgrade(ledger);
    if (rc == 0)
        rc = start(ledger, err);
    if (rc < 0) {
        ledger_free(ledger);
        return rc;
    }
    *ret = ledger;
    return 0;
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    work_queue_free(ledger->work_queue);
    if (ledger->fd >= 0)
        close(ledger->fd);
    sodium_memzero(&ledger->head, sizeof(ledger->head));
    free(ledger->temp);
    free(ledger->path);
    free(ledger);
}
