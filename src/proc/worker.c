/* src/proc/worker.c -- the worker process: one thread listens, another runs the report. */
#include "proc/worker.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "base/thread.h"
#include "proc/connection.h"
#include "proc/run.h"
#include "proc/sandbox.h"
#include "proc/wire.h"

enum {
    PROGRESS_EVERY_MS = 250,  /* at most this often */
    PROGRESS_LEAST_MS = 1000, /* also if nothing has changed, as a sign of life */
    CPU_THREADS = 2, /* one runs the query, one hashes and writes: both may be busy all the time */
    CPU_SLACK_MS = 2000,
};

enum stop { STOP_NONE, STOP_CANCELLED, STOP_TIMEOUT };

/* The listener (the main thread) owns the socket and every member that is not marked otherwise. A
 * runner is a thread with one connection; it ends when a report fails. From the first report on,
 * all threads may use only the files of its database (a runner of SQLite, once it is open), as they
 * were then. A job for another database, or one that needs another connection, for which another
 * file may meanwhile have one of their names, needs another process. */
struct worker {
    struct thread_owner listener;
    int done_fd; /* eventfd: the runner has finished the job */
    bool has_runner;
    pthread_t runner;
    char *source_url, *temp_folder; /* for which the runner was started */
    struct sandbox_files files;     /* that it was bound to then */
    bool spent;                     /* it cannot run anything more */
    struct wire_order job;          /* read by the runner while `busy` */
    bool busy;
    int64_t runs;        /* number of runs of this job so far */
    int64_t deadline_ms; /* monotonic; 0: none, or it has passed */
    int64_t progress_ms; /* when the last progress was sent */
    int64_t progress_rows, progress_bytes;
    struct run_progress progress; /* written by the runner */
    struct wire_answer result;    /* written by the runner before it reports the end */
    struct err result_err;
    int result_rc;
    enum stop stop;               /* of this job */
    struct connection connection; /* of the runner */
    struct lock lock;             /* guards the members below */
    pthread_cond_t wake;
    bool start, quit; /* for the runner */
};

/* ---- the runner ---- */

/* Wait for a job; false: quit. */
static bool next_job(struct worker *worker)
{
    bool go;

    lock_take(&worker->lock);
    while (!worker->start && !worker->quit)
        lock_wait(&worker->lock, &worker->wake);
    go = worker->start;
    worker->start = false;
    lock_release(&worker->lock);
    return go;
}

static void say_done(struct worker *worker, int rc)
{
    worker->result_rc = rc;
    eventfd_write(worker->done_fd, 1);
}

/* Has the report failed for a reason that may lie in its connection? */
static bool is_suspect(int rc)
{
    return rc < 0 && rc != -E_CANCELLED && rc != -E_SPOOL;
}

/* Can the next report use it? */
static bool is_connected(const struct connection *connection)
{
    return connection->source != NULL && source_is_current(connection->source);
}

static void *runner_thread(void *arg)
{
    struct worker *worker = arg;
    struct connection *connection = &worker->connection;
    int rc = 0;

    while (rc == 0 && next_job(worker)) {
        const struct source_spec spec = {.url = worker->source_url,
                                         .temp_folder = worker->temp_folder,
                                         .temp_limit = worker->job.run.temp_limit};

        if (connection->source == NULL)
            rc = connection_open(connection, spec, &worker->files, &worker->result_err);
        if (rc == 0)
            rc = run_report(&worker->job, connection->source, &worker->progress, &worker->result,
                            &worker->result_err);
        if (is_suspect(rc) || !is_connected(connection))
            connection_close(connection);
        say_done(worker, rc);
    }
    if (rc == 0)
        connection_close(connection);
    return NULL;
}

/* ---- the listener's hold on the runner ---- */

static void end_runner(struct worker *worker)
{
    if (!worker->has_runner)
        return;
    lock_take(&worker->lock);
    worker->quit = true;
    pthread_cond_signal(&worker->wake);
    lock_release(&worker->lock);
    pthread_join(worker->runner, NULL);
    worker->quit = worker->has_runner = false;
}

/* Bind the process to a database, from now on. */
static int bind_process(struct worker *worker, struct err *err)
{
    worker->source_url = strdup(worker->job.texts.source_url);
    worker->temp_folder = strdup(worker->job.texts.temp_folder);
    if (worker->source_url == NULL || worker->temp_folder == NULL)
        return err_set(err, -E_NOMEM, "The server is out of memory. Try again later.");
    connection_files(worker->source_url, worker->temp_folder, &worker->files);
    return 0;
}

static int start_runner(struct worker *worker, struct err *err)
{
    worker->has_runner = pthread_create(&worker->runner, NULL, runner_thread, worker) == 0;
    return worker->has_runner
               ? 0
               : err_set(err, -E_NOMEM, "The server is out of memory. Try again later.");
}

/* The listener drops the rights that a runner drops after opening its files; if a runner may open
 * files at any time, before there is a runner. */
static int start_first_runner(struct worker *worker, struct err *err)
{
    bool early = source_reopens(worker->source_url);
    int rc;

    if (early)
        sandbox_files_apply(&worker->files);
    rc = start_runner(worker, err);
    if (!early)
        sandbox_files_apply(&worker->files);
    return rc;
}

static bool is_bound_to_job(const struct worker *worker)
{
    return str_eq(worker->source_url, worker->job.texts.source_url) &&
           str_eq(worker->temp_folder, worker->job.texts.temp_folder);
}

/* Get a runner for the job's database: the present one, if its connection fits and is usable. 1:
 * impossible in this process. */
static int ensure_runner(struct worker *worker, struct err *err)
{
    bool fresh = worker->source_url == NULL;
    int rc;

    if (fresh) {
        rc = bind_process(worker, err);
        return rc < 0 ? rc : start_first_runner(worker, err);
    }
    if (!is_bound_to_job(worker) || !is_connected(&worker->connection))
        return 1;
    if (worker->has_runner)
        return 0;
    end_runner(worker);
    return start_runner(worker, err);
}

static void stop_job(struct worker *worker, enum stop stop)
{
    THREAD_CHECK(&worker->listener);
    CHECK(worker->busy);
    worker->stop = stop;
    connection_stop(&worker->connection);
}

/* ---- messages ---- */

static int64_t memory_limit(void)
{
    const char *text = getenv(WORKER_MEMORY_VARIABLE);
    int64_t bytes;

    return text != NULL && str_to_int64(text, &bytes) ? bytes : 0;
}

/* Turn what the runner has left into an outcome and a message. */
static void classify_result(struct worker *worker, struct wire_answer *done)
{
    struct err *err = &worker->result_err;

    done->outcome = WIRE_COMPLETE;
    if (worker->result_rc == 0)
        return;
    done->outcome = WIRE_FAILED;
    if (worker->result_rc == -E_CANCELLED && worker->stop == STOP_CANCELLED)
        done->outcome = WIRE_CANCELLED;
    else if (worker->result_rc == -E_CANCELLED && *worker->job.texts.choices != '\0')
        err_set(err, -E_SOURCE, "The database took too long.");
    else if (worker->result_rc == -E_CANCELLED && worker->stop == STOP_TIMEOUT)
        run_took_too_long(worker->job.run.timeout_ms, err);
    else if (worker->result_rc == -E_NOMEM)
        run_needs_memory(memory_limit(), err);
    /* Details quote no values, and neither does a message without a detail. */
    wire_answer_set_message(done, err->text, err->detail[0] != '\0' ? err->detail : err->text);
}

static struct wire_answer make_answer(const struct worker *worker, enum wire_type type)
{
    struct wire_answer answer = {.head = worker->job.run.head};

    answer.head.type = type;
    answer.rows = atomic_load(&worker->progress.rows);
    answer.bytes = atomic_load(&worker->progress.bytes);
    return answer;
}

static int launch(struct worker *worker, struct err *err);

/* Does the report have to be run again, and can it be? */
static bool is_to_run_again(const struct worker *worker)
{
    return worker->result_rc == -E_CHANGED && worker->stop == STOP_NONE &&
           worker->runs < RUN_TRIES_MAX && ftruncate(worker->job.fd, 0) == 0 &&
           lseek(worker->job.fd, 0, SEEK_SET) == 0;
}

/* The job is over here: answer once. */
static int answer_job(struct worker *worker, struct wire_answer *done, struct err *err)
{
    int rc;

    worker->busy = false;
    close(worker->job.fd);
    SEAM_STEP("worker", "run", "ended");
    done->spent = worker->spent;
    rc = wire_send_answer(WORKER_SOCKET, done, err);
    SEAM_STEP("worker", "run", "answered");
    wire_order_done(&worker->job);
    return rc;
}

static int ask_for_another_process(struct worker *worker, struct err *err)
{
    struct wire_answer again = make_answer(worker, WIRE_DONE);

    again.outcome = WIRE_AGAIN;
    again.runs = worker->runs;
    worker->spent = true;
    return answer_job(worker, &again, err);
}

/* A runner that failed has nothing to keep; nor has a process whose connection is gone. */
static int finish_job(struct worker *worker, struct err *err)
{
    struct wire_answer done = make_answer(worker, WIRE_DONE);
    int rc;

    THREAD_CHECK(&worker->listener);
    CHECK(worker->busy);
    if (is_to_run_again(worker))
        return launch(worker, err);
    classify_result(worker, &done);
    memcpy(done.digest, worker->result.digest, sizeof(done.digest));
    done.footer = worker->result.footer;
    done.unsynced = worker->result.unsynced;
    worker->spent = worker->connection.source == NULL;
    rc = answer_job(worker, &done, err);
    if (worker->result_rc < 0 && !worker->spent)
        end_runner(worker);
    return rc;
}

/* Have a runner run the job. */
static int launch(struct worker *worker, struct err *err)
{
    int rc = ensure_runner(worker, &worker->result_err);

    if (rc > 0)
        return ask_for_another_process(worker, err);
    worker->runs++;
    worker->result = (struct wire_answer){0};
    atomic_store(&worker->progress.rows, 0);
    atomic_store(&worker->progress.bytes, 0);
    worker->result_rc = rc;
    if (rc < 0)
        return finish_job(worker, err);
    worker->result_err = (struct err){0};
    worker->stop = STOP_NONE;
    /* A CANCEL that came too late for the previous report must not stop this one. */
    connection_resume(&worker->connection);
    lock_take(&worker->lock);
    worker->start = true;
    pthread_cond_signal(&worker->wake);
    lock_release(&worker->lock);
    return 0;
}

static int start_job(struct worker *worker, struct wire_order *order, struct err *err)
{
    const int64_t timeout_ms = order->run.timeout_ms;

    THREAD_CHECK(&worker->listener);
    CHECK(!worker->busy);
    SEAM_STEP("worker", "run", "received");
    worker->job = *order;
    sodium_memzero(order->run.key, sizeof(order->run.key)); /* the job has its own copy */
    worker->busy = true;
    worker->runs = order->run.runs;
    worker->progress_ms = clock_mono_ms();
    worker->deadline_ms = timeout_ms > 0 ? worker->progress_ms + timeout_ms : 0;
    worker->progress_rows = worker->progress_bytes = 0;
    sandbox_limit_cpu(CPU_THREADS * timeout_ms + (timeout_ms > 0 ? CPU_SLACK_MS : 0));
    return launch(worker, err);
}

static bool is_current(const struct worker *worker, const struct wire_head *head)
{
    return worker->busy && guid_eq(&worker->job.run.head.id, &head->id) &&
           worker->job.run.head.attempt == head->attempt;
}

/* 1: go on; 0: the socket has ended; <0: it is broken. */
static int receive_request(struct worker *worker, struct err *err)
{
    struct wire_order order;
    int rc = wire_receive_order(WORKER_SOCKET, &order, err);

    if (rc <= 0)
        return rc;
    if (order.run.head.type == WIRE_CANCEL) {
        if (is_current(worker, &order.run.head))
            stop_job(worker, STOP_CANCELLED);
        return 1;
    }
    if (!worker->busy)
        return start_job(worker, &order, err) < 0 ? err->code : 1;
    close(order.fd);
    wire_order_done(&order);
    return err_set(err, -E_IO, "serve sent a report while another one runs");
}

/* ---- time ---- */

static int send_progress(struct worker *worker, int64_t now_ms, struct err *err)
{
    struct wire_answer progress = make_answer(worker, WIRE_PROGRESS);
    bool changed =
        progress.rows != worker->progress_rows || progress.bytes != worker->progress_bytes;

    if (now_ms - worker->progress_ms < (changed ? PROGRESS_EVERY_MS : PROGRESS_LEAST_MS))
        return 0;
    worker->progress_ms = now_ms;
    worker->progress_rows = progress.rows;
    worker->progress_bytes = progress.bytes;
    return wire_send_answer(WORKER_SOCKET, &progress, err);
}

static int tick(struct worker *worker, struct err *err)
{
    int64_t now_ms = clock_mono_ms();

    if (!worker->busy)
        return 0;
    if (worker->deadline_ms != 0 && now_ms >= worker->deadline_ms) {
        worker->deadline_ms = 0;
        stop_job(worker, STOP_TIMEOUT);
    }
    return send_progress(worker, now_ms, err);
}

/* How long poll() may sleep. */
static int patience(const struct worker *worker)
{
    int64_t left = PROGRESS_EVERY_MS;

    if (!worker->busy)
        return -1;
    if (worker->deadline_ms != 0 && worker->deadline_ms - clock_mono_ms() < left)
        left = worker->deadline_ms - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

/* Returns when the socket ends or the process has run its last report (0), or when the socket
 * breaks (<0). */
static int listen_and_run(struct worker *worker, struct err *err)
{
    while (!worker->spent) {
        struct pollfd fds[] = {{.fd = WORKER_SOCKET, .events = POLLIN},
                               {.fd = worker->done_fd, .events = POLLIN}};
        uint64_t count;
        int rc = 1;

        if (poll(fds, 2, patience(worker)) < 0 && errno != EINTR)
            return err_errno(err, -E_IO, "poll");
        if (fds[1].revents != 0 && read(worker->done_fd, &count, sizeof(count)) > 0)
            rc = finish_job(worker, err) < 0 ? err->code : 1;
        if (rc > 0 && fds[0].revents != 0)
            rc = receive_request(worker, err);
        if (rc <= 0)
            return rc;
        rc = tick(worker, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int worker_main(void)
{
    static struct worker worker; /* must outlive this function: a runner may still use it */
    struct err err = {0};
    bool seccomp;
    int rc;

    /* A terminal or a service manager signals the whole group: serve decides what that means for a
     * running report, and the end of the socket tells us. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* Before the first thread: each would get an arena of 64 MiB of address space, or, near the
     * limit, none, and a new mapping for every small allocation. */
    mallopt(M_ARENA_MAX, 1);
    seccomp = sandbox_process(memory_limit());
    log_event(seccomp ? LOG_DEBUG : LOG_WARN, "worker.sandbox", "seccomp=%s landlock=%s",
              seccomp ? "yes" : "no", sandbox_offers_landlock() ? "yes" : "no");
    thread_own(&worker.listener);
    worker.done_fd = eventfd(0, EFD_CLOEXEC);
    lock_init(&worker.lock);
    connection_init(&worker.connection);
    lock_cond_init(&worker.wake);
    rc = worker.done_fd < 0 ? err_errno(&err, -E_IO, "eventfd") : listen_and_run(&worker, &err);
    if (rc < 0)
        log_error("worker.end", "error=%s", err.text);
    /* At once, whatever the runner is doing: nobody is left to take its result. */
    _exit(rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
