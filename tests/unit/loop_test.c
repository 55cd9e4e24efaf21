/* tests/unit/loop_test.c -- the loop with real descriptors, threads and a real store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "folder.h"
#include "proc/loop.h"

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

enum { THREADS = 4, MESSAGES = 2000 };

static int setup(void **state)
{
    struct loop *loop;

    assert_int_equal(loop_new(&loop, NULL), 0);
    *state = loop;
    return 0;
}

static int teardown(void **state)
{
    loop_free(*state);
    return 0;
}

/* ---- descriptors ---- */

/* One of two sockets, both readable in the same round. */
struct peer {
    struct loop *loop;
    struct loop_watch watch;
    struct peer *other;
    int far; /* the other end */
    int calls;
};

static void make_pair(struct peer *peer, int *ret_near)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *ret_near = pair[0];
    peer->far = pair[1];
}

static void open_peer(struct loop *loop, struct peer *peer, struct peer *other,
                      void (*ready)(struct loop_watch *watch))
{
    int near;

    *peer = (struct peer){.loop = loop, .other = other, .watch.ready = ready};
    make_pair(peer, &near);
    assert_int_equal(write(peer->far, "x", 1), 1);
    assert_int_equal(loop_watch(loop, &peer->watch, near, EPOLLIN, NULL), 0);
}

static void close_peer(struct peer *peer)
{
    loop_unwatch(peer->loop, &peer->watch);
    close(peer->watch.fd);
    close(peer->far);
}

/* Whichever comes first closes the other one, whose event is waiting already, and opens a silent
 * socket with its number, its watch and its place. */
static void on_first(struct loop_watch *watch)
{
    struct peer *peer = container_of(watch, struct peer, watch), *other = peer->other;
    int number = other->watch.fd, near;

    peer->calls++;
    if (other->calls > 0)
        return;
    close_peer(other);
    make_pair(other, &near);
    assert_int_equal(near, number);
    assert_int_equal(loop_watch(peer->loop, &other->watch, near, EPOLLIN, NULL), 0);
    other->calls = 0;
    loop_unwatch(peer->loop, watch);
}

static void an_event_of_a_closed_and_reused_descriptor_is_dropped(void **state)
{
    struct peer one, two;

    open_peer(*state, &one, &two, on_first);
    open_peer(*state, &two, &one, on_first);
    loop_round(*state);
    assert_int_equal(one.calls + two.calls, 1);
    close_peer(&one);
    close_peer(&two);
}

static void on_ready(struct loop_watch *watch)
{
    struct peer *peer = container_of(watch, struct peer, watch);
    char byte;

    assert_int_equal(read(watch->fd, &byte, 1), 1);
    peer->calls++;
}

static void a_watch_tells_of_its_descriptor_until_it_ends(void **state)
{
    struct peer peer;

    open_peer(*state, &peer, NULL, on_ready);
    loop_round(*state);
    assert_int_equal(peer.calls, 1);
    assert_int_equal(write(peer.far, "x", 1), 1);
    loop_unwatch(*state, &peer.watch);
    loop_wake(*state);
    loop_round(*state);
    assert_int_equal(peer.calls, 1);
    close_peer(&peer);
}

static void more_watches_than_there_are_places_are_refused(void **state)
{
    static struct peer peers[LOOP_WATCHES_MAX];
    int count = 0, near, rc = 0;

    for (; rc == 0; count++) {
        peers[count] = (struct peer){.loop = *state, .watch.ready = on_ready};
        make_pair(&peers[count], &near);
        rc = loop_watch(*state, &peers[count].watch, near, EPOLLIN, NULL);
    }
    assert_int_equal(rc, -E_INTERNAL);
    assert_int_equal(count, LOOP_WATCHES_MAX); /* one place is the loop's own */
    close(near);
    close(peers[--count].far);
    while (count > 0)
        close_peer(&peers[--count]);
}

/* ---- timers ---- */

struct alarm {
    struct loop_timer timer;
    struct loop *loop;
    struct alarm *victim; /* cancelled when this one rings */
    int64_t again_ms;     /* when it is set to next; 0: not at all */
    int rang;             /* its place in the order; 0: not yet */
};

static int rung;

static void on_alarm(struct loop_timer *timer)
{
    struct alarm *alarm = container_of(timer, struct alarm, timer);

    alarm->rang = ++rung;
    if (alarm->victim != NULL)
        loop_timer_cancel(&alarm->victim->timer);
    if (alarm->again_ms != 0)
        loop_timer_set(alarm->loop, timer, alarm->again_ms);
}

static void timers_run_in_the_order_of_their_time(void **state)
{
    int64_t now_ms = clock_mono_ms();
    struct alarm alarms[4];

    rung = 0;
    for (int i = 0; i < 4; i++) {
        alarms[i] = (struct alarm){.timer.run = on_alarm};
        loop_timer_set(*state, &alarms[i].timer, now_ms - i);
    }
    loop_timer_set(*state, &alarms[3].timer, now_ms + 3600 * 1000); /* moved */
    loop_timer_set(*state, &alarms[0].timer, now_ms - 9);
    loop_round(*state);
    assert_int_equal(alarms[0].rang, 1);
    assert_int_equal(alarms[2].rang, 2);
    assert_int_equal(alarms[1].rang, 3);
    assert_int_equal(alarms[3].rang, 0);
    assert_false(loop_timer_is_set(&alarms[0].timer));
    assert_true(loop_timer_is_set(&alarms[3].timer));
    loop_timer_cancel(&alarms[3].timer);
}

static void a_timer_that_another_one_cancels_in_the_same_round_does_not_run(void **state)
{
    struct alarm victim = {.timer.run = on_alarm};
    struct alarm killer = {.timer.run = on_alarm, .victim = &victim};
    int64_t now_ms = clock_mono_ms();

    loop_timer_set(*state, &victim.timer, now_ms);
    loop_timer_set(*state, &killer.timer, now_ms - 1);
    loop_round(*state);
    assert_int_equal(victim.rang, 0);
    assert_true(killer.rang != 0);
}

static void a_timer_that_sets_itself_to_the_past_does_not_hold_up_the_loop(void **state)
{
    struct alarm alarm = {.timer.run = on_alarm, .loop = *state, .again_ms = 1};

    rung = 0;
    loop_timer_set(*state, &alarm.timer, 1);
    loop_round(*state);
    assert_int_equal(alarm.rang, 1);
    loop_round(*state);
    assert_int_equal(alarm.rang, 2);
    loop_timer_cancel(&alarm.timer);
}

static void the_loop_sleeps_until_a_timer_is_due_and_not_longer(void **state)
{
    struct alarm alarm = {.timer.run = on_alarm};

    loop_timer_set(*state, &alarm.timer, clock_mono_ms() + 20);
    while (alarm.rang == 0)
        loop_round(*state); /* would never return if the timer were not heeded */
    assert_true(clock_mono_ms() >= alarm.timer.due_ms);
}

/* What a worker has said before its deadline counts, however late the loop reads it. */
static void descriptors_and_messages_come_before_the_timers_of_a_round(void **state)
{
    struct alarm alarm = {.timer.run = on_alarm};
    struct peer peer;

    open_peer(*state, &peer, NULL, on_ready);
    loop_timer_set(*state, &alarm.timer, 1);
    peer.calls = 0;
    rung = 0;
    loop_round(*state);
    assert_int_equal(peer.calls, 1);
    assert_int_equal(alarm.rang, 1);
    close_peer(&peer);
}

/* ---- messages ---- */

struct note {
    struct loop_message message;
    int thread, number;
};

struct writer {
    struct loop *loop;
    int number;
    struct note notes[MESSAGES];
};

static int last_of[THREADS], notes_read;

static void on_note(struct loop_message *message)
{
    struct note *note = container_of(message, struct note, message);

    assert_int_equal(note->number, last_of[note->thread] + 1);
    last_of[note->thread] = note->number;
    notes_read++;
}

static void *write_notes(void *arg)
{
    struct writer *writer = arg;

    for (int i = 0; i < MESSAGES; i++) {
        writer->notes[i] =
            (struct note){.message.run = on_note, .thread = writer->number, .number = i + 1};
        loop_post(writer->loop, &writer->notes[i].message);
    }
    return NULL;
}

static void messages_of_many_threads_all_come_each_threads_in_order(void **state)
{
    struct writer *writers = calloc(THREADS, sizeof(*writers));
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        writers[i].loop = *state;
        writers[i].number = i;
        pthread_create(&threads[i], NULL, write_notes, &writers[i]);
    }
    while (notes_read < THREADS * MESSAGES)
        loop_round(*state);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    free(writers);
}

static void messages_that_no_round_has_run_can_be_taken_back(void **state)
{
    struct note one = {.message.run = on_note}, two = {.message.run = on_note};

    loop_post(*state, &one.message);
    loop_post(*state, &two.message);
    assert_ptr_equal(loop_take_messages(*state), &one.message);
    assert_ptr_equal(one.message.next, &two.message);
    assert_null(two.message.next);
    assert_null(loop_take_messages(*state));
}

/* ---- questions ---- */

static int answers;
static pthread_t answered_on;

static void on_answer(struct loop_call *call)
{
    assert_int_equal(call->op.rc, 0);
    assert_false(call->asking);
    store_op_done(&call->op);
    answered_on = pthread_self();
    answers++;
}

static void the_store_answers_in_the_loop(void **state)
{
    char folder[256], path[300];
    struct store *store;
    struct loop_call call = {.op.verb = STORE_STATS};

    folder_make(folder);
    snprintf(path, sizeof(path), "%s/store.db", folder);
    assert_int_equal(store_open(&(struct store_spec){.url = path, .create = true}, &store, NULL),
                     0);
    loop_ask(*state, store, &call, on_answer);
    assert_true(call.asking);
    assert_int_equal(loop_asking(*state), 1);
    while (answers == 0)
        loop_round(*state);
    assert_true(pthread_equal(answered_on, pthread_self()));
    assert_int_equal(loop_asking(*state), 0);
    store_free(store);
    folder_remove(folder);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(an_event_of_a_closed_and_reused_descriptor_is_dropped),
        LOOP_TEST(a_watch_tells_of_its_descriptor_until_it_ends),
        LOOP_TEST(more_watches_than_there_are_places_are_refused),
        LOOP_TEST(timers_run_in_the_order_of_their_time),
        LOOP_TEST(a_timer_that_another_one_cancels_in_the_same_round_does_not_run),
        LOOP_TEST(a_timer_that_sets_itself_to_the_past_does_not_hold_up_the_loop),
        LOOP_TEST(the_loop_sleeps_until_a_timer_is_due_and_not_longer),
        LOOP_TEST(descriptors_and_messages_come_before_the_timers_of_a_round),
        LOOP_TEST(messages_of_many_threads_all_come_each_threads_in_order),
        LOOP_TEST(messages_that_no_round_has_run_can_be_taken_back),
        LOOP_TEST(the_store_answers_in_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
