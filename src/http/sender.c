/* src/http/sender.c -- a loop that writes blocks of conversions to the sockets of their clients. */
#include "http/sender.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "http/tls.h"

enum { STALLED_MS = 60 * 1000 }; /* as STALLED_S in server.c */

struct sender {
    struct loop *loop;
    pthread_t thread;
    atomic_bool stopping, quitting;
    LIST_HEAD(, delivery) slow; /* deliveries that wait for their clients */
};

/* ---- waiting for a client ---- */

static void stop_waiting(struct delivery *delivery)
{
    if (!delivery->watched)
        return;
    delivery->watched = false;
    loop_unwatch(delivery->sender->loop, &delivery->watch);
    loop_timer_cancel(&delivery->patience);
    LIST_REMOVE(delivery, entry);
}

/* From here on it may be freed. */
static void finish(struct delivery *delivery, bool whole)
{
    stop_waiting(delivery);
    if (!whole)
        transfer_break_off(delivery->transfer);
    delivery->whole = whole;
    delivery->done(delivery);
}

static void be_patient(struct delivery *delivery, int left)
{
    delivery->left = left;
    loop_timer_set(delivery->sender->loop, &delivery->patience, clock_mono_ms() + STALLED_MS);
}

static void await_client(struct delivery *delivery, bool moved)
{
    struct sender *sender = delivery->sender;
    struct err err;

    if (!delivery->watched &&
        loop_watch(sender->loop, &delivery->watch, delivery->fd, EPOLLOUT, &err) < 0) {
        log_error("http.result", "error=%s", err.text);
        finish(delivery, false);
        return;
    }
    if (!delivery->watched)
        LIST_INSERT_HEAD(&sender->slow, delivery, entry);
    if (moved || !delivery->watched)
        be_patient(delivery, transfer_left(delivery->transfer));
    delivery->watched = true;
}

/* ---- sending ---- */

static void add_io_part(struct msghdr *message, const void *data, size_t len, size_t *skip)
{
    size_t n = *skip < len ? *skip : len;

    *skip -= n;
    if (n < len)
        message->msg_iov[message->msg_iovlen++] =
            (struct iovec){.iov_base = (char *)data + n, .iov_len = len - n};
}

/* Like sendmsg(2); a TLS session, which nothing else uses while the connection is suspended, takes
 * one part at a time. */
static ssize_t send_parts(const struct delivery *delivery, const struct msghdr *message)
{
    if (delivery->tls != NULL)
        return tls_send(delivery->tls, message->msg_iov->iov_base, message->msg_iov->iov_len);
    return sendmsg(delivery->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Send the rest of the block, with its chunk header. 1: done; 0: the client accepts no more now;
 * -1: or ever. */
static int send_rest(struct delivery *delivery)
{
    const struct buf *block = conversion_block(delivery->conversion);

    for (;;) {
        struct iovec parts[3];
        struct msghdr message = {.msg_iov = parts};
        size_t skip = delivery->sent;
        ssize_t n;

        add_io_part(&message, delivery->head, strlen(delivery->head), &skip);
        add_io_part(&message, block->data, block->len, &skip);
        add_io_part(&message, "\r\n", delivery->chunked ? 2 : 0, &skip);
        if (message.msg_iovlen == 0)
            return 1;
        n = send_parts(delivery, &message);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
        delivery->sent += n > 0 ? (size_t)n : 0;
    }
}

static void begin_chunk(struct delivery *delivery)
{
    size_t len = conversion_block(delivery->conversion)->len;

    delivery->sent = 0;
    delivery->head[0] = '\0';
    if (delivery->chunked)
        snprintf(delivery->head, sizeof(delivery->head), "%zx\r\n", len);
    /* An empty chunk would be the last one. */
    if (len == 0)
        delivery->sent = strlen(delivery->head) + 2;
}

static void on_made(void *owner)
{
    struct delivery *delivery = owner;

    loop_post(delivery->sender->loop, &delivery->message);
}

static bool delivery_is_ended(const struct delivery *delivery)
{
    return atomic_load(&delivery->sender->stopping) || transfer_is_ended(delivery->transfer);
}

static void go_on(struct delivery *delivery)
{
    struct err err;
    size_t before = delivery->sent;
    int sent = delivery_is_ended(delivery) ? -1 : send_rest(delivery);

    if (sent == 0) {
        await_client(delivery, delivery->sent > before);
        return;
    }
    stop_waiting(delivery);
    if (sent < 0 || conversion_state(delivery->conversion, &err) == 0)
        finish(delivery, sent > 0);
    else
        conversion_next(delivery->conversion, on_made, delivery);
}

/* A block is ready: the first or a later one. */
static void on_block(struct loop_message *message)
{
    struct delivery *delivery = container_of(message, struct delivery, message);
    struct err err;

    if (delivery_is_ended(delivery) || conversion_state(delivery->conversion, &err) >= 0) {
        begin_chunk(delivery);
        go_on(delivery);
    } else {
        log_error("http.result", "error=%s", err.text);
        finish(delivery, false);
    }
}

static void on_writable(struct loop_watch *watch)
{
    go_on(container_of(watch, struct delivery, watch));
}

/* A socket becomes writable only when a third of its buffer is free: a client that takes less than
 * that in this time has not stalled. */
static void on_stalled(struct loop_timer *timer)
{
    struct delivery *delivery = container_of(timer, struct delivery, patience);
    int left = transfer_left(delivery->transfer);

    if (left < delivery->left)
        be_patient(delivery, left);
    else
        finish(delivery, false);
}

void sender_start(struct sender *sender, struct delivery *delivery)
{
    delivery->sender = sender;
    delivery->message.run = on_block;
    delivery->watch.ready = on_writable;
    delivery->patience.run = on_stalled;
    loop_post(sender->loop, &delivery->message);
}

/* ---- start and end ---- */

static void *sender_thread(void *arg)
{
    struct sender *sender = arg;

    setpriority(PRIO_PROCESS, 0, CONVERSION_NICE); /* on Linux this changes the calling thread
                                                    * only */
    loop_enter(sender->loop);
    while (!atomic_load(&sender->quitting)) {
        loop_round(sender->loop);
        while (atomic_load(&sender->stopping) && !LIST_EMPTY(&sender->slow))
            finish(LIST_FIRST(&sender->slow), false);
    }
    loop_leave(sender->loop);
    return NULL;
}

int sender_new(struct sender **ret, struct err *err)
{
    struct sender *sender = calloc(1, sizeof(*sender));
    int rc;

    if (sender == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    rc = loop_new(&sender->loop, err);
    if (rc == 0 && thread_start(&sender->thread, "send", sender_thread, sender) != 0)
        rc = err_set(err, -E_INTERNAL, "can't start the thread that sends conversions");
    if (rc < 0) {
        loop_free(sender->loop);
        free(sender);
        return rc;
    }
    *ret = sender;
    return 0;
}

void sender_stop(struct sender *sender)
{
    if (sender == NULL)
        return;
    atomic_store(&sender->stopping, true);
    loop_wake(sender->loop);
}

void sender_free(struct sender *sender)
{
    if (sender == NULL)
        return;
    CHECK(LIST_EMPTY(&sender->slow));
    atomic_store(&sender->quitting, true);
    loop_wake(sender->loop);
    pthread_join(sender->thread, NULL);
    loop_free(sender->loop);
    free(sender);
}
