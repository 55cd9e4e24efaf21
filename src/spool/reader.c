/* src/spool/reader.c -- reads one result: a file, a chunk of it at a time, or the bytes from the
 * row; decrypted and decompressed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "spool/pack.h"
#include "spool/spool_impl.h"

struct spool_reader {
    struct spool *spool; /* NULL: the result is in memory */
    char *memory;
    struct guid id;
    int attempt;
    int64_t size;          /* of the result … */
    int64_t bytes, stored; /* … with its footer; as stored: more if it is encrypted */
    struct unpack *unpack; /* NULL: not compressed */
    struct unseal *unseal; /* NULL: not encrypted */
    int fd;                /* -1: fetched in chunks, or in memory */
    /* The chunk in memory, or why there is none. */
    int64_t number; /* -1: none was fetched */
    struct spool_row row;
    struct err err;
    int64_t wanted; /* compressed: the offset that is being fetched; -1: none */
    /* The fetch in progress; NULL: none. */
    void (*done)(void *owner);
    void *owner;
    struct work_item item;
};

/* The chunk that contains the byte at this offset of the result. */
static int64_t chunk_at(const struct spool_reader *reader, int64_t at)
{
    return at / (reader->unseal != NULL ? SEAL_SEGMENT : SPOOL_ROW_BYTES);
}

static void let_go(struct spool_reader *reader)
{
    if (reader->spool != NULL && reader->row.data != NULL)
        reader->spool->ops->release(&reader->row);
    reader->row = (struct spool_row){0};
    reader->number = -1;
}

/* ---- stored bytes ---- */

/* 0 at the end. */
static ssize_t read_from_file(const struct spool_reader *reader, int64_t at, void *out, size_t max,
                              struct err *err)
{
    ssize_t n;

    do
        n = pread(reader->fd, out, max, at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? err_errno(err, -E_SPOOL, "read a result") : n;
}

static ssize_t read_from_memory(const struct spool_reader *reader, int64_t at, void *out,
                                size_t max)
{
    size_t left = (size_t)(reader->stored - at), n = left < max ? left : max;

    memcpy(out, reader->memory + at, n);
    return (ssize_t)n;
}

/* Why nothing can be read any more; 0: reading is possible. */
static int fetch_error(const struct spool_reader *reader, struct err *err)
{
    if (reader->err.code != 0 && err != NULL)
        *err = reader->err;
    return reader->err.code;
}

static int fetch_chunk(struct spool_reader *reader, int64_t number, struct err *err)
{
    const struct spool_file file = {
        .kind = SPOOL_RESULT, .id = reader->id, .attempt = reader->attempt};
    int64_t left = reader->stored - number * SPOOL_ROW_BYTES;
    int rc;

    let_go(reader);
    reader->number = number;
    rc = reader->spool->ops->fetch(reader->spool, &file, (int32_t)number, &reader->row, err);
    if (rc < 0)
        return rc;
    return reader->row.len == (size_t)(left < SPOOL_ROW_BYTES ? left : SPOOL_ROW_BYTES)
               ? 0
               : err_damaged(err, "the stored result");
}

static ssize_t read_chunk(struct spool_reader *reader, int64_t at, void *out, size_t max,
                          struct err *err)
{
    size_t from = (size_t)(at % SPOOL_ROW_BYTES), n;
    int rc = fetch_error(reader, err);

    /* The stored offset of a compressed byte is known only when it is read. */
    if (rc == 0 && reader->wanted >= 0 && at / SPOOL_ROW_BYTES != reader->number)
        rc = fetch_chunk(reader, at / SPOOL_ROW_BYTES, err);
    if (rc < 0)
        return rc;
    if (at / SPOOL_ROW_BYTES != reader->number || from >= reader->row.len)
        return err_damaged(err, "the stored result");
    n = reader->row.len - from;
    n = n < max ? n : max;
    memcpy(out, reader->row.data + from, n);
    return (ssize_t)n;
}

/* A spool_read_fn; 0 at the end, which comes early if the file was truncated since it was
 * opened. */
static ssize_t read_stored(void *context, int64_t at, void *out, size_t max, struct err *err)
{
    struct spool_reader *reader = context;

    if (at < 0 || at >= reader->stored)
        return 0;
    if (reader->memory != NULL)
        return read_from_memory(reader, at, out, max);
    return reader->fd >= 0 ? read_from_file(reader, at, out, max, err)
                           : read_chunk(reader, at, out, max, err);
}

int spool_read_all(spool_read_fn *read, void *context, int64_t at, void *out, size_t len,
                   struct err *err)
{
    char *to = out;

    while (len > 0) {
        ssize_t n = read(context, at, to, len, err);

        if (n <= 0)
            return n < 0 ? (int)n : err_damaged(err, "the stored result");
        to += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

/* An unseal_source_fn. */
static int read_exactly(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    return spool_read_all(read_stored, context, at, out, len, err);
}

/* A spool_read_fn. */
static ssize_t read_decrypted(void *context, int64_t at, void *out, size_t max, struct err *err)
{
    struct spool_reader *reader = context;

    return reader->unseal != NULL ? unseal_read(reader->unseal, at, out, max, err)
                                  : read_stored(reader, at, out, max, err);
}

/* An unseal_source_fn. */
static int read_all_decrypted(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    return spool_read_all(read_decrypted, context, at, out, len, err);
}

/* ---- fetching ---- */

bool spool_reader_is_ready(const struct spool_reader *reader, int64_t at)
{
    if (reader->fd >= 0 || reader->memory != NULL)
        return true;
    if (reader->unpack != NULL)
        return reader->err.code != 0 || unpack_has(reader->unpack, at);
    return at >= reader->bytes || reader->number == chunk_at(reader, at);
}

void spool_reader_run(void *context, struct work_item *item)
{
    struct spool_reader *reader = container_of(item, struct spool_reader, item);
    void (*done)(void *owner) = reader->done;
    struct err err = {0};
    char byte;
    int rc;

    (void)context;
    if (reader->unpack != NULL)
        rc = (int)unpack_read(reader->unpack, reader->wanted, &byte, 1, &err);
    else
        rc = fetch_chunk(reader, reader->number, &err);
    if (rc < 0)
        reader->err = err;
    reader->wanted = -1;
    reader->done = NULL; /* after this it may be freed */
    done(reader->owner);
}

void spool_reader_fetch(struct spool_reader *reader, int64_t at, void (*done)(void *owner),
                        void *owner)
{
    CHECK(done != NULL && reader->done == NULL && reader->fd < 0);
    reader->err = (struct err){0};
    if (reader->unpack != NULL) {
        reader->wanted = at;
    } else {
        let_go(reader);
        reader->number = chunk_at(reader, at);
    }
    reader->done = done;
    reader->owner = owner;
    work_queue_push(reader->spool->fetch, &reader->item);
}

/* ---- the result ---- */

/* The file has the size in the row, or it is not read at all. */
static int open_result(struct spool_reader *reader, struct err *err)
{
    struct stat st;
    int fd = reader->spool->ops->open_result(reader->spool, &reader->id, reader->attempt, err);

    if (fd < 0)
        return fd;
    reader->fd = fd;
    if (fstat(fd, &st) < 0)
        return err_errno(err, -E_SPOOL, "look at a result");
    return st.st_size == reader->stored ? 0 : err_damaged(err, "the stored result");
}

static int join_fetchers(struct spool_reader *reader, struct err *err)
{
    struct spool *spool = reader->spool;

    if (atomic_fetch_add(&spool->readers, 1) < SPOOL_READERS_MAX)
        return 0;
    return err_set(err, -E_BUSY, "Too many results are being downloaded. Try again in a moment.");
}

static struct spool_reader *reader_alloc(const struct report *report, struct err *err)
{
    struct spool_reader *reader = calloc(1, sizeof(*reader));
    int64_t stored = report_stored(report->bytes, report->footer);

    if (reader == NULL) {
        err_set(err, -E_NOMEM, "Out of memory.");
        return NULL;
    }
    *reader = (struct spool_reader){
        .id = report->id,
        .attempt = report->attempt,
        .size = report->bytes,
        .bytes = report->bytes + report->footer,
        .stored = seal_stored_size(stored, report->sealed),
        .fd = -1,
        .number = -1,
        .wanted = -1,
    };
    if (report->footer < 0)
        reader->bytes = unpack_end(report->bytes, stored);
    return reader;
}

/* Give the reader its key and its decompressor. `rc`: how opening it went. */
static int complete_reader(struct spool_reader *reader, const struct report *report, int rc,
                           struct spool_reader **ret, struct err *err)
{
    int64_t stored = report_stored(report->bytes, report->footer);

    if (rc == 0 && report->sealed)
        rc = unseal_new(read_exactly, reader, stored, report->key, &reader->unseal, err);
    if (rc == 0 && report->footer < 0)
        rc = unpack_new(read_all_decrypted, reader, report->bytes, stored, &reader->unpack, err);
    if (rc < 0) {
        spool_reader_free(reader);
        return rc;
    }
    *ret = reader;
    return 0;
}

int spool_reader_of_bytes(const struct report *report, void *bytes, size_t len,
                          struct spool_reader **ret, struct err *err)
{
    struct spool_reader *reader;

    if (bytes == NULL)
        return err_set(err, -E_NOT_FOUND, "the row does not have its result");
    reader = reader_alloc(report, err);
    if (reader == NULL) {
        free(bytes);
        return -E_NOMEM;
    }
    reader->memory = bytes;
    return complete_reader(
        reader, report, (int64_t)len == reader->stored ? 0 : err_damaged(err, "the stored result"),
        ret, err);
}

int spool_reader_new(struct spool *spool, const struct report *report, struct spool_reader **ret,
                     struct err *err)
{
    struct spool_reader *reader = reader_alloc(report, err);
    int rc;

    if (reader == NULL)
        return -E_NOMEM;
    reader->spool = spool;
    rc = spool->ops->fetch != NULL ? join_fetchers(reader, err) : open_result(reader, err);
    return complete_reader(reader, report, rc, ret, err);
}

void spool_reader_free(struct spool_reader *reader)
{
    if (reader == NULL)
        return;
    CHECK(reader->done == NULL);
    if (reader->spool != NULL && reader->spool->ops->fetch != NULL)
        atomic_fetch_sub(&reader->spool->readers, 1);
    unpack_free(reader->unpack);
    unseal_free(reader->unseal);
    let_go(reader);
    if (reader->fd >= 0)
        close(reader->fd);
    free(reader->memory);
    free(reader);
}

int64_t spool_reader_size(const struct spool_reader *reader)
{
    return reader->size;
}

int64_t spool_reader_end(const struct spool_reader *reader)
{
    return reader->bytes;
}

int spool_reader_frames(struct spool_reader *reader, struct pack_frames *ret, struct err *err)
{
    int rc = fetch_error(reader, err);

    return rc < 0 ? rc : unpack_frames(reader->unpack, ret, err);
}

int spool_reader_take_fd(struct spool_reader *reader, int64_t *at)
{
    int fd = reader->fd;

    if (fd < 0 || reader->unseal != NULL || (reader->unpack != NULL && *at < reader->size))
        return -1;
    if (reader->unpack != NULL)
        *at -= reader->size;
    reader->fd = -1;
    spool_reader_free(reader);
    return fd;
}

ssize_t spool_reader_read(struct spool_reader *reader, int64_t at, void *out, size_t max,
                          struct err *err)
{
    int rc;

    if (reader->unpack != NULL) {
        rc = fetch_error(reader, err);
        return rc < 0 ? rc : unpack_read(reader->unpack, at, out, max, err);
    }
    return read_decrypted(reader, at, out, max, err);
}
