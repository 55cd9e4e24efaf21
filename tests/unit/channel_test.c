/* tests/unit/channel_test.c -- a channel and a peer that does not read, or says nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/channel.h"

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct bench {
    struct loop *loop;
    struct channel channel;
    int peer, file;
    int heard, ended, why;
    int64_t rows;
};

static void on_heard(struct channel *channel, const struct wire_answer *answer)
{
    struct bench *b = container_of(channel, struct bench, channel);

    b->heard++;
    b->rows = answer->rows;
}

static void on_ended(struct channel *channel, const struct err *why)
{
    struct bench *b = container_of(channel, struct bench, channel);

    b->ended++;
    b->why = why->code;
    channel_close(channel);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    int pair[2];

    assert_int_equal(loop_new(&b->loop, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    b->peer = pair[1];
    b->channel = (struct channel){.fd = -1, .heard = on_heard, .ended = on_ended};
    assert_int_equal(channel_open(&b->channel, b->loop, pair[0], NULL), 0);
    b->file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    channel_close(&b->channel);
    loop_free(b->loop);
    if (b->file >= 0)
        close(b->file);
    close(b->peer);
    free(b);
    return 0;
}

static struct wire_order a_run(const struct bench *b)
{
    struct wire_order order = {
        .run = {.head = {.type = WIRE_RUN, .attempt = 1}, .sealed = 1, .key = {1, [31] = 2}},
        .texts = {"a.sql", "SELECT", "{}", "ann", "", "sqlite:x", "/t", "", ""},
        .fd = b->file,
        .texts_fd = -1};

    assert_int_equal(wire_order_write_texts(&order, NULL), 0);
    return order;
}

static struct wire_order a_cancel(int attempt)
{
    return (struct wire_order){
        .run.head = {.type = WIRE_CANCEL, .attempt = attempt}, .fd = -1, .texts_fd = -1};
}

/* Until the first one waits; the number that was sent. */
static int fill_socket(struct bench *b)
{
    struct wire_order cancel = a_cancel(7);
    int sent = 0;

    do
        assert_int_equal(channel_send(&b->channel, &cancel, NULL), 0);
    while (b->channel.queued == 0 && ++sent > 0);
    return sent;
}

struct reader {
    int socket, count;
    struct wire_order last[CHANNEL_QUEUE_MAX];
};

/* All that comes, and the last of it is kept. */
static void *read_all(void *arg)
{
    struct reader *reader = arg;
    struct wire_order order;

    while (wire_receive_order(reader->socket, &order, NULL) == 1)
        reader->last[reader->count++ % CHANNEL_QUEUE_MAX] = order;
    return NULL;
}

static void what_a_stopped_peer_does_not_read_waits_in_order_with_its_descriptors(void **state)
{
    static const uint8_t none[REPORT_KEY_BYTES];
    struct bench *b = *state;
    int sent = fill_socket(b); /* and one waits; none of this blocks, though nobody reads */
    struct wire_order run = a_run(b), cancel = a_cancel(9);
    struct reader reader = {.socket = b->peer};
    pthread_t thread;

    assert_int_equal(channel_send(&b->channel, &run, NULL), 0);
    assert_int_equal(channel_send(&b->channel, &run, NULL), 0);
    assert_int_equal(channel_send(&b->channel, &cancel, NULL), 0);
    assert_int_equal(b->channel.queued, 4);
    wire_order_done(&run); /* the channel has its own … */
    close(b->file);        /* … descriptors */
    b->file = -1;
    pthread_create(&thread, NULL, read_all, &reader);
    while (b->channel.queued > 0)
        loop_round(b->loop);
    for (size_t i = 0; i < CHANNEL_QUEUE_MAX; i++)
        assert_memory_equal(b->channel.queue[i].run.key, none, sizeof(none));
    channel_close(&b->channel);
    pthread_join(thread, NULL);
    assert_int_equal(reader.count, sent + 4);
    for (int i = 0; i < 4; i++) {
        struct wire_order *order = &reader.last[(reader.count + i) % CHANNEL_QUEUE_MAX];
        bool is_run = i == 1 || i == 2;

        assert_int_equal(order->run.head.type, is_run ? WIRE_RUN : WIRE_CANCEL);
        assert_int_equal(order->run.head.attempt, is_run ? 1 : i == 0 ? 7 : 9);
        if (is_run) {
            assert_string_equal(order->texts.user_name, "ann");
            assert_int_equal(order->run.key[31], 2);
            assert_int_equal(close(order->fd), 0);
        }
        wire_order_done(order);
    }
}

static void the_queue_has_an_end(void **state)
{
    struct bench *b = *state;
    struct wire_order run = a_run(b);
    struct err err = {0};

    fill_socket(b);
    for (int i = 1; i < CHANNEL_QUEUE_MAX; i++)
        assert_int_equal(channel_send(&b->channel, &run, &err), 0);
    assert_int_equal(channel_send(&b->channel, &run, &err), -E_IO);
    channel_close(&b->channel);
    assert_int_equal(channel_send(&b->channel, &run, &err), -E_IO);
    wire_order_done(&run);
}

static void what_a_dead_peer_has_said_is_heard_before_its_end(void **state)
{
    struct bench *b = *state;
    struct wire_order unread = a_cancel(1);
    struct wire_answer progress = {.head.type = WIRE_PROGRESS, .rows = 6};

    assert_int_equal(channel_send(&b->channel, &unread, NULL), 0);
    assert_int_equal(wire_send_answer(b->peer, &progress, NULL), 0);
    assert_int_equal(wire_send_answer(b->peer, &progress, NULL), 0);
    close(b->peer);
    b->peer = -1;
    channel_drain(&b->channel);
    assert_int_equal(b->heard, 2);
    assert_int_equal(b->rows, 6);
    loop_round(b->loop);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->why, 0);
}

static void what_is_no_answer_ends_the_channel(void **state)
{
    struct bench *b = *state;

    assert_int_equal(write(b->peer, "nope", 4), 4);
    loop_round(b->loop);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->why, -E_IO);
    assert_int_equal(b->heard, 0);
}

#define CHANNEL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHANNEL_TEST(what_a_stopped_peer_does_not_read_waits_in_order_with_its_descriptors),
        CHANNEL_TEST(the_queue_has_an_end),
        CHANNEL_TEST(what_a_dead_peer_has_said_is_heard_before_its_end),
        CHANNEL_TEST(what_is_no_answer_ends_the_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
