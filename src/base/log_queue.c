/* src/base/log_queue.c -- two buffers: lines are added to one while the other is written. */
#include "base/log_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

struct log_queue {
    int fd;
    void (*on_room)(void);
    pthread_t thread;
    struct lock lock;
    pthread_cond_t wake, written;
    /* guarded by the lock */
    bool stopping, writing, idle;
    unsigned long writes;
    size_t len;
    char *adding, *out;
};

/* As many whole lines as a pipe takes in one piece, so that lines of other processes do not get in
 * between. */
static size_t piece_of(const char *lines, size_t len)
{
    const char *end;

    if (len <= LOG_LINE_MAX)
        return len;
    end = memrchr(lines, '\n', LOG_LINE_MAX);
    return end != NULL ? (size_t)(end - lines) + 1 : LOG_LINE_MAX;
}

/* What cannot be written is lost: there is nowhere left to report it. */
static void write_piece(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* another process made it non-blocking */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

static void write_lines(struct log_queue *queue, const char *lines, size_t len)
{
    while (len > 0) {
        size_t piece = piece_of(lines, len);

        write_piece(queue->fd, lines, piece);
        lines += piece;
        len -= piece;
        lock_take(&queue->lock);
        queue->writes++;
        pthread_cond_broadcast(&queue->written);
        lock_release(&queue->lock);
    }
}

/* Wait for lines and take them; returns the number of bytes; 0: the end. */
static size_t take_lines(struct log_queue *queue)
{
    char *lines = queue->adding;
    size_t len;

    lock_check_held(&queue->lock);
    while (queue->len == 0 && !queue->stopping) {
        queue->idle = true;
        lock_wait(&queue->lock, &queue->wake);
    }
    queue->idle = false;
    len = queue->len;
    queue->len = 0;
    queue->adding = queue->out;
    queue->out = lines;
    queue->writing = len > 0;
    return len;
}

static void *queue_thread(void *arg)
{
    struct log_queue *queue = arg;
    size_t len;

    lock_take(&queue->lock);
    while ((len = take_lines(queue)) > 0) {
        lock_release(&queue->lock);
        write_lines(queue, queue->out, len);
        queue->on_room();
        lock_take(&queue->lock);
        queue->writing = false;
        pthread_cond_broadcast(&queue->written);
    }
    lock_release(&queue->lock);
    return NULL;
}

static void free_log_queue(struct log_queue *queue)
{
    pthread_cond_destroy(&queue->written);
    pthread_cond_destroy(&queue->wake);
    lock_done(&queue->lock);
    free(queue->adding);
    free(queue->out);
    free(queue);
}

struct log_queue *log_queue_new(int fd, void (*on_room)(void))
{
    struct log_queue *queue = calloc(1, sizeof(*queue));

    if (queue == NULL)
        return NULL;
    queue->fd = fd;
    queue->on_room = on_room;
    queue->adding = malloc(LOG_QUEUE_BYTES);
    queue->out = malloc(LOG_QUEUE_BYTES);
    lock_init(&queue->lock);
    pthread_cond_init(&queue->wake, NULL);
    lock_cond_init(&queue->written);
    if (queue->adding == NULL || queue->out == NULL ||
        thread_start(&queue->thread, "log", queue_thread, queue) != 0) {
        free_log_queue(queue);
        return NULL;
    }
    return queue;
}

bool log_queue_add(struct log_queue *queue, const char *line, size_t len)
{
    bool room;

    lock_take(&queue->lock);
    room = len <= LOG_QUEUE_BYTES - queue->len;
    if (room) {
        memcpy(queue->adding + queue->len, line, len);
        queue->len += len;
    }
    if (queue->idle)
        pthread_cond_signal(&queue->wake);
    lock_release(&queue->lock);
    return room;
}

bool log_queue_free(struct log_queue *queue, int patience_ms)
{
    bool taken = true;

    lock_take(&queue->lock);
    while (taken && (queue->len > 0 || queue->writing)) {
        int64_t until_ms = clock_mono_ms() + patience_ms;
        unsigned long writes = queue->writes;

        if (!lock_wait_until(&queue->lock, &queue->written, until_ms))
            taken = queue->writes != writes;
    }
    queue->stopping = taken;
    pthread_cond_signal(&queue->wake);
    lock_release(&queue->lock);
    if (!taken)
        return false;
    pthread_join(queue->thread, NULL);
    free_log_queue(queue);
    return true;
}
