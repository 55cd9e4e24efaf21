/* src/ctl/signal.h -- Ctrl-C as a flag that the waiting places look at. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* From now on SIGINT, SIGTERM and SIGHUP set the flag; SIGPIPE and SIGXFSZ are ignored. */
void signal_catch(void);
bool signal_came(void);
/* The number of the last one, 0 if none came; signal_clear() keeps it. */
int signal_last(void);
/* Forget it, to clean up; the next one counts again. */
void signal_clear(void);
/* Standard output is a pipe without a reader. */
bool signal_reader_gone(void);
/* … which is why the command ends: main() then ends as if by SIGPIPE. */
void signal_lose_reader(void);
bool signal_reader_lost(void);
/* Sleep `ms`, less if a signal comes. */
void signal_sleep(int64_t ms);
