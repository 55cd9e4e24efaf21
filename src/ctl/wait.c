/* src/ctl/wait.c -- wait for a report by long polls, and show how it goes. */
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/commands.h"
#include "ctl/progress.h"
#include "ctl/signal.h"

/* How long one poll may wait: a live line wants news every second, plain lines seldom, but the
 * first one soon. */
enum { POLL_SHORT_S = 1, POLL_LONG_S = 30 };

static void show_progress(struct progress *progress, struct http *http)
{
    const char *state = http_header(http, "X-Report-State");
    char name[32];
    int64_t rows, position;

    str_copy(name, sizeof(name), state != NULL ? state : "incomplete");
    rows = http_header_number(http, "X-Report-Rows", 0);
    position = http_header_number(http, "X-Report-Queue-Position", 0);
    if (position > 0)
        progress_line(progress, "%s, number %lld in the queue", name, (long long)position);
    else
        progress_line(progress, "%s, %lld rows", name, (long long)rows);
}

/* One poll. 1: still incomplete; 0: complete; -E_*. */
static int poll_status(struct api *api, const char *path, int wait_s, struct err *err)
{
    char prefer[32];
    struct http_request request = {
        .method = "GET", .path = path, .headers = {prefer}, .repeatable = true};
    json_t *envelope = NULL;
    const char *data;
    int rc;

    snprintf(prefer, sizeof(prefer), "Prefer: wait=%d", wait_s);
    rc = api_call(api, &request, &envelope, err);
    if (rc != 0)
        return rc;
    data = json_string_value(json_object_get(envelope, "data"));
    if (str_eq(data, "incomplete")) {
        rc = 1;
    } else if (!str_eq(data, "complete") && !str_eq(data, "error")) {
        rc = api_unexpected(api, err);
    } else if (str_eq(data, "error")) {
        const char *words = json_string_value(json_object_get(envelope, "message"));

        rc = err_set(err, -E_SOURCE, "the report failed: %s", words != NULL ? words : "no reason");
    }
    json_decref(envelope);
    return rc;
}

int step_wait(struct api *api, const char *reference, struct err *err)
{
    char path[API_PATH_MAX];
    struct progress progress;
    int wait_s = POLL_SHORT_S;
    int rc = api_reference_path("Report/Status", reference, path, err);

    if (rc != 0)
        return rc;
    progress_init(&progress);
    do {
        int64_t began = clock_mono_ms();

        rc = poll_status(api, path, wait_s, err);
        if (rc == 1) {
            show_progress(&progress, api_http(api));
            /* A server that does not know `Prefer: wait` must not be polled without a pause. */
            if (clock_mono_ms() - began < 500)
                signal_sleep(1000 * http_header_number(api_http(api), "Retry-After", 1));
            if (signal_came())
                rc = err_set(err, -E_CANCELLED, "interrupted");
            if (!progress.live)
                wait_s = POLL_LONG_S;
        }
    } while (rc == 1);
    progress_done(&progress);
    return rc;
}

int ctl_wait(struct ctl *ctl, struct err *err)
{
    struct api *api;
    int rc = api_open(&ctl->options, &api, err);

    if (rc != 0)
        return rc;
    rc = step_wait(api, ctl->arguments[0], err);
    if ((rc == 0 || (rc == -E_SOURCE && api_refusal(api) == NULL)) && ctl->options.json != NULL)
        api_print(api);
    else if (rc == 0)
        puts("complete");
    api_free(api);
    return rc;
}
