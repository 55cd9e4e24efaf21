/* src/proc/states.c -- the tables of job phases and worker states, and the check of every move. */
#include "proc/states.h"

#include <stdio.h>
#include <stdlib.h>

struct state {
    const char *name;
    unsigned moves;
};

static const struct state phases[JOB_PHASE_COUNT] = {
#define X(phase, text, moves, what) [JOB_##phase] = {text, moves},
    JOB_PHASES(X)
#undef X
};

static const struct state workers[WORKER_STATE_COUNT] = {
#define X(state, text, moves, what) [WORKER_##state] = {text, moves},
    WORKER_STATES(X)
#undef X
};

static bool may_move(const struct state *from, unsigned to)
{
    return (from->moves & (1u << to)) != 0;
}

static void check_move(const char *whose, const struct state *from, const struct state *to,
                       bool legal)
{
    if (legal)
        return;
    fprintf(stderr, "reportd: a %s may not move from %s to %s\n", whose, from->name, to->name);
    abort();
}

const char *job_phase_name(enum job_phase phase)
{
    return phases[phase].name;
}

const char *worker_state_name(enum worker_state state)
{
    return workers[state].name;
}

bool job_may_enter(enum job_phase from, enum job_phase to)
{
    return may_move(&phases[from], to);
}

bool worker_may_enter(enum worker_state from, enum worker_state to)
{
    return may_move(&workers[from], to);
}

void job_check_move(enum job_phase from, enum job_phase to)
{
    check_move("job", &phases[from], &phases[to], job_may_enter(from, to));
}

void worker_check_move(enum worker_state from, enum worker_state to)
{
    check_move("worker", &workers[from], &workers[to], worker_may_enter(from, to));
}
