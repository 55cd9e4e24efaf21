/* tests/unit/thread_test.c -- threads, locks, loops and operations notice that they are used by the
 * wrong thread, or twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "pg/pg.h"
#include "proc/loop.h"
#include "spool/spool.h"
#include "store/store.h"

/* Run it in a process of its own; does that end with SIGABRT, and these words? */
static void assert_aborts(void (*run)(void), const char *words)
{
    char text[1024];
    size_t len = 0;
    ssize_t n;
    int out[2], status;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(out[1]);
    while ((n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, words));
}

/* Called in a thread of its own, with what the test has made. */
static void in_another_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;

    if (thread_start(&thread, "other", run, context) != 0)
        _exit(1);
    pthread_join(thread, NULL);
}

static struct lock lock;
static pthread_cond_t cond;

/* Once the test has let go of the lock: the name comes from the thread that starts it. */
static void *look_at_itself(void *context)
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
    assert_int_equal(thread_start(&thread, "its name", look_at_itself, &blocked), 0);
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

static void check_without_holding(void)
{
    lock_init(&lock);
    lock_check_held(&lock);
}

static void *check_held(void *context)
{
    lock_check_held(context);
    return NULL;
}

static void check_what_another_holds(void)
{
    lock_init(&lock);
    lock_take(&lock);
    in_another_thread(check_held, &lock);
}

static void release_twice(void)
{
    lock_init(&lock);
    lock_take(&lock);
    lock_release(&lock);
    lock_release(&lock);
}

static void a_lock_knows_who_holds_it(void **state)
{
    (void)state;
    assert_aborts(check_without_holding, "lock_check_held: not true");
    assert_aborts(check_what_another_holds, "lock_check_held: not true");
    assert_aborts(release_twice, "thread_disown: not true");
}

static void *set_timer(void *context)
{
    static struct loop_timer timer;

    loop_timer_set(context, &timer, 0);
    return NULL;
}

static void use_the_loop_of_another_thread(void)
{
    struct loop *loop;
    struct err err;

    if (loop_new(&loop, &err) < 0)
        _exit(1);
    loop_enter(loop);
    in_another_thread(set_timer, loop);
}

static void a_loop_is_used_by_its_thread_alone(void **state)
{
    (void)state;
    assert_aborts(use_the_loop_of_another_thread, "loop_check: not true");
}

static void ignore_message(struct loop_message *message)
{
    (void)message;
}

static void post_what_waits(void)
{
    static struct loop_message message = {.run = ignore_message};
    struct loop *loop;
    struct err err;

    if (loop_new(&loop, &err) < 0)
        _exit(1);
    loop_post(loop, &message);
    loop_post(loop, &message);
}

static void push_what_waits(void)
{
    static struct work_item item = {.queued = true};

    work_queue_push(NULL, &item);
}

static void what_waits_in_a_queue_is_not_queued_again(void **state)
{
    (void)state;
    assert_aborts(post_what_waits, "loop_post: not true");
    assert_aborts(push_what_waits, "work_queue_push: not true");
}

/* Both as they are between their post and `done`. */
static void post_an_operation_of_the_store_again(void)
{
    struct store_op op = {.verb = STORE_STATS, .posted = true, .done = store_op_done};

    store_post(NULL, &op);
}

static void ignore_answer(struct spool_op *op)
{
    (void)op;
}

static void post_an_operation_of_the_spool_again(void)
{
    struct spool_op op = {.verb = SPOOL_REMOVE, .posted = true, .done = ignore_answer};

    spool_post(NULL, &op);
}

static void add_one_reference_too_many(void)
{
    static struct pg_guids guids;
    const struct guid id = {{0}};

    pg_guids_start(&guids, PG_GUIDS_MAX);
    for (int i = 0; i <= PG_GUIDS_MAX; i++)
        pg_guids_add(&guids, &id);
}

static void an_operation_is_posted_once(void **state)
{
    (void)state;
    assert_aborts(post_an_operation_of_the_store_again, "store_post: not true");
    assert_aborts(post_an_operation_of_the_spool_again, "spool_post: not true");
}

static void an_array_of_references_has_its_limit(void **state)
{
    (void)state;
    assert_aborts(add_one_reference_too_many, "pg_guids_add: not true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_has_a_name_and_no_signals),
        cmocka_unit_test(a_wait_ends_with_its_time_and_holds_the_lock_again),
        cmocka_unit_test(a_lock_knows_who_holds_it),
        cmocka_unit_test(a_loop_is_used_by_its_thread_alone),
        cmocka_unit_test(what_waits_in_a_queue_is_not_queued_again),
        cmocka_unit_test(an_operation_is_posted_once),
        cmocka_unit_test(an_array_of_references_has_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
