/* src/proc/channel.c -- frames to and from a worker, none of which the loop waits for. */
#include "proc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum { READ_BYTES = 16 << 10 /* at a time: other descriptors get their turn in between */ };

/* ---- sending ---- */

/* A frame that waits has a descriptor of its own; one that is sent borrows the caller's. */
static void drop_first(struct channel *channel)
{
    struct wire_frame *frame = channel->first;

    channel->first = frame->next;
    if (channel->first == NULL)
        channel->last = &channel->first;
    channel->queued--;
    if (frame->fd >= 0)
        close(frame->fd);
    wire_frame_free(frame);
}

static int enqueue(struct channel *channel, struct wire_frame *frame, struct err *err)
{
    if (channel->queued == CHANNEL_QUEUE_MAX)
        return err_set(err, -E_IO, "too many frames wait for it");
    if (frame->fd >= 0 && frame->sent > 0)
        frame->fd = -1; /* it went with the first byte */
    if (frame->fd >= 0) {
        frame->fd = fcntl(frame->fd, F_DUPFD_CLOEXEC, 0);
        if (frame->fd < 0)
            return err_errno(err, -E_IO, "keep a descriptor for a frame that waits");
    }
    if (channel->first == NULL)
        loop_watch_change(channel->loop, &channel->watch, EPOLLIN | EPOLLOUT);
    *channel->last = frame;
    channel->last = &frame->next;
    channel->queued++;
    return 0;
}

int channel_send(struct channel *channel, const struct wire_message *m, struct err *err)
{
    struct wire_frame *frame;
    int rc;

    if (channel->fd < 0)
        return err_set(err, -E_IO, "it is closed");
    frame = wire_frame_new(m, err);
    if (frame == NULL)
        return -E_IO;
    rc = channel->first == NULL ? wire_frame_send(channel->fd, frame, MSG_DONTWAIT, err) : 0;
    if (rc == 0) {
        rc = enqueue(channel, frame, err);
        if (rc == 0)
            return 0;
    }
    wire_frame_free(frame);
    return rc < 0 ? rc : 0;
}

/* The socket has room: send what waits. */
static int flush(struct channel *channel, struct err *err)
{
    int rc = 1;

    while (channel->first != NULL && rc > 0) {
        rc = wire_frame_send(channel->fd, channel->first, MSG_DONTWAIT, err);
        if (rc > 0)
            drop_first(channel);
    }
    if (channel->first == NULL)
        loop_watch_change(channel->loop, &channel->watch, EPOLLIN);
    return rc < 0 ? rc : 0;
}

/* ---- receiving ---- */

/* Hand on the frames that are whole. */
static int read_frames(struct channel *channel, struct err *err)
{
    struct buf *in = &channel->in;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && channel->fd >= 0 && in->len - at >= sizeof(uint32_t)) {
        struct wire_message m = {.fd = -1};
        uint32_t length;

        memcpy(&length, in->data + at, sizeof(length));
        if (length == 0 || length > CHANNEL_ANSWER_MAX)
            return err_set(err, -E_IO, "malformed frame: its length");
        if (in->len - at - sizeof(length) < length)
            break;
        rc = wire_read(in->data + at + sizeof(length), length, -1, &m, err);
        at += sizeof(length) + length;
        if (rc == 0)
            channel->heard(channel, &m);
        wire_message_done(&m);
    }
    if (channel->fd < 0)
        return 0; /* closed meanwhile, and `in` with it */
    memmove(in->data, in->data + at, in->len - at);
    in->len -= at;
    sodium_memzero(in->data + in->len, at); /* messages may quote parameters */
    return rc;
}

/* 1: something has come; 0: nothing just now; -E_IO with err->code 0: the end; else it is broken.
 */
static int receive(struct channel *channel, struct err *err)
{
    char *room = buf_reserve(&channel->in, READ_BYTES);
    ssize_t n;
    int rc;

    if (room == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    n = recv(channel->fd, room, READ_BYTES, MSG_DONTWAIT);
    if (n == 0)
        return -E_IO;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : err_errno(err, -E_IO, "receive");
    channel->in.len += (size_t)n;
    rc = read_frames(channel, err);
    return rc < 0 ? rc : 1;
}

static void on_ready(struct loop_watch *watch)
{
    struct channel *channel = container_of(watch, struct channel, watch);
    struct err why = {0};
    int rc = channel->first != NULL ? flush(channel, &why) : 0;

    if (rc == 0)
        rc = receive(channel, &why);
    else
        channel_drain(channel); /* it may have answered before it went */
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
    channel->loop = loop;
    channel->fd = fd;
    channel->first = NULL;
    channel->last = &channel->first;
    channel->queued = 0;
    channel->watch.ready = on_ready;
    buf_init(&channel->in, sizeof(uint32_t) + CHANNEL_ANSWER_MAX + READ_BYTES);
    return loop_watch(loop, &channel->watch, fd, EPOLLIN, err);
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    loop_unwatch(channel->loop, &channel->watch);
    close(channel->fd);
    channel->fd = -1;
    while (channel->first != NULL)
        drop_first(channel);
    buf_done(&channel->in);
}
