/* tests/unit/thread_test.c -- a thread's name and signals, and waits with an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

static struct lock lock;
static pthread_cond_t cond;

/* Once the test has let go of the lock: the name comes from the thread that starts it. */
static void *check_itself(void *context)
{
    sigset_t *blocked = context;
    char name[16];

    lock_take(&lock);
    lock_release(&lock);
    pthread_sigmask(SIG_SETMASK, NULL, blocked);
    return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 ? strdup(name) : NULL;
}

static void a_thread_has_a_name_and_no_signals(void **state)
{
    sigset_t before, after, blocked;
    pthread_t thread;
    void *name;

    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    lock_init(&lock);
    lock_take(&lock);
    assert_int_equal(thread_start(&thread, "its name", check_itself, &blocked), 0);
    lock_release(&lock);
    assert_int_equal(pthread_join(thread, &name), 0);
    assert_string_equal(name, "its name");
    free(name);
    lock_done(&lock);
    assert_true(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR1) == 1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void a_wait_ends_with_its_time_and_holds_the_lock_again(void **state)
{
    int64_t until_ms = clock_mono_ms() + 20;

    (void)state;
    lock_init(&lock);
    lock_cond_init(&cond);
    lock_take(&lock);
    while (lock_wait_until(&lock, &cond, until_ms))
        ;
    assert_true(clock_mono_ms() >= until_ms);
    lock_check_held(&lock);
    lock_release(&lock);
    pthread_cond_destroy(&cond);
    lock_done(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_a_name_and_no_signals),
        cmocka_unit_test(a_wait_ends_with_its_time_and_holds_the_lock_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
