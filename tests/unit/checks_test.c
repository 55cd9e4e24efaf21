/* tests/unit/checks_test.c -- what must never happen ends the process, and says where: each case
 * breaks one rule in a process of its own. */
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

#include "base/buf.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "http/exchange_impl.h"
#include "http/gate.h"
#include "http/token_cache.h"
#include "pg/pg.h"
#include "proc/channel.h"
#include "proc/loop.h"
#include "proc/states.h"
#include "proc/supervisor_impl.h"
#include "proc/waiters.h"
#include "proc/wire.h"
#include "source/source_impl.h"
#include "spool/spool.h"
#include "store/engine_impl.h"
#include "store/postgres_impl.h"
#include "store/versions.h"

/* What another thread does with something of this one's. */
static void in_another_thread(void *(*run)(void *), void *context)
{
    pthread_t thread;

    if (thread_start(&thread, "other", run, context) != 0)
        _exit(1);
    pthread_join(thread, NULL);
}

/* ---- base ---- */

static struct lock lock;

static void count_down_too_often(void)
{
    struct latch latch = LATCH_OF(1);

    latch_count_down(&latch);
    latch_count_down(&latch);
}

static void take_borrowed_memory(void)
{
    char room[8];
    struct buf buf;

    buf_init_in(&buf, room, sizeof(room));
    buf_take(&buf);
}

static void own_twice(void)
{
    struct thread_owner owner = {0};

    thread_own(&owner);
    thread_own(&owner);
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

static void wait_without_holding(void)
{
    pthread_cond_t cond;

    lock_init(&lock);
    lock_cond_init(&cond);
    lock_wait(&lock, &cond);
}

static void end_a_lock_that_is_held(void)
{
    lock_init(&lock);
    lock_take(&lock);
    lock_done(&lock);
}

static void push_what_waits(void)
{
    struct work_item item = {.queued = true};

    work_queue_push(NULL, &item);
}

/* ---- the loop ---- */

static struct loop *new_loop(void)
{
    struct loop *loop;

    if (loop_new(&loop, NULL) < 0)
        _exit(1);
    return loop;
}

static void *set_timer(void *context)
{
    static struct loop_timer timer;

    loop_timer_set(context, &timer, 0);
    return NULL;
}

static void use_the_loop_of_another_thread(void)
{
    struct loop *loop = new_loop();

    loop_enter(loop);
    in_another_thread(set_timer, loop);
}

static void set_an_empty_timer(void)
{
    set_timer(new_loop());
}

static void ignore_message(struct loop_message *message)
{
    (void)message;
}

static void post_what_waits(void)
{
    struct loop_message message = {.run = ignore_message};
    struct loop *loop = new_loop();

    loop_post(loop, &message);
    loop_post(loop, &message);
}

static void post_an_empty_message(void)
{
    struct loop_message message = {0};

    loop_post(new_loop(), &message);
}

static void watch_without_a_descriptor(void)
{
    struct loop_watch watch = {0};

    loop_watch(new_loop(), &watch, -1, 0, NULL);
}

static void change_what_is_not_watched(void)
{
    struct loop_watch watch = {0};

    loop_watch_change(new_loop(), &watch, 0);
}

static void ask_twice_with_one_call(void)
{
    struct loop_call call = {.asking = true};

    loop_ask(new_loop(), NULL, &call, NULL);
}

/* ---- the supervisor ---- */

static void run_a_job_that_is_over(void)
{
    job_check_move(JOB_OVER, JOB_RUNNING);
}

static void give_work_to_a_worker_that_dies(void)
{
    worker_check_move(WORKER_DYING, WORKER_BUSY);
}

static void free_a_job_that_runs(void)
{
    struct worker_handle worker = {0};
    struct job job = {.worker = &worker};

    job_free(&job);
}

static void start_a_worker_that_runs(void)
{
    struct worker_handle worker = {.state = WORKER_BUSY};

    worker_start(&worker);
}

static void run_on_a_busy_worker(void)
{
    struct supervisor supervisor = {.loop = new_loop()};
    struct worker_handle worker = {.supervisor = &supervisor, .state = WORKER_BUSY};
    struct job job = {0};

    worker_run(&worker, &job, NULL);
}

static void cancel_a_busy_worker_without_a_job(void)
{
    struct supervisor supervisor = {.loop = new_loop()};
    struct worker_handle worker = {.supervisor = &supervisor, .state = WORKER_BUSY};

    worker_cancel(&worker);
}

static void open_an_open_channel(void)
{
    struct channel channel = {.fd = 0};

    channel_open(&channel, NULL, 1, NULL);
}

static void order_a_run_without_descriptors(void)
{
    struct wire_order order = {.run.head.type = WIRE_RUN, .fd = -1, .texts_fd = -1};

    wire_send_order(-1, &order, 0, NULL);
}

static void wait_without_a_wake(void)
{
    struct waiter waiter = {0};

    waiters_add(waiters_new(), &waiter);
}

static void ignore_wake(struct waiter *waiter)
{
    (void)waiter;
}

static void wait_twice(void)
{
    struct waiter waiter = {.wake = ignore_wake, .deadline_ms = INT64_MAX};
    struct waiters *waiters = waiters_new();

    waiters_add(waiters, &waiter);
    waiters_add(waiters, &waiter);
}

/* ---- store, spool, source; operations as they are between their post and `done` ---- */

static void post_an_operation_of_the_store_again(void)
{
    struct store_op op = {.verb = STORE_STATS, .posted = true, .done = store_op_done};

    store_post(NULL, &op);
}

static void post_an_unknown_verb(void)
{
    struct store_op op = {.verb = STORE_VERB_COUNT, .done = store_op_done};

    store_post(NULL, &op);
}

static void answer_an_operation_twice(void)
{
    struct store_op op = {.verb = STORE_STATS, .done = store_op_done};

    store_answer(&op);
}

static void *record_change(void *context)
{
    store_changed(context, NULL);
    return NULL;
}

static void write_on_the_connection_of_another_thread(void)
{
    struct store_conn conn = {0};

    thread_own(&conn.user);
    in_another_thread(record_change, &conn);
}

static void count_a_change_outside_of_a_transaction(void)
{
    static struct versions versions;

    versions_init(&versions);
    versions.place = &versions;
    versions_touch(&versions, NULL);
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

static void remove_too_many_files_at_once(void)
{
    struct spool_op op = {.verb = SPOOL_REMOVE, .done = ignore_answer};
    struct spool_ref ref = {0};

    op.refs = &ref;
    op.count = SPOOL_REFS_MAX + 1;
    spool_post(NULL, &op);
}

static void bind_one_value_too_many(void)
{
    struct store_value values[POSTGRES_PARAMETERS_MAX + 2] = {{.kind = VALUE_END}};
    struct postgres_conn c = {.trouble = PG_LOST};

    for (int i = 0; i <= POSTGRES_PARAMETERS_MAX; i++)
        values[i] = value_int(i);
    thread_own(&c.base.user);
    call_values(&c, PG_PROBE, values);
}

static void announce_too_many_references(void)
{
    static struct pg_guids guids;

    pg_guids_start(&guids, PG_GUIDS_MAX + 1);
}

static void add_one_reference_too_many(void)
{
    static struct pg_guids guids;
    const struct guid id = {{0}};

    pg_guids_start(&guids, PG_GUIDS_MAX);
    for (int i = 0; i <= PG_GUIDS_MAX; i++)
        pg_guids_add(&guids, &id);
}

static void begin_a_source_twice(void)
{
    struct source source = {.begun = true};

    source_begin(&source, NULL, NULL);
}

/* ---- http ---- */

static void answer_what_has_not_begun(void)
{
    struct gate gate;

    gate_init(&gate);
    gate_answered(&gate);
}

static void end_a_request_twice(void)
{
    struct gate gate;

    gate_init(&gate);
    gate_begin(&gate);
    gate_end(&gate, false);
    gate_end(&gate, false);
}

static void resume_what_is_not_suspended(void)
{
    struct gate gate;

    gate_init(&gate);
    gate_resumed(&gate);
}

static void leave_a_request_in_the_gate(void)
{
    struct gate gate;

    gate_init(&gate);
    gate_begin(&gate);
    gate_done(&gate);
}

/* Some of it is larger than a stack should hold. */
static struct exchange ex;
static struct thread_owner http_thread;

static void reply_twice(void)
{
    ex.thread = &http_thread;
    ex.replied = true;
    exchange_reply(&ex, true, "again", NULL);
}

static void add_a_header_after_the_reply(void)
{
    ex.replied = true;
    exchange_add_text(&ex, "X-Late", "");
}

static void add_one_header_too_many(void)
{
    static struct exchange_header room[EXCHANGE_HEADERS_MAX];

    ex.headers = room;
    for (int i = 0; i <= EXCHANGE_HEADERS_MAX; i++)
        exchange_add_text(&ex, "X-Again", "");
}

static void await_after_the_reply(void)
{
    ex.thread = &http_thread;
    ex.replied = true;
    exchange_await(&ex, dispatch);
}

static void *await_there(void *context)
{
    exchange_await(context, dispatch);
    return NULL;
}

static void await_on_another_thread(void)
{
    ex.thread = &http_thread;
    thread_own(&http_thread);
    in_another_thread(await_there, &ex);
}

static void wake_what_does_not_wait(void)
{
    exchange_wake(&ex);
}

static void release_a_token_too_often(void)
{
    static struct cached_token token;

    cached_token_release(&token);
}

/* ---- the table ---- */

static const struct {
    void (*run)(void);
    const char *words;
} cases[] = {
    {count_down_too_often, "latch_count_down: not true: latch->left > 0"},
    {take_borrowed_memory, "buf_take: not true: !b->borrowed"},
    {own_twice, "thread_own: not true: owner_of(owner) == NULL"},
    {check_without_holding, "lock_check_held: not true"},
    {check_what_another_holds, "lock_check_held: not true"},
    {release_twice, "thread_disown: not true: owner_of(owner) == &self"},
    {wait_without_holding, "thread_disown: not true: owner_of(owner) == &self"},
    {end_a_lock_that_is_held, "lock_done: not true"},
    {push_what_waits, "work_queue_push: not true: !item->queued"},
    {use_the_loop_of_another_thread, "loop_check: not true: thread_may_use("},
    {set_an_empty_timer, "loop_timer_set: not true: timer->run != NULL"},
    {post_what_waits, "loop_post: not true: loop->last != &message->next"},
    {post_an_empty_message, "loop_post: not true: message->run != NULL"},
    {watch_without_a_descriptor, "loop_watch: not true: watch->ready != NULL && fd >= 0"},
    {change_what_is_not_watched, "loop_watch_change: not true"},
    {ask_twice_with_one_call, "loop_ready: not true: !call->asking"},
    {run_a_job_that_is_over, "a job may not move from over to running"},
    {give_work_to_a_worker_that_dies, "a worker may not move from dying to busy"},
    {free_a_job_that_runs, "job_free: not true: job->worker == NULL"},
    {start_a_worker_that_runs, "worker_start: not true: worker->state == WORKER_ABSENT"},
    {run_on_a_busy_worker, "worker_run: not true: worker->state == WORKER_IDLE"},
    {cancel_a_busy_worker_without_a_job, "worker_cancel: not true: worker->job != NULL"},
    {open_an_open_channel, "channel_open: not true: channel->fd < 0"},
    {order_a_run_without_descriptors, "wire_send_order: not true: is_run ? order->fd >= 0"},
    {wait_without_a_wake, "waiters_add: not true: waiter->wake != NULL"},
    {wait_twice, "waiters_add: not true: *bucket != waiter"},
    {post_an_operation_of_the_store_again, "store_post: not true: op->done != NULL && !op->posted"},
    {post_an_unknown_verb, "store_kind_of: not true: op->verb < STORE_VERB_COUNT"},
    {answer_an_operation_twice, "store_answer: not true: op->posted"},
    {write_on_the_connection_of_another_thread, "store_changed: not true: thread_may_use("},
    {count_a_change_outside_of_a_transaction, "versions_touch: not true: versions->writing"},
    {post_an_operation_of_the_spool_again, "spool_post: not true: op->done != NULL && !op->posted"},
    {remove_too_many_files_at_once, "spool_post: not true: op->refs == NULL"},
    {bind_one_value_too_many, "call_values: not true: count < POSTGRES_PARAMETERS_MAX"},
    {announce_too_many_references, "pg_guids_start: not true: count <= PG_GUIDS_MAX"},
    {add_one_reference_too_many, "pg_guids_add: not true"},
    {begin_a_source_twice, "source_begin: not true: !source->begun"},
    {answer_what_has_not_begun, "gate_answered: not true: gate->unanswered > 0"},
    {end_a_request_twice, "gate_end: not true: gate->unsent > 0"},
    {resume_what_is_not_suspended, "gate_resumed: not true: gate->suspended > 0"},
    {leave_a_request_in_the_gate, "gate_done: not true: gate->unanswered == 0"},
    {reply_twice, "send_response: not true: !ex->replied"},
    {add_a_header_after_the_reply, "exchange_add_text: not true: !ex->replied"},
    {add_one_header_too_many, "exchange_add_text: not true"},
    {await_after_the_reply, "exchange_await: not true: !ex->replied"},
    {await_on_another_thread, "exchange_await: not true: thread_may_use("},
    {wake_what_does_not_wait, "exchange_wake: not true: waiting == WAIT_ARMED"},
    {release_a_token_too_often, "cached_token_release: not true"},
};

/* Does the case end with SIGABRT, and these words? */
static void expect_abort(void (*run)(void), const char *words)
{
    char text[4096];
    size_t len = 0;
    ssize_t n;
    int out[2], status;
    pid_t pid;

    assert_int_equal(pipe(out), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
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
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, words) == NULL)
        fail_msg("expected '%s', got status %d: %s", words, status, text);
}

static void a_rule_that_is_broken_ends_the_process(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_abort(cases[i].run, cases[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_that_is_broken_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
