/* tests/unit/waiters_test.c -- waiters are woken once, by a move, by time, by a client
 * that hangs up, or by the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/waiters.h"

enum { FAR_MS = 600 * 1000 };

struct guest {
    struct waiter waiter;
    sem_t woken;
};

static void on_wake(struct waiter *waiter)
{
    struct guest *guest = waiter->owner;

    sem_post(&guest->woken);
}

static void guest_init(struct guest *guest, struct guid id, int64_t deadline_ms)
{
    guest->waiter = (struct waiter){
        .id = id, .deadline_ms = deadline_ms, .fd = -1, .wake = on_wake, .owner = guest};
    sem_init(&guest->woken, 0, 0);
}

static int times_woken(struct guest *guest)
{
    int value = -1;

    sem_getvalue(&guest->woken, &value);
    return value;
}

static int make(void **state)
{
    *state = waiters_new();
    return *state != NULL ? 0 : -1;
}

static int drop(void **state)
{
    waiters_free(*state);
    return 0;
}

static void a_move_wakes_all_who_wait_for_that_report(void **state)
{
    struct guest first, second, other;
    struct guid id = guid_new();
    int64_t far = clock_mono_ms() + FAR_MS;

    guest_init(&first, id, far);
    guest_init(&second, id, far);
    guest_init(&other, guid_new(), far);
    waiters_add(*state, &first.waiter);
    waiters_add(*state, &second.waiter);
    waiters_add(*state, &other.waiter);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    assert_int_equal(times_woken(&first), 1);
    assert_int_equal(times_woken(&second), 1);
    assert_int_equal(times_woken(&other), 0);
    assert_false(first.waiter.timed_out);
    assert_int_equal(first.waiter.state, REPORT_COMPLETE);
    assert_true(report_is_active(other.waiter.state));
    assert_true(waiters_cancel(*state, &other.waiter));
}

static void the_end_of_a_session_wakes_those_of_its_user_as_doubted(void **state)
{
    struct guest own, other;
    int64_t far = clock_mono_ms() + FAR_MS;

    guest_init(&own, guid_new(), far);
    guest_init(&other, guid_new(), far);
    own.waiter.user_id = 7;
    other.waiter.user_id = 8;
    waiters_add(*state, &own.waiter);
    waiters_add(*state, &other.waiter);
    waiters_notify_user(*state, 7);
    assert_int_equal(times_woken(&own), 1);
    assert_true(own.waiter.doubted);
    assert_int_equal(times_woken(&other), 0);
    waiters_notify_all(*state);
    assert_int_equal(times_woken(&other), 1);
    assert_true(other.waiter.doubted);
}

static void a_move_wakes_only_once(void **state)
{
    struct guest guest;
    struct guid id = guid_new();

    guest_init(&guest, id, clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    assert_int_equal(times_woken(&guest), 1);
}

static void a_report_in_the_same_bucket_is_not_woken(void **state)
{
    struct guest guest;
    struct guid id = guid_new(), other = id;

    other.bytes[0] ^= 1; /* the bucket is chosen by the last bytes */
    guest_init(&guest, id, clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    waiters_notify(*state, &other, REPORT_COMPLETE);
    assert_int_equal(times_woken(&guest), 0);
    assert_true(waiters_cancel(*state, &guest.waiter));
}

static void a_deadline_wakes_as_timed_out(void **state)
{
    struct guest guest;

    guest_init(&guest, guid_new(), clock_mono_ms() + 1);
    waiters_add(*state, &guest.waiter);
    sem_wait(&guest.woken);
    assert_true(guest.waiter.timed_out);
}

static void a_nearer_deadline_comes_before_a_farther_one(void **state)
{
    struct guest far, near;

    guest_init(&far, guid_new(), clock_mono_ms() + FAR_MS);
    guest_init(&near, guid_new(), clock_mono_ms() + 1);
    waiters_add(*state, &far.waiter);
    waiters_add(*state, &near.waiter);
    sem_wait(&near.woken);
    assert_int_equal(times_woken(&far), 0);
    assert_true(waiters_cancel(*state, &far.waiter));
}

static void a_client_that_hangs_up_wakes_its_waiter_as_timed_out(void **state)
{
    struct guest gone, other;
    int clients[2], others[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, clients), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
    guest_init(&gone, guid_new(), clock_mono_ms() + FAR_MS);
    guest_init(&other, guid_new(), clock_mono_ms() + FAR_MS);
    gone.waiter.fd = clients[0];
    other.waiter.fd = others[0];
    waiters_add(*state, &gone.waiter);
    waiters_add(*state, &other.waiter);
    assert_int_equal(send(others[1], "more", 4, 0), 4); /* a pipelined request is no hang-up */
    close(clients[1]);
    sem_wait(&gone.woken);
    assert_true(gone.waiter.timed_out);
    assert_int_equal(times_woken(&other), 0);
    waiters_add(*state, &gone.waiter); /* it is still gone */
    sem_wait(&gone.woken);
    assert_true(waiters_cancel(*state, &other.waiter));
    close(others[1]);
    close(others[0]);
    close(clients[0]);
}

static void a_cancelled_waiter_is_not_woken(void **state)
{
    struct guest guest;
    struct guid id = guid_new();

    guest_init(&guest, id, clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    assert_true(waiters_cancel(*state, &guest.waiter));
    waiters_notify(*state, &id, REPORT_COMPLETE);
    assert_int_equal(times_woken(&guest), 0);
}

static void a_woken_waiter_cannot_be_cancelled(void **state)
{
    struct guest guest;
    struct guid id = guid_new();

    guest_init(&guest, id, clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    assert_false(waiters_cancel(*state, &guest.waiter));
}

static void a_woken_waiter_can_wait_again(void **state)
{
    struct guest guest;
    struct guid id = guid_new();

    guest_init(&guest, id, clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    waiters_add(*state, &guest.waiter);
    waiters_notify(*state, &id, REPORT_COMPLETE);
    assert_int_equal(times_woken(&guest), 2);
}

static void the_end_wakes_everyone_as_timed_out(void **state)
{
    struct guest guest;

    guest_init(&guest, guid_new(), clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    waiters_stop(*state);
    assert_int_equal(times_woken(&guest), 1);
    assert_true(guest.waiter.timed_out);
}

static void nobody_waits_after_the_end(void **state)
{
    struct guest guest;

    waiters_stop(*state);
    guest_init(&guest, guid_new(), clock_mono_ms() + FAR_MS);
    waiters_add(*state, &guest.waiter);
    assert_int_equal(times_woken(&guest), 1);
    assert_true(guest.waiter.timed_out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make, drop)
    const struct CMUnitTest tests[] = {
        T(a_move_wakes_all_who_wait_for_that_report),
        T(the_end_of_a_session_wakes_those_of_its_user_as_doubted),
        T(a_move_wakes_only_once),
        T(a_report_in_the_same_bucket_is_not_woken),
        T(a_deadline_wakes_as_timed_out),
        T(a_nearer_deadline_comes_before_a_farther_one),
        T(a_cancelled_waiter_is_not_woken),
        T(a_client_that_hangs_up_wakes_its_waiter_as_timed_out),
        T(a_woken_waiter_cannot_be_cancelled),
        T(a_woken_waiter_can_wait_again),
        T(the_end_wakes_everyone_as_timed_out),
        T(nobody_waits_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
