/* src/proc/job.c -- one claimed report: handed to a worker, published or requeued, recorded. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/run.h"
#include "proc/supervisor_impl.h"
#include "spool/seal.h"

enum { RETRY_MS = 500 }; /* between tries to record an end while the store is unavailable */

static struct log_trouble store_trouble = LOG_TROUBLE("store.unavailable");
static struct log_trouble spool_trouble = LOG_TROUBLE("spool.unavailable");

static const char NOT_STORED[] =
    "The server could not store the report's result. Submit it again later.";

static const struct {
    enum spool_verb file;
    enum store_verb verb;
} ends[] = {
#define X(name, file, verb) [JOB_END_##name] = {file, verb},
    JOB_ENDS(X)
#undef X
};

/* The only function that writes job->phase; it also sets the timer of the phase. */
static void job_enter(struct job *job, enum job_phase phase)
{
    struct supervisor *supervisor = job->supervisor;
    int64_t now_ms = clock_mono_ms(), grace_ms = supervisor->spec.config->cancel_grace.number;
    char reference[GUID_TEXT];

    job_check_move(job->phase, phase);
    if (log_is_on(LOG_DEBUG)) {
        guid_format(&job->report.id, reference);
        log_debug("job.phase", "reference=%s attempt=%d from=%s to=%s", reference,
                  job->report.attempt, job_phase_name(job->phase), job_phase_name(phase));
    }
    job->phase = phase;
    loop_timer_cancel(&job->timer);
    if (phase == JOB_RUNNING)
        loop_timer_set(supervisor->loop, &job->timer, now_ms + job->timeout_ms + grace_ms);
    else if (phase == JOB_STOPPING)
        loop_timer_set(supervisor->loop, &job->timer, now_ms + grace_ms);
    else if (phase == JOB_WAITING)
        loop_timer_set(supervisor->loop, &job->timer, now_ms + RETRY_MS);
}

static void on_job_timer(struct loop_timer *timer);

struct job *job_new(struct supervisor *supervisor)
{
    struct job *job = calloc(1, sizeof(*job));

    if (job != NULL)
        *job = (struct job){.supervisor = supervisor, .fd = -1, .timer.run = on_job_timer};
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    CHECK(job->worker == NULL && !job->write.asking && !loop_timer_is_set(&job->timer));
    report_done(&job->report);
    free(job->result);
    sodium_memzero(job->key, sizeof(job->key));
    if (job->fd >= 0)
        close(job->fd);
    free(job);
}

/* ---- the end: file, then store, then waiting requests ---- */

/* Nothing of it runs any more, and nothing will write its files. */
static void job_over(struct job *job)
{
    struct histogram *cancels = &job->supervisor->cancels;
    struct job **place = &job->supervisor->jobs;
    struct supervisor_stop *stop = job->stops;

    job_enter(job, JOB_OVER);
    while (*place != job) {
        CHECK(*place != NULL);
        place = &(*place)->next;
    }
    *place = job->next;
    job_free(job);
    while (stop != NULL) {
        struct supervisor_stop *next = stop->next;

        if (stop->began_us != 0)
            histogram_add(cancels, clock_mono_us() - stop->began_us);
        stop->done(stop);
        stop = next;
    }
}

static void post_file(struct job *job, enum spool_verb verb,
                      void (*answered)(struct loop_spool_call *call))
{
    struct supervisor *supervisor = job->supervisor;

    job->file.op = (struct spool_op){
        .verb = verb, .id = job->report.id, .attempt = job->report.attempt, .fd = job->fd};
    loop_ask_spool(supervisor->loop, supervisor->spec.spool, &job->file, answered);
}

/* The published file, of a report that another attempt has now, is removed. */
static void on_cleaned(struct loop_spool_call *call)
{
    struct job *job = container_of(call, struct job, file);

    if (call->op.rc < 0)
        log_trouble(&spool_trouble, &call->op.err);
    job_over(job);
}

static bool was_moved(const struct store_op *op)
{
    return op->verb == STORE_FINISH ? op->finish.moved : op->requeue.moved;
}

static void count_end(const struct job *job, const struct store_finish *finish)
{
    bool complete = finish->state == REPORT_COMPLETE;

    report_metrics_ended(job->supervisor->metrics, job->report.name,
                         &(struct report_end){.state = finish->state,
                                              .ran_us = clock_mono_us() - job->began_us,
                                              .rows = complete ? finish->rows : 0,
                                              .bytes = complete ? finish->bytes : 0});
}

static void on_written(struct loop_call *call)
{
    struct job *job = container_of(call, struct job, write);
    struct store_op *op = &call->op;
    bool moved = op->rc == 0 && was_moved(op);

    SEAM_STEP("job", "end", "written");
    if (op->rc < 0 && job->stops == NULL) {
        log_trouble(&store_trouble, &op->err);
        if (job->supervisor->phase == SUPERVISOR_CLOSING)
            job_over(job); /* out of time: the next start finds it in PROCESSING */
        else
            job_enter(job, JOB_WAITING);
        return;
    }
    if (op->rc == 0)
        log_trouble_over(&store_trouble);
    if (moved && op->verb == STORE_FINISH)
        count_end(job, &op->finish);
    store_op_done(op);
    if (!moved && job->stops == NULL && job->end == JOB_END_COMPLETE) {
        /* Another attempt has the report now, or a deletion that has not asked this node yet. */
        job_enter(job, JOB_CLEANING);
        post_file(job, SPOOL_DISCARD, on_cleaned);
        return;
    }
    if (moved && op->verb == STORE_FINISH && job->supervisor->spec.finished != NULL)
        job->supervisor->spec.finished(job->supervisor->spec.context, op->finish.expires_ms);
    job_over(job);
}

/* Post the end to the store; end_complete() or plan_error() has filled in a FINISH. */
static void post_write(struct job *job)
{
    struct supervisor *supervisor = job->supervisor;
    struct store_finish *finish = &job->write.op.finish;

    job_enter(job, JOB_WRITING);
    if (ends[job->end].verb == STORE_FINISH) {
        /* Set for each try: the retention begins when the end is recorded, however long that
         * took. */
        finish->now_ms = store_now_ms(job->supervisor->spec.store);
        finish->expires_ms =
            finish->now_ms +
            run_lower_limit(job->retention_ms, supervisor->spec.config->retention.number);
    }
    loop_ask(supervisor->loop, supervisor->spec.store, &job->write, on_written);
}

static void plan_end(struct job *job, enum job_end end)
{
    CHECK(!job->write.asking);
    job->end = end;
    job->write.op = (struct store_op){.verb = ends[end].verb};
}

/* `message` is for the user. */
static void plan_error(struct job *job, const char *message)
{
    plan_end(job, JOB_END_ERROR);
    str_copy(job->message, sizeof(job->message), message);
    job->write.op.finish = (struct store_finish){.id = job->report.id,
                                                 .attempt = job->report.attempt,
                                                 .state = REPORT_ERROR,
                                                 .key = job->key,
                                                 .message = job->message};
}

static void end_as_planned(struct job *job);

static void on_filed(struct loop_spool_call *call)
{
    struct job *job = container_of(call, struct job, file);
    bool complete = job->end == JOB_END_COMPLETE || job->end == JOB_END_COMPLETE_IN_ROW;

    SEAM_STEP("job", "end", "filed");
    if (call->op.rc == 0 && complete) {
        log_trouble_over(&spool_trouble);
    } else if (call->op.rc < 0) {
        log_trouble(&spool_trouble, &call->op.err);
        if (complete && job->stops == NULL) {
            plan_error(job, NOT_STORED);
            end_as_planned(job);
            return;
        }
    }
    /* The deletion removes the files and the row itself. */
    if (job->stops != NULL)
        job_over(job);
    else
        post_write(job);
}

static void end_as_planned(struct job *job)
{
    struct err ignored;

    job_enter(job, JOB_FILING);
    if (job->end == JOB_END_COMPLETE_IN_ROW && job->report.attempt == 1 &&
        spool_forget(job->supervisor->spec.spool, &job->report.id, 1, &ignored) == 0) {
        job->file.op = (struct spool_op){.fd = job->fd}; /* that was the only file */
        on_filed(&job->file);
    } else {
        post_file(job, ends[job->end].file, on_filed);
    }
}

static void end_in_error(struct job *job, const char *message)
{
    plan_error(job, message);
    end_as_planned(job);
}

static void end_in_queue(struct job *job, bool failed)
{
    plan_end(job, JOB_END_REQUEUE);
    job->write.op.requeue = (struct store_requeue){
        .id = job->report.id, .attempt = job->report.attempt, .failed = failed};
    end_as_planned(job);
}

/* Read a whole small file into job->result. */
static int read_small_result(struct job *job, size_t len, struct err *err)
{
    ssize_t n;

    job->result = malloc(len);
    if (job->result == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    n = SEAM_FAILS("job.read") ? -1 : file_read_all(job->fd, job->result, len, 0);
    if (n < 0)
        return err_errno(err, -E_SPOOL, "read a small result");
    return (size_t)n == len ? 0 : err_set(err, -E_SPOOL, "the result ends too early");
}

/* A result that is not on the disk is sent with FINISH, and its file is removed before that: so no
 * file exists once the report is seen to be complete. */
static int take_result(struct job *job, const struct wire_answer *answer, struct err *err)
{
    int64_t stored = report_stored(answer->bytes, answer->footer);

    if (answer->unsynced != seal_stored_size(stored, job->sealed) ||
        answer->unsynced > job->row_results)
        return err_set(err, -E_SPOOL, "the worker did not sync %lld bytes of a result",
                       (long long)answer->unsynced);
    if (read_small_result(job, (size_t)answer->unsynced, err) < 0)
        return err->code;
    job->end = JOB_END_COMPLETE_IN_ROW;
    job->write.op.finish.result = job->result;
    job->write.op.finish.result_len = (size_t)answer->unsynced;
    return 0;
}

static void end_complete(struct job *job, const struct wire_answer *answer)
{
    struct store_finish *finish = &job->write.op.finish;
    struct err err = {0};

    plan_end(job, JOB_END_COMPLETE);
    *finish = (struct store_finish){.id = job->report.id,
                                    .attempt = job->report.attempt,
                                    .state = REPORT_COMPLETE,
                                    .rows = answer->rows,
                                    .bytes = answer->bytes,
                                    .footer = answer->footer};
    memcpy(finish->digest, answer->digest, sizeof(finish->digest));
    finish->key = job->key;
    finish->sealed = job->sealed;
    if (answer->unsynced != 0 && take_result(job, answer, &err) < 0) {
        log_trouble(&spool_trouble, &err);
        plan_error(job, NOT_STORED);
    }
    end_as_planned(job);
}

/* ---- the worker has answered, or ended ---- */

void job_answered(struct job *job, const struct wire_answer *answer)
{
    char reference[GUID_TEXT];

    loop_check(job->supervisor->loop);
    SEAM_STEP("job", "end", "answered");
    guid_format(&job->report.id, reference);
    if (answer->outcome == WIRE_FAILED)
        /* The message is not logged: it is for the user, and may quote parameters. */
        log_warn("report.failed", "reference=%s report=%s user=%s detail=%s", reference,
                 job->report.name, job->report.user_name, answer->detail);
    if (job->stops != NULL)
        job_over(job);
    else if (answer->outcome == WIRE_COMPLETE)
        end_complete(job, answer);
    else if (answer->outcome == WIRE_CANCELLED)
        end_in_queue(job, job->phase != JOB_STOPPING);
    else
        end_in_error(job, answer->message[0] != '\0' ? answer->message : "The report failed.");
}

/* Has the worker ended for a reason that would end the next attempt, too? */
static bool has_known_cause(const struct job *job, const struct child_end *end, struct err *err)
{
    if (job->phase == JOB_OVERDUE)
        run_took_too_long(job->timeout_ms, err);
    else if (end->signal == SIGXCPU)
        run_used_too_much_time(job->timeout_ms, err);
    else
        return false;
    return true;
}

static void try_again(struct job *job, const char *how)
{
    char message[REPORT_MESSAGE_MAX];

    if (job->report.failures + 1 < REPORT_FAILURES_MAX) {
        end_in_queue(job, true);
        return;
    }
    snprintf(message, sizeof(message),
             "The process that generated the report ended unexpectedly %d times, the last time "
             "with %s. Ask the operator to look at the log, or submit a smaller report.",
             REPORT_FAILURES_MAX, how);
    end_in_error(job, message);
}

void job_worker_died(struct job *job, const struct child_end *end)
{
    char reference[GUID_TEXT];
    struct err err = {0};

    loop_check(job->supervisor->loop);
    SEAM_STEP("job", "end", "worker_died");
    guid_format(&job->report.id, reference);
    log_warn("report.worker_died", "reference=%s report=%s user=%s attempt=%d how=%s", reference,
             job->report.name, job->report.user_name, job->report.attempt, end->message);
    if (job->stops != NULL)
        job_over(job);
    else if (job->phase == JOB_STOPPING)
        end_in_queue(job, false);
    else if (has_known_cause(job, end, &err))
        end_in_error(job, err.text);
    else
        try_again(job, end->message);
}

/* ---- stopping ---- */

static void stop_worker(struct job *job)
{
    job_enter(job, JOB_STOPPING);
    worker_cancel(job->worker);
}

static void on_job_timer(struct loop_timer *timer)
{
    struct job *job = container_of(timer, struct job, timer);

    if (job->phase == JOB_WAITING) {
        post_write(job);
    } else if (job->phase == JOB_STOPPING) {
        worker_kill(job->worker, "its query did not stop in time");
    } else {
        job_enter(job, JOB_OVERDUE);
        SEAM_STEP("job", "run", "overdue");
        worker_kill(job->worker, "its report ran longer than its limit");
    }
}

void job_stop(struct job *job, struct supervisor_stop *stop)
{
    loop_check(job->supervisor->loop);
    SEAM_STEP("job", "stop", "asked");
    stop->next = job->stops;
    job->stops = stop;
    if (job->phase == JOB_WAITING)
        job_over(job); /* its row is being deleted: there is nothing left to record */
    else if (job->phase == JOB_RUNNING)
        stop_worker(job);
}

struct job *job_find(const struct supervisor *supervisor, const struct guid *id)
{
    struct job *job = supervisor->jobs;

    while (job != NULL && !guid_eq(&job->report.id, id))
        job = job->next;
    return job;
}

void job_requeue(struct job *job)
{
    if (job->phase == JOB_RUNNING)
        stop_worker(job);
    else if (job->phase == JOB_WAITING)
        job_over(job); /* the next start finds it in PROCESSING */
}

/* ---- the start ---- */

/* Everything that the worker has to know, except the file. */
static struct wire_order make_order(const struct job *job, const struct definition *def)
{
    const struct supervisor_spec *spec = &job->supervisor->spec;
    const struct config *config = spec->config;
    bool in_database = spool_is_in_database(spec->spool);

    return (struct wire_order){
        .run = {.head = {.type = WIRE_RUN, .attempt = job->report.attempt, .id = job->report.id},
                .clock_ahead_ms = store_clock_ahead_ms(spec->store),
                .row_results =
                    job->supervisor->shared && !in_database ? 0 : config->row_results.number,
                .temp_limit = config->temp_limit.number,
                .runs = job->runs,
                .packed = str_eq(config->result_compression.text, "zstd"),
                .sealed = in_database || str_eq(config->spool_encryption.text, "on")},
        .texts = {.definition_file = def->file,
                  .definition_text = def->text,
                  .parameters = job->report.parameters,
                  .user_name = job->report.user_name,
                  .claims = report_claims(&job->report),
                  .source_url = config_source_url(config, def->source),
                  .temp_folder = spool_temp_folder(spec->spool),
                  .timezone = config->timezone.text,
                  .choices = ""},
        .fd = -1,
        .texts_fd = -1,
    };
}

static void on_discarded(struct spool_op *op)
{
    if (op->rc < 0)
        log_trouble(&spool_trouble, &op->err);
    free(op);
}

/* A node that was killed has left its file; on an embedded store the next start removes it. */
static void discard_earlier(const struct job *job)
{
    struct spool_op *op;

    if (!job->supervisor->shared || job->report.attempt == 1)
        return;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return; /* the deletion of the report removes it */
    *op = (struct spool_op){.verb = SPOOL_DISCARD,
                            .id = job->report.id,
                            .attempt = job->report.attempt - 1,
                            .done = on_discarded};
    spool_post(job->supervisor->spec.spool, op);
}

static int make_part_file(struct job *job, const struct wire_order *order, struct err *err)
{
    job->fd = spool_create(job->supervisor->spec.spool, &job->report.id, job->report.attempt, err);
    if (job->fd < 0)
        return job->fd;
    SEAM_STEP("job", "start", "created");
    discard_earlier(job);
    job->row_results = order->run.row_results;
    job->timeout_ms = order->run.timeout_ms;
    job->sealed = order->run.sealed != 0;
    return 0;
}

/* Make the .part file, unless it exists, and send everything to the worker. */
static int send_job(struct job *job, struct worker_handle *worker, const struct definition *def,
                    struct err *err)
{
    struct wire_order order = make_order(job, def);
    int rc;

    run_limits(job->supervisor->spec.config, def, &order.run);
    if (order.texts.source_url == NULL)
        return err_set(err, -E_SOURCE, "The report's database is not configured any more.");
    rc = wire_order_write_texts(&order, err);
    if (rc == 0 && job->fd < 0)
        rc = make_part_file(job, &order, err);
    if (rc < 0) {
        wire_order_done(&order);
        return rc;
    }
    order.fd = job->fd;
    if (job->sealed)
        memcpy(order.run.key, job->key, sizeof(order.run.key));
    if (job->phase == JOB_NEW)
        job_enter(job, JOB_RUNNING);
    worker_run(worker, job, &order);
    wire_order_done(&order);
    SEAM_STEP("job", "start", "sent");
    return 0;
}

static void start_on(struct job *job, struct worker_handle *worker, const struct definition *def)
{
    struct err err = {0};

    job->retention_ms = def->retention_ms;
    if (job->report.parameters == NULL) { /* the row was tampered with */
        end_in_error(job, "The report's parameters cannot be read any more. Submit it again.");
    } else if (send_job(job, worker, def, &err) < 0) {
        log_error("report.start", "report=%s user=%s error=%s detail=%s", job->report.name,
                  job->report.user_name, err.text, err.detail);
        end_in_error(job, err.code == -E_SOURCE
                              ? err.text
                              : "The server could not make room for the report's result. Submit it "
                                "again later.");
    }
}

/* The definition of the report; NULL: the job has ended. */
static const struct definition *hold_definition(struct job *job)
{
    struct supervisor *supervisor = job->supervisor;
    const struct definition *def = catalog_hold(supervisor->spec.catalog, job->report.name);

    if (def != NULL)
        return def;
    if (supervisor->shared && !job->stray)
        end_in_queue(job, false); /* removed since the claim: another node may have it */
    else
        end_in_error(job, "This type of report is not on offer any more.");
    return NULL;
}

static void count_start(struct job *job)
{
    const struct report *report = &job->report;

    job->began_us = clock_mono_us();
    if (report->attempt == 1)
        report_metrics_started(job->supervisor->metrics, report->name,
                               1000 * (report->started_ms - report->submitted_ms));
}

void job_start(struct job *job, struct report *report)
{
    struct supervisor *supervisor = job->supervisor;
    const struct definition *def;

    loop_check(supervisor->loop);
    CHECK(job->phase == JOB_NEW);
    SEAM_STEP("job", "start", "claimed");
    job->report = *report;
    *report = (struct report){0};
    if (supervisor->shared)
        memcpy(job->key, job->report.key, sizeof(job->key));
    else
        randombytes_buf(job->key, sizeof(job->key));
    job->since_beat = supervisor->lease.beats;
    job->next = supervisor->jobs;
    supervisor->jobs = job;
    lease_started(supervisor, job);
    count_start(job);
    if (job->stops != NULL) {
        job_over(job); /* it was deleted while it was being claimed */
        return;
    }
    if (supervisor->phase != SUPERVISOR_OPEN || worker_find_idle(supervisor, NULL) == NULL) {
        end_in_queue(job, false);
        return;
    }
    if (!job->permitted) {
        end_in_error(job, report_not_permitted);
        return;
    }
    def = hold_definition(job);
    if (def == NULL)
        return;
    start_on(job,
             worker_find_idle(supervisor, config_source_url(supervisor->spec.config, def->source)),
             def);
    catalog_release(supervisor->spec.catalog, def);
}

void job_run_again(struct job *job, struct worker_handle *worker)
{
    const struct definition *def;

    if (worker->state != WORKER_IDLE || job->supervisor->phase == SUPERVISOR_CLOSING ||
        !lease_holds(job->supervisor)) {
        end_in_queue(job, false);
        return;
    }
    def = hold_definition(job);
    if (def == NULL)
        return;
    start_on(job, worker, def);
    catalog_release(job->supervisor->spec.catalog, def);
}
