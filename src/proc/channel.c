/* src/proc/channel.c -- frames to and from a worker; the loop waits for none of them. */
#include "proc/channel.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"

/* ---- sending ---- */

static void order_forget(struct wire_order *order)
{
    if (order->fd >= 0)
        close(order->fd);
    wire_order_done(order);
}

static struct wire_order *oldest_order(struct channel *channel)
{
    return &channel->queue[channel->first];
}

static void drop_oldest(struct channel *channel)
{
    CHECK(channel->queued > 0);
    order_forget(oldest_order(channel));
    channel->first = (channel->first + 1) % CHANNEL_QUEUE_MAX;
    channel->queued--;
}

/* An order that is queued owns its descriptors; one that is sent at once borrows the caller's. */
static int queue_order(struct channel *channel, const struct wire_order *order, struct err *err)
{
    struct wire_order *last =
        &channel->queue[(channel->first + channel->queued) % CHANNEL_QUEUE_MAX];

    if (channel->queued == CHANNEL_QUEUE_MAX)
        return err_set(err, -E_IO, "too many orders wait for it");
    *last = *order;
    if (order->run.head.type == WIRE_RUN) {
        last->fd = fcntl(order->fd, F_DUPFD_CLOEXEC, 0);
        last->texts_fd = fcntl(order->texts_fd, F_DUPFD_CLOEXEC, 0);
        if (last->fd < 0 || last->texts_fd < 0) {
            err_errno(err, -E_IO, "keep the descriptors of an order that waits");
            order_forget(last);
            return -E_IO;
        }
    }
    if (channel->queued++ == 0)
        loop_watch_change(channel->loop, &channel->watch, EPOLLIN | EPOLLOUT);
    return 0;
}

int channel_send(struct channel *channel, const struct wire_order *order, struct err *err)
{
    int rc = 0;

    if (channel->fd < 0)
        return err_set(err, -E_IO, "it is closed");
    loop_check(channel->loop);
    if (channel->queued == 0)
        rc = wire_send_order(channel->fd, order, MSG_DONTWAIT, err);
    if (rc == 0)
        rc = queue_order(channel, order, err);
    return rc < 0 ? rc : 0;
}

/* The socket has room: send what is queued. */
static int flush(struct channel *channel, struct err *err)
{
    int rc = 1;

    while (channel->queued > 0 && rc > 0) {
        rc = wire_send_order(channel->fd, oldest_order(channel), MSG_DONTWAIT, err);
        if (rc > 0)
            drop_oldest(channel);
    }
    if (channel->queued == 0)
        loop_watch_change(channel->loop, &channel->watch, EPOLLIN);
    return rc < 0 ? rc : 0;
}

/* ---- receiving ---- */

/* 1: an answer; 0: nothing at the moment; -E_IO with err->code 0: the end; other errors: it is
 * broken. */
static int receive(struct channel *channel, struct err *err)
{
    struct wire_answer answer;
    int rc = wire_receive_answer(channel->fd, &answer, err);

    if (rc == WIRE_NOTHING)
        return 0;
    if (rc <= 0)
        return -E_IO;
    channel->heard(channel, &answer);
    return 1;
}

static void on_channel_ready(struct loop_watch *watch)
{
    struct channel *channel = container_of(watch, struct channel, watch);
    struct err why = {0};
    int rc = channel->queued > 0 ? flush(channel, &why) : 0;

    if (rc == 0)
        rc = receive(channel, &why);
    else
        channel_drain(channel); /* it may have answered before it ended */
    if (rc < 0 && channel->fd >= 0)
        channel->ended(channel, &why);
}

void channel_drain(struct channel *channel)
{
    struct err why = {0};

    while (channel->fd >= 0 && receive(channel, &why) > 0)
        ;
}

/* ---- start and end ---- */

int channel_open(struct channel *channel, struct loop *loop, int fd, struct err *err)
{
    CHECK(channel->fd < 0 && fd >= 0);
    channel->loop = loop;
    channel->fd = fd;
    channel->first = channel->queued = 0;
    channel->watch.ready = on_channel_ready;
    return loop_watch(loop, &channel->watch, fd, EPOLLIN, err);
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    loop_unwatch(channel->loop, &channel->watch);
    close(channel->fd);
    channel->fd = -1;
    while (channel->queued > 0)
        drop_oldest(channel);
}
