/* src/base/log_queue.c -- two buffers: lines are added to one while the other is written. */
#include "base/log_queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

struct log_queue {
    int fd;
    void (*on_room)(void);
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake, written;
    /* under the mutex */
    bool stopping, writing, idle;
    unsigned long writes;
    size_t len;
    char *adding, *out;
};

/* As many whole lines as a pipe takes in one piece, so that those of other processes do not get in
 * between. */
static size_t piece_of(const char *lines, size_t len)
{
    const char *end;

    if (len <= LOG_LINE_MAX)
        return len;
    end = memrchr(lines, '\n', LOG_LINE_MAX);
    return end != NULL ? (size_t)(end - lines) + 1 : LOG_LINE_MAX;
}

/* What can't be written is lost: there is nowhere left to say it. */
static void write_piece(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* somebody else made it so */
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return;
        }
    }
}

static void write_all(struct log_queue *queue, const char *lines, size_t len)
{
    while (len > 0) {
        size_t piece = piece_of(lines, len);

        write_piece(queue->fd, lines, piece);
        lines += piece;
        len -= piece;
        pthread_mutex_lock(&queue->mutex);
        queue->writes++;
        pthread_cond_broadcast(&queue->written);
        pthread_mutex_unlock(&queue->mutex);
    }
}

/* Wait for lines and take them; how many bytes; 0: the end. The mutex is held. */
static size_t take(struct log_queue *queue)
{
    char *lines = queue->adding;
    size_t len;

    while (queue->len == 0 && !queue->stopping) {
        queue->idle = true;
        pthread_cond_wait(&queue->wake, &queue->mutex);
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

    pthread_mutex_lock(&queue->mutex);
    while ((len = take(queue)) > 0) {
        pthread_mutex_unlock(&queue->mutex);
        write_all(queue, queue->out, len);
        queue->on_room();
        pthread_mutex_lock(&queue->mutex);
        queue->writing = false;
        pthread_cond_broadcast(&queue->written);
    }
    pthread_mutex_unlock(&queue->mutex);
    return NULL;
}

static void release(struct log_queue *queue)
{
    pthread_cond_destroy(&queue->written);
    pthread_cond_destroy(&queue->wake);
    pthread_mutex_destroy(&queue->mutex);
    free(queue->adding);
    free(queue->out);
    free(queue);
}

static bool start_thread(struct log_queue *queue)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&queue->thread, NULL, queue_thread, queue) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(queue->thread, "log");
    return started;
}

struct log_queue *log_queue_new(int fd, void (*on_room)(void))
{
    struct log_queue *queue = calloc(1, sizeof(*queue));
    pthread_condattr_t monotonic;

    if (queue == NULL)
        return NULL;
    queue->fd = fd;
    queue->on_room = on_room;
    queue->adding = malloc(LOG_QUEUE_BYTES);
    queue->out = malloc(LOG_QUEUE_BYTES);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->wake, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->written, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (queue->adding == NULL || queue->out == NULL || !start_thread(queue)) {
        release(queue);
        return NULL;
    }
    return queue;
}

bool log_queue_add(struct log_queue *queue, const char *line, size_t len)
{
    bool room;

    pthread_mutex_lock(&queue->mutex);
    room = len <= LOG_QUEUE_BYTES - queue->len;
    if (room) {
        memcpy(queue->adding + queue->len, line, len);
        queue->len += len;
    }
    if (queue->idle)
        pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
    return room;
}

bool log_queue_free(struct log_queue *queue, int patience_ms)
{
    bool taken = true;

    pthread_mutex_lock(&queue->mutex);
    while (taken && (queue->len > 0 || queue->writing)) {
        int64_t until_ms = clock_mono_ms() + patience_ms;
        struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
        unsigned long writes = queue->writes;

        if (pthread_cond_timedwait(&queue->written, &queue->mutex, &until) == ETIMEDOUT)
            taken = queue->writes != writes;
    }
    queue->stopping = taken;
    pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
    if (!taken)
        return false;
    pthread_join(queue->thread, NULL);
    release(queue);
    return true;
}
