/* src/base/log.h -- the log: one line per event on standard error, as text or as JSON. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The level and format from now on; before the first call: text, from INFO. If standard error is
 * the journal, each line begins with its priority, as in sd-daemon(3). */
void log_init(enum log_level least, bool json);

/* The same for a process that is started: a word to pass to it ("warn,json"), and back; its lines
 * are dropped, and counted, while they are not read. False: there is no such word; nothing
 * changed. */
enum { LOG_WORD = 24 };
void log_word(char out[LOG_WORD]);
bool log_init_by_word(const char *word);

/* From now on lines go through a bounded queue to a thread that writes them, so that nothing else
 * waits for their reader. When there is no room, lines are dropped, and "log.dropped" reports their
 * number as soon as there is room. False: no memory or no thread, and nothing has changed. */
bool log_start(void);
/* Write what is queued, unless there is no reader, and end the thread, if it was started. */
void log_stop(void);

/* Is a line of this level written? To spare the work that makes one. */
bool log_is_on(enum log_level level);

/* `event` is a fixed dotted name ("report.move"). `fields` is "key=%s key=%d …": keys and one
 * conversion each, separated by one space; it may be "". Conversions: %s %d %u %ld %lu %lld %llu
 * %zu %f. Values with spaces are quoted in text by the log itself. Only the top of a call chain
 * logs; libraries return `struct err`. Never log a report's parameters or results. */
void log_event(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
