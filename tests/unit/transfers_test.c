/* tests/unit/transfers_test.c -- transfers are ended by their report, and no other connection is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/transfers.h"

/* A connection over TCP: the server's end and the client's. */
struct line {
    struct transfers *transfers;
    struct peer *peer;
    int server, client;
};

static void connect_line(struct line *line)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), small = 4096;

    assert_return_code(bind(listener, (struct sockaddr *)&address, len), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
    line->client = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(line->client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_return_code(connect(line->client, (struct sockaddr *)&address, len), errno);
    line->server = accept(listener, NULL, NULL);
    assert_true(line->server >= 0);
    close(listener);
    line->peer = peer_new(line->transfers, line->server);
    assert_non_null(line->peer);
}

static int make(void **state)
{
    static struct line line;

    line.transfers = transfers_new(NULL);
    if (line.transfers == NULL)
        return -1;
    connect_line(&line);
    *state = &line;
    return 0;
}

static int drop(void **state)
{
    struct line *line = *state;

    peer_close(line->peer);
    transfers_finish(line->transfers);
    transfers_free(line->transfers);
    close(line->server);
    close(line->client);
    return 0;
}

static struct transfer *begin(const struct line *line, const struct guid *id)
{
    struct transfer *transfer = NULL;

    assert_int_equal(transfer_begin(line->peer, id, &transfer, NULL), 0);
    return transfer;
}

static void send_bytes(const struct line *line, size_t len)
{
    static const char bytes[65536];

    assert_int_equal(send(line->server, bytes, len, MSG_DONTWAIT), len);
}

/* Does the client find the connection broken, after what it had got by then? */
static bool is_reset(const struct line *line)
{
    char bytes[4096];
    ssize_t n;

    do
        n = recv(line->client, bytes, sizeof(bytes), MSG_DONTWAIT);
    while (n > 0);
    return n < 0 && errno == ECONNRESET;
}

static int unacknowledged(int socket)
{
    int left;

    assert_return_code(ioctl(socket, SIOCOUTQ, &left), errno);
    return left;
}

static void await_acknowledgement(const struct line *line)
{
    while (unacknowledged(line->server) > 0)
        ;
}

static void receive_all(const struct line *line)
{
    char bytes[4096];

    while (unacknowledged(line->server) > 0)
        recv(line->client, bytes, sizeof(bytes), MSG_DONTWAIT);
}

/* The same over a Unix socket, as from a proxy on this machine. */
static int make_local(void **state)
{
    static struct line line;
    int ends[2];

    line.transfers = transfers_new(NULL);
    if (line.transfers == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        return -1;
    line.server = ends[0];
    line.client = ends[1];
    line.peer = peer_new(line.transfers, line.server);
    *state = &line;
    return line.peer != NULL ? 0 : -1;
}

static void take(const struct line *line, size_t len)
{
    char bytes[4096];

    while (len > 0) {
        ssize_t n = recv(line->client, bytes, len < sizeof(bytes) ? len : sizeof(bytes), 0);

        assert_true(n > 0);
        len -= (size_t)n;
    }
}

static void send_result(const struct line *line, const struct guid *id, size_t len)
{
    struct transfer *transfer = begin(line, id);

    assert_true(transfer_send(transfer));
    send_bytes(line, len);
    transfer_done(transfer);
}

static void a_deletion_leaves_a_unix_socket_alone_whose_client_has_all(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    char byte;

    send_result(line, &id, 5000);
    take(line, 5000);
    peer_asked(line->peer);
    transfers_end(line->transfers, &id);
    send_bytes(line, 1);
    assert_int_equal(recv(line->client, &byte, 1, 0), 1);
}

static void a_deletion_ends_a_unix_socket_whose_client_has_not(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();

    send_result(line, &id, 5000);
    take(line, 4000);
    peer_asked(line->peer);
    transfers_end(line->transfers, &id);
    assert_true(send(line->server, "", 1, MSG_NOSIGNAL) < 0);
}

static void a_closed_unix_socket_is_over_once_its_client_has_all_or_is_gone(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    int gone;

    for (int hangs_up = 0; hangs_up <= 1; hangs_up++) {
        send_result(line, &id, 5000);
        assert_false(peer_close(line->peer));
        close(line->server);
        transfers_maintain(line->transfers, clock_mono_ms() + 1000, &gone);
        assert_int_equal(gone, 0);
        if (hangs_up)
            close(line->client);
        else
            take(line, 5000);
        transfers_maintain(line->transfers, clock_mono_ms() + 2000, &gone);
        assert_int_equal(gone, 1);
        if (!hangs_up)
            close(line->client);
        transfers_free(line->transfers);
        assert_int_equal(make_local(state), 0);
    }
}

static void what_is_being_sent_is_broken_off(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    assert_true(transfer_send(transfer));
    send_bytes(line, 60000);
    assert_false(is_reset(line));
    transfers_end(line->transfers, &id);
    assert_true(is_reset(line));
    assert_true(transfer_is_ended(transfer));
    transfer_done(transfer);
}

static void what_has_not_begun_to_be_sent_is_told(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfers_end(line->transfers, &id);
    assert_false(transfer_send(transfer));
    transfer_done(transfer);
    assert_false(is_reset(line));
}

static void what_the_kernel_still_has_is_dropped(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfer_send(transfer);
    send_bytes(line, 60000);
    transfer_done(transfer);
    transfers_end(line->transfers, &id);
    assert_true(is_reset(line));
}

static void a_connection_that_has_received_all_stays(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfer_send(transfer);
    send_bytes(line, 100);
    transfer_done(transfer);
    await_acknowledgement(line);
    transfers_end(line->transfers, &id);
    assert_false(is_reset(line));
}

/* Of later answers nothing is acknowledged yet. */
static void a_later_answer_is_not_taken_for_a_result_that_was_received(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfer_send(transfer);
    send_bytes(line, 60000);
    transfer_done(transfer);
    receive_all(line);
    send_bytes(line, 60000);
    transfers_end(line->transfers, &id);
    assert_false(is_reset(line));
}

static void of_two_results_the_one_that_was_not_received_is_dropped(void **state)
{
    struct line *line = *state;
    struct guid received = guid_new(), other = guid_new();
    struct transfer *first = begin(line, &received), *second = begin(line, &other);

    transfer_send(first);
    transfer_send(second);
    send_bytes(line, 60000);
    transfer_done(first);
    receive_all(line);
    send_bytes(line, 60000);
    transfer_done(second);
    peer_asked(line->peer);
    transfers_end(line->transfers, &received);
    assert_true(unacknowledged(line->server) > 0);
    transfers_end(line->transfers, &other);
    assert_true(is_reset(line));
}

static void another_report_ends_nothing(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new(), other = id;
    struct transfer *transfer = begin(line, &id);

    other.bytes[0] ^= 1; /* the same bucket */
    transfer_send(transfer);
    send_bytes(line, 60000);
    transfers_end(line->transfers, &other);
    assert_false(is_reset(line));
    assert_false(transfer_is_ended(transfer));
    transfer_done(transfer);
}

/* How many are released at a time that is so far from now; then that none is left. */
static int maintain(const struct line *line, int64_t after_ms)
{
    int gone, wait_ms = transfers_maintain(line->transfers, clock_mono_ms() + after_ms, &gone);

    assert_true(gone > 0 ? wait_ms == -1 : wait_ms > 0);
    return gone;
}

static void await_release(const struct line *line)
{
    while (maintain(line, 0) == 0)
        ;
}

/* As after `Connection: close`, or of one that was idle for long. */
static struct guid close_unread(struct line *line)
{
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfer_send(transfer);
    send_bytes(line, 60000);
    transfer_done(transfer);
    assert_false(peer_close(line->peer));
    line->peer = NULL;
    close(line->server);
    line->server = -1;
    return id;
}

static void a_closed_connection_is_broken_off_too(void **state)
{
    struct line *line = *state;
    struct guid id = close_unread(line);

    assert_int_equal(maintain(line, 1000), 0);
    transfers_end(line->transfers, &id);
    assert_true(is_reset(line));
    assert_int_equal(maintain(line, 2000), 1);
}

static void a_closed_connection_is_received_to_its_end_and_released(void **state)
{
    struct line *line = *state;
    int descriptor = dup(line->server); /* the number that the duplicate will have */
    size_t got = 0;
    char bytes[4096];
    ssize_t n;

    close(descriptor);
    close_unread(line);
    assert_return_code(fcntl(descriptor, F_GETFD), errno);
    while ((n = recv(line->client, bytes, sizeof(bytes), 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, 60000);
    await_release(line);
    assert_int_equal(fcntl(descriptor, F_GETFD), -1);
}

static void what_the_client_breaks_off_is_released(void **state)
{
    struct line *line = *state;

    close_unread(line);
    close(line->client); /* with bytes unread: a reset */
    line->client = -1;
    await_release(line);
}

static void a_client_that_takes_nothing_is_broken_off_in_the_end(void **state)
{
    struct line *line = *state;
    int watched = dup(line->server), before;
    char bytes[4096];

    close_unread(line);
    assert_int_equal(maintain(line, 1000), 0);
    before = unacknowledged(watched);
    while (unacknowledged(watched) == before)
        recv(line->client, bytes, sizeof(bytes), MSG_DONTWAIT);
    assert_true(unacknowledged(watched) > 0);
    assert_int_equal(maintain(line, 50000), 0); /* it has taken some */
    assert_int_equal(maintain(line, 100000), 0);
    assert_int_equal(maintain(line, 110000), 1);
    assert_true(is_reset(line));
    close(watched);
}

static void without_a_descriptor_it_is_broken_off(void **state)
{
    struct line *line = *state;
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);
    struct rlimit files, none;

    transfer_send(transfer);
    send_bytes(line, 60000);
    transfer_done(transfer);
    assert_return_code(getrlimit(RLIMIT_NOFILE, &files), errno);
    none = files;
    none.rlim_cur = 3;
    assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
    assert_true(peer_close(line->peer));
    line->peer = NULL;
    assert_return_code(setrlimit(RLIMIT_NOFILE, &files), errno);
    assert_true(is_reset(line));
}

static void a_descriptor_that_is_another_connections_by_now_is_left_alone(void **state)
{
    struct line *line = *state;
    struct line next = {.transfers = line->transfers};
    struct guid id = guid_new();
    struct transfer *transfer = begin(line, &id);

    transfer_send(transfer);
    send_bytes(line, 60000);
    transfer_done(transfer);
    assert_false(peer_close(line->peer));
    line->peer = NULL;
    connect_line(&next);
    assert_return_code(dup2(next.server, line->server), errno);
    transfers_end(line->transfers, &id);
    assert_true(is_reset(line));
    assert_false(is_reset(&next));
    peer_close(next.peer);
    close(next.server);
    close(next.client);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make, drop)
#define test_local(name) cmocka_unit_test_setup_teardown(name, make_local, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_local(a_deletion_leaves_a_unix_socket_alone_whose_client_has_all),
        test_local(a_deletion_ends_a_unix_socket_whose_client_has_not),
        test_local(a_closed_unix_socket_is_over_once_its_client_has_all_or_is_gone),
        test(what_is_being_sent_is_broken_off),
        test(what_has_not_begun_to_be_sent_is_told),
        test(what_the_kernel_still_has_is_dropped),
        test(a_connection_that_has_received_all_stays),
        test(a_later_answer_is_not_taken_for_a_result_that_was_received),
        test(of_two_results_the_one_that_was_not_received_is_dropped),
        test(another_report_ends_nothing),
        test(a_closed_connection_is_broken_off_too),
        test(a_closed_connection_is_received_to_its_end_and_released),
        test(what_the_client_breaks_off_is_released),
        test(a_client_that_takes_nothing_is_broken_off_in_the_end),
        test(without_a_descriptor_it_is_broken_off),
        test(a_descriptor_that_is_another_connections_by_now_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
