/* tests/unit/idle_test.c -- what is idle for a minute, or sends a request too slowly, is closed,
 * and no byte that came is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/idle.h"

enum { MINUTE_MS = 60 * 1000, REQUEST_MS = 20 * 1000, ENDING_MS = 1000 };

/* Two connections over TCP: the server's ends and the clients'. */
struct line {
    struct idle idle;
    int client;
    bool open;
};

struct fixture {
    struct idle_list *list;
    struct line first, second;
};

static void connect_line(struct line *line)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_return_code(bind(listener, (struct sockaddr *)&address, len), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
    line->client = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(connect(line->client, (struct sockaddr *)&address, len), errno);
    line->open = false;
    line->idle = (struct idle){.fd = accept(listener, NULL, NULL)};
    assert_true(line->idle.fd >= 0);
    close(listener);
}

static void open_line(struct fixture *fixture, struct line *line, int64_t now_ms)
{
    idle_open(fixture->list, &line->idle, now_ms);
    line->open = true;
}

static int make(void **state)
{
    static struct fixture fixture;

    fixture.list = idle_list_new(REQUEST_MS);
    if (fixture.list == NULL)
        return -1;
    connect_line(&fixture.first);
    connect_line(&fixture.second);
    *state = &fixture;
    return 0;
}

static void drop_line(struct fixture *fixture, struct line *line)
{
    if (line->open)
        idle_close(fixture->list, &line->idle);
    line->open = false;
    close(line->idle.fd);
    close(line->client);
}

static int drop(void **state)
{
    struct fixture *fixture = *state;

    drop_line(fixture, &fixture->first);
    drop_line(fixture, &fixture->second);
    idle_list_free(fixture->list);
    return 0;
}

/* What the library would read: -1: nothing yet; 0: the end. */
static ssize_t read_one(const struct line *line)
{
    char byte;

    return recv(line->idle.fd, &byte, 1, MSG_DONTWAIT);
}

static void say(const struct line *line)
{
    int there = 0;

    assert_int_equal(send(line->client, "x", 1, 0), 1);
    while (there == 0)
        assert_return_code(ioctl(line->idle.fd, FIONREAD, &there), errno);
}

static void each_is_closed_after_its_minute(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(idle_maintain(fixture->list, 500), REQUEST_MS);
    idle_begin(fixture->list, &fixture->first.idle, IDLE_REQUEST, 1000);
    idle_begin(fixture->list, &fixture->second.idle, IDLE_REQUEST, 3000);
    assert_int_equal(idle_maintain(fixture->list, 1000 + MINUTE_MS - 1), 1);
    assert_int_equal(read_one(&fixture->first), -1);
    assert_int_equal(idle_maintain(fixture->list, 1000 + MINUTE_MS), ENDING_MS);
    assert_int_equal(read_one(&fixture->first), 0);
    assert_int_equal(read_one(&fixture->second), -1);
    idle_end(fixture->list, &fixture->first.idle);
    assert_int_equal(idle_maintain(fixture->list, 2000 + MINUTE_MS), 1000);
    assert_int_equal(idle_maintain(fixture->list, 3000 + MINUTE_MS), ENDING_MS);
    assert_int_equal(read_one(&fixture->second), 0);
}

static void a_request_is_not_idle(void **state)
{
    struct fixture *fixture = *state;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_REQUEST, 1000);
    idle_end(fixture->list, &fixture->first.idle);
    idle_end(fixture->list, &fixture->first.idle);
    assert_int_equal(idle_maintain(fixture->list, 2 * MINUTE_MS), REQUEST_MS);
    assert_int_equal(read_one(&fixture->first), -1);
    idle_begin(fixture->list, &fixture->first.idle, IDLE_REQUEST, 2 * MINUTE_MS);
    assert_int_equal(idle_maintain(fixture->list, 3 * MINUTE_MS - 1), 1);
}

static void what_has_arrived_is_waited_for(void **state)
{
    struct fixture *fixture = *state;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_REQUEST, 1000);
    say(&fixture->first);
    assert_int_equal(idle_maintain(fixture->list, 1000 + MINUTE_MS), REQUEST_MS);
    assert_int_equal(read_one(&fixture->first), 1);
    assert_int_equal(read_one(&fixture->first), -1);
}

static void what_arrives_behind_the_end_is_read_before_it(void **state)
{
    struct fixture *fixture = *state;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_REQUEST, 1000);
    idle_maintain(fixture->list, 1000 + MINUTE_MS);
    say(&fixture->first);
    assert_int_equal(read_one(&fixture->first), 1);
    assert_int_equal(read_one(&fixture->first), 0);
}

static bool is_shut(const struct line *line)
{
    struct pollfd polled = {.fd = line->idle.fd};

    return poll(&polled, 1, 0) > 0 && (polled.revents & POLLHUP) != 0;
}

/* It has read a byte that came just before the end, and waits for more. */
static void an_end_that_nobody_sees_is_followed_by_a_hang_up(void **state)
{
    struct fixture *fixture = *state;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_HEAD, 1000);
    idle_maintain(fixture->list, 1000 + REQUEST_MS);
    say(&fixture->first);
    idle_maintain(fixture->list, 1000 + REQUEST_MS + ENDING_MS);
    assert_false(is_shut(&fixture->first)); /* the byte is to be read first */
    assert_int_equal(read_one(&fixture->first), 1);
    assert_int_equal(idle_maintain(fixture->list, 1000 + REQUEST_MS + 2 * ENDING_MS - 1), 1);
    assert_false(is_shut(&fixture->first));
    idle_maintain(fixture->list, 1000 + REQUEST_MS + 2 * ENDING_MS);
    assert_true(is_shut(&fixture->first));
    idle_end(fixture->list, &fixture->first.idle);
    assert_int_equal(idle_maintain(fixture->list, 2 * MINUTE_MS), REQUEST_MS);
}

static void headers_have_one_time_however_often_a_byte_comes(void **state)
{
    struct fixture *fixture = *state;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_HEAD, 1000);
    for (int ms = 0; ms < REQUEST_MS; ms += REQUEST_MS / 4) {
        say(&fixture->first);
        assert_int_equal(read_one(&fixture->first), 1);
        idle_maintain(fixture->list, 1000 + ms);
    }
    assert_int_equal(read_one(&fixture->first), -1);
    idle_maintain(fixture->list, 1000 + REQUEST_MS);
    assert_int_equal(read_one(&fixture->first), 0);
}

static void a_body_may_take_as_long_as_it_has_bytes(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_ms = 1000;

    idle_begin(fixture->list, &fixture->first.idle, IDLE_BODY, now_ms);
    idle_begin(fixture->list, &fixture->second.idle, IDLE_BODY, now_ms);
    for (int i = 0; i < 10; i++) {
        idle_received(fixture->list, &fixture->first.idle, 500 * REQUEST_MS / 1000);
        idle_received(fixture->list, &fixture->second.idle, 500 * REQUEST_MS / 1000 - (i == 9));
        now_ms += REQUEST_MS;
        assert_int_equal(read_one(&fixture->second), -1);
        assert_int_equal(idle_maintain(fixture->list, now_ms), i == 9 ? ENDING_MS : REQUEST_MS);
    }
    assert_int_equal(read_one(&fixture->first), -1);
    assert_int_equal(read_one(&fixture->second), 0);
}

static void hang_up(const struct line *line)
{
    struct pollfd polled = {.fd = line->idle.fd, .events = POLLRDHUP};

    assert_return_code(shutdown(line->client, SHUT_WR), errno);
    assert_int_equal(poll(&polled, 1, -1), 1);
}

static bool is_noted(const struct fixture *fixture)
{
    struct pollfd polled = {.fd = idle_list_fd(fixture->list), .events = POLLIN};

    return poll(&polled, 1, 0) > 0;
}

/* The library has read the last byte and waits for more: something has to wake it. */
static void who_hangs_up_while_idle_is_shut_down_soon(void **state)
{
    struct fixture *fixture = *state;

    open_line(fixture, &fixture->first, 1000);
    open_line(fixture, &fixture->second, 1000);
    say(&fixture->first);
    hang_up(&fixture->first);
    assert_true(is_noted(fixture));
    assert_int_equal(read_one(&fixture->first), 1);
    assert_int_equal(idle_maintain(fixture->list, 2000), ENDING_MS);
    assert_false(is_noted(fixture));
    assert_false(is_shut(&fixture->first)); /* an answer may be under way */
    idle_maintain(fixture->list, 2000 + ENDING_MS);
    assert_true(is_shut(&fixture->first));
    assert_false(is_shut(&fixture->second));
}

static void who_hangs_up_during_a_request_is_so_when_it_is_over(void **state)
{
    struct fixture *fixture = *state;
    struct line *line = &fixture->first;

    open_line(fixture, line, 1000);
    idle_end(fixture->list, &line->idle);
    hang_up(line);
    assert_int_equal(idle_maintain(fixture->list, 1000 + MINUTE_MS), REQUEST_MS);
    assert_false(is_shut(line));
    idle_begin(fixture->list, &line->idle, IDLE_REQUEST, 1000 + MINUTE_MS);
    assert_int_equal(idle_maintain(fixture->list, 1000 + MINUTE_MS), ENDING_MS);
    idle_maintain(fixture->list, 1000 + MINUTE_MS + ENDING_MS);
    assert_true(is_shut(line));
}

/* ---- at a stop ---- */

enum { SOON_MS = 20, NEVER_MS = 1000 * 1000 };

/* It returns as soon as nobody is owed an answer; before, only because its time is over. */
static bool is_awaited(struct fixture *fixture)
{
    int64_t begun_ms = clock_mono_ms();

    idle_list_await(fixture->list, SOON_MS);
    return clock_mono_ms() >= begun_ms + SOON_MS;
}

static void an_answer_that_is_owed_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    struct line *line = &fixture->first;

    idle_list_await(fixture->list, NEVER_MS);
    open_line(fixture, line, 1000);
    open_line(fixture, &fixture->second, 1000);
    assert_true(is_awaited(fixture)); /* two are new */
    idle_begin(fixture->list, &fixture->second.idle, IDLE_REQUEST, 1000);
    idle_begin(fixture->list, &line->idle, IDLE_HEAD, 1000);
    assert_true(is_awaited(fixture));
    idle_end(fixture->list, &line->idle); /* it is being answered */
    assert_true(is_awaited(fixture));
    idle_begin(fixture->list, &line->idle, IDLE_REQUEST, 1000);
    idle_list_await(fixture->list, NEVER_MS);
    say(line);
    assert_true(is_awaited(fixture)); /* the next one has come */
    assert_int_equal(read_one(line), 1);
    idle_list_await(fixture->list, NEVER_MS);
    drop_line(fixture, line);
    idle_list_await(fixture->list, NEVER_MS);
    connect_line(line);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(each_is_closed_after_its_minute),
        test(a_request_is_not_idle),
        test(what_has_arrived_is_waited_for),
        test(what_arrives_behind_the_end_is_read_before_it),
        test(an_end_that_nobody_sees_is_followed_by_a_hang_up),
        test(headers_have_one_time_however_often_a_byte_comes),
        test(who_hangs_up_while_idle_is_shut_down_soon),
        test(who_hangs_up_during_a_request_is_so_when_it_is_over),
        test(a_body_may_take_as_long_as_it_has_bytes),
        test(an_answer_that_is_owed_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
