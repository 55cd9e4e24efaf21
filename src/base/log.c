/* src/base/log.c -- one line per event. */
#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log_queue.h"
#include "base/service.h"
#include "base/str.h"

enum {
    LOG_TAIL_MAX = 64, /* bytes kept free for the end of a line */
    LOG_VALUE_MAX = JSON_VISIBLE_MAX,
    STOP_PATIENCE_MS = 2000, /* how long the reader may take for the next lines */
};

static atomic_int log_least = LOG_INFO;
static atomic_bool log_json = false;
static atomic_bool log_journal = false; /* each line begins with its priority */

/* Where lines are written; keeps them in order. */
static struct {
    pthread_mutex_t mutex;
    struct log_queue *queue; /* NULL: lines are written at once … */
    bool impatient;          /* … but dropped if that would block */
    long dropped;            /* since the last line that was written */
} output = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const int priorities[] = {7, 6, 4, 3}; /* syslog(3) */

void log_init(enum log_level least, bool json)
{
    atomic_store(&log_least, (int)least);
    atomic_store(&log_json, json);
    atomic_store(&log_journal, service_logs_to_journal());
}

void log_word(char out[LOG_WORD])
{
    snprintf(out, LOG_WORD, "%s,%s%s", level_names[atomic_load(&log_least)],
             atomic_load(&log_json) ? "json" : "text", atomic_load(&log_journal) ? ",journal" : "");
}

bool log_init_by_word(const char *word)
{
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        size_t len = strlen(level_names[level]);

        if (strncmp(word, level_names[level], len) == 0 && word[len] == ',') {
            log_init((enum log_level)level, str_starts(word + len + 1, "json"));
            atomic_store(&log_journal, strstr(word, ",journal") != NULL);
            output.impatient = true;
            return true;
        }
    }
    return false;
}

bool log_is_on(enum log_level level)
{
    return (int)level >= atomic_load(&log_least);
}

/* Print the argument of the conversion at `spec` (after its '%'); returns whether it is a number.
 * The arguments are taken one by one because each becomes a field. */
static bool print_value(char *out, const char *spec, va_list *args)
{
    int longs = 0;

    while (*spec == 'l' || *spec == 'z') {
        longs++;
        spec++;
    }
    switch (*spec) {
    case 'd':
        snprintf(out, LOG_VALUE_MAX, "%ld", longs > 0 ? va_arg(*args, long) : va_arg(*args, int));
        return true;
    case 'u':
        snprintf(out, LOG_VALUE_MAX, "%lu",
                 longs > 0 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned));
        return true;
    case 'f':
        snprintf(out, LOG_VALUE_MAX, "%.3f", va_arg(*args, double));
        return true;
    default: {
        const char *text = va_arg(*args, const char *);

        str_copy(out, LOG_VALUE_MAX, text != NULL ? text : "");
        return false;
    }
    }
}

/* May the value be written unquoted in a text line? Not with control characters: an external path
 * must not write lines of its own, set colours, or change the direction of the text after it. */
static bool needs_no_quotes(const char *value)
{
    size_t len = strlen(value);

    for (size_t at = 0, n; at < len; at += n) {
        n = str_utf8_length(value + at, len - at);
        if (n == 0 || str_control_length(value + at, len - at) > 0 ||
            strchr(" \"\\=", value[at]) != NULL)
            return false;
    }
    return len > 0;
}

static void add_log_field(struct buf *line, bool json, const char *key, const char *value,
                          bool number)
{
    if (json)
        json_add_key(line, key);
    else
        buf_add_format(line, " %s=", key);
    if (number || (!json && needs_no_quotes(value)))
        buf_add_str(line, value);
    else
        json_add_visible(line, value);
}

/* Returns how many fields did not fit and were left out entirely. */
static int add_fields(struct buf *line, bool json, const char *fields, va_list *args)
{
    int dropped = 0;

    while (*fields != '\0') {
        const char *equals = strchr(fields, '=');
        char key[64], value[LOG_VALUE_MAX];
        size_t start = line->len;
        bool number;

        if (equals == NULL || equals[1] != '%')
            break;
        snprintf(key, sizeof(key), "%.*s", (int)(equals - fields), fields);
        number = print_value(value, equals + 2, args);
        add_log_field(line, json, key, value, number);
        if (buf_failed(line)) {
            line->len = start;
            line->failed = false;
            dropped++;
        }
        fields = equals + strcspn(equals, " ");
        fields += *fields == ' ';
    }
    return dropped;
}

static void limit_line(struct buf *line, size_t max)
{
    line->max = max;
    line->cap = max + 1;
}

static void format_line(struct buf *line, enum log_level level, const char *event,
                        const char *fields, va_list *args)
{
    char stamp[CLOCK_TEXT];
    bool json = atomic_load(&log_json);
    char count[16];
    int dropped;

    limit_line(line, LOG_LINE_MAX - LOG_TAIL_MAX);
    clock_format(clock_now_ms(), stamp);
    if (atomic_load(&log_journal))
        buf_add_format(line, "<%d>", priorities[level]);
    if (json)
        buf_add_format(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", stamp,
                       level_names[level], event);
    else
        buf_add_format(line, "%s %s %s", stamp, level_names[level], event);
    dropped = add_fields(line, json, fields, args);
    limit_line(line, LOG_LINE_MAX);
    if (dropped > 0) {
        snprintf(count, sizeof(count), "%d", dropped);
        add_log_field(line, json, "dropped", count, true);
    }
    buf_add_str(line, json ? "}\n" : "\n");
}

/* False: it is dropped. One write per line, so that lines of several processes do not mix. */
static bool put_log_line(const struct buf *line)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (output.queue != NULL)
        return log_queue_add(output.queue, line->data, line->len);
    if (output.impatient && poll(&ready, 1, 0) == 0)
        return false;
    return write(STDERR_FILENO, line->data, line->len) >= 0 || !output.impatient;
}

static bool put_notice(const char *fields, ...)
{
    char room[LOG_LINE_MAX + 1];
    struct buf line;
    va_list args;
    bool done;

    buf_init_in(&line, room, sizeof(room));
    va_start(args, fields);
    format_line(&line, LOG_WARN, "log.dropped", fields, &args);
    va_end(args);
    done = put_log_line(&line);
    return done;
}

/* Lines that were dropped are reported in their place, before the next line. NULL: there is room
 * again, but no line. */
static void deliver(const struct buf *line)
{
    pthread_mutex_lock(&output.mutex);
    if (output.dropped > 0 && put_notice("lines=%ld", output.dropped))
        output.dropped = 0;
    if (line != NULL && (output.dropped > 0 || !put_log_line(line)))
        output.dropped++;
    pthread_mutex_unlock(&output.mutex);
}

static void on_room(void)
{
    deliver(NULL);
}

bool log_start(void)
{
    pthread_mutex_lock(&output.mutex);
    output.queue = log_queue_new(STDERR_FILENO, on_room);
    pthread_mutex_unlock(&output.mutex);
    return output.queue != NULL;
}

void log_stop(void)
{
    struct log_queue *queue = output.queue;
    bool taken = queue == NULL || log_queue_free(queue, STOP_PATIENCE_MS);

    pthread_mutex_lock(&output.mutex);
    output.queue = NULL;
    output.impatient = output.impatient || !taken;
    pthread_mutex_unlock(&output.mutex);
}

void log_event(enum log_level level, const char *event, const char *fields, ...)
{
    char room[LOG_LINE_MAX + 1];
    struct buf line;
    va_list args;

    if (!log_is_on(level))
        return;
    buf_init_in(&line, room, sizeof(room));
    va_start(args, fields);
    format_line(&line, level, event, fields, &args);
    va_end(args);
    deliver(&line);
}
