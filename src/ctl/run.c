/* src/ctl/run.c -- the commands submit, wait and run, which goes from submit to delete. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/str.h"
#include "cli/options.h"
#include "ctl/commands.h"
#include "ctl/progress.h"
#include "ctl/signal.h"

/* ---- waiting for a report with long polls, and showing its progress ---- */

/* How long one poll may wait: a live line is updated every second, plain lines are printed rarely,
 * but the first one soon. */
enum { POLL_SHORT_S = 1, POLL_LONG_S = 30 };

static void show_progress(struct progress *progress, struct http *http)
{
    const char *state = http_header(http, "X-Report-State");
    char name[32];
    int64_t rows, position;

    str_copy(name, sizeof(name), state != NULL ? state : "incomplete");
    str_plain(name);
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

/* Wait until the report has finished, and show its progress. 0: complete; -E_SOURCE: it ended in
 * error, with the report's message; or as api_call(). */
static int wait_for(struct api *api, const char *reference, struct err *err)
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
            /* A server that does not support `Prefer: wait` must not be polled without a pause. */
            if (clock_mono_ms() - began < 500)
                http_pause(api_http(api), 1);
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
    rc = wait_for(api, ctl->arguments[0], err);
    if ((rc == 0 || (rc == -E_SOURCE && api_refusal(api) == NULL)) && ctl->options.json != NULL)
        api_print(api);
    else if (rc == 0)
        puts("complete");
    api_free(api);
    return rc;
}

/* ---- submit ---- */

enum { KEY_MAX = 255 }; /* bytes of an Idempotency-Key: the server's limit */

static int add_parameter(json_t *parameters, const char *argument, struct err *err)
{
    const char *equals = strchr(argument, '=');
    char *key;
    json_t *value;
    int rc = 0;

    if (equals == NULL || equals == argument)
        return err_set(err, -E_INVALID, "'%s' is not a parameter; write Key=Value", argument);
    key = strndup(argument, (size_t)(equals - argument));
    value = json_string(equals + 1);
    if (key != NULL && json_object_get(parameters, key) != NULL)
        rc = err_set(err, -E_INVALID, "the parameter %s is given twice", key);
    else if (value == NULL || key == NULL || json_object_set(parameters, key, value) != 0)
        rc = err_set(err, -E_INVALID, "'%s' is not UTF-8", argument);
    json_decref(value);
    free(key);
    return rc;
}

/* Make the body of a submit from "NAME" and "Key=Value"…; -E_INVALID. *ret is yours to free(). */
static int make_submit_body(char **arguments, size_t count, char **ret, struct err *err)
{
    json_t *parameters = json_object();
    json_t *body;
    char *text = NULL;
    int rc = 0;

    for (size_t i = 1; i < count && rc == 0; i++)
        rc = add_parameter(parameters, arguments[i], err);
    body = json_pack("{ss so}", "reportName", arguments[0], "parameters", parameters);
    if (rc == 0) {
        text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
        if (text == NULL)
            rc = err_set(err, -E_INVALID, "'%s' is not UTF-8", arguments[0]);
    }
    json_decref(body);
    if (rc == 0)
        *ret = text;
    return rc;
}

/* Over the limit: the server lists the reports that count; print them. */
static void show_active(const json_t *refusal)
{
    const json_t *data = json_object_get(refusal, "data");
    const json_t *active = json_object_get(data != NULL ? data : refusal, "active");
    const json_t *one;
    size_t i;

    json_array_foreach(active, i, one)
    {
        fprintf(stderr, "  %s  %-10s  %s\n", step_text_of(one, "reference"),
                step_text_of(one, "state"), step_text_of(one, "reportName"));
    }
}

/* Submit `body`; safe to repeat with the same key. `reference` gets the reference. */
static int submit(struct api *api, const char *body, const char *key, char reference[GUID_TEXT],
                  struct err *err)
{
    char header[KEY_MAX + 32];
    struct http_request request = {
        .method = "POST", .path = "/Report", .body = body, .headers = {header}, .repeatable = true};
    struct guid id;
    json_t *envelope = NULL;
    const char *data;
    int rc;

    if (key[0] == '\0' || strlen(key) > KEY_MAX || strpbrk(key, "\r\n") != NULL)
        return err_set(err, -E_INVALID, "a key has 1 to %d characters on one line", KEY_MAX);
    snprintf(header, sizeof(header), "Idempotency-Key: %s", key);
    rc = api_call(api, &request, &envelope, err);
    if (rc != 0) {
        if (rc == -E_LIMIT)
            show_active(api_refusal(api));
        return rc;
    }
    data = json_string_value(json_object_get(envelope, "data"));
    if (data == NULL || !guid_parse(data, &id))
        rc = err_set(err, -E_BUSY, "%s does not answer with a reference; is it a reportd?",
                     http_server(api_http(api)));
    else
        guid_format(&id, reference);
    json_decref(envelope);
    return rc;
}

int step_delete(struct api *api, const char *resource, const char *reference, struct err *err)
{
    char path[API_PATH_MAX];
    struct http_request request = {.method = "DELETE", .path = path, .repeatable = true};
    json_t *envelope = NULL;
    int rc = api_reference_path(resource, reference, path, err);

    if (rc != 0)
        return rc;
    rc = api_call(api, &request, &envelope, err);
    json_decref(envelope);
    /* The connection broke after the server had deleted it: the second try finds nothing. */
    if (rc == -E_UNKNOWN_REFERENCE && api_tries(api) > 1)
        rc = 0;
    return rc;
}

int ctl_submit(struct ctl *ctl, struct err *err)
{
    char made[GUID_TEXT], reference[GUID_TEXT];
    const char *key = ctl->options.key;
    bool json = ctl->options.json != NULL;
    struct api *api = NULL;
    struct guid id = guid_new();
    char *body = NULL;
    int rc = make_submit_body(ctl->arguments, ctl->count, &body, err);

    guid_format(&id, made);
    if (rc == 0)
        rc = api_open(&ctl->options, &api, err)
                 ?: submit(api, body, key != NULL ? key : made, reference, err);
    if (rc == 0 && json)
        api_print(api);
    else if (rc == 0)
        puts(reference);
    fflush(stdout);
    if (rc == 0 && ctl->options.wait != NULL) {
        rc = wait_for(api, reference, err);
        if (json && (rc == 0 || rc == -E_SOURCE) && api_refusal(api) == NULL)
            api_print(api);
    }
    api_free(api);
    free(body);
    return rc;
}

/* The report must not be left behind, whatever its outcome; the first error stays in `err`. But a
 * complete result that could not be downloaded or written is not deleted. */
static int clean_up(struct api *api, const char *reference, bool complete, int rc, struct err *err)
{
    struct err why = {.code = 0};

    if (complete && (rc == -E_IO || rc == -E_BUSY)) {
        fprintf(stderr, "reportctl: the report is kept: reportctl get %s\n", reference);
        return rc;
    }
    if (signal_came())
        signal_clear();
    api_mute(api);
    if (step_delete(api, "Report", reference, &why) != 0) {
        say_line(stderr, "reportctl: %s is not deleted: %s", reference, why.text);
        if (rc == 0) {
            *err = why;
            rc = why.code;
        }
    }
    return rc;
}

int ctl_do_run(struct ctl *ctl, struct err *err)
{
    char key[GUID_TEXT], reference[GUID_TEXT] = "";
    struct api *api = NULL;
    struct guid id = guid_new();
    char *body = NULL;
    bool complete = false;
    int rc = make_submit_body(ctl->arguments, ctl->count, &body, err);

    guid_format(&id, key);
    if (rc == 0)
        rc = step_check_format(&ctl->options, err)
                 ?: api_open(&ctl->options, &api, err)
                 ?: submit(api, body, key, reference, err);
    if (rc == -E_CANCELLED && api != NULL) {
        /* It may or may not have been accepted: the same key returns its reference in either
         * case. */
        signal_clear();
        submit(api, body, key, reference, NULL);
    } else if (rc == 0) {
        rc = wait_for(api, reference, err);
        complete = rc == 0;
        if (ctl->options.json != NULL && rc == -E_SOURCE && api_refusal(api) == NULL)
            api_print(api); /* the status of the report that failed */
    }
    if (complete)
        rc = step_get(api, reference, &ctl->options, err);
    if (reference[0] != '\0')
        rc = clean_up(api, reference, complete, rc, err);
    api_free(api);
    free(body);
    return rc;
}
