/* src/proc/job.c -- one claimed report: handed to its worker, published or put back, written down.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/supervisor_impl.h"
#include "spool/seal.h"

enum { RETRY_MS = 500 }; /* between tries to write an end down while the store is unavailable */

static const char NOT_STORED[] =
    "The server could not store the report's result. Submit it again later.";

struct job *job_new(struct supervisor *supervisor)
{
    struct job *job = calloc(1, sizeof(*job));

    if (job != NULL)
        *job = (struct job){.supervisor = supervisor, .fd = -1};
    return job;
}

void job_free(struct job *job)
{
    if (job == NULL)
        return;
    report_done(&job->report);
    free(job->result);
    sodium_memzero(job->key, sizeof(job->key));
    if (job->fd >= 0)
        close(job->fd);
    free(job);
}

/* --- the end: file, then store, then whoever waits ---------------------------------------------
 */

/* Nothing of it runs any more and nobody will write its files. */
static void job_over(struct job *job)
{
    struct histogram *cancels = &job->supervisor->cancels;
    struct job **place = &job->supervisor->jobs;
    struct supervisor_stop *stop = job->stops;

    while (*place != job)
        place = &(*place)->next;
    *place = job->next;
    job_free(job);
    while (stop != NULL) {
        struct supervisor_stop *next = stop->next;

        histogram_add(cancels, clock_mono_us() - stop->began_us);
        stop->done(stop);
        stop = next;
    }
}

static void post_op(struct job *job);
static void post_file(struct job *job);

static bool was_moved(const struct store_op *op)
{
    return op->verb == STORE_FINISH ? op->finish.moved : op->requeue.moved;
}

static void on_written(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    bool moved = job->op.rc == 0 && was_moved(&job->op);

    SEAM_STEP("job", "end", "written");
    if (job->op.rc < 0 && job->stops == NULL) {
        log_error("store.unavailable", "error=%s detail=%s", job->op.err.text, job->op.err.detail);
        if (supervisor->draining && supervisor->drain_ms == 0)
            job_over(job); /* out of time: the next start finds it PROCESSING */
        else
            job->retry_ms = clock_mono_ms() + RETRY_MS;
        return;
    }
    store_op_done(&job->op);
    if (!moved && job->stops == NULL && job->file_verb == SPOOL_PUBLISH) {
        /* Another attempt has the report now, or a deletion that has not asked yet. */
        job->file_verb = SPOOL_DISCARD;
        job->op.verb = STORE_VERB_COUNT;
        post_file(job);
        return;
    }
    job_over(job);
}

static void op_answered(struct store_op *op)
{
    struct job *job = op->owner;

    job->mail.deliver = on_written;
    supervisor_deliver(job->supervisor, &job->mail);
}

/* Each try anew: the retention begins when the end is written down, however long that took. */
static void set_times(struct job *job)
{
    struct store_finish *finish = &job->op.finish;

    finish->now_ms = clock_now_ms();
    finish->expires_ms = finish->now_ms + job->supervisor->spec.config->retention.number;
}

static void post_op(struct job *job)
{
    job->retry_ms = 0;
    if (job->op.verb == STORE_FINISH)
        set_times(job);
    job->op.done = op_answered;
    job->op.owner = job;
    store_post(job->supervisor->spec.store, &job->op);
}

/* FINISH as error: `words` are for the user. */
static void plan_error(struct job *job, const char *words)
{
    str_copy(job->message, sizeof(job->message), words);
    job->file_verb = SPOOL_DISCARD;
    job->op = (struct store_op){.verb = STORE_FINISH};
    job->op.finish = (struct store_finish){.id = job->report.id,
                                           .attempt = job->report.attempt,
                                           .state = REPORT_ERROR,
                                           .message = job->message};
}

static bool is_complete(const struct job *job)
{
    return job->op.verb == STORE_FINISH && job->op.finish.state == REPORT_COMPLETE;
}

static void on_filed(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);

    (void)supervisor;
    SEAM_STEP("job", "end", "filed");
    if (job->file.rc < 0) {
        log_error("spool.unavailable", "error=%s detail=%s", job->file.err.text,
                  job->file.err.detail);
        if (is_complete(job) && job->stops == NULL) {
            plan_error(job, NOT_STORED);
            post_file(job);
            return;
        }
    }
    /* A deletion removes files and row by itself. */
    if (job->stops != NULL || job->op.verb == STORE_VERB_COUNT)
        job_over(job);
    else
        post_op(job);
}

static void file_answered(struct spool_op *op)
{
    struct job *job = op->owner;

    job->mail.deliver = on_filed;
    supervisor_deliver(job->supervisor, &job->mail);
}

static void post_file(struct job *job)
{
    job->file = (struct spool_op){.verb = job->file_verb,
                                  .id = job->report.id,
                                  .attempt = job->report.attempt,
                                  .fd = job->fd,
                                  .done = file_answered,
                                  .owner = job};
    spool_post(job->supervisor->spec.spool, &job->file);
}

static void job_end(struct job *job)
{
    job->ending = true;
    post_file(job);
}

static void end_in_error(struct job *job, const char *words)
{
    plan_error(job, words);
    job_end(job);
}

static void end_in_queue(struct job *job, bool failed)
{
    job->file_verb = SPOOL_DISCARD;
    job->op = (struct store_op){.verb = STORE_REQUEUE};
    job->op.requeue = (struct store_requeue){
        .id = job->report.id, .attempt = job->report.attempt, .failed = failed};
    job_end(job);
}

/* All of a small file, into job->result. */
static int read_result(struct job *job, size_t len, struct err *err)
{
    size_t have = 0;

    job->result = malloc(len);
    if (job->result == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    while (have < len) {
        ssize_t n = SEAM_FAILS("job.read")
                        ? -1
                        : pread(job->fd, (char *)job->result + have, len - have, (off_t)have);

        if (n == 0)
            return err_set(err, -E_SPOOL, "the result ends too early");
        if (n < 0 && errno != EINTR)
            return err_errno(err, -E_SPOOL, "read a small result");
        have += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* A result that is not on the disk goes with FINISH, and its file before that: so whoever sees the
 * report complete finds no file. */
static int take_result(struct job *job, const struct wire_message *m, struct err *err)
{
    if (m->unsynced != seal_stored_size(m->bytes, job->sealed) || m->unsynced > job->row_results)
        return err_set(err, -E_SPOOL, "the worker did not sync %lld bytes of a result",
                       (long long)m->unsynced);
    if (read_result(job, (size_t)m->unsynced, err) < 0)
        return err->code;
    job->file_verb = SPOOL_DISCARD;
    job->op.finish.result = job->result;
    job->op.finish.result_len = (size_t)m->unsynced;
    return 0;
}

static void end_complete(struct job *job, const struct wire_message *m)
{
    struct store_finish *finish = &job->op.finish;
    struct err err = {0};

    job->file_verb = SPOOL_PUBLISH;
    job->op = (struct store_op){.verb = STORE_FINISH};
    *finish = (struct store_finish){.id = job->report.id,
                                    .attempt = job->report.attempt,
                                    .state = REPORT_COMPLETE,
                                    .rows = m->rows,
                                    .bytes = m->bytes};
    memcpy(finish->digest, m->digest, sizeof(finish->digest));
    finish->key = job->sealed ? job->key : NULL;
    if (m->unsynced != 0 && take_result(job, m, &err) < 0) {
        log_error("spool.unavailable", "error=%s detail=%s", err.text, err.detail);
        plan_error(job, NOT_STORED);
    }
    job_end(job);
}

/* --- the worker has answered, or died -----------------------------------------------------------
 */

void job_answered(struct job *job, const struct wire_message *m)
{
    char reference[GUID_TEXT];

    SEAM_STEP("job", "end", "answered");
    guid_format(&job->report.id, reference);
    if (m->outcome == WIRE_FAILED)
        /* Not the message: it is for the user, and may quote parameters. */
        log_warn("report.failed", "reference=%s report=%s detail=%s", reference, job->report.name,
                 m->detail);
    if (job->stops != NULL)
        job_over(job);
    else if (m->outcome == WIRE_COMPLETE)
        end_complete(job, m);
    else if (m->outcome == WIRE_CANCELLED)
        end_in_queue(job, !job->put_back);
    else
        end_in_error(job, m->message != NULL ? m->message : "The report failed.");
}

void job_orphaned(struct job *job, const char *words)
{
    char reference[GUID_TEXT], message[REPORT_MESSAGE_MAX];

    SEAM_STEP("job", "end", "orphaned");
    guid_format(&job->report.id, reference);
    log_warn("report.orphaned", "reference=%s report=%s attempt=%d how=%s", reference,
             job->report.name, job->report.attempt, words);
    if (job->stops != NULL) {
        job_over(job);
    } else if (job->put_back) {
        end_in_queue(job, false);
    } else if (job->report.failures + 1 >= REPORT_FAILURES_MAX) {
        snprintf(message, sizeof(message),
                 "The process that generated the report ended unexpectedly %d times, the last time "
                 "with %s. Ask the operator to look at the log, or submit a smaller report.",
                 REPORT_FAILURES_MAX, words);
        end_in_error(job, message);
    } else {
        end_in_queue(job, true);
    }
}

void job_stop(struct job *job, struct supervisor_stop *stop)
{
    SEAM_STEP("job", "stop", "asked");
    stop->next = job->stops;
    job->stops = stop;
    if (job->retry_ms != 0)
        job_over(job); /* its row is being deleted: nothing is left to write down */
    else if (job->slot != NULL)
        slot_cancel(job->slot);
}

void job_put_back(struct job *job)
{
    job->put_back = true;
    if (job->slot != NULL)
        slot_cancel(job->slot);
    else if (job->retry_ms != 0)
        job_over(job); /* the next start finds it PROCESSING */
}

void job_on_time(struct job *job, int64_t now_ms)
{
    if (job->retry_ms != 0 && job->retry_ms <= now_ms)
        post_op(job);
}

/* --- the start ---------------------------------------------------------------------------------
 */

static int64_t least(int64_t own, int64_t general)
{
    return own != 0 && own < general ? own : general;
}

/* Make the .part file and hand everything to the worker. */
static int send_job(struct job *job, struct slot *slot, const struct definition *def,
                    struct err *err)
{
    const struct supervisor_spec *spec = &job->supervisor->spec;
    const struct config *config = spec->config;
    struct wire_message m = {
        .type = WIRE_RUN,
        .id = job->report.id,
        .attempt = job->report.attempt,
        .definition_file = def->file,
        .definition_text = def->text,
        .parameters = job->report.parameters,
        .user_name = job->report.user_name,
        .source_url = (char *)config_source_url(config, def->source),
        .temp_folder = (char *)spool_temp_folder(spec->spool),
        .timeout_ms = def->timeout_ms != 0 ? def->timeout_ms : config->report_timeout.number,
        .row_limit = least(def->row_limit, config->row_limit.number),
        .size_limit = least(def->size_limit, config->size_limit.number),
        .row_results = job->supervisor->shared ? 0 : config->row_results.number,
    };

    if (m.source_url == NULL)
        return err_set(err, -E_SOURCE, "The report's database is not configured any more.");
    job->fd = m.fd = spool_create(spec->spool, &job->report.id, job->report.attempt, err);
    if (m.fd < 0)
        return m.fd;
    SEAM_STEP("job", "start", "created");
    job->row_results = m.row_results;
    job->sealed = m.sealed = str_eq(config->spool_encryption.text, "on");
    if (m.sealed) {
        randombytes_buf(job->key, sizeof(job->key));
        memcpy(m.key, job->key, sizeof(m.key));
    }
    slot_run(slot, job, &m);
    sodium_memzero(m.key, sizeof(m.key));
    SEAM_STEP("job", "start", "sent");
    return 0;
}

void job_start(struct job *job, struct slot *slot, struct report *report)
{
    struct supervisor *supervisor = job->supervisor;
    const struct definition *def;
    struct err err = {0};

    SEAM_STEP("job", "start", "claimed");
    job->report = *report;
    *report = (struct report){0};
    job->since_beat = supervisor->lease.beats;
    job->next = supervisor->jobs;
    supervisor->jobs = job;
    lease_started(supervisor, job);
    if (supervisor->draining || !slot_is_idle(slot)) {
        end_in_queue(job, false);
        return;
    }
    def = catalog_hold(supervisor->spec.catalog, job->report.name);
    if (def == NULL) {
        end_in_error(job, "This type of report is not on offer any more.");
        return;
    }
    if (send_job(job, slot, def, &err) < 0) {
        log_error("report.start", "report=%s error=%s detail=%s", job->report.name, err.text,
                  err.detail);
        end_in_error(job, err.code == -E_SOURCE
                              ? err.text
                              : "The server could not make room for the report's result. Submit it "
                                "again later.");
    }
    catalog_release(supervisor->spec.catalog, def);
}
