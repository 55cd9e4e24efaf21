/* tests/unit/log_queue_test.c -- lines come out whole and in order; a reader that stops stops
 * nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log_queue.h"

enum { LINE = 128, PATIENCE_MS = 10, PATIENT_MS = 60000 };

static void no_matter(void)
{
}

/* Exactly LINE bytes. */
static void make_line(char out[LINE + 1], int number)
{
    snprintf(out, LINE + 1, "%-*d\n", LINE - 1, number);
}

static bool add_line(struct log_queue *queue, int number)
{
    char line[LINE + 1];

    make_line(line, number);
    return log_queue_add(queue, line, LINE);
}

static void expect_lines(int fd, int count)
{
    for (int i = 0; i < count; i++) {
        char want[LINE + 1], got[LINE];

        make_line(want, i);
        for (size_t have = 0; have < LINE;) {
            ssize_t n = read(fd, got + have, LINE - have);

            assert_true(n > 0);
            have += (size_t)n;
        }
        assert_memory_equal(got, want, LINE);
    }
}

static void what_is_queued_is_written_in_order_before_the_end(void **state)
{
    struct log_queue *queue;
    int ends[2];

    (void)state;
    assert_return_code(pipe2(ends, O_CLOEXEC), errno);
    queue = log_queue_new(ends[1], no_matter);
    assert_non_null(queue);
    for (int i = 0; i < 400; i++) /* less than a pipe takes */
        assert_true(add_line(queue, i));
    assert_true(log_queue_free(queue, PATIENT_MS));
    expect_lines(ends[0], 400);
    close(ends[0]);
    close(ends[1]);
}

static void when_nobody_reads_it_fills_and_is_not_freed_and_flows_again(void **state)
{
    struct log_queue *queue;
    int ends[2], count = 0;

    (void)state;
    assert_return_code(pipe2(ends, O_CLOEXEC), errno);
    queue = log_queue_new(ends[1], no_matter);
    assert_non_null(queue);
    while (add_line(queue, count))
        count++;
    assert_true(count * LINE >= LOG_QUEUE_BYTES);
    assert_false(log_queue_free(queue, PATIENCE_MS));
    expect_lines(ends[0], count);
    assert_true(log_queue_free(queue, PATIENT_MS));
    close(ends[0]);
    close(ends[1]);
}

static void a_descriptor_that_does_not_block_is_waited_for(void **state)
{
    struct log_queue *queue;
    int ends[2], count = LOG_QUEUE_BYTES / LINE;

    (void)state;
    assert_return_code(pipe2(ends, O_CLOEXEC), errno);
    assert_return_code(fcntl(ends[1], F_SETFL, O_NONBLOCK), errno);
    queue = log_queue_new(ends[1], no_matter);
    for (int i = 0; i < count; i++)
        assert_true(add_line(queue, i));
    expect_lines(ends[0], count);
    assert_true(log_queue_free(queue, PATIENT_MS));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_queued_is_written_in_order_before_the_end),
        cmocka_unit_test(when_nobody_reads_it_fills_and_is_not_freed_and_flows_again),
        cmocka_unit_test(a_descriptor_that_does_not_block_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
