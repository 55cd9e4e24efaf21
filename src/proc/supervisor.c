/* src/proc/supervisor.c -- the supervisor's thread: its mailbox, its clock, and who gets the next
 * report. */
#include "proc/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/supervisor_impl.h"

enum {
    EVENTS_MAX = 64,
    CLAIM_RETRY_MS = 500, /* between tries while the store is unavailable */
};

/* --- mail from other threads ------------------------------------------------------------------ */

static void ring(struct supervisor *supervisor)
{
    const uint64_t one = 1;

    /* Fails only when the counter is full, and then the bell is ringing. */
    if (write(supervisor->bell, &one, sizeof(one)) < 0)
        return;
}

void supervisor_deliver(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&supervisor->mutex);
    *supervisor->last = mail;
    supervisor->last = &mail->next;
    /* Inside the lock: once a mail is taken, the supervisor may end and close the bell. */
    ring(supervisor);
    pthread_mutex_unlock(&supervisor->mutex);
}

static struct supervisor_mail *take_mail(struct supervisor *supervisor)
{
    struct supervisor_mail *mail;

    pthread_mutex_lock(&supervisor->mutex);
    mail = supervisor->first;
    supervisor->first = NULL;
    supervisor->last = &supervisor->first;
    pthread_mutex_unlock(&supervisor->mutex);
    return mail;
}

static void on_bell(struct watch *watch)
{
    struct supervisor *supervisor = watch->owner;
    struct supervisor_mail *mail;
    uint64_t count;

    if (read(supervisor->bell, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("supervisor.bell", "errno=%d", errno);
    mail = take_mail(supervisor);
    while (mail != NULL) {
        struct supervisor_mail *next = mail->next;

        mail->deliver(supervisor, mail);
        mail = next;
    }
}

/* --- claims ----------------------------------------------------------------------------------- */

static void on_claimed(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct slot *slot = container_of(mail, struct slot, claim_mail);
    struct store_claim *claim = &slot->claim.claim;

    slot->claiming = false;
    if (slot->claim.rc < 0) {
        log_error("store.claim", "error=%s detail=%s", slot->claim.err.text,
                  slot->claim.err.detail);
        supervisor->claim_ms = clock_mono_ms() + CLAIM_RETRY_MS;
        store_op_done(&slot->claim);
        return; /* the token stays: the claim may have been committed */
    }
    slot->claim_token = guid_new();
    if (claim->found) {
        job_start(slot->claimed, slot, &claim->report);
        slot->claimed = NULL;
    } else if (slot->claim_wakes == atomic_load(&supervisor->wakes)) {
        supervisor->work = false; /* nothing was submitted since this claim was posted */
    }
    store_op_done(&slot->claim);
}

static void claim_answered(struct store_op *op)
{
    struct slot *slot = op->owner;

    supervisor_deliver(slot->supervisor, &slot->claim_mail);
}

static void post_claim(struct slot *slot)
{
    struct supervisor *supervisor = slot->supervisor;

    if (slot->claimed == NULL)
        slot->claimed = job_new(supervisor);
    if (slot->claimed == NULL)
        return; /* no memory: the next wake tries again */
    slot->claiming = true;
    slot->claim_wakes = atomic_load(&supervisor->wakes);
    slot->claim_mail.deliver = on_claimed;
    slot->claim = (struct store_op){.verb = STORE_CLAIM, .done = claim_answered, .owner = slot};
    slot->claim.claim = (struct store_claim){
        .node = lease_node(supervisor), .token = slot->claim_token, .now_ms = clock_now_ms()};
    store_post(supervisor->spec.store, &slot->claim);
}

static void see_wakes(struct supervisor *supervisor)
{
    unsigned wakes = atomic_load(&supervisor->wakes);

    if (wakes != supervisor->wakes_seen) {
        supervisor->wakes_seen = wakes;
        supervisor->work = true;
    }
}

void supervisor_claim(struct supervisor *supervisor)
{
    see_wakes(supervisor);
    if (!supervisor->work || supervisor->draining || supervisor->claim_ms != 0 ||
        !lease_holds(supervisor))
        return;
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        struct slot *slot = &supervisor->slots[i];

        if (slot_is_idle(slot) && !slot->claiming)
            post_claim(slot);
    }
}

static bool has_idle_slot(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        if (slot_is_idle(&supervisor->slots[i]) && !supervisor->slots[i].claiming)
            return true;
    }
    return false;
}

/* Claim; and if a worker stays idle, have the next wake ring, unless it has come by then. */
static void claim_or_listen(struct supervisor *supervisor)
{
    supervisor_claim(supervisor);
    if (has_idle_slot(supervisor)) {
        atomic_store(&supervisor->hungry, true);
        supervisor_claim(supervisor);
    }
}

/* While all workers are busy it takes no switch of threads for each report that is submitted: the
 * wakes are seen when a worker becomes idle. */
void supervisor_wake(struct supervisor *supervisor)
{
    atomic_fetch_add(&supervisor->wakes, 1);
    if (atomic_exchange(&supervisor->hungry, false))
        ring(supervisor);
}

/* --- stopping one report ---------------------------------------------------------------------- */

static void on_stop(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    struct supervisor_stop *stop = container_of(mail, struct supervisor_stop, mail);

    for (struct job *job = supervisor->jobs; job != NULL; job = job->next) {
        if (guid_eq(&job->report.id, &stop->id)) {
            job_stop(job, stop);
            return;
        }
    }
    if (stop->held)
        lease_park(supervisor, stop);
    else
        stop->done(stop);
}

void supervisor_stop(struct supervisor *supervisor, struct supervisor_stop *stop)
{
    stop->mail.deliver = on_stop;
    supervisor_deliver(supervisor, &stop->mail);
}

/* --- the thread ------------------------------------------------------------------------------- */

int supervisor_watch(struct supervisor *supervisor, int fd, struct watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};

    return epoll_ctl(supervisor->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void sooner(int64_t *next_ms, int64_t deadline_ms)
{
    if (deadline_ms != 0 && (*next_ms == 0 || deadline_ms < *next_ms))
        *next_ms = deadline_ms;
}

/* Milliseconds until something is due, for epoll_wait(); -1: nothing is. */
static int next_timeout(const struct supervisor *supervisor)
{
    int64_t next_ms = 0, left_ms;

    for (size_t i = 0; i < supervisor->slot_count; i++)
        sooner(&next_ms, slot_deadline(&supervisor->slots[i]));
    for (struct job *job = supervisor->jobs; job != NULL; job = job->next)
        sooner(&next_ms, job->retry_ms);
    sooner(&next_ms, supervisor->claim_ms);
    sooner(&next_ms, lease_deadline(supervisor));
    sooner(&next_ms, supervisor->drain_ms);
    if (next_ms == 0)
        return -1;
    left_ms = next_ms - clock_mono_ms();
    return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void on_time(struct supervisor *supervisor)
{
    int64_t now_ms = clock_mono_ms();
    struct job *next;

    for (size_t i = 0; i < supervisor->slot_count; i++)
        slot_on_time(&supervisor->slots[i], now_ms);
    for (struct job *job = supervisor->jobs; job != NULL; job = next) {
        next = job->next;
        job_on_time(job, now_ms);
    }
    lease_on_time(supervisor, now_ms);
    if (supervisor->claim_ms <= now_ms)
        supervisor->claim_ms = 0;
    if (supervisor->drain_ms == 0 || supervisor->drain_ms > now_ms)
        return;
    supervisor->drain_ms = 0;
    for (struct job *job = supervisor->jobs; job != NULL; job = next) {
        next = job->next;
        job_put_back(job);
    }
}

/* Draining is over when no report is running or being written down any more. */
static bool is_finished(const struct supervisor *supervisor)
{
    if (!supervisor->draining || supervisor->jobs != NULL || lease_is_busy(supervisor))
        return false;
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        if (supervisor->slots[i].claiming || supervisor->slots[i].progressing)
            return false;
    }
    return true;
}

static void *supervisor_thread(void *arg)
{
    struct supervisor *supervisor = arg;
    struct epoll_event events[EVENTS_MAX];

    while (!is_finished(supervisor)) {
        int n = epoll_wait(supervisor->epoll, events, EVENTS_MAX, next_timeout(supervisor));

        for (int i = 0; i < n; i++) {
            struct watch *watch = events[i].data.ptr;

            watch->ready(watch);
        }
        on_time(supervisor);
        claim_or_listen(supervisor);
    }
    return NULL;
}

/* --- start and end ---------------------------------------------------------------------------- */

static int start_thread(struct supervisor *supervisor, struct err *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&supervisor->thread, NULL, supervisor_thread, supervisor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_set(err, -E_NOMEM, "can't start the supervisor's thread");
    pthread_setname_np(supervisor->thread, "supervisor");
    return 0;
}

static void free_all(struct supervisor *supervisor)
{
    if (supervisor->epoll >= 0)
        close(supervisor->epoll);
    if (supervisor->bell >= 0)
        close(supervisor->bell);
    pthread_mutex_destroy(&supervisor->mutex);
    free(supervisor->slots);
    free(supervisor);
}

int supervisor_new(const struct supervisor_spec *spec, struct supervisor **ret, struct err *err)
{
    struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
    size_t count = (size_t)spec->config->workers.number;
    int rc = 0;

    if (supervisor == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    supervisor->spec = *spec;
    supervisor->last = &supervisor->first;
    supervisor->work = true;
    lease_init(supervisor);
    pthread_mutex_init(&supervisor->mutex, NULL);
    supervisor->slots = calloc(count, sizeof(*supervisor->slots));
    supervisor->epoll = epoll_create1(EPOLL_CLOEXEC);
    supervisor->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    supervisor->bell_watch = (struct watch){on_bell, supervisor};
    if (supervisor->slots == NULL || supervisor->epoll < 0 || supervisor->bell < 0 ||
        supervisor_watch(supervisor, supervisor->bell, &supervisor->bell_watch) < 0)
        rc = err_errno(err, -E_INTERNAL, "can't start the supervisor");
    if (rc == 0) {
        supervisor->slot_count = count;
        for (size_t i = 0; i < count; i++) {
            supervisor->slots[i].supervisor = supervisor;
            supervisor->slots[i].claim_token = guid_new();
            supervisor->slots[i].child = (struct child){.pidfd = -1, .socket = -1};
            slot_start(&supervisor->slots[i]);
        }
        ring(supervisor);
        rc = start_thread(supervisor, err);
    }
    if (rc < 0) {
        free_all(supervisor);
        return rc;
    }
    *ret = supervisor;
    return 0;
}

static void on_drain(struct supervisor *supervisor, struct supervisor_mail *mail)
{
    (void)mail;
    supervisor->draining = true;
    supervisor->drain_ms = clock_mono_ms() + supervisor->drain_grace_ms;
}

void supervisor_free(struct supervisor *supervisor, int64_t grace_ms)
{
    char words[32];

    if (supervisor == NULL)
        return;
    supervisor->drain_mail.deliver = on_drain;
    supervisor->drain_grace_ms = grace_ms;
    supervisor_deliver(supervisor, &supervisor->drain_mail);
    pthread_join(supervisor->thread, NULL);
    lease_done(supervisor);
    for (size_t i = 0; i < supervisor->slot_count; i++)
        child_close_socket(&supervisor->slots[i].child);
    for (size_t i = 0; i < supervisor->slot_count; i++) {
        struct child *child = &supervisor->slots[i].child;

        job_free(supervisor->slots[i].claimed);
        /* Idle workers hold nothing worth a polite end. */
        child_kill(child);
        if (child->pid > 0)
            child_reap(child, words);
    }
    free_all(supervisor);
}

void supervisor_stats(struct supervisor *supervisor, struct supervisor_stats *ret)
{
    *ret = (struct supervisor_stats){
        .workers = atomic_load(&supervisor->alive),
        .busy = atomic_load(&supervisor->busy),
        .spawned = atomic_load(&supervisor->spawned),
        .died = atomic_load(&supervisor->died),
        .killed = atomic_load(&supervisor->killed),
    };
    histogram_read(&supervisor->cancels, &ret->cancels);
}
