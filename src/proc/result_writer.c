/* src/proc/result_writer.c -- two blocks take turns: one is filled while the other is hashed and
 * written. */
#include "proc/result_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/seam.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "spool/pack.h"
#include "spool/seal.h"

enum {
    BLOCKS = 2,
    KEEP_MAX = 4 * RESULT_WRITER_BLOCK /* a block that grew larger gives its memory back */
};

struct block {
    struct work_item item;
    struct result_writer *result_writer;
    struct buf data;
};

struct result_writer {
    int fd;
    struct pack *pack; /* NULL: not compressed */
    struct seal *seal; /* NULL: not encrypted */
    EVP_MD_CTX *hash;
    struct block_sums sums;
    struct work_queue
        *work_queue;   /* NULL until the first full block: a small report needs no thread */
    sem_t idle_blocks; /* blocks that are neither being filled nor queued */
    struct block blocks[BLOCKS];
    int current;
    int64_t passed;         /* bytes passed on */
    int64_t written;        /* bytes of the file … */
    int64_t begun;          /* … whose writing to the disk was started */
    int64_t footer;         /* bytes of the footer */
    atomic_int write_errno; /* 0, or why the file is unusable: nothing more is written */
};

/* A seal_write_fn. Writing to the disk is started at once, so that little is left to wait for at
 * the end of the report. What cannot be started early (the call is only a hint) is started
 * there. */
static int write_block_bytes(void *context, const void *data, size_t len)
{
    struct result_writer *result_writer = context;
    const char *from = data;

    while (len > 0) {
        ssize_t n = SEAM_FAILS("result_writer.write") ? -1 : write(result_writer->fd, from, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        from += n;
        len -= (size_t)n;
        result_writer->written += n;
    }
    if (result_writer->written - result_writer->begun >= RESULT_WRITER_BLOCK) {
        sync_file_range(result_writer->fd, result_writer->begun,
                        result_writer->written - result_writer->begun, SYNC_FILE_RANGE_WRITE);
        result_writer->begun = result_writer->written;
    }
    return 0;
}

/* A seal_write_fn. */
static int put_stored(void *context, const void *data, size_t len)
{
    struct result_writer *result_writer = context;

    return result_writer->seal != NULL ? seal_add(result_writer->seal, data, len)
                                       : write_block_bytes(result_writer, data, len);
}

int result_writer_new(int fd, bool packed, const uint8_t *key, struct result_writer **ret,
                      struct err *err)
{
    struct result_writer *result_writer = calloc(1, sizeof(*result_writer));
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (result_writer == NULL || hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        free(result_writer);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    result_writer->fd = fd;
    result_writer->hash = hash;
    sem_init(&result_writer->idle_blocks, 0, BLOCKS - 1);
    for (int i = 0; i < BLOCKS; i++) {
        result_writer->blocks[i].result_writer = result_writer;
        buf_init(&result_writer->blocks[i].data, RESULT_WRITER_ROOM);
    }
    if (block_sums_init(&result_writer->sums) != 0 ||
        (key != NULL &&
         seal_new(key, write_block_bytes, result_writer, &result_writer->seal, err) < 0) ||
        (packed && pack_new(put_stored, result_writer, &result_writer->pack, err) < 0)) {
        result_writer_free(result_writer);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    *ret = result_writer;
    return 0;
}

static void free_blocks(struct result_writer *result_writer)
{
    for (int i = 0; i < BLOCKS; i++)
        buf_done(&result_writer->blocks[i].data);
}

void result_writer_free(struct result_writer *result_writer)
{
    if (result_writer == NULL)
        return;
    work_queue_free(result_writer->work_queue);
    pack_free(result_writer->pack);
    seal_free(result_writer->seal);
    free_blocks(result_writer);
    sem_destroy(&result_writer->idle_blocks);
    EVP_MD_CTX_free(result_writer->hash);
    block_sums_done(&result_writer->sums);
    free(result_writer);
}

static void put_block(struct result_writer *result_writer, struct block *block)
{
    const struct buf *data = &block->data;

    if (result_writer->write_errno == 0) {
        EVP_DigestUpdate(result_writer->hash, data->data, data->len);
        result_writer->write_errno = block_sums_add(&result_writer->sums, data->data, data->len);
    }
    if (result_writer->write_errno == 0)
        result_writer->write_errno = result_writer->pack != NULL
                                         ? pack_add(result_writer->pack, data->data, data->len)
                                         : put_stored(result_writer, data->data, data->len);
    if (block->data.cap > KEEP_MAX)
        buf_done(&block->data);
    buf_reset(&block->data);
}

static void run_queue(void *context, struct work_item *item)
{
    struct block *block = container_of(item, struct block, item);

    put_block(context, block);
    sem_post(&block->result_writer->idle_blocks);
}

static int write_failed(int number, struct err *err)
{
    errno = number;
    if (number == ENOSPC || number == EDQUOT)
        err_set(err, -E_SPOOL, "The server's disk is full. Try again later.");
    else
        err_set(err, -E_SPOOL, "The server could not write the result. Try again later.");
    return err_detail(err, "write the result: %s", strerror(number));
}

struct buf *result_writer_block(struct result_writer *result_writer)
{
    return &result_writer->blocks[result_writer->current].data;
}

int64_t result_writer_bytes(struct result_writer *result_writer)
{
    return result_writer->passed + (int64_t)result_writer_block(result_writer)->len;
}

static int start_queue(struct result_writer *result_writer, struct err *err)
{
    result_writer->work_queue = work_queue_new(&(struct work_queue_spec){.name = "result",
                                                                         .threads = 1,
                                                                         .batch_max = 1,
                                                                         .run = run_queue,
                                                                         .context = result_writer});
    return result_writer->work_queue != NULL ? 0 : err_set(err, -E_NOMEM, "Out of memory.");
}

int result_writer_pass(struct result_writer *result_writer, struct err *err)
{
    struct block *block = &result_writer->blocks[result_writer->current];

    if (block->data.len < RESULT_WRITER_BLOCK)
        return 0;
    if (result_writer->work_queue == NULL && start_queue(result_writer, err) < 0)
        return -E_NOMEM;
    result_writer->passed += (int64_t)block->data.len;
    work_queue_push(result_writer->work_queue, &block->item);
    /* The other block is free, or is being written: then the disk is the limit. */
    while (sem_wait(&result_writer->idle_blocks) < 0)
        continue; /* EINTR */
    result_writer->current = (result_writer->current + 1) % BLOCKS;
    return result_writer->write_errno != 0 ? write_failed(result_writer->write_errno, err) : 0;
}

int result_writer_end(struct result_writer *result_writer, int64_t *ret_footer_at, struct err *err)
{
    struct block *last = &result_writer->blocks[result_writer->current];

    work_queue_free(result_writer->work_queue); /* first writes what is queued */
    result_writer->work_queue = NULL;
    if (buf_is_starved(&last->data))
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (buf_failed(&last->data))
        return err_set(err, -E_SOURCE, "A row of the report is too large.");
    result_writer->passed += (int64_t)last->data.len;
    put_block(result_writer, last);
    free_blocks(result_writer); /* before the footer takes memory */
    *ret_footer_at = result_writer->passed;
    if (result_writer->write_errno == 0)
        result_writer->write_errno = block_sums_end(&result_writer->sums);
    if (result_writer->write_errno == 0 && result_writer->pack != NULL)
        result_writer->write_errno = pack_end(result_writer->pack, ret_footer_at);
    return result_writer->write_errno != 0 ? write_failed(result_writer->write_errno, err) : 0;
}

struct block_sums *result_writer_sums(struct result_writer *result_writer)
{
    return &result_writer->sums;
}

int result_writer_finish(struct result_writer *result_writer, const struct buf *footer,
                         int64_t unsynced_max, uint8_t digest[REPORT_DIGEST_BYTES],
                         int64_t *ret_unsynced, struct err *err)
{
    bool sync;

    result_writer->footer = (int64_t)footer->len;
    result_writer->write_errno = result_writer->pack != NULL
                                     ? pack_finish(result_writer->pack, footer->data, footer->len)
                                     : put_stored(result_writer, footer->data, footer->len);
    if (result_writer->write_errno == 0 && result_writer->seal != NULL)
        result_writer->write_errno = seal_finish(result_writer->seal);
    sync = result_writer->written > unsynced_max;
    if (sync && result_writer->write_errno == 0 &&
        (SEAM_FAILS("result_writer.fsync") || fdatasync(result_writer->fd) < 0))
        result_writer->write_errno = errno;
    if (result_writer->write_errno != 0)
        return write_failed(result_writer->write_errno, err);
    EVP_DigestFinal_ex(result_writer->hash, digest, NULL);
    *ret_unsynced = sync ? 0 : result_writer->written;
    return 0;
}

int64_t result_writer_footer(const struct result_writer *result_writer)
{
    return result_writer->pack != NULL ? -pack_stored(result_writer->pack) : result_writer->footer;
}
