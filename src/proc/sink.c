/* src/proc/sink.c -- two blocks take turns: one is filled while the other is hashed and written. */
#include "proc/sink.h"

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

#include "base/lane.h"
#include "base/seam.h"
#include "base/thread.h"
#include "spool/seal.h"

enum { BLOCKS = 2, KEEP_MAX = 4 * SINK_BLOCK /* a block that grew beyond gives its memory back */ };

struct block {
    struct lane_item item;
    struct sink *sink;
    struct buf data;
};

struct sink {
    int fd;
    struct seal *seal; /* NULL: the file is plain */
    EVP_MD_CTX *hash;
    struct lane *lane; /* NULL until the first full block: a small report needs no thread */
    sem_t free_blocks; /* those that are neither being filled nor in the lane */
    struct block blocks[BLOCKS];
    int current;
    int64_t passed;         /* bytes handed on */
    int64_t written;        /* bytes of the file */
    atomic_int write_errno; /* 0, or why the file is spoilt: nothing is written any more */
};

/* A seal_write_fn. The disk is set to work at once, so that the end of the report has little left
 * to wait for; what cannot be begun early (the call is only a hint) is begun there. */
static int write_all(void *context, const void *data, size_t len)
{
    struct sink *sink = context;
    const char *from = data;
    off_t begin = sink->written;

    while (len > 0) {
        ssize_t n = SEAM_FAILS("sink.write") ? -1 : write(sink->fd, from, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        from += n;
        len -= (size_t)n;
        sink->written += n;
    }
    if (sink->written - begin >= SINK_BLOCK)
        sync_file_range(sink->fd, begin, sink->written - begin, SYNC_FILE_RANGE_WRITE);
    return 0;
}

int sink_new(int fd, const uint8_t *key, struct sink **ret, struct err *err)
{
    struct sink *sink = calloc(1, sizeof(*sink));
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (sink == NULL || hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        free(sink);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    sink->fd = fd;
    sink->hash = hash;
    sem_init(&sink->free_blocks, 0, BLOCKS - 1);
    for (int i = 0; i < BLOCKS; i++) {
        sink->blocks[i].sink = sink;
        buf_init(&sink->blocks[i].data, SINK_ROOM);
    }
    if (key != NULL && seal_new(key, write_all, sink, &sink->seal, err) < 0) {
        sink_free(sink);
        return -E_NOMEM;
    }
    *ret = sink;
    return 0;
}

void sink_free(struct sink *sink)
{
    if (sink == NULL)
        return;
    lane_free(sink->lane);
    seal_free(sink->seal);
    for (int i = 0; i < BLOCKS; i++)
        buf_done(&sink->blocks[i].data);
    sem_destroy(&sink->free_blocks);
    EVP_MD_CTX_free(sink->hash);
    free(sink);
}

static void put_block(struct sink *sink, struct block *block)
{
    const struct buf *data = &block->data;

    if (sink->write_errno == 0) {
        EVP_DigestUpdate(sink->hash, data->data, data->len);
        sink->write_errno = sink->seal != NULL ? seal_add(sink->seal, data->data, data->len)
                                               : write_all(sink, data->data, data->len);
    }
    if (block->data.cap > KEEP_MAX)
        buf_done(&block->data);
    buf_reset(&block->data);
}

static void run_lane(void *context, struct lane_item *item)
{
    struct block *block = container_of(item, struct block, item);

    put_block(context, block);
    sem_post(&block->sink->free_blocks);
}

static int failed(int number, struct err *err)
{
    errno = number;
    if (number == ENOSPC || number == EDQUOT)
        err_set(err, -E_SPOOL, "The server's disk is full. Try again later.");
    else
        err_set(err, -E_SPOOL, "The server could not write the result. Try again later.");
    return err_detail(err, "write the result: %s", strerror(number));
}

struct buf *sink_block(struct sink *sink)
{
    return &sink->blocks[sink->current].data;
}

int64_t sink_bytes(struct sink *sink)
{
    return sink->passed + (int64_t)sink_block(sink)->len;
}

static int start_lane(struct sink *sink, struct err *err)
{
    sink->lane = lane_new(&(struct lane_spec){
        .name = "result", .threads = 1, .batch_max = 1, .run = run_lane, .context = sink});
    return sink->lane != NULL ? 0 : err_set(err, -E_NOMEM, "Out of memory.");
}

int sink_pass(struct sink *sink, struct err *err)
{
    struct block *block = &sink->blocks[sink->current];

    if (block->data.len < SINK_BLOCK)
        return 0;
    if (sink->lane == NULL && start_lane(sink, err) < 0)
        return -E_NOMEM;
    sink->passed += (int64_t)block->data.len;
    lane_push(sink->lane, &block->item);
    /* The other block is free, or is being written: then the disk is what we wait for. */
    while (sem_wait(&sink->free_blocks) < 0)
        continue; /* EINTR */
    sink->current = (sink->current + 1) % BLOCKS;
    return sink->write_errno != 0 ? failed(sink->write_errno, err) : 0;
}

int sink_finish(struct sink *sink, int64_t unsynced_max, uint8_t digest[REPORT_DIGEST_BYTES],
                int64_t *ret_unsynced, struct err *err)
{
    struct block *last = &sink->blocks[sink->current];
    bool sync;

    lane_free(sink->lane); /* writes what is queued */
    sink->lane = NULL;
    if (buf_is_starved(&last->data))
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (buf_failed(&last->data))
        return err_set(err, -E_SOURCE, "A row of the report is too large.");
    sink->passed += (int64_t)last->data.len;
    put_block(sink, last);
    if (sink->write_errno == 0 && sink->seal != NULL)
        sink->write_errno = seal_finish(sink->seal);
    sync = sink->written > unsynced_max;
    if (sync && sink->write_errno == 0 && (SEAM_FAILS("sink.fsync") || fdatasync(sink->fd) < 0))
        sink->write_errno = errno;
    if (sink->write_errno != 0)
        return failed(sink->write_errno, err);
    EVP_DigestFinal_ex(sink->hash, digest, NULL);
    *ret_unsynced = sync ? 0 : sink->written;
    return 0;
}
