/* tests/unit/wire_test.c -- frames arrive whole, with their descriptors and texts, or not at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/wire.h"

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

struct bench {
    int pair[2];
    int null;
    int descriptors; /* open at the start of the test */
};

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    b->descriptors = open_descriptors();
    b->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b->pair), 0);
    *state = b;
    return 0;
}

/* After every test: nothing that was received, refused or sent has stayed open. */
static int teardown(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 2; i++) {
        if (b->pair[i] >= 0)
            close(b->pair[i]);
    }
    close(b->null);
    assert_int_equal(open_descriptors(), b->descriptors);
    free(b);
    return 0;
}

static void hang_up(struct bench *b, int end)
{
    close(b->pair[end]);
    b->pair[end] = -1;
}

static struct wire_order a_run(const struct bench *b)
{
    struct wire_order order = {.run = {.head = {.type = WIRE_RUN, .attempt = 2, .id = guid_new()},
                                       .timeout_ms = 600000,
                                       .row_limit = 3,
                                       .size_limit = INT64_C(1) << 40,
                                       .row_results = 16384},
                               .texts = {.definition_file = "a.sql",
                                         .definition_text = "-- \"quoted\"\n\xc3\xa9",
                                         .parameters = "{\"A\":\"b\"}",
                                         .user_name = "ann",
                                         .claims = "",
                                         .source_url = "sqlite:x",
                                         .temp_folder = "",
                                         .timezone = "",
                                         .choices = ""},
                               .fd = b->null,
                               .texts_fd = -1};

    return order;
}

static void send_order(struct bench *b, struct wire_order *order)
{
    if (order->run.head.type == WIRE_RUN)
        assert_int_equal(wire_order_write_texts(order, NULL), 0);
    assert_int_equal(wire_send_order(b->pair[0], order, 0, NULL), 1);
}

static void order_end(struct wire_order *order)
{
    close(order->fd);
    wire_order_done(order);
}

static void a_run_arrives_with_its_file_and_its_texts(void **state)
{
    struct bench *b = *state;
    struct wire_order sent = a_run(b), got;
    struct stat a, c;

    send_order(b, &sent);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    assert_memory_equal(&got.run, &sent.run, sizeof(sent.run));
#define X(name) assert_string_equal(got.texts.name, sent.texts.name);
    WIRE_TEXTS(X)
#undef X
    assert_int_not_equal(got.fd, b->null);
    assert_int_equal(fcntl(got.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fstat(b->null, &a) | fstat(got.fd, &c), 0);
    assert_int_equal(a.st_rdev, c.st_rdev);
    order_end(&got);
    wire_order_done(&sent);
}

static void texts_of_megabytes_arrive_although_the_socket_holds_less(void **state)
{
    enum { LARGE = 3 << 20 };
    struct bench *b = *state;
    struct wire_order sent = a_run(b), got;
    char *text = malloc(LARGE + 1);

    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    sent.texts.definition_text = text;
    send_order(b, &sent);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    assert_string_equal(got.texts.definition_text, text);
    assert_string_equal(got.texts.parameters, sent.texts.parameters);
    order_end(&got);
    wire_order_done(&sent);
    free(text);
}

static void texts_that_are_too_long_are_not_sent(void **state)
{
    struct bench *b = *state;
    struct wire_order order = a_run(b);
    char *text = malloc(WIRE_TEXTS_MAX + 1);
    struct err err = {0};

    memset(text, 'x', WIRE_TEXTS_MAX);
    text[WIRE_TEXTS_MAX] = '\0';
    order.texts.parameters = text;
    assert_int_equal(wire_order_write_texts(&order, &err), -E_IO);
    text[WIRE_TEXTS_MAX - 1] = '\0'; /* alone it would fit */
    assert_int_equal(wire_order_write_texts(&order, &err), -E_IO);
    order.texts.parameters = NULL;
    assert_int_equal(wire_order_write_texts(&order, &err), -E_IO);
    assert_int_equal(order.texts_fd, -1);
    free(text);
}

static void nobody_can_change_the_texts_of_a_run(void **state)
{
    struct bench *b = *state;
    struct wire_order order = a_run(b);

    assert_int_equal(wire_order_write_texts(&order, NULL), 0);
    assert_int_equal(pwrite(order.texts_fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(order.texts_fd, 0), -1);
    assert_int_equal(ftruncate(order.texts_fd, 1 << 20), -1);
    assert_int_equal(fcntl(order.texts_fd, F_GET_SEALS) & SEALS, SEALS);
    wire_order_done(&order);
}

static void a_key_travels_with_a_run_and_is_forgotten(void **state)
{
    static const uint8_t key[REPORT_KEY_BYTES] = {1, 2, [31] = 0xff}, none[REPORT_KEY_BYTES];
    struct bench *b = *state;
    struct wire_order sent = a_run(b), got;

    sent.run.sealed = 1;
    memcpy(sent.run.key, key, sizeof(key));
    send_order(b, &sent);
    wire_order_done(&sent);
    assert_memory_equal(sent.run.key, none, sizeof(none));
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    assert_int_equal(got.run.sealed, 1);
    assert_memory_equal(got.run.key, key, sizeof(key));
    order_end(&got);
    assert_memory_equal(got.run.key, none, sizeof(none));
}

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes != NULL
               ? __sanitizer_get_current_allocated_bytes()
               : mallinfo2().uordblks;
}

static void a_frame_takes_nothing_from_the_heap(void **state)
{
    struct bench *b = *state;
    struct wire_order sent = a_run(b), got;
    struct wire_answer answer = {.head.type = WIRE_DONE}, heard;
    size_t before = heap_bytes();

    assert_true(before > 0);
    send_order(b, &sent);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    wire_answer_set_message(&answer, "why", "because");
    assert_int_equal(wire_send_answer(b->pair[1], &answer, NULL), 0);
    assert_int_equal(wire_receive_answer(b->pair[0], &heard, NULL), 1);
    assert_int_equal(heap_bytes(), before);
    order_end(&got);
    wire_order_done(&sent);
}

static void a_cancel_is_its_head(void **state)
{
    struct bench *b = *state;
    struct wire_order sent = {.run.head = {.type = WIRE_CANCEL, .attempt = 7, .id = guid_new()},
                              .fd = -1,
                              .texts_fd = -1};
    struct wire_order got;

    send_order(b, &sent);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    assert_memory_equal(&got.run.head, &sent.run.head, sizeof(sent.run.head));
    assert_int_equal(got.fd, -1);
    wire_order_done(&got);
}

static void a_done_arrives_with_digest_and_words(void **state)
{
    struct bench *b = *state;
    struct wire_answer sent = {.head = {.type = WIRE_DONE, .attempt = 1, .id = guid_new()},
                               .rows = 10,
                               .bytes = INT64_C(9000000000),
                               .footer = 300,
                               .unsynced = 77,
                               .outcome = WIRE_FAILED,
                               .digest = {1, 2, [31] = 0xff}};
    struct wire_answer got;

    wire_answer_set_message(&sent, "why", NULL);
    assert_int_equal(wire_send_answer(b->pair[1], &sent, NULL), 0);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, NULL), 1);
    assert_memory_equal(&got, &sent, sizeof(sent));
    assert_string_equal(got.message, "why");
    assert_string_equal(got.detail, "");
}

/* What a database says need not be UTF-8, and a long message is cut: never inside a letter. */
static void words_are_always_text(void **state)
{
    struct wire_answer answer = {0};
    char longer[WIRE_MESSAGE_MAX + 10];

    (void)state;
    wire_answer_set_message(&answer, "a\xff\xc3z\xe2\x82", "\xe2\x82\xac");
    assert_string_equal(answer.message, "a??z??");
    assert_string_equal(answer.detail, "\xe2\x82\xac");
    memset(longer, 'x', sizeof(longer));
    memcpy(longer + WIRE_MESSAGE_MAX - 2, "\xc3\xa9", 3); /* one of its bytes would fit */
    wire_answer_set_message(&answer, longer, "");
    assert_int_equal(strlen(answer.message), WIRE_MESSAGE_MAX - 2);
    assert_int_equal(answer.message[WIRE_MESSAGE_MAX - 3], 'x');
}

static void frames_keep_their_order(void **state)
{
    struct bench *b = *state;
    struct wire_answer got;

    for (int i = 1; i <= 3; i++) {
        struct wire_answer answer = {.head.type = WIRE_PROGRESS, .rows = i};

        assert_int_equal(wire_send_answer(b->pair[1], &answer, NULL), 0);
    }
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(wire_receive_answer(b->pair[0], &got, NULL), 1);
        assert_int_equal(got.rows, i);
    }
    assert_int_equal(wire_receive_answer(b->pair[0], &got, NULL), WIRE_NOTHING);
}

static void the_end_is_an_end(void **state)
{
    struct bench *b = *state;
    struct wire_order got;
    struct wire_answer answer = {.head.type = WIRE_PROGRESS};
    struct err err = {0};

    hang_up(b, 0);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 0);
    assert_int_equal(wire_send_answer(b->pair[1], &answer, &err), -E_IO); /* no signal */
}

/* The kernel tells of the unread frame before it gives what was sent. */
static void what_the_dead_have_said_comes_although_they_left_a_frame_unread(void **state)
{
    struct bench *b = *state;
    struct wire_order cancel = {.run.head.type = WIRE_CANCEL, .fd = -1, .texts_fd = -1};
    struct wire_answer answer = {.head.type = WIRE_DONE, .rows = 5}, got;

    send_order(b, &cancel);
    assert_int_equal(wire_send_answer(b->pair[1], &answer, NULL), 0);
    hang_up(b, 1);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, NULL), 1);
    assert_int_equal(got.rows, 5);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, NULL), 0);
}

static void a_socket_that_is_full_takes_no_part_of_a_frame(void **state)
{
    struct bench *b = *state;
    struct wire_order cancel = {.run.head.type = WIRE_CANCEL, .fd = -1, .texts_fd = -1};
    struct wire_order got;
    int sent = 0, rc;

    while ((rc = wire_send_order(b->pair[0], &cancel, MSG_DONTWAIT, NULL)) == 1)
        sent++;
    assert_int_equal(rc, 0);
    hang_up(b, 0);
    for (int i = 0; i < sent; i++)
        assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 1);
    assert_int_equal(wire_receive_order(b->pair[1], &got, NULL), 0);
}

/* ---- what is no frame ---- */

static void send_raw(int socket, const void *frame, size_t len, const int *fds, size_t count)
{
    char room[CMSG_SPACE(4 * sizeof(int))] = {0};
    struct iovec io = {.iov_base = (void *)frame, .iov_len = len};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};

    if (count > 0) {
        m.msg_control = room;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, count * sizeof(int));
    }
    assert_int_equal(sendmsg(socket, &m, 0), len);
}

static void order_is_refused(struct bench *b, const char *word)
{
    struct wire_order got;
    struct err err = {0};

    assert_int_equal(wire_receive_order(b->pair[1], &got, &err), -E_IO);
    if (strstr(err.text, word) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, word);
}

/* A memfd of `size` bytes with these seals. */
static int memfd(const void *bytes, size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void an_order_of_another_size_or_type_is_refused(void **state)
{
    struct bench *b = *state;
    char frame[sizeof(struct wire_run) + 1] = {0};
    struct wire_head *head = (struct wire_head *)frame;
    const int fds[] = {b->null, b->null};

    send_raw(b->pair[0], frame, sizeof(struct wire_run) - 1, fds, 2);
    order_is_refused(b, "not of its size");
    send_raw(b->pair[0], frame, sizeof(struct wire_run) + 1, fds, 2);
    order_is_refused(b, "too long");
    for (uint32_t type = WIRE_PROGRESS; type <= WIRE_DONE + 1; type++) {
        head->type = type;
        send_raw(b->pair[0], frame, sizeof(struct wire_run), fds, 2);
        order_is_refused(b, "no order");
    }
    head->type = WIRE_CANCEL;
    send_raw(b->pair[0], frame, sizeof(struct wire_head) - 1, NULL, 0);
    order_is_refused(b, "not of its size");
    send_raw(b->pair[0], frame, sizeof(struct wire_run), NULL, 0);
    order_is_refused(b, "not of its size");
}

static void an_order_with_too_few_or_too_many_descriptors_is_refused(void **state)
{
    struct bench *b = *state;
    struct wire_order run = a_run(b);
    const int fds[] = {b->null, b->null, b->null, b->null};
    const struct wire_head cancel = {.type = WIRE_CANCEL};

    assert_int_equal(wire_order_write_texts(&run, NULL), 0);
    for (size_t count = 0; count < 2; count++) {
        send_raw(b->pair[0], &run.run, sizeof(run.run), fds, count);
        order_is_refused(b, "without its descriptors");
    }
    for (size_t count = 3; count <= 4; count++) {
        send_raw(b->pair[0], &run.run, sizeof(run.run), fds, count); /* MSG_CTRUNC */
        order_is_refused(b, "descriptors it should not have");
    }
    send_raw(b->pair[0], &cancel, sizeof(cancel), fds, 1);
    order_is_refused(b, "no order");
    wire_order_done(&run);
}

static void texts_that_could_change_or_do_not_fit_are_refused(void **state)
{
    struct bench *b = *state;
    static const char bytes[64];
    struct wire_run run = {.head.type = WIRE_RUN, .text_bytes = {1, 1, 1, 1, 1, 1, 1, 1, 1}};
    const struct {
        size_t size;
        int seals;
        char fill;
        const char *word;
    } cases[] = {
        {18, 0, 0, "not sealed"},
        {18, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, 0, "not sealed"},
        {18, F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_WRITE, 0, "not sealed"},
        {17, SEALS, 0, "size"},
        {19, SEALS, 0, "size"},
        {0, SEALS, 0, "size"},
        {18, SEALS, 'x', "without its end"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char filled[64];
        int fds[2] = {b->null, -1};

        memcpy(filled, bytes, sizeof(filled));
        memset(filled, cases[i].fill, sizeof(filled));
        fds[1] = memfd(filled, cases[i].size, cases[i].seals);
        send_raw(b->pair[0], &run, sizeof(run), fds, 2);
        order_is_refused(b, cases[i].word);
        close(fds[1]);
    }
    for (size_t i = 0; i < WIRE_TEXT_COUNT; i++) { /* a sum that does not fit 32 bits */
        int fds[2] = {b->null, memfd(bytes, 18, SEALS)};
        struct wire_run huge = run;

        huge.text_bytes[i] = UINT32_MAX;
        send_raw(b->pair[0], &huge, sizeof(huge), fds, 2);
        order_is_refused(b, "size");
        close(fds[1]);
    }
    { /* no memfd at all */
        const int fds[2] = {b->null, b->null};

        send_raw(b->pair[0], &run, sizeof(run), fds, 2);
        order_is_refused(b, "not sealed");
    }
    run.packed = 2;
    send_raw(b->pair[0], &run, sizeof(run), (const int[]){b->null, b->null}, 2);
    order_is_refused(b, "packed or sealed");
    run.packed = 0;
    run.sealed = 2;
    send_raw(b->pair[0], &run, sizeof(run), (const int[]){b->null, b->null}, 2);
    order_is_refused(b, "packed or sealed");
}

/* A worker reads what the database holds: what it says is checked. */
static void answers_that_are_none_are_refused(void **state)
{
    struct bench *b = *state;
    const struct wire_answer good = {.head.type = WIRE_DONE, .outcome = WIRE_FAILED};
    enum { COUNT = 15 };
    struct wire_answer bad[COUNT], got;
    const int fds[] = {b->null};
    char longer[sizeof(good) + 1] = {0};
    struct err err;

    for (int i = 0; i < COUNT; i++)
        bad[i] = good;
    bad[0].head.type = WIRE_RUN;
    bad[1].head.type = WIRE_DONE + 1;
    bad[2].outcome = WIRE_OUTCOME_COUNT;
    bad[3].rows = -1;
    bad[4].bytes = INT64_MIN;
    bad[5].unsynced = -1;
    memset(bad[6].message, 'x', sizeof(bad[6].message)); /* it has no end */
    memcpy(bad[7].detail, "\xff", 2);
    bad[8].footer = INT64_MIN;
    bad[9].outcome = WIRE_AGAIN; /* and it goes on */
    bad[10].bytes = INT64_MAX, bad[10].footer = 1;
    bad[11].rows = INT64_MAX; /* metrics have sums of them */
    bad[12].bytes = INT64_C(1) << 62;
    bad[13].footer = -INT64_MAX;
    bad[14].runs = INT64_MAX;
    for (int i = 0; i < COUNT; i++) {
        send_raw(b->pair[1], &bad[i], sizeof(bad[i]), NULL, 0);
        assert_int_equal(wire_receive_answer(b->pair[0], &got, &err), -E_IO);
    }
    memcpy(longer, &good, sizeof(good));
    send_raw(b->pair[1], longer, sizeof(longer), NULL, 0);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, &err), -E_IO);
    send_raw(b->pair[1], &good, sizeof(good) - 1, NULL, 0);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, &err), -E_IO);
    send_raw(b->pair[1], &good, sizeof(good), fds, 1);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, &err), -E_IO);
    send_raw(b->pair[1], &good, sizeof(good), NULL, 0);
    assert_int_equal(wire_receive_answer(b->pair[0], &got, &err), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_arrives_with_its_file_and_its_texts),
        TEST(texts_of_megabytes_arrive_although_the_socket_holds_less),
        TEST(texts_that_are_too_long_are_not_sent),
        TEST(nobody_can_change_the_texts_of_a_run),
        TEST(a_key_travels_with_a_run_and_is_forgotten),
        TEST(a_frame_takes_nothing_from_the_heap),
        TEST(a_cancel_is_its_head),
        TEST(a_done_arrives_with_digest_and_words),
        TEST(words_are_always_text),
        TEST(frames_keep_their_order),
        TEST(the_end_is_an_end),
        TEST(what_the_dead_have_said_comes_although_they_left_a_frame_unread),
        TEST(a_socket_that_is_full_takes_no_part_of_a_frame),
        TEST(an_order_of_another_size_or_type_is_refused),
        TEST(an_order_with_too_few_or_too_many_descriptors_is_refused),
        TEST(texts_that_could_change_or_do_not_fit_are_refused),
        TEST(answers_that_are_none_are_refused),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
