/* tests/unit/fair_queue_test.c -- whose report starts next: by an exhaustive search, and how fair
 * that is in simulations. `fair_queue_test full` simulates longer: `make simulation`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/fair_queue.h"

enum { USERS_MAX = 256, WORKERS_MAX = 128, DEPTH_MAX = 64, TYPES = 3 };

static bool full; /* simulate as long as the figures of the documents are of */

static const char *const types[TYPES] = {"Balance", "Summary", "History"};

struct report {
    int64_t seq;
    int type;
};

struct user {
    struct report queued[DEPTH_MAX];
    int count, running;
    int64_t turn;
    int64_t waits_since; /* how many starts there had been as nothing of it ran any more */
    double work;         /* time of workers */
};

struct worker {
    int user; /* -1: idle */
    double began, ends;
};

/* Users and workers around the queue that is tested, and what it should know of them. */
struct world {
    struct fair_queue *queue;
    struct user users[USERS_MAX];
    struct worker workers[WORKERS_MAX];
    int user_count, worker_count;
    int64_t seq, starts;
    double now;
    uint64_t random;
};

/* xorshift64 (Marsaglia): the same in every run. */
static uint32_t chance(struct world *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint32_t)(w->random >> 16) % below;
}

static void world_init(struct world *w, int users, int workers)
{
    *w = (struct world){.user_count = users, .worker_count = workers, .random = 88172645463325252};
    w->queue = fair_queue_new();
    assert_non_null(w->queue);
    for (int i = 0; i < workers; i++)
        w->workers[i].user = -1;
}

static void submit(struct world *w, int user)
{
    struct user *u = &w->users[user];
    struct report report = {.seq = ++w->seq, .type = (int)chance(w, TYPES)};

    assert_true(u->count < DEPTH_MAX);
    if (u->count == 0)
        u->waits_since = w->starts;
    u->queued[u->count++] = report;
    assert_true(fair_queue_add(w->queue, user + 1, types[report.type], report.seq));
}

static void withdraw(struct world *w, int user, int at)
{
    struct user *u = &w->users[user];

    fair_queue_remove(w->queue, user + 1, u->queued[at].seq);
    u->count--;
    memmove(&u->queued[at], &u->queued[at + 1], (size_t)(u->count - at) * sizeof(u->queued[0]));
}

static int owner_of(const struct world *w, int64_t seq, int *ret_at)
{
    for (int user = 0; user < w->user_count; user++) {
        for (*ret_at = 0; *ret_at < w->users[user].count; ++*ret_at) {
            if (w->users[user].queued[*ret_at].seq == seq)
                return user;
        }
    }
    fail_msg("no report %lld is queued", (long long)seq);
    return -1;
}

/* The next report starts on an idle worker; returns its user, -1: nothing may start. */
static int start(struct world *w, int worker, double length)
{
    int64_t seq = fair_queue_next(w->queue, 0, NULL, NULL);
    int at, user = seq != 0 ? owner_of(w, seq, &at) : -1;

    if (user < 0)
        return user;
    withdraw(w, user, at);
    assert_true(fair_queue_run(w->queue, user + 1, 1));
    w->users[user].turn = fair_queue_start(w->queue, user + 1);
    w->users[user].running++;
    w->starts++;
    w->workers[worker] = (struct worker){user, w->now, w->now + length};
    return user;
}

static void end(struct world *w, int worker)
{
    int user = w->workers[worker].user;

    w->workers[worker].user = -1;
    assert_true(fair_queue_run(w->queue, user + 1, -1));
    if (--w->users[user].running == 0)
        w->users[user].waits_since = w->starts;
}

/* The worker whose report ends first; time goes on to then. */
static int next_end(struct world *w)
{
    int first = -1;

    for (int i = 0; i < w->worker_count; i++) {
        if (w->workers[i].user >= 0 && (first < 0 || w->workers[i].ends < w->workers[first].ends))
            first = i;
    }
    assert_true(first >= 0);
    w->now = w->workers[first].ends;
    return first;
}

/* ---- the order, by looking at all ---- */

static bool comes_before(const struct world *w, int a, int64_t a_seq, int b, int64_t b_seq)
{
    const struct user *x = &w->users[a], *y = &w->users[b];

    if (x->running != y->running)
        return x->running < y->running;
    return x->turn != y->turn ? x->turn < y->turn : a_seq < b_seq;
}

struct opening {
    bool closed[TYPES];
    int running_limit;
};

static bool is_open(void *context, const char *name)
{
    const struct opening *opening = context;

    for (int i = 0; i < TYPES; i++) {
        if (str_eq(types[i], name))
            return !opening->closed[i];
    }
    return false;
}

static int64_t search_next(const struct world *w, const struct opening *opening)
{
    int64_t best = 0;
    int owner = -1;

    for (int user = 0; user < w->user_count; user++) {
        const struct user *u = &w->users[user];

        if (opening->running_limit > 0 && u->running >= opening->running_limit)
            continue;
        for (int i = 0; i < u->count; i++) {
            int64_t seq = u->queued[i].seq;

            if (!opening->closed[u->queued[i].type] &&
                (owner < 0 || comes_before(w, user, seq, owner, best))) {
                owner = user;
                best = seq;
            }
        }
    }
    return best;
}

/* Something comes, goes, starts or ends. */
static void take_any_step(struct world *w)
{
    int user = (int)chance(w, (uint32_t)w->user_count);
    int worker = (int)chance(w, (uint32_t)w->worker_count);
    struct user *u = &w->users[user];

    switch (chance(w, 8)) {
    case 0: /* the user goes */
        if (chance(w, 8) == 0) {
            while (u->count > 0)
                withdraw(w, user, u->count - 1);
        }
        break;
    case 1:
        if (u->count > 0)
            withdraw(w, user, (int)chance(w, (uint32_t)u->count));
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        if (u->count < DEPTH_MAX)
            submit(w, user);
        break;
    default:
        if (w->workers[worker].user >= 0)
            end(w, worker);
        start(w, worker, 1);
    }
}

static void the_next_one_is_that_of_an_exhaustive_search(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 12, 5);
    for (int i = 0; i < 20000; i++) {
        struct opening opening = {.running_limit = (int)chance(&w, 3)};

        take_any_step(&w);
        opening.closed[chance(&w, TYPES)] = chance(&w, 2) == 0;
        assert_int_equal(fair_queue_next(w.queue, opening.running_limit, is_open, &opening),
                         search_next(&w, &opening));
    }
    fair_queue_free(w.queue);
}

static void a_limit_of_the_user_replaces_that_of_all(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 1, 3);
    for (int i = 0; i < 3; i++)
        submit(&w, 0);
    start(&w, 0, 1);
    assert_int_equal(fair_queue_next(w.queue, 1, NULL, NULL), 0);
    assert_true(fair_queue_user(w.queue, 1, w.users[0].turn, 2));
    assert_int_equal(fair_queue_next(w.queue, 1, NULL, NULL), 2);
    start(&w, 1, 1);
    assert_int_equal(fair_queue_next(w.queue, 5, NULL, NULL), 0);
    fair_queue_free(w.queue);
}

static void what_is_queued_again_keeps_its_place(void **state)
{
    struct fair_queue *queue = fair_queue_new();

    (void)state;
    for (int64_t seq = 1; seq <= 100; seq++)
        assert_true(fair_queue_add(queue, 1, "Balance", seq));
    for (int64_t seq = 1; seq <= 60; seq++)
        fair_queue_remove(queue, 1, seq);
    for (int64_t seq = 101; seq <= 400; seq++) /* the room at the front is used again */
        assert_true(fair_queue_add(queue, 1, "Balance", seq));
    assert_true(fair_queue_add(queue, 1, "Balance", 7));
    assert_true(fair_queue_add(queue, 1, "Balance", 5));
    for (int64_t seq = 5; seq != 0; seq = fair_queue_next(queue, 0, NULL, NULL)) {
        static int64_t before;

        assert_true(seq > before);
        before = seq;
        assert_int_equal(fair_queue_position(queue, 1, seq), 1);
        fair_queue_remove(queue, 1, seq);
    }
    assert_true(fair_queue_is_empty(queue));
    fair_queue_free(queue);
}

/* The store's rows were removed behind its back, and their numbers given out again. */
static void a_number_that_two_users_have_is_found_for_both(void **state)
{
    struct fair_queue *queue = fair_queue_new();

    (void)state;
    for (int64_t user = 20; user > 0; user--)
        assert_true(fair_queue_add(queue, user, "Balance", 7));
    for (int64_t user = 20; user > 0; user--) {
        assert_int_equal(fair_queue_position(queue, user, 7), user);
        fair_queue_remove(queue, user, 7);
    }
    assert_true(fair_queue_is_empty(queue));
    fair_queue_free(queue);
}

/* ---- simulations ---- */

/* (sum x)^2 / (n sum x^2): 1 if all have the same (Jain). */
static double jain(double sum, double squares, int n)
{
    return sum * sum / (n * squares);
}

/* The least index of all windows of 1000 starts a user; all always have something queued, and all
 * reports are equally long. */
static double worst_window(int users, int workers, int windows)
{
    int64_t length = 1000 * (int64_t)users, counts[USERS_MAX] = {0};
    int *started = calloc((size_t)length, sizeof(*started));
    double squares = 0, worst = 1;
    struct world w;

    assert_non_null(started);
    world_init(&w, users, workers);
    for (int i = 0; i < users * 4; i++) /* the last user's come last of all */
        submit(&w, i / 4);
    for (int64_t i = 0; i < length * windows; i++) {
        int worker = i < workers ? (int)i : next_end(&w), user;

        if (i >= workers)
            end(&w, worker);
        user = start(&w, worker, 1);
        submit(&w, user);
        squares += 2.0 * (double)counts[user]++ + 1;
        if (i >= length)
            squares -= 2.0 * (double)counts[started[i % length]]-- - 1;
        started[i % length] = user;
        if (i >= length - 1 && jain((double)length, squares, users) < worst)
            worst = jain((double)length, squares, users);
    }
    fair_queue_free(w.queue);
    free(started);
    return worst;
}

static void any_window_has_as_many_starts_of_each_user(void **state)
{
    static const int sizes[][2] = {{3, 10}, {20, 4}, {50, 7}, {200, 32}};
    size_t count = full ? 4 : 2;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        double index = worst_window(sizes[i][0], sizes[i][1], full ? 4 : 2);

        print_message("%d users, %d workers: %.6f\n", sizes[i][0], sizes[i][1], index);
        assert_true(index >= 0.99);
    }
}

/* 1 to 1000, most of them short. */
static double length_of_report(struct world *w, int user)
{
    static const double scales[] = {1, 1, 1, 10, 10, 100};

    (void)user;
    return scales[chance(w, 6)] * (1 + chance(w, 10));
}

/* Half of the users have short ones only. */
static double length_of_user(struct world *w, int user)
{
    return (user % 2 == 0 ? 1 : 100) * (1 + chance(w, 10));
}

typedef double length_fn(struct world *w, int user);

/* Of the workers' time for each user, up to the start of the last of so many reports. */
static double worker_time(int users, int workers, int starts, length_fn *length_of)
{
    double sum = 0, squares = 0;
    struct world w;

    world_init(&w, users, workers);
    for (int i = 0; i < users * 4; i++)
        submit(&w, i / 4);
    for (int i = 0; i < starts; i++) {
        int worker = i < workers ? i : next_end(&w), user;

        if (i >= workers) {
            w.users[w.workers[worker].user].work += w.now - w.workers[worker].began;
            end(&w, worker);
        }
        user = start(&w, worker, 0);
        w.workers[worker].ends += length_of(&w, user);
        submit(&w, user);
    }
    for (int i = 0; i < workers; i++)
        w.users[w.workers[i].user].work += w.now - w.workers[i].began;
    for (int i = 0; i < users; i++) {
        sum += w.users[i].work;
        squares += w.users[i].work * w.users[i].work;
    }
    fair_queue_free(w.queue);
    return jain(sum, squares, users);
}

static void assert_worker_time(int users, int workers, length_fn *length_of)
{
    double index = worker_time(users, workers, full ? 1000000 : 60000, length_of);

    print_message("%d users, %d workers: %.6f\n", users, workers, index);
    assert_true(index >= 0.95);
}

static void workers_give_each_user_as_much_time(void **state)
{
    static const int sizes[][2] = {{20, 20}, {20, 30}, {20, 47}, {2, 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_worker_time(sizes[i][0], sizes[i][1], length_of_report);
}

/* Of 20 users and 30 workers the index is 0.90: who has short ones has the second worker for a
 * shorter time. The order is by what runs, not by what has been used. */
static void whose_reports_are_long_gets_no_more_time(void **state)
{
    static const int sizes[][2] = {{20, 20}, {20, 40}, {20, 90}};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_worker_time(sizes[i][0], sizes[i][1], length_of_user);
}

/* Each of the others starts at most once before a user of whom nothing runs. */
static void nobody_starves(void **state)
{
    int64_t steps = full ? 1000000 : 200000, longest = 0;
    struct world w;

    (void)state;
    world_init(&w, 60, 8);
    for (int64_t step = 0; step < steps; step++) {
        take_any_step(&w);
        for (int i = 0; i < w.user_count; i++) {
            const struct user *u = &w.users[i];

            if (u->count > 0 && u->running == 0 && w.starts - u->waits_since > longest)
                longest = w.starts - u->waits_since;
        }
    }
    print_message("%d users, %lld starts: waited for at most %lld\n", w.user_count,
                  (long long)w.starts, (long long)longest);
    assert_true(longest < w.user_count);
    fair_queue_free(w.queue);
}

struct estimate {
    int64_t seq, position;
};

/* Of each queued report of a world that has been used for some time. */
static size_t read_positions(const struct world *w, struct estimate *ret)
{
    size_t count = 0;

    for (int user = 0; user < w->user_count; user++) {
        for (int i = 0; i < w->users[user].count; i++) {
            int64_t seq = w->users[user].queued[i].seq;

            ret[count++] = (struct estimate){seq, fair_queue_position(w->queue, user + 1, seq)};
        }
    }
    return count;
}

/* Which of them start when the estimate says so, within a factor of 2: the start `number` is that
 * of `seq`. */
static bool is_good(const struct estimate *all, size_t count, int64_t seq, int64_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].seq == seq)
            return all[i].position <= 2 * number && number <= 2 * all[i].position;
    }
    fail();
    return false;
}

static void fill(struct world *w)
{
    for (int i = 0; i < 3000; i++)
        take_any_step(w);
    for (int i = 0; i < w->worker_count; i++) {
        if (w->workers[i].user >= 0)
            w->workers[i].ends = w->now + 1 - (double)i / w->worker_count;
    }
}

/* The number of good estimates, of *ret_count. */
static size_t count_good(struct world *w, size_t *ret_count)
{
    static struct estimate estimates[USERS_MAX * DEPTH_MAX];
    size_t count = read_positions(w, estimates), good = 0;

    *ret_count += count;
    for (int64_t number = 1; number <= (int64_t)count; number++) {
        int64_t seq = fair_queue_next(w->queue, 0, NULL, NULL);
        int worker = 0;

        while (worker < w->worker_count && w->workers[worker].user >= 0)
            worker++;
        if (worker == w->worker_count)
            end(w, worker = next_end(w));
        good += is_good(estimates, count, seq, number);
        start(w, worker, 1);
    }
    return good;
}

static void most_positions_are_within_a_factor_of_2(void **state)
{
    size_t good = 0, count = 0;

    (void)state;
    for (int i = 0; i < (full ? 400 : 40); i++) {
        struct world w;

        world_init(&w, 2 + i % 40, 1 + i % 11);
        w.random += (uint64_t)i * 7919;
        fill(&w);
        good += count_good(&w, &count);
        fair_queue_free(w.queue);
    }
    print_message("%zu of %zu estimates\n", good, count);
    assert_true((double)good >= 0.9 * (double)count);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_one_is_that_of_an_exhaustive_search),
        cmocka_unit_test(a_limit_of_the_user_replaces_that_of_all),
        cmocka_unit_test(what_is_queued_again_keeps_its_place),
        cmocka_unit_test(a_number_that_two_users_have_is_found_for_both),
        cmocka_unit_test(any_window_has_as_many_starts_of_each_user),
        cmocka_unit_test(workers_give_each_user_as_much_time),
        cmocka_unit_test(whose_reports_are_long_gets_no_more_time),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(most_positions_are_within_a_factor_of_2),
    };

    full = argc > 1 && str_eq(argv[1], "full");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
