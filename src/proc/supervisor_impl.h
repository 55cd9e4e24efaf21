/* src/proc/supervisor_impl.h -- what supervisor.c, worker_handle.c, job.c and lease.c share. All of
 * it belongs to the supervisor's one thread, except what is atomic. Only these files include this.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "core/report.h"
#include "proc/channel.h"
#include "proc/child.h"
#include "proc/loop.h"
#include "proc/states.h"
#include "proc/supervisor.h"
#include "proc/wire.h"

struct job;

/* A place for one worker: its process, and the job it runs. */
struct worker_handle {
    struct supervisor *supervisor;
    enum worker_state state; /* written by worker_enter() */
    struct child child;
    struct channel channel;
    struct loop_watch exit_watch;
    struct job *job;         /* until it has answered or ended: BUSY, DYING */
    struct loop_timer timer; /* ABSENT: start it again; DYING: it cannot be killed */
    int64_t spawned_ms;      /* monotonic; for the back-off of workers that die young */
    int young_deaths;        /* in a row */
    char *source_url;        /* the database that its process is bound to; NULL: none yet */
    bool spent;              /* it has said that it ends: that is no death */
    struct loop_call progress;
};

/* A question to the store for the queued report whose turn it is, with a job ready to take it. */
struct claim {
    struct supervisor *supervisor;
    struct loop_call call;
    char node[GUID_TEXT]; /* whose claim it is: the lease's name may change before the answer */
    struct guid token;    /* until it is answered … */
    bool doubt;           /* … for certain: the last answer was a failure */
    struct job *job;
    char *offer, *sources;      /* what is asked for, of the catalog's … */
    unsigned generation;        /* … of this number */
    struct store_limit *limits; /* of sources: room for all of them */
    size_t limit_count;
    atomic_bool ready;     /* the next submit may post it */
    unsigned wakes;        /* supervisor->wakes when it was asked */
    unsigned news;         /* and lease.news */
    bool along;            /* posted by the submit of … */
    struct guid submitted; /* … this report */
};

/* How a job ends: what happens to its file, and the operation that is posted to the store. */
#define JOB_ENDS(X)                                                                                \
    X(COMPLETE, SPOOL_PUBLISH, STORE_FINISH)                                                       \
    X(COMPLETE_IN_ROW, SPOOL_DISCARD, STORE_FINISH) /* the store takes the result */               \
    X(ERROR, SPOOL_DISCARD, STORE_FINISH)                                                          \
    X(REQUEUE, SPOOL_DISCARD, STORE_REQUEUE)

enum job_end {
#define X(name, file, verb) JOB_END_##name,
    JOB_ENDS(X)
#undef X
};

/* One claimed report, until its end has been written to the store. */
struct job {
    struct supervisor *supervisor;
    enum job_phase phase; /* written by job_enter() */
    struct report report;
    struct worker_handle *worker;  /* NULL once no worker runs it */
    unsigned since_beat;           /* lease.beats when it started */
    int64_t began_us;              /* monotonic: when it started */
    bool stray;                    /* no node has had its definition for long; this one may */
    bool permitted;                /* its user may run it, still, when it was claimed */
    struct supervisor_stop *stops; /* deletions that wait for its end */
    enum job_end end;              /* FILING, WRITING, WAITING */
    struct loop_spool_call file;
    struct loop_call write;
    struct loop_timer timer; /* RUNNING, STOPPING: kill its worker; WAITING: ask the store again */
    int64_t timeout_ms;
    int64_t runs;         /* in processes that have ended, since its database changed meanwhile */
    int64_t retention_ms; /* of the definition; 0: it has none */
    int fd;               /* what the worker writes to; -1: nothing yet */
    int64_t row_results;  /* how large a small result may be */
    void *result;         /* the bytes of a small one, which FINISH takes along */
    bool sealed;          /* this attempt's result is encrypted with … */
    uint8_t key[REPORT_KEY_BYTES]; /* … the report's key, or, in an embedded store, one that exists
                                    * only here until the report is finished */
    char message[REPORT_MESSAGE_MAX];
    struct job *next;
};

/* What keeps this node alive for the others that share the store. If the store is not shared, its
 * heartbeats only show which running reports another process has ended, whenever there is a
 * notification of one. */
struct lease {
    char node[GUID_TEXT];   /* its name, a new one whenever it was given up */
    char was[GUID_TEXT];    /* the previous one; "": none */
    char host[80];          /* for people */
    bool begun;             /* the store knows it */
    bool again;             /* another heartbeat has to follow the one in progress at once */
    int64_t sent_ms;        /* monotonic: when the last heartbeat was */
    unsigned beats;         /* sent so far */
    unsigned news;          /* notifications so far of reports that others have ended */
    struct loop_timer due;  /* when the next heartbeat is */
    struct loop_timer end;  /* until then the others consider the node alive; not set: no longer */
    int64_t clock_ahead_ms; /* of the database's, as last warned of; 0: it is right */
    struct loop_call beat;
    struct store_ref running[STORE_RUNNING_MAX]; /* named in its answer */
    char *offer;                                 /* sent with it */
    struct supervisor_stop *parked;              /* what other nodes are still running */
    struct guid looked_up;
    struct loop_call look;      /* is one of them still held? */
    struct loop_timer look_due; /* when to ask again, if nothing is heard, … */
    int64_t look_ms;            /* … after so long a wait */
};

enum supervisor_phase {
    SUPERVISOR_OPEN,
    SUPERVISOR_DRAINING, /* running reports may go on for a while, no other one starts */
    SUPERVISOR_CLOSING,  /* that time is over: they go back into the queue */
};

enum {
    WORK_ANY = 1 << 20, /* as many claims as find something */
};

struct supervisor {
    struct supervisor_spec spec;
    bool shared; /* the store, with other nodes */
    struct lease lease;
    bool deaf; /* it is being freed: changes are ignored */
    pthread_t thread;
    struct loop *loop;
    atomic_uint wakes; /* how many claims were worth asking for since the start … */
    unsigned wakes_seen;
    unsigned work;              /* … and were not asked for yet */
    atomic_uint along;          /* claims under way that submits took along */
    atomic_bool idle;           /* a worker is: a wake has to end the loop's wait */
    atomic_bool held_back;      /* the last claim found only what may not start yet */
    struct loop_timer look;     /* … and asks again then, whatever notifications arrive */
    struct loop_timer no_claim; /* set: no claims before it ends */
    enum supervisor_phase phase;
    int64_t drain_grace_ms; /* set before `drain` is posted */
    struct loop_message drain;
    struct loop_timer drain_timer;
    struct loop_message hurry;
    atomic_bool hurry_posted;
    struct loop_message pulse;
    atomic_bool pulse_posted;
    bool hurried; /* the drain ends at once, and workers are killed */
    struct job *jobs;
    size_t worker_count;
    struct worker_handle *workers; /* worker_count, and as many claims */
    struct claim *claims;          /* while the thread sleeps, those of idle workers are ready:
                                    * a submit of this node takes one along in its transaction */
    atomic_llong in_state[WORKER_STATE_COUNT]; /* workers now */
    atomic_llong spawned, died, killed;
    struct histogram cancels;
    struct report_metrics *metrics;
};

/* lease.c: one node of several */
void lease_init(struct supervisor *supervisor);
void lease_done(struct supervisor *supervisor); /* no other node has to wait until it expires */
/* May reports be claimed and started, and which node claims them? */
bool lease_holds(const struct supervisor *supervisor);
const char *lease_node(const struct supervisor *supervisor);
/* May this report be started, which was claimed as `node`? Otherwise it is to be forgotten. */
bool lease_covers(const struct supervisor *supervisor, const struct report *report,
                  const char *node);
/* The report does not run here: wait for another node, or for a claim of this node that is in
 * progress. */
void lease_park(struct supervisor *supervisor, struct supervisor_stop *stop);
/* A job has started whose claim was asked for when `news` was lease.news. */
void lease_catch_up(struct supervisor *supervisor, unsigned news);
/* A job has started: deletions that have been waiting for it stop it. */
void lease_started(struct supervisor *supervisor, struct job *job);

/* worker_handle.c: worker processes */
void worker_init(struct worker_handle *worker, struct supervisor *supervisor);
void worker_start(struct worker_handle *worker);
/* An idle one, or NULL; best one that has this database open, or none yet. */
struct worker_handle *worker_find_idle(struct supervisor *supervisor, const char *source_url);
/* Give the job to an idle worker; `order` is complete. */
void worker_run(struct worker_handle *worker, struct job *job, const struct wire_order *order);
/* Tell it to stop what it runs. */
void worker_cancel(struct worker_handle *worker);
/* Kill it, with the reason for the log. The job is notified once the
 * process has ended, or does not end. */
void worker_kill(struct worker_handle *worker, const char *reason);
/* At the end, when it holds nothing any more: two steps, so that all end at the same time. */
void worker_dismiss(struct worker_handle *worker);
void worker_done(struct worker_handle *worker);

/* job.c: from claim to end */
struct job *job_new(struct supervisor *supervisor); /* NULL: no memory */
void job_free(struct job *job);                     /* as job_over() does; NULL is fine */
/* Takes what `report` owns; runs it on an idle worker, or ends it. The job frees itself at its
 * end. */
void job_start(struct job *job, struct report *report);
/* The worker has answered. */
void job_answered(struct job *job, const struct wire_answer *answer);
/* The worker, idle again, is a new process, since the previous one could not run the job. */
void job_run_again(struct job *job, struct worker_handle *worker);
/* The worker has ended without an answer, or does not end though it was killed. */
void job_worker_died(struct job *job, const struct child_end *end);
/* Someone waits for its end, since it is deleted. */
void job_stop(struct job *job, struct supervisor_stop *stop);
/* The job of a report; NULL: none is on this node. */
struct job *job_find(const struct supervisor *supervisor, const struct guid *id);
/* Stop it and put it back into the queue, uncounted; what the store does not take is left to the
 * next start. */
void job_requeue(struct job *job);
