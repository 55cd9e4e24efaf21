/* src/proc/states.h -- the phases of a job and the states of a worker: one table each makes the
 * enum, the names, the legal moves and doc/states.md. */
#pragma once

#include <stdbool.h>

/* A job is one claimed report on this node, until the store knows how it ended. */
#define JOB_TO(phase) (1u << JOB_##phase)
#define JOB_PHASES(X)                                                                              \
    /* name, text, moves, what it means */                                                         \
    X(NEW, "new", JOB_TO(RUNNING) | JOB_TO(FILING) | JOB_TO(OVER), "its report is being claimed")  \
    X(RUNNING, "running", JOB_TO(STOPPING) | JOB_TO(OVERDUE) | JOB_TO(FILING) | JOB_TO(OVER),      \
      "a worker runs it; after timeout + cancel_grace the worker is killed")                       \
    X(STOPPING, "stopping", JOB_TO(FILING) | JOB_TO(OVER),                                         \
      "its worker was asked to stop; after cancel_grace the worker is killed")                     \
    X(OVERDUE, "overdue", JOB_TO(FILING) | JOB_TO(OVER),                                           \
      "its worker was killed because it ran too long")                                             \
    X(FILING, "filing", JOB_TO(FILING) | JOB_TO(WRITING) | JOB_TO(OVER),                           \
      "the spool publishes or removes its file")                                                   \
    X(WRITING, "writing", JOB_TO(WAITING) | JOB_TO(CLEANING) | JOB_TO(OVER),                       \
      "its end is being written to the store")                                                     \
    X(WAITING, "waiting", JOB_TO(WRITING) | JOB_TO(OVER),                                          \
      "the store is not available; its end will be written again")                                 \
    X(CLEANING, "cleaning", JOB_TO(OVER),                                                          \
      "another attempt has the report; the spool removes the file")                                \
    X(OVER, "over", 0, "it has ended; everything that waited for its end is notified")

enum job_phase {
#define X(name, text, moves, what) JOB_##name,
    JOB_PHASES(X)
#undef X
        JOB_PHASE_COUNT
};

/* A worker is a place for one process. */
#define WORKER_TO(state) (1u << WORKER_##state)
#define WORKER_STATES(X)                                                                           \
    /* name, text, moves, what it means */                                                         \
    X(ABSENT, "absent", WORKER_TO(ABSENT) | WORKER_TO(IDLE), "no process; one will be started")    \
    X(IDLE, "idle", WORKER_TO(BUSY) | WORKER_TO(DYING) | WORKER_TO(ABSENT), "it waits for a job")  \
    X(BUSY, "busy", WORKER_TO(IDLE) | WORKER_TO(DYING) | WORKER_TO(ABSENT), "it runs a job")       \
    X(DYING, "dying", WORKER_TO(ABSENT), "it was killed, or ends by itself, and has not ended yet")

enum worker_state {
#define X(name, text, moves, what) WORKER_##name,
    WORKER_STATES(X)
#undef X
        WORKER_STATE_COUNT
};

const char *job_phase_name(enum job_phase phase);       /* static */
const char *worker_state_name(enum worker_state state); /* static */
bool job_may_enter(enum job_phase from, enum job_phase to);
bool worker_may_enter(enum worker_state from, enum worker_state to);

/* Abort, with a message on standard error, if the move is not in the table: going on with a job in
 * a state that was not thought of could lose or resurrect a report. In every build. */
void job_check_move(enum job_phase from, enum job_phase to);
void worker_check_move(enum worker_state from, enum worker_state to);
