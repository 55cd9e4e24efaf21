/* tests/unit/wire_test.c -- frames arrive whole, with their descriptor, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/wire.h"

static int setup(void **state)
{
    int *pair = calloc(2, sizeof(int));

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *state = pair;
    return 0;
}

static int teardown(void **state)
{
    int *pair = *state;

    close(pair[0]);
    close(pair[1]);
    free(pair);
    return 0;
}

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static struct wire_message a_run(int fd)
{
    return (struct wire_message){.type = WIRE_RUN,
                                 .id = guid_new(),
                                 .attempt = 2,
                                 .definition_file = (char *)"a.sql",
                                 .definition_text = (char *)"-- \"quoted\"\n\xc3\xa9",
                                 .parameters = (char *)"{\"A\":\"b\"}",
                                 .user_name = (char *)"ann",
                                 .source_url = (char *)"sqlite:x",
                                 .temp_folder = (char *)"/t",
                                 .timeout_ms = 600000,
                                 .row_limit = 3,
                                 .size_limit = INT64_C(1) << 40,
                                 .row_results = 16384,
                                 .fd = fd};
}

static void a_run_arrives_with_its_descriptor(void **state)
{
    int *pair = *state;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wire_message sent = a_run(null), got;
    struct stat a, b;

    assert_int_equal(wire_send(pair[0], &sent, NULL), 0);
    assert_int_equal(wire_receive(pair[1], &got, NULL), 1);
    assert_int_equal(got.type, WIRE_RUN);
    assert_true(guid_eq(&got.id, &sent.id));
    assert_int_equal(got.attempt, 2);
    assert_string_equal(got.definition_file, sent.definition_file);
    assert_string_equal(got.definition_text, sent.definition_text);
    assert_string_equal(got.parameters, sent.parameters);
    assert_string_equal(got.user_name, sent.user_name);
    assert_string_equal(got.source_url, sent.source_url);
    assert_string_equal(got.temp_folder, sent.temp_folder);
    assert_int_equal(got.timeout_ms, sent.timeout_ms);
    assert_int_equal(got.row_limit, sent.row_limit);
    assert_int_equal(got.size_limit, sent.size_limit);
    assert_int_equal(got.row_results, sent.row_results);
    assert_int_not_equal(got.fd, null);
    assert_int_equal(fcntl(got.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fstat(null, &a) | fstat(got.fd, &b), 0);
    assert_int_equal(a.st_rdev, b.st_rdev);
    close(got.fd);
    close(null);
    wire_message_done(&got);
}

static void a_key_travels_with_a_run_and_is_forgotten(void **state)
{
    static const uint8_t key[REPORT_KEY_BYTES] = {1, 2, [31] = 0xff}, none[REPORT_KEY_BYTES];
    int *pair = *state;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wire_message sent = a_run(null), got;

    sent.sealed = true;
    memcpy(sent.key, key, sizeof(key));
    assert_int_equal(wire_send(pair[0], &sent, NULL), 0);
    assert_int_equal(wire_receive(pair[1], &got, NULL), 1);
    assert_true(got.sealed);
    assert_memory_equal(got.key, key, sizeof(key));
    wire_message_done(&got);
    assert_memory_equal(got.key, none, sizeof(none));
    close(got.fd);
    close(null);
}

static void a_done_arrives_with_digest_and_words(void **state)
{
    int *pair = *state;
    struct wire_message sent = {.type = WIRE_DONE,
                                .id = guid_new(),
                                .attempt = 1,
                                .rows = 10,
                                .bytes = INT64_C(9000000000),
                                .unsynced = 77,
                                .outcome = WIRE_FAILED,
                                .digest = {1, 2, [31] = 0xff},
                                .message = (char *)"why",
                                .detail = (char *)"",
                                .fd = -1};
    struct wire_message got;

    assert_int_equal(wire_send(pair[0], &sent, NULL), 0);
    assert_int_equal(wire_receive(pair[1], &got, NULL), 1);
    assert_int_equal(got.type, WIRE_DONE);
    assert_int_equal(got.outcome, WIRE_FAILED);
    assert_int_equal(got.rows, 10);
    assert_int_equal(got.bytes, sent.bytes);
    assert_int_equal(got.unsynced, 77);
    assert_memory_equal(got.digest, sent.digest, REPORT_DIGEST_BYTES);
    assert_string_equal(got.message, "why");
    assert_string_equal(got.detail, "");
    assert_int_equal(got.fd, -1);
    wire_message_done(&got);
}

static void frames_keep_their_order(void **state)
{
    int *pair = *state;

    for (int i = 1; i <= 3; i++) {
        struct wire_message m = {.type = WIRE_PROGRESS, .rows = i, .fd = -1};

        assert_int_equal(wire_send(pair[0], &m, NULL), 0);
    }
    for (int i = 1; i <= 3; i++) {
        struct wire_message got;

        assert_int_equal(wire_receive(pair[1], &got, NULL), 1);
        assert_int_equal(got.rows, i);
        wire_message_done(&got);
    }
}

static void *send_large(void *arg)
{
    int *pair = arg;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct wire_message m = a_run(null);
    char *text = malloc(3 << 20);

    memset(text, 'x', (3 << 20) - 1);
    text[(3 << 20) - 1] = '\0';
    m.definition_text = text;
    if (wire_send(pair[0], &m, NULL) != 0)
        abort();
    free(text);
    close(null);
    return NULL;
}

static void a_frame_larger_than_the_socket_arrives_whole(void **state)
{
    struct wire_message got;
    int *pair = *state;
    pthread_t thread;

    pthread_create(&thread, NULL, send_large, pair);
    assert_int_equal(wire_receive(pair[1], &got, NULL), 1);
    pthread_join(thread, NULL);
    assert_int_equal(strlen(got.definition_text), (3 << 20) - 1);
    assert_true(got.fd >= 0);
    close(got.fd);
    wire_message_done(&got);
}

static void what_does_not_fit_a_frame_is_not_sent(void **state)
{
    int *pair = *state;
    struct wire_message m = {.type = WIRE_DONE, .fd = -1}, got;
    char *text = malloc(WIRE_FRAME_MAX + 1);
    struct err err = {0};

    memset(text, 'x', WIRE_FRAME_MAX);
    text[WIRE_FRAME_MAX] = '\0';
    m.message = text;
    assert_int_equal(wire_send(pair[0], &m, &err), -E_IO);
    m.message = (char *)"\xff";
    assert_int_equal(wire_send(pair[0], &m, &err), -E_IO);
    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(wire_receive(pair[1], &got, &err), 0); /* not a byte went */
    free(text);
}

static void the_end_between_frames_is_an_end(void **state)
{
    struct wire_message got;
    int *pair = *state;

    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(wire_receive(pair[1], &got, NULL), 0);
}

static void sending_to_nobody_is_an_error_not_a_signal(void **state)
{
    struct wire_message m = {.type = WIRE_PROGRESS, .fd = -1};
    struct err err = {0};
    int *pair = *state;

    close(pair[1]);
    pair[1] = -1;
    assert_int_equal(wire_send(pair[0], &m, &err), -E_IO);
}

/* Send `text` as a frame that claims `length` bytes, maybe with descriptors, then the end. */
static void send_raw(int *pair, uint32_t length, const char *text, int descriptors)
{
    char room[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec io[] = {{&length, sizeof(length)}, {(char *)text, strlen(text)}};
    struct msghdr m = {.msg_iov = io, .msg_iovlen = 2};
    int fds[] = {STDIN_FILENO, STDERR_FILENO};

    if (descriptors > 0) {
        m.msg_control = room;
        m.msg_controllen = CMSG_SPACE((size_t)descriptors * sizeof(int));
        CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
        CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
        CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN((size_t)descriptors * sizeof(int));
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, (size_t)descriptors * sizeof(int));
    }
    assert_true(sendmsg(pair[0], &m, 0) > 0);
    close(pair[0]);
    pair[0] = -1;
}

static const char rest[] = "\"id\":\"0190c2f0-0000-7000-8000-000000000000\",\"attempt\":1,"
                           "\"outcome\":0,\"digest\":"
                           "\"00000000000000000000000000000000000000000000000000000000000000"
                           "00\"";

static void malformed_frames_are_errors(void **state)
{
    static const struct {
        const char *text;
        int extra; /* bytes that the length claims beyond the text */
    } cases[] = {
        {"not JSON", 0},
        {"[1]", 0},
        {"{}", 0},
        {"{\"type\":9,", -1},
        {"{\"type\":-1,", -1},
        {"{\"type\":2,", -1}, /* PROGRESS without rows */
        {"{\"type\":0,", -1}, /* RUN without anything */
        {"{\"type\":1,\"rows\":\"x\",", -1},
        {"{\"type\":1,\"message\":5,", -1},
        {"{\"type\":1,\"key\":5,", -1},
        {"{\"type\":1,\"key\":\"00ff\",", -1}, /* too short */
        {"{\"type\":1", 50},                   /* cut off */
        {"", 0},                               /* no length */
        {"", WIRE_FRAME_MAX + 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_message got;
        struct err err = {0};
        char text[512];
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        snprintf(text, sizeof(text), cases[i].extra < 0 ? "%s%s}" : "%s", cases[i].text, rest);
        send_raw(pair, (uint32_t)strlen(text) + (uint32_t)(cases[i].extra > 0 ? cases[i].extra : 0),
                 text, 0);
        assert_int_equal(wire_receive(pair[1], &got, &err), -E_IO);
        if (text[0] == '\0') /* refused for what it claims, before a byte is awaited */
            assert_string_equal(err.text, "malformed frame: its length");
        close(pair[1]);
    }
}

static void descriptors_nobody_asked_for_are_closed(void **state)
{
    int before = open_descriptors();

    (void)state;
    for (int descriptors = 1; descriptors <= 2; descriptors++) {
        struct wire_message got;
        struct err err = {0};
        char text[512];
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        snprintf(text, sizeof(text), "{\"type\":1,%s}", rest);
        send_raw(pair, (uint32_t)strlen(text), text, descriptors);
        assert_int_equal(wire_receive(pair[1], &got, &err), -E_IO);
        close(pair[1]);
    }
    assert_int_equal(open_descriptors(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_arrives_with_its_descriptor),
        TEST(a_key_travels_with_a_run_and_is_forgotten),
        TEST(a_done_arrives_with_digest_and_words),
        TEST(frames_keep_their_order),
        TEST(a_frame_larger_than_the_socket_arrives_whole),
        TEST(what_does_not_fit_a_frame_is_not_sent),
        TEST(the_end_between_frames_is_an_end),
        TEST(sending_to_nobody_is_an_error_not_a_signal),
        TEST(malformed_frames_are_errors),
        TEST(descriptors_nobody_asked_for_are_closed),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
