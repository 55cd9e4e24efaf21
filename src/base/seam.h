/* src/base/seam.h -- named places where a test may make the process crash or wait, a call fail, or
 * the clock jump. Compiled only with -DREPORTD_SEAMS (the sanitizer builds), never in a release. */
#pragma once

#include <stdint.h>

/* clang-format off: it would join the lines of the table */
/* The macros at the end are for the code; where a call may fail, write
 *
 *     if (SEAM_FAILS("spool.rename") || renameat(…) < 0)
 *
 * The environment says what happens where, and a word that it does not know aborts the process:
 *
 *   REPORTD_SEAMS="PLACE=ACTION[@N][?FILE] …"
 *       the ACTION happens at the N-th passing of PLACE (default 1), once; @N+: from the N-th on.
 *       ?FILE: passings count while FILE is there, so that a test can begin while the server runs.
 *       ACTION is
 *         crash      SIGKILL to this process, as kill -9 does
 *         wait:FIFO  until a writer opens FIFO
 *         ENAME      the call at the place fails with this errno, of those in seam.c
 *   REPORTD_SEAMS_TRACE=FILE
 *       append "PID PLACE" for every place that is passed
 *   REPORTD_SEAMS_CLOCK=FILE
 *       its 8 bytes (int64, host order, mapped: a test may rewrite them at any time) are
 *       milliseconds added to the UTC clock, and to the time that a database gives
 *   REPORTD_SEAMS_SKEW=FILE
 *       the same for this process's clock alone
 *
 * A place is "part.verb.step", such as "store.submit.committed", or, before a call, "part.call".
 * SEAM_PATIENCE_MS is for who sleeps until a time of the UTC clock: how long it may sleep at most
 * before it looks at the clock again, which is soon if a test may make it jump. */
/* clang-format on */
#ifdef REPORTD_SEAMS
#include <errno.h>

/* Pass a place: return, wait, or never return. */
void seam_step(const char *part, const char *verb, const char *step);
/* Pass a place before a call: the errno with which the call has to fail; 0: it has to be made. */
int seam_errno(const char *place);
/* Milliseconds to add to every UTC clock, and those to add to this process's alone. */
int64_t seam_clock_ms(void);
int64_t seam_skew_ms(void);
/* `ms`, or less if a test may move the UTC clock. */
int64_t seam_patience_ms(int64_t ms);
/* Open the file for traces, and name each FIFO, for a process that will not be able to open
 * files. */
void seam_each_file(void (*found)(void *context, const char *path), void *context);
#define SEAM_EACH_FILE(found, context) seam_each_file(found, context)
#define SEAM_STEP(part, verb, step) seam_step(part, verb, step)
#define SEAM_FAILS(place) ((errno = seam_errno(place)) != 0)
#define SEAM_CLOCK_MS() seam_clock_ms()
#define SEAM_SKEW_MS() seam_skew_ms()
#define SEAM_PATIENCE_MS(ms) seam_patience_ms(ms)
#else
#define SEAM_EACH_FILE(found, context) ((void)(found), (void)(context))
#define SEAM_STEP(part, verb, step) ((void)(part), (void)(verb), (void)(step))
#define SEAM_FAILS(place) 0
#define SEAM_CLOCK_MS() 0
#define SEAM_SKEW_MS() 0
#define SEAM_PATIENCE_MS(ms) (ms)
#endif
