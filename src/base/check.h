/* src/base/check.h -- assertions that are in every build: going on after one fails could lose or
 * resurrect a report. */
#pragma once

/* End the process with SIGABRT, and a line on standard error that names the place, unless the
 * condition holds. Only for conditions that a fault in the program makes false, never for input. */
#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, __func__, #condition))

/* Writes past the log's queue, whose thread may be what is broken. */
__attribute__((noreturn, cold)) void check_failed(const char *file, int line, const char *function,
                                                  const char *condition);
