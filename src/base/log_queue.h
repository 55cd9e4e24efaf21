/* src/base/log_queue.h -- lines on their way to a descriptor, written by a thread of their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    LOG_LINE_MAX = 4096,          /* of a line: a pipe takes so much in one piece */
    LOG_QUEUE_BYTES = 256 * 1024, /* that wait at most */
};

struct log_queue;

/* `on_room` is called on the thread after lines were written. NULL: no memory or no thread. */
struct log_queue *log_queue_new(int fd, void (*on_room)(void));
/* Whole lines, in order; never blocks. False: there is no room. */
bool log_queue_add(struct log_queue *queue, const char *line, size_t len);
/* Write what is queued, unless the reader takes nothing for `patience_ms`; then end the thread
 * and free. False: it was not taken; the queue stays, with its thread. */
bool log_queue_free(struct log_queue *queue, int patience_ms);
