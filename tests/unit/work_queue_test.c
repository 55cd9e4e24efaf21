/* tests/unit/work_queue_test.c -- what is pushed runs once, in order, in batches, to the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/work_queue.h"

enum { ITEMS = 1000, PUSHERS = 4 };

struct item {
    struct work_item link; /* first */
    int number;
};

/* What a work queue's thread sees; `gate` holds a batch until the test lets it go. */
struct log {
    sem_t entered, gate;
    bool gated;
    int numbers[ITEMS];
    atomic_int count;
    size_t batches[ITEMS];
    size_t batch_count;
    atomic_int again; /* items that `run` itself pushes */
    struct work_queue *work_queue;
    struct item extra;
    sigset_t blocked;
    atomic_int tended;
    sem_t tend_called;
    atomic_llong maintain_wait; /* what maintain answers, once */
};

static void run(void *context, struct work_item *batch)
{
    struct log *log = context;
    size_t n = 0;

    if (log->gated) {
        sem_post(&log->entered);
        sem_wait(&log->gate);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &log->blocked);
    for (; batch != NULL; batch = batch->next, n++)
        log->numbers[atomic_fetch_add(&log->count, 1)] = ((struct item *)batch)->number;
    log->batches[log->batch_count++] = n;
    if (atomic_exchange(&log->again, 0) != 0) {
        log->extra.number = -1;
        assert_true(work_queue_push(log->work_queue, &log->extra.link));
    }
}

static void log_init(struct log *log, bool gated)
{
    *log = (struct log){.gated = gated};
    sem_init(&log->entered, 0, 0);
    sem_init(&log->gate, 0, 0);
    sem_init(&log->tend_called, 0, 0);
}

static void log_done(struct log *log)
{
    sem_destroy(&log->entered);
    sem_destroy(&log->gate);
    sem_destroy(&log->tend_called);
}

static struct log shared;

static struct work_queue *start(size_t batch_max, size_t queue_max, bool gated)
{
    const struct work_queue_spec spec = {.name = "test",
                                         .threads = 1,
                                         .batch_max = batch_max,
                                         .queue_max = queue_max,
                                         .run = run,
                                         .context = &shared};

    log_init(&shared, gated);
    shared.work_queue = work_queue_new(&spec);
    assert_non_null(shared.work_queue);
    return shared.work_queue;
}

static void items_run_in_the_order_they_were_pushed(void **state)
{
    static struct item items[ITEMS];
    struct work_queue *work_queue = start(7, 0, false);

    (void)state;
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        assert_true(work_queue_push(work_queue, &items[i].link));
    }
    work_queue_free(work_queue);
    assert_int_equal(shared.count, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(shared.numbers[i], i);
    for (size_t i = 0; i < shared.batch_count; i++)
        assert_in_range(shared.batches[i], 1, 7);
    log_done(&shared);
}

static void what_waits_is_one_batch_unless_it_is_limited(void **state)
{
    static const size_t limits[] = {0, 4};

    (void)state;
    for (int l = 0; l < 2; l++) {
        struct item items[10] = {0};
        struct work_queue *work_queue = start(limits[l], 0, true);

        for (int i = 0; i < 10; i++) {
            items[i].number = i;
            work_queue_push(work_queue, &items[i].link);
            if (i == 0) /* the thread holds the first alone */
                sem_wait(&shared.entered);
        }
        for (int i = 0; i < 10; i++)
            sem_post(&shared.gate);
        work_queue_free(work_queue);
        assert_int_equal(shared.count, 10);
        assert_int_equal(shared.batches[0], 1);
        assert_int_equal(shared.batches[1], limits[l] == 0 ? 9 : 4);
        log_done(&shared);
    }
}

/* It would rest longer than any test takes: the end cuts that short. */
static void what_is_pushed_while_it_rests_is_one_batch(void **state)
{
    const struct work_queue_spec spec = {
        .name = "test", .threads = 1, .rest_ms = 1000 * 1000, .run = run, .context = &shared};
    static struct item items[ITEMS];
    struct work_queue *work_queue;

    (void)state;
    log_init(&shared, true);
    work_queue = work_queue_new(&spec);
    assert_non_null(work_queue);
    assert_true(work_queue_push(work_queue, &items[0].link));
    sem_wait(&shared.entered);
    sem_post(&shared.gate);
    sem_post(&shared.gate);
    for (int i = 1; i < ITEMS; i++) {
        items[i].number = i;
        assert_true(work_queue_push(work_queue, &items[i].link));
        sem_post(&shared.gate);
        sched_yield();
    }
    work_queue_free(work_queue);
    assert_int_equal(shared.count, ITEMS);
    assert_int_equal(shared.batch_count, 2);
    assert_int_equal(shared.batches[0], 1);
    log_done(&shared);
}

static void a_full_queue_refuses_and_the_item_stays_the_callers(void **state)
{
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct work_queue *work_queue = start(1, 2, true);

    (void)state;
    assert_true(work_queue_push(work_queue, &items[0].link));
    sem_wait(&shared.entered);
    assert_true(work_queue_push(work_queue, &items[1].link));
    assert_true(work_queue_push(work_queue, &items[2].link));
    assert_false(work_queue_push(work_queue, &items[3].link));
    for (int i = 0; i < 4; i++)
        sem_post(&shared.gate);
    work_queue_free(work_queue);
    assert_int_equal(shared.count, 3);
    log_done(&shared);
}

static void what_run_pushes_while_the_queue_ends_still_runs(void **state)
{
    struct item item = {.number = 5};
    struct work_queue *work_queue = start(0, 0, false);

    (void)state;
    shared.again = 1;
    assert_true(work_queue_push(work_queue, &item.link));
    work_queue_free(work_queue);
    assert_int_equal(shared.count, 2);
    assert_int_equal(shared.numbers[1], -1);
    log_done(&shared);
}

static void signals_are_blocked_in_the_threads(void **state)
{
    struct item item = {.number = 1};
    sigset_t here;

    (void)state;
    work_queue_free(NULL);
    work_queue_push(start(0, 0, false), &item.link);
    work_queue_free(shared.work_queue);
    assert_int_equal(sigismember(&shared.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&shared.blocked, SIGHUP), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &here);
    assert_int_equal(sigismember(&here, SIGTERM), 0);
    log_done(&shared);
}

struct pusher {
    struct work_queue *work_queue;
    struct item items[ITEMS / PUSHERS];
};

static void *push_all(void *context)
{
    struct pusher *pusher = context;

    for (int i = 0; i < ITEMS / PUSHERS; i++)
        work_queue_push(pusher->work_queue, &pusher->items[i].link);
    return NULL;
}

static atomic_int ran[ITEMS];

static void count_each(void *context, struct work_item *batch)
{
    (void)context;
    for (; batch != NULL; batch = batch->next)
        atomic_fetch_add(&ran[((struct item *)batch)->number], 1);
}

static void many_threads_push_and_run_every_item_once(void **state)
{
    static struct pusher pushers[PUSHERS];
    const struct work_queue_spec spec = {
        .name = "many", .threads = 3, .batch_max = 2, .run = count_each};
    struct work_queue *work_queue = work_queue_new(&spec);
    pthread_t threads[PUSHERS];

    (void)state;
    assert_non_null(work_queue);
    for (int p = 0; p < PUSHERS; p++) {
        pushers[p].work_queue = work_queue;
        for (int i = 0; i < ITEMS / PUSHERS; i++)
            pushers[p].items[i].number = p * (ITEMS / PUSHERS) + i;
        assert_int_equal(pthread_create(&threads[p], NULL, push_all, &pushers[p]), 0);
    }
    for (int p = 0; p < PUSHERS; p++)
        pthread_join(threads[p], NULL);
    work_queue_free(work_queue);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(ran[i], 1);
}

/* Answers `maintain_wait` once, then that it needs no further call. */
static int64_t maintain(void *context)
{
    struct log *log = context;
    int64_t wait = atomic_exchange(&log->maintain_wait, 0);

    atomic_fetch_add(&log->tended, 1);
    sem_post(&log->tend_called);
    return wait;
}

static void a_queue_is_tended_after_a_batch_and_once_more_when_it_asks(void **state)
{
    const struct work_queue_spec spec = {
        .name = "maintained", .threads = 1, .run = run, .maintain = maintain, .context = &shared};
    struct item item = {.number = 1};

    (void)state;
    log_init(&shared, false);
    shared.maintain_wait = 1;
    shared.work_queue = work_queue_new(&spec);
    assert_non_null(shared.work_queue);
    assert_true(work_queue_push(shared.work_queue, &item.link));
    sem_wait(&shared.tend_called); /* after the batch */
    sem_wait(&shared.tend_called); /* after the millisecond it asked for */
    work_queue_free(shared.work_queue);
    assert_int_equal(shared.tended, 2);
    log_done(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_run_in_the_order_they_were_pushed),
        cmocka_unit_test(what_waits_is_one_batch_unless_it_is_limited),
        cmocka_unit_test(what_is_pushed_while_it_rests_is_one_batch),
        cmocka_unit_test(a_full_queue_refuses_and_the_item_stays_the_callers),
        cmocka_unit_test(what_run_pushes_while_the_queue_ends_still_runs),
        cmocka_unit_test(signals_are_blocked_in_the_threads),
        cmocka_unit_test(many_threads_push_and_run_every_item_once),
        cmocka_unit_test(a_queue_is_tended_after_a_batch_and_once_more_when_it_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
