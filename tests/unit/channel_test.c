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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/channel.h"

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum { LARGE = 3 << 20 /* more than any socket's buffer */ };

struct bench {
    struct loop *loop;
    struct channel channel;
    int peer, file;
    char *text;
    int heard, ended, why;
    int64_t rows;
};

static void on_heard(struct channel *channel, const struct wire_message *m)
{
    struct bench *b = container_of(channel, struct bench, channel);

    b->heard++;
    b->rows = m->rows;
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
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    b->peer = pair[1];
    b->channel = (struct channel){.fd = -1, .heard = on_heard, .ended = on_ended};
    assert_int_equal(channel_open(&b->channel, b->loop, pair[0], NULL), 0);
    b->text = malloc(LARGE + 1);
    memset(b->text, 'x', LARGE);
    b->text[LARGE] = '\0';
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
    free(b->text);
    free(b);
    return 0;
}

static struct wire_message large_run(struct bench *b)
{
    char *word = (char *)"w";

    return (struct wire_message){.type = WIRE_RUN,
                                 .definition_file = word,
                                 .definition_text = b->text,
                                 .parameters = (char *)"{}",
                                 .user_name = word,
                                 .source_url = word,
                                 .temp_folder = word,
                                 .fd = b->file};
}

enum { FRAMES = 4 };

struct reader {
    int socket, count;
    struct wire_message frames[FRAMES];
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;

    while (reader->count < FRAMES &&
           wire_receive(reader->socket, &reader->frames[reader->count], NULL) == 1)
        reader->count++;
    return NULL;
}

static void what_a_stopped_peer_does_not_read_waits_in_order_with_its_descriptor(void **state)
{
    struct bench *b = *state;
    struct wire_message run = large_run(b), cancel = {.type = WIRE_CANCEL, .attempt = 7, .fd = -1};
    struct reader reader = {.socket = b->peer};
    pthread_t thread;

    /* None of these blocks, though nobody reads. */
    assert_int_equal(channel_send(&b->channel, &cancel, NULL), 0);
    assert_int_equal(channel_send(&b->channel, &run, NULL), 0);
    assert_int_equal(channel_send(&b->channel, &run, NULL), 0);
    assert_int_equal(channel_send(&b->channel, &cancel, NULL), 0);
    assert_int_equal(b->channel.queued, FRAMES - 1);
    close(b->file); /* the channel has its own */
    b->file = -1;
    pthread_create(&thread, NULL, read_all, &reader);
    while (b->channel.first != NULL)
        loop_round(b->loop);
    pthread_join(thread, NULL);
    assert_int_equal(reader.count, FRAMES);
    for (int i = 0; i < FRAMES; i++) {
        struct wire_message *m = &reader.frames[i];
        bool is_run = i == 1 || i == 2;

        assert_int_equal(m->type, is_run ? WIRE_RUN : WIRE_CANCEL);
        assert_int_equal(m->attempt, is_run ? 0 : 7);
        assert_int_equal(fcntl(m->fd, F_GETFD) >= 0, is_run);
        if (is_run) {
            assert_int_equal(strlen(m->definition_text), LARGE);
            close(m->fd);
        }
        wire_message_done(m);
    }
}

static void the_queue_has_an_end(void **state)
{
    struct bench *b = *state;
    struct wire_message run = large_run(b);
    struct err err = {0};
    int sent = 0;

    while (channel_send(&b->channel, &run, &err) == 0)
        sent++;
    assert_int_equal(sent, CHANNEL_QUEUE_MAX);
    assert_int_equal(err.code, -E_IO);
    channel_close(&b->channel);
    assert_int_equal(channel_send(&b->channel, &run, &err), -E_IO);
}

/* One frame of PROGRESS as bytes. */
static struct wire_frame *progress(int64_t rows)
{
    struct wire_message m = {.type = WIRE_PROGRESS, .rows = rows, .fd = -1};

    return wire_frame_new(&m, NULL);
}

static void a_frame_that_comes_in_pieces_is_heard_once_it_is_whole(void **state)
{
    struct bench *b = *state;
    struct wire_frame *frame = progress(5);

    for (size_t i = 0; i < frame->len; i++) {
        assert_int_equal(b->heard, 0);
        assert_int_equal(write(b->peer, frame->data + i, 1), 1);
        loop_round(b->loop);
    }
    assert_int_equal(b->heard, 1);
    assert_int_equal(b->rows, 5);
    wire_frame_free(frame);
}

static void what_a_dead_peer_has_said_is_heard_before_its_end(void **state)
{
    struct bench *b = *state;
    struct wire_frame *frame = progress(6);

    assert_int_equal(write(b->peer, frame->data, frame->len), (ssize_t)frame->len);
    assert_int_equal(write(b->peer, frame->data, frame->len), (ssize_t)frame->len);
    shutdown(b->peer, SHUT_RDWR);
    channel_drain(&b->channel);
    assert_int_equal(b->heard, 2);
    loop_round(b->loop);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->why, 0);
    wire_frame_free(frame);
}

static void a_frame_that_is_too_long_or_no_json_ends_the_channel(void **state)
{
    static const char garbage[] = "\4\0\0\0nope";
    struct bench *b = *state;
    uint32_t length = CHANNEL_ANSWER_MAX + 1;

    assert_int_equal(write(b->peer, &length, sizeof(length)), sizeof(length));
    loop_round(b->loop);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->why, -E_IO);
    teardown(state);
    setup(state);
    b = *state;
    assert_int_equal(write(b->peer, garbage, 8), 8);
    loop_round(b->loop);
    assert_int_equal(b->ended, 1);
    assert_int_equal(b->heard, 0);
}

#define CHANNEL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHANNEL_TEST(what_a_stopped_peer_does_not_read_waits_in_order_with_its_descriptor),
        CHANNEL_TEST(the_queue_has_an_end),
        CHANNEL_TEST(a_frame_that_comes_in_pieces_is_heard_once_it_is_whole),
        CHANNEL_TEST(what_a_dead_peer_has_said_is_heard_before_its_end),
        CHANNEL_TEST(a_frame_that_is_too_long_or_no_json_ends_the_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
