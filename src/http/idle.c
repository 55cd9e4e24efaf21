/* src/http/idle.c -- connections that are idle, in a list by the time since when they are. */
#include "http/idle.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/thread.h"

enum { IDLE_MS = 60 * 1000 };

TAILQ_HEAD(idle_queue, idle);

struct idle_list {
    struct lock lock; /* while it is held, no socket in the list is closed */
    struct idle_queue queue;
};

struct idle_list *idle_list_new(void)
{
    struct idle_list *list = calloc(1, sizeof(*list));

    if (list == NULL)
        return NULL;
    lock_init(&list->lock);
    TAILQ_INIT(&list->queue);
    return list;
}

void idle_list_free(struct idle_list *list)
{
    if (list == NULL)
        return;
    lock_done(&list->lock);
    free(list);
}

static void take_out(struct idle_list *list, struct idle *idle)
{
    lock_check_held(&list->lock);
    if (idle->listed)
        TAILQ_REMOVE(&list->queue, idle, entry);
    idle->listed = false;
}

static void append_idle(struct idle_list *list, struct idle *idle, int64_t now_ms)
{
    lock_check_held(&list->lock);
    CHECK(!idle->listed);
    idle->since_ms = now_ms;
    idle->listed = true;
    TAILQ_INSERT_TAIL(&list->queue, idle, entry);
}

void idle_begin(struct idle_list *list, struct idle *idle, int64_t now_ms)
{
    lock_take(&list->lock);
    take_out(list, idle);
    append_idle(list, idle, now_ms);
    lock_release(&list->lock);
}

void idle_end(struct idle_list *list, struct idle *idle)
{
    lock_take(&list->lock);
    take_out(list, idle);
    lock_release(&list->lock);
}

static bool has_unread(int fd)
{
    int unread;

    return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

int idle_maintain(struct idle_list *list, int64_t now_ms)
{
    int64_t wait_ms = IDLE_MS;
    struct idle *idle;

    lock_take(&list->lock);
    while ((idle = TAILQ_FIRST(&list->queue)) != NULL && now_ms - idle->since_ms >= IDLE_MS) {
        take_out(list, idle);
        if (has_unread(idle->fd))
            append_idle(list, idle, now_ms); /* its thread is late */
        else
            shutdown(idle->fd, SHUT_RD); /* what arrives until this is seen is read all the same */
    }
    if (idle != NULL)
        wait_ms = idle->since_ms + IDLE_MS - now_ms;
    lock_release(&list->lock);
    return (int)wait_ms;
}
