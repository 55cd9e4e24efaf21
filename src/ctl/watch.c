/* src/ctl/watch.c -- the command watch: the user's own reports as they change. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/signal.h"

enum {
    LINE_MAX_BYTES = 64 << 10,
    ID_MAX = 128,
    TRIES = 3, /* consecutive tries without an event */
    PAUSE_MS = 2000,
};

/* A stream of events, read line by line (WHATWG HTML, 9.2.6). */
struct watch {
    bool json;
    struct buf line, data;
    char id[ID_MAX]; /* of the last event */
    bool heard;      /* something was received on the current connection */
};

static void print_event(const json_t *event)
{
    const char *state = step_text_of(event, "state"), *message = step_text_of(event, "message");
    char time_text[16];
    time_t now = time(NULL);
    struct tm local;

    strftime(time_text, sizeof(time_text), "%H:%M:%S", localtime_r(&now, &local));
    printf("%s  %s  %-10s", time_text, step_text_of(event, "reference"), state);
    if (step_number_of(event, "position") > 0)
        printf("  number %lld in the queue", step_number_of(event, "position"));
    else if (strcmp(state, "processing") == 0 || strcmp(state, "complete") == 0)
        printf("  %lld rows", step_number_of(event, "rows"));
    printf("  %s%s%s\n", step_text_of(event, "reportName"), *message != '\0' ? ": " : "", message);
}

static void take_event(struct watch *watch)
{
    json_t *event = json_loads(buf_str(&watch->data), 0, NULL);

    watch->heard = true;
    if (event != NULL && watch->json)
        printf("%s\n", buf_str(&watch->data));
    else if (event != NULL)
        print_event(event);
    fflush(stdout);
    json_decref(event);
    buf_reset(&watch->data);
}

static void take_event_line(struct watch *watch)
{
    const char *line = buf_str(&watch->line);

    if (*line == '\0' && watch->data.len > 0)
        take_event(watch);
    else if (str_starts(line, "data: "))
        buf_add_str(&watch->data, line + strlen("data: "));
    else if (str_starts(line, "id: ") && !str_has_control(line)) /* it is sent in a header */
        str_copy(watch->id, sizeof(watch->id), line + strlen("id: "));
    buf_reset(&watch->line);
}

/* An http_write_fn. */
static int on_bytes(void *context, long status, const void *data, size_t len)
{
    struct watch *watch = context;
    const char *bytes = data;

    (void)status;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n')
            take_event_line(watch);
        else
            buf_add_char(&watch->line, bytes[i]);
    }
    return ferror(stdout) ? -E_IO : 0;
}

/* Read until the stream ends. */
static int follow_stream(struct api *api, struct watch *watch, struct err *err)
{
    char last[ID_MAX + 32];
    struct http_request request = {.method = "GET",
                                   .path = "/Report/Events",
                                   .headers = {"Accept: text/event-stream"},
                                   .write = on_bytes,
                                   .context = watch,
                                   .for_stdout = true};
    int rc;

    snprintf(last, sizeof(last), "Last-Event-ID: %s", watch->id);
    if (watch->id[0] != '\0')
        request.headers[1] = last;
    buf_reset(&watch->line);
    buf_reset(&watch->data);
    watch->heard = false;
    rc = api_call(api, &request, NULL, err);
    if (rc == -E_IO && signal_reader_gone())
        signal_lose_reader();
    else if (rc == -E_IO && ferror(stdout))
        err_set(err, -E_IO, "cannot write standard output");
    return rc;
}

int ctl_watch(struct ctl *ctl, struct err *err)
{
    struct watch watch = {.json = ctl->options.json != NULL};
    struct api *api = NULL;
    int rc = api_open(&ctl->options, &api, err), tries = 0;

    buf_init(&watch.line, LINE_MAX_BYTES);
    buf_init(&watch.data, LINE_MAX_BYTES);
    /* The server ends a stream when its token expires, or when it stops: reconnect. */
    while (rc == 0) {
        rc = follow_stream(api, &watch, err);
        tries = watch.heard ? 0 : tries + 1;
        if (rc == -E_BUSY && tries < TRIES)
            rc = 0;
        if (rc == 0)
            signal_sleep(PAUSE_MS);
        if (signal_came())
            rc = err_set(err, -E_CANCELLED, "interrupted");
    }
    buf_done(&watch.line);
    buf_done(&watch.data);
    api_free(api);
    return rc;
}
