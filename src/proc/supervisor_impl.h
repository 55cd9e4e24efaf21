/* src/proc/supervisor_impl.h -- what supervisor.c, slot.c and job.c share. All of it belongs to the
 * supervisor's one thread, but for the mailbox and the counters. Only these files include this. */
#ifndef PROC_SUPERVISOR_IMPL_H
#define PROC_SUPERVISOR_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/report.h"
#include "proc/child.h"
#include "proc/supervisor.h"
#include "proc/wire.h"

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct job;
struct slot;

/* What epoll wakes: `ready` is called with the owner. */
struct watch {
    void (*ready)(struct watch *watch);
    void *owner;
};

/* A place for one worker: its process, and the job it runs. */
struct slot {
    struct supervisor *supervisor;
    struct child child;
    struct watch socket_watch, exit_watch;
    struct job *job;    /* NULL: idle */
    int64_t spawned_ms; /* monotonic, like the rest; for the back-off of workers that die young */
    int64_t respawn_ms; /* 0: not waiting to be started again */
    int64_t kill_ms;    /* 0: nothing is being stopped */
    int young_deaths;   /* in a row */
    bool claiming;      /* claim is under way, with a job ready to take what it finds */
    struct job *claimed;
    unsigned claim_wakes;    /* supervisor->wakes when it was posted */
    struct guid claim_token; /* until a claim is answered */
    struct store_op claim;
    struct supervisor_mail claim_mail;
    bool progressing; /* progress is under way */
    struct store_op progress;
    struct supervisor_mail progress_mail;
};

/* One claimed report, until the store has been told how it ended. */
struct job {
    struct supervisor *supervisor;
    struct report report;
    struct slot *slot;             /* NULL once no worker runs it */
    unsigned since_beat;           /* lease.beats when it started */
    bool ending;                   /* job_end has been called */
    bool put_back;                 /* stopped for shutdown: back into the queue */
    struct supervisor_stop *stops; /* who waits for its end: it is being deleted */
    enum spool_verb file_verb;
    struct spool_op file;
    struct store_op op;
    int64_t retry_ms;              /* 0: not waiting to post op again */
    int fd;                        /* what the worker writes to; -1: nothing yet */
    int64_t row_results;           /* how large a small result may be */
    void *result;                  /* the bytes of a small one, which FINISH takes along */
    bool sealed;                   /* this attempt's file is encrypted … */
    uint8_t key[REPORT_KEY_BYTES]; /* … with this, which nobody else keeps until it is finished */
    char message[REPORT_MESSAGE_MAX];
    struct supervisor_mail mail;
    struct job *next;
};

/* What makes this node live, for the others that share the store. */
struct lease {
    char node[GUID_TEXT]; /* its name, a new one whenever it was given up */
    char host[80];        /* for people */
    bool begun;           /* the store knows it */
    bool beating, again;  /* a heartbeat is under way; and another one is to follow at once */
    int64_t beat_ms;      /* monotonic: when the next heartbeat is due */
    int64_t sent_ms;      /* when the last one was */
    int64_t until_ms;     /* the others let the node live at least so long; 0: not any more */
    unsigned beats;       /* sent so far */
    struct store_op beat;
    struct supervisor_mail beat_mail;
    struct supervisor_stop *parked; /* what other nodes are still running */
    bool looking;                   /* whether one of them is still held is being looked up */
    struct guid looked_up;
    struct store_op look;
    struct supervisor_mail look_mail;
};

struct supervisor {
    struct supervisor_spec spec;
    bool shared;        /* the store, with other nodes */
    struct lease lease; /* only then */
    pthread_t thread;
    int epoll, bell; /* bell: an eventfd, rung by the mailbox */
    struct watch bell_watch;
    pthread_mutex_t mutex;
    struct supervisor_mail *first, **last;
    atomic_uint wakes; /* supervisor_wake() calls */
    unsigned wakes_seen;
    atomic_bool hungry; /* a worker is idle: a wake has to ring */
    int64_t claim_ms;   /* no claims before this; 0: not set */
    bool work;          /* the queue may hold something */
    bool draining;
    int64_t drain_grace_ms; /* set before draining */
    int64_t drain_ms;       /* when running reports are put back; 0: not set */
    struct supervisor_mail drain_mail;
    struct job *jobs;
    size_t slot_count;
    struct slot *slots;
    atomic_llong alive, busy, spawned, died, killed;
    struct histogram cancels;
};

/* supervisor.c */
void supervisor_deliver(struct supervisor *supervisor, struct supervisor_mail *mail);
int supervisor_watch(struct supervisor *supervisor, int fd, struct watch *watch);
void supervisor_claim(
    struct supervisor *supervisor); /* for every idle worker, if there may be work */

/* lease.c: one node of several */
void lease_init(struct supervisor *supervisor);
void lease_done(struct supervisor *supervisor); /* nobody has to wait for it to run out */
/* May reports be claimed, and which node claims them? */
bool lease_holds(const struct supervisor *supervisor);
const char *lease_node(const struct supervisor *supervisor);
void lease_on_time(struct supervisor *supervisor, int64_t now_ms);
int64_t lease_deadline(const struct supervisor *supervisor); /* 0: none */
bool lease_is_busy(const struct supervisor *supervisor);
/* Nothing of it runs here: wait for another node, or for this one's claim that is under way. */
void lease_park(struct supervisor *supervisor, struct supervisor_stop *stop);
/* A job has started: who has been waiting for its deletion stops it. */
void lease_started(struct supervisor *supervisor, struct job *job);

/* slot.c: worker processes */
void slot_start(struct slot *slot);
bool slot_is_idle(const struct slot *slot);
/* Give the job to the slot's worker; `m` is complete. */
void slot_run(struct slot *slot, struct job *job, const struct wire_message *m);
/* Cancel what it runs; its worker is killed if that takes longer than the grace. */
void slot_cancel(struct slot *slot);
void slot_on_time(struct slot *slot, int64_t now_ms);
int64_t slot_deadline(const struct slot *slot); /* 0: none */

/* job.c: from claim to end */
struct job *job_new(struct supervisor *supervisor); /* NULL: no memory */
void job_free(struct job *job);                     /* one that was never started */
/* Takes what `report` owns; runs it on `slot`, or ends it. The job frees itself at its end. */
void job_start(struct job *job, struct slot *slot, struct report *report);
/* The worker has answered. */
void job_answered(struct job *job, const struct wire_message *m);
/* The worker has died on it; `words` say how. */
void job_orphaned(struct job *job, const char *words);
/* Someone waits for its end, since it is deleted. */
void job_stop(struct job *job, struct supervisor_stop *stop);
/* The server stops: put it back into the queue; what the store does not take is left to the next
 * start. */
void job_put_back(struct job *job);
void job_on_time(struct job *job, int64_t now_ms);

#endif
