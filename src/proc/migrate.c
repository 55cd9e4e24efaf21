/* src/proc/migrate.c -- the steps of a migration, and the copying of results. */
#include "proc/migrate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "proc/recovery.h"
#include "spool/seal.h"

enum { PIECE = 256 * 1024, COPY_THREADS = 8 };

struct migration {
    const struct migrate_spec *spec;
    bool same_spool; /* the new store uses the folder as it is */
    struct work_queue *copiers;
    int64_t seen, total;
    struct lock lock; /* guards the members below while results are copied */
    int rc;           /* code of the first failure, with `err` */
    struct err err;
    struct migrate_counts counts;
};

/* One result, which one thread copies. */
struct copying {
    struct migration *m;
    const struct store_scanned *report;
    struct latch *latch;
    char *piece, *other; /* PIECE bytes from each side */
    struct work_item item;
};

static bool is_same_folder(const struct spool *a, const struct spool *b)
{
    struct stat one, other;

    return !spool_is_in_database(b) && stat(spool_place(a), &one) == 0 &&
           stat(spool_place(b), &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static int result_trouble(const struct guid *id, const char *what, struct err *err)
{
    struct err why = *err;
    char text[GUID_TEXT];

    guid_format(id, text);
    return err_set(err, why.code, "the result of report %s %s: %s", text, what, why.text);
}

/* A result that is already lost must not look as if the migration had lost it. */
static int check_stored(const struct migration *m, const struct store_scanned *report,
                        struct err *err)
{
    int64_t stored = seal_stored_size(report->bytes, report->sealed), size = report->row_bytes;
    char text[GUID_TEXT];

    if (report->state != REPORT_COMPLETE)
        return 0;
    if (!report->in_row)
        size = spool_result_size(m->spec->from_spool, &report->id, report->attempt, err);
    if (size == stored)
        return 0;
    guid_format(&report->id, text);
    return err_set(
        err, -E_SPOOL,
        "the result of report %s is missing or incomplete; reportd fsck with the old configuration "
        "finds all of these, and with --repair --force deletes their reports",
        text);
}

/* A store_page_fn. */
static int check_unmoved(void *context, const struct store_scanned *reports, size_t count,
                         struct err *err)
{
    struct migration *m = context;
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = check_stored(m, &reports[i], err);
    return rc;
}

/* ---- one result ---- */

static void has_fetched(void *owner)
{
    latch_count_down(owner);
}

/* A spool_read_fn that waits for bytes from a database. */
static ssize_t read_waiting(void *context, int64_t at, void *out, size_t max, struct err *err)
{
    struct spool_reader *reader = context;

    if (!spool_reader_is_ready(reader, at)) {
        struct latch latch = LATCH_OF(1);

        spool_reader_fetch(reader, at, has_fetched, &latch);
        latch_wait(&latch);
    }
    return spool_reader_read(reader, at, out, max, err);
}

/* Find the report, changed so that a reader returns all that is stored of its result, decrypted but
 * not decompressed. */
static int find_stored(struct store *store, const struct guid *id, struct store_op *op,
                       struct err *err)
{
    *op = (struct store_op){.verb = STORE_FIND, .find = {.id = *id, .want_result = true}};
    if (store_ask(store, op, err) < 0)
        return err->code;
    if (!op->find.found)
        return err_set(err, -E_STORE, "it is not in the store");
    op->find.report.bytes = report_stored(op->find.report.bytes, op->find.report.footer);
    op->find.report.footer = 0;
    return 0;
}

static int open_source(const struct migration *m, struct store_op *op, struct spool_reader **ret,
                       struct err *err)
{
    const struct report *report = &op->find.report;
    void *bytes = op->find.result;

    if (!report->in_row)
        return spool_reader_new(m->spec->from_spool, report, ret, err);
    op->find.result = NULL;
    return spool_reader_of_bytes(report, bytes, op->find.result_len, ret, err);
}

struct part {
    int fd;
    int64_t end;
};

/* A seal_write_fn. */
static int add_to_part(void *context, const void *data, size_t len)
{
    struct part *part = context;

    if (SEAM_FAILS("migrate.write") || file_write_all(part->fd, data, len, part->end) < 0)
        return errno;
    part->end += (int64_t)len;
    return 0;
}

static int write_pieces(const struct copying *c, struct spool_reader *reader, int64_t bytes,
                        struct seal *seal, struct part *part, struct err *err)
{
    int rc = 0;

    for (int64_t at = 0; at < bytes && rc == 0;) {
        ssize_t n = read_waiting(reader, at, c->piece, PIECE, err);

        if (n <= 0)
            return n < 0 ? (int)n : err_set(err, -E_SPOOL, "it is not whole");
        errno = seal != NULL ? seal_add(seal, c->piece, (size_t)n)
                             : add_to_part(part, c->piece, (size_t)n);
        if (errno != 0)
            rc = err_errno(err, -E_SPOOL, "write it");
        at += n;
    }
    return rc;
}

/* A result that goes into a database needs no fsync of the file that it is copied from. */
static int write_result(const struct copying *c, struct spool_reader *reader,
                        const struct report *to, int fd, struct err *err)
{
    struct part part = {.fd = fd};
    struct seal *seal = NULL;
    int rc = to->sealed ? seal_new(to->key, add_to_part, &part, &seal, err) : 0;

    if (rc == 0)
        rc = write_pieces(c, reader, to->bytes, seal, &part, err);
    if (rc == 0 && seal != NULL && (errno = seal_finish(seal)) != 0)
        rc = err_errno(err, -E_SPOOL, "write it");
    if (rc == 0 && !spool_is_in_database(c->m->spec->to_spool) && fsync(fd) < 0)
        rc = err_errno(err, -E_SPOOL, "fsync it");
    seal_free(seal);
    return rc;
}

static int publish(const struct copying *c, struct spool_reader *reader, const struct report *to,
                   struct err *err)
{
    struct spool *spool = c->m->spec->to_spool;
    struct spool_op op = {.verb = SPOOL_PUBLISH, .id = to->id, .attempt = to->attempt};
    int rc;

    op.fd = spool_create(spool, &to->id, to->attempt, err);
    if (op.fd < 0)
        return op.fd;
    rc = write_result(c, reader, to, op.fd, err);
    if (rc == 0 && (rc = spool_run(spool, &op)) < 0)
        *err = op.err;
    close(op.fd);
    return rc;
}

/* Compare all bytes of both, decrypted: each byte has arrived. */
static int compare(const struct copying *c, struct spool_reader *from, const struct report *to,
                   struct err *err)
{
    struct spool_reader *reader = NULL;
    int rc = spool_reader_new(c->m->spec->to_spool, to, &reader, err);

    for (int64_t at = 0; rc == 0 && at < to->bytes; at += PIECE) {
        size_t len = to->bytes - at < PIECE ? (size_t)(to->bytes - at) : PIECE;

        rc = spool_read_all(read_waiting, from, at, c->piece, len, err)
                 ?: spool_read_all(read_waiting, reader, at, c->other, len, err);
        if (rc == 0 && memcmp(c->piece, c->other, len) != 0)
            rc = err_set(err, -E_SPOOL, "it is not what was written");
    }
    spool_reader_free(reader);
    return rc;
}

static int copy_open(const struct copying *c, struct spool_reader *reader, const struct report *to,
                     struct err *err)
{
    struct migration *m = c->m;
    struct err ignored;
    int64_t stored = seal_stored_size(to->bytes, to->sealed);
    int rc = 0;

    if (spool_result_size(m->spec->to_spool, &to->id, to->attempt, &ignored) != stored) {
        rc = publish(c, reader, to, err);
        SEAM_STEP("migrate", "result", "published");
    }
    if (rc == 0)
        rc = compare(c, reader, to, err);
    lock_take(&m->lock);
    m->counts.results += rc == 0;
    m->counts.bytes += rc == 0 ? stored : 0;
    lock_release(&m->lock);
    return rc;
}

static int copy_result(struct copying *c, struct err *err)
{
    const struct guid *id = &c->report->id;
    struct store_op from = {0}, to = {0};
    struct spool_reader *reader = NULL;
    int rc;

    c->piece = malloc(PIECE);
    c->other = malloc(PIECE);
    if (c->piece == NULL || c->other == NULL)
        rc = err_no_memory(err);
    else
        rc = find_stored(c->m->spec->from, id, &from, err)
                 ?: find_stored(c->m->spec->to, id, &to, err)
                 ?: open_source(c->m, &from, &reader, err)
                 ?: copy_open(c, reader, &to.find.report, err);
    spool_reader_free(reader);
    store_op_done(&from);
    store_op_done(&to);
    free(c->piece);
    free(c->other);
    return rc < 0 ? result_trouble(id, "cannot be moved", err) : 0;
}

/* ---- many at the same time ---- */

static bool has_failed(struct migration *m)
{
    bool failed;

    lock_take(&m->lock);
    failed = m->rc < 0;
    lock_release(&m->lock);
    return failed;
}

/* A work_run_fn. */
static void run_copying(void *context, struct work_item *item)
{
    struct copying *c = container_of(item, struct copying, item);
    struct migration *m = context;
    struct err err = {0};
    int rc = has_failed(m) ? 0 : copy_result(c, &err);

    if (rc < 0) {
        lock_take(&m->lock);
        m->err = err;
        m->rc = rc;
        lock_release(&m->lock);
    }
    latch_count_down(c->latch);
}

/* A store_page_fn. */
static int copy_page(void *context, const struct store_scanned *reports, size_t count,
                     struct err *err)
{
    struct migration *m = context;
    struct copying copying[STORE_SCAN_MAX] = {0};
    size_t due = 0;

    for (size_t i = 0; i < count; i++) {
        if (reports[i].state == REPORT_COMPLETE && (reports[i].in_row || !m->same_spool))
            copying[due++] = (struct copying){.m = m, .report = &reports[i]};
    }
    if (due > 0) {
        struct latch latch = LATCH_OF(due);

        for (size_t i = 0; i < due; i++) {
            copying[i].latch = &latch;
            work_queue_push(m->copiers, &copying[i].item); /* it has no queue_max, so it accepts
                                                            * everything */
        }
        latch_wait(&latch);
    }
    m->seen += (int64_t)count;
    m->spec->progress(m->spec->context, "reports", m->seen, m->total);
    if (m->rc < 0)
        *err = m->err;
    return m->rc;
}

static int copy_results(struct migration *m, struct err *err)
{
    const struct work_queue_spec spec = {.name = "migrate",
                                         .threads = COPY_THREADS,
                                         .batch_max = 1,
                                         .run = run_copying,
                                         .context = m};
    int rc;

    m->copiers = work_queue_new(&spec);
    if (m->copiers == NULL)
        return err_no_memory(err);
    rc = store_scan_pages(m->spec->from, copy_page, m, err);
    work_queue_free(m->copiers);
    return rc;
}

/* ---- the spools ---- */

static int keep_nothing(void *context, const struct spool_file *file)
{
    (void)context;
    (void)file;
    return 0;
}

static void ignore_file(void *context, const struct spool_file *file)
{
    (void)context;
    (void)file;
}

/* A folder for the new store: it belongs to it from here on, since the new store has the id of the
 * old one. */
static int take_spool(const struct migration *m, struct err *err)
{
    struct spool *spool = m->spec->to_spool;
    struct guid id;
    int64_t files;
    int rc = recovery_identity(m->spec->from, &id, err) ?: spool_owner(spool, &id, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    files = spool_each(spool, ignore_file, NULL, err);
    if (files < 0)
        return (int)files;
    if (files > 0)
        return err_set(err, -E_EXISTS, "there are results in '%s' already; name an empty folder",
                       spool_place(spool));
    return spool_own(spool, &id, false, err);
}

/* ---- the steps ---- */

/* Before the move, what a crash of the server has left is repaired, and the spool is checked to be
 * the store's. */
static int begin_move(struct migration *m, struct err *err)
{
    struct recovery ignored;
    int rc = recovery_own_spool(m->spec->from, m->spec->from_spool, RECOVERY_START, err)
                 ?: recovery_run(m->spec->from, m->spec->from_spool, "local", &ignored, err)
                 ?: store_scan_pages(m->spec->from, check_unmoved, m, err)
                 ?: take_spool(m, err);

    if (rc < 0)
        return rc;
    return store_move_rows(m->spec->from, m->spec->to, spool_is_in_database(m->spec->to_spool),
                           err);
}

/* A try that was interrupted may have renamed results without syncing the folder. */
static int copy(struct migration *m, struct err *err)
{
    int rc = store_count_reports(m->spec->from, &m->total, err)
             ?: copy_results(m, err)
             ?: spool_sync(m->spec->to_spool, err)
             ?: store_move_check(m->spec->from, m->spec->to,
                                 spool_is_in_database(m->spec->to_spool), &m->counts.rows, err);
    SEAM_STEP("migrate", "all", "verified");
    if (rc == 0)
        rc = store_move_finish(m->spec->to, err);
    SEAM_STEP("migrate", "target", "finished");
    return rc;
}

static int erase_files(const struct migration *m, struct err *err)
{
    int64_t removed = m->same_spool ? 0 : spool_sweep(m->spec->from_spool, keep_nothing, NULL, err);

    SEAM_STEP("migrate", "files", "erased");
    return removed < 0 ? (int)removed : 0;
}

static int run(struct migration *m, struct err *err)
{
    enum store_move state = MOVE_ABSENT;
    int rc = store_move_find(m->spec->from, m->spec->to, &state, err);

    if (rc == 0 && state == MOVE_ABSENT)
        rc = begin_move(m, err);
    if (rc == 0 && state != MOVE_DONE)
        rc = copy(m, err);
    return rc < 0 ? rc : erase_files(m, err);
}

int migrate_run(const struct migrate_spec *spec, struct migrate_counts *ret, struct err *err)
{
    struct migration m = {.spec = spec,
                          .same_spool = is_same_folder(spec->from_spool, spec->to_spool)};
    int rc;

    lock_init(&m.lock);
    rc = run(&m, err);
    lock_done(&m.lock);
    *ret = m.counts;
    return rc;
}

/* The copies are removed first, then the rows that refer to them; only then may servers start. */
int migrate_undo(const struct migrate_spec *spec, struct err *err)
{
    struct recovery ignored;
    enum store_move state;
    int64_t removed = 0;
    int rc = store_move_find(spec->from, spec->to, &state, err);

    if (rc == 0 && state == MOVE_DONE)
        rc = err_set(err, -E_EXISTS,
                     "the store has moved, and servers may have used it since; run reportd migrate "
                     "without --undo to erase the old one");
    if (rc == 0 && !spool_is_in_database(spec->to_spool) &&
        !is_same_folder(spec->from_spool, spec->to_spool) && state == MOVE_BEGUN)
        removed = spool_sweep(spec->to_spool, keep_nothing, NULL, err);
    if (rc < 0 || removed < 0)
        return rc < 0 ? rc : (int)removed;
    rc = recovery_run(spec->from, spec->from_spool, "local", &ignored, err);
    if (rc == 0 && state == MOVE_BEGUN)
        rc = store_move_drop(spec->to, err);
    SEAM_STEP("migrate", "target", "dropped");
    return rc < 0 ? rc : store_move_unmark(spec->from, err);
}
