/* src/ctl/show.c -- commands that only read: status, list, types. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/table.h"
#include "base/wrap.h"
#include "ctl/commands.h"

enum {
    PAGE_MAX = 1000000,
    PAGE_SIZE_MAX = 1000,
    TYPE_INDENT = 4,
    LINE_MAX_BYTES = 1 << 20,
    COUNTED_MAX = 1000,
};

/* The text, plain; "": it is none. */
static const char *show_text(const json_t *value)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return "";
    str_plain((char *)(uintptr_t)text); /* it is only shown */
    return text;
}

const char *step_text_of(const json_t *object, const char *member)
{
    return show_text(json_object_get(object, member));
}

long long step_number_of(const json_t *object, const char *member)
{
    return (long long)json_integer_value(json_object_get(object, member));
}

int step_fetch(struct ctl *ctl, struct api *api, const char *path, json_t **ret, struct err *err)
{
    struct http_request request = {.method = "GET", .path = path, .repeatable = true};
    json_t *envelope = NULL;
    int rc = api_call(api, &request, &envelope, err);

    if (rc == 0 && ctl->options.json != NULL) {
        api_print(api);
        json_decref(envelope);
        envelope = NULL;
    }
    *ret = envelope;
    return rc;
}

static void print_status(struct http *http, const char *data, const char *message)
{
    const char *header = http_header(http, "X-Report-State");
    char state[32];
    int64_t position;

    if (!str_eq(data, "incomplete")) {
        printf("%s%s%s\n", data, str_eq(data, "error") ? ": " : "",
               str_eq(data, "error") ? message : "");
        return;
    }
    str_copy(state, sizeof(state), header != NULL ? header : data);
    str_plain(state);
    position = http_header_number(http, "X-Report-Queue-Position", 0);
    if (position > 0)
        printf("%s, number %lld in the queue\n", state, (long long)position);
    else
        printf("%s, %lld rows\n", state, (long long)http_header_number(http, "X-Report-Rows", 0));
}

int ctl_status(struct ctl *ctl, struct err *err)
{
    char path[API_PATH_MAX];
    struct api *api = NULL;
    json_t *envelope = NULL;
    int rc = api_reference_path("Report/Status", ctl->arguments[0], path, err)
                 ?: api_open(&ctl->options, &api, err)
                 ?: step_fetch(ctl, api, path, &envelope, err);

    if (envelope != NULL && step_text_of(envelope, "data")[0] == '\0')
        rc = api_unexpected(api, err);
    else if (envelope != NULL)
        print_status(api_http(api), step_text_of(envelope, "data"),
                     step_text_of(envelope, "message"));
    json_decref(envelope);
    api_free(api);
    return rc;
}

/* Append `&name=value` if the number was given; -E_INVALID if it is not between 1 and `most`. */
static int add_query_number(struct buf *path, const char *name, const char *text, int64_t most,
                            struct err *err)
{
    int64_t number;

    if (text == NULL)
        return 0;
    if (!str_to_int64(text, &number) || number < 1 || number > most)
        return err_set(err, -E_INVALID, "'%s' is not a number from 1 to %lld", text,
                       (long long)most);
    return api_add_query(path, name, text, err);
}

static int add_state(struct buf *path, const char *state, struct err *err)
{
    static const char *const states[] = {"queued", "processing", "complete", "error"};

    if (state == NULL)
        return 0;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (str_eq(states[i], state))
            return api_add_query(path, "State", state, err);
    }
    return err_set(err, -E_INVALID,
                   "'%s' is not a state; it is one of queued, processing, complete, error", state);
}

/* Quoted for a shell. */
static void add_quoted(struct buf *line, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,:/@%+=-";

    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        buf_add_str(line, text);
        return;
    }
    buf_add_char(line, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_str(line, "'\\''");
        else
            buf_add_char(line, *text);
    }
    buf_add_char(line, '\'');
}

/* Describe the report: its type, its parameters as submit takes them, and why it failed. */
static void print_what(const json_t *report)
{
    const char *message = step_text_of(report, "message"), *key;
    struct table_cell whole = {.width = 0};
    struct buf text, line;
    json_t *value;

    buf_init(&text, LINE_MAX_BYTES);
    buf_init(&line, LINE_MAX_BYTES);
    buf_add_str(&text, step_text_of(report, "reportName"));
    json_object_foreach(json_object_get(report, "parameters"), key, value)
    {
        buf_add_format(&text, " %s=", key);
        add_quoted(&text, json_is_string(value) ? json_string_value(value) : "");
    }
    if (*message != '\0')
        buf_add_format(&text, ": %s", message);
    table_add(&line, buf_str(&text), text.len, &whole);
    printf("%s\n", buf_str(&line));
    buf_done(&text);
    buf_done(&line);
}

/* In a list of all users, with the user. */
static void print_reports(const json_t *data, bool admin)
{
    const int width = admin ? 16 : 0;
    long long total = step_number_of(data, "totalCount");
    double last; /* whatever the server says, it does not overflow */
    const json_t *reports = json_object_get(data, "reports");
    const json_t *report;
    size_t i;

    json_array_foreach(reports, i, report)
    {
        char size[32];

        if (i == 0)
            printf("%-36s  %-10s  %11s  %9s  %-20s  %-*s%sREPORT\n", "REFERENCE", "STATE", "ROWS",
                   "SIZE", "SUBMITTED", width, admin ? "USER" : "", admin ? "  " : "");
        str_human_size(size, sizeof(size), step_number_of(report, "bytes"));
        printf("%-36s  %-10s  %11lld  %9s  %-20s  ", step_text_of(report, "reference"),
               step_text_of(report, "state"), step_number_of(report, "rows"), size,
               step_text_of(report, "submittedAt"));
        if (admin)
            printf("%-*s  ", width, step_text_of(report, "user"));
        print_what(report);
    }
    last = ((double)step_number_of(data, "pageNumber") - 1) *
               (double)step_number_of(data, "pageSize") +
           (double)json_array_size(reports);
    /* doc/api.md: of all users' reports no more are counted */
    fprintf(stderr, "%zu of %lld%s reports\n", json_array_size(reports), total,
            admin && total >= COUNTED_MAX && (double)total > last ? " or more" : "");
}

int ctl_list(struct ctl *ctl, struct err *err)
{
    const struct ctl_options *options = &ctl->options;
    struct api *api = NULL;
    json_t *envelope = NULL;
    const json_t *data;
    struct buf path;
    int rc;

    buf_init(&path, API_QUERY_MAX);
    buf_add_str(&path, ctl->admin ? "/Admin/Reports?" : "/Report/List?");
    rc = add_query_number(&path, "PageNumber", options->page, PAGE_MAX, err)
             ?: add_query_number(&path, "PageSize", options->page_size, PAGE_SIZE_MAX, err)
             ?: add_state(&path, options->state, err)
             ?: api_add_query(&path, "ReportName", options->name, err)
             ?: api_add_query(&path, "User", options->user, err)
             ?: api_add_query(&path, "Source", options->source, err)
             ?: api_open(options, &api, err)
             ?: step_fetch(ctl, api, buf_str(&path), &envelope, err);
    data = json_object_get(envelope, "data");
    if (envelope != NULL && !json_is_array(json_object_get(data, "reports")))
        rc = api_unexpected(api, err);
    else if (envelope != NULL)
        print_reports(data, ctl->admin);
    json_decref(envelope);
    api_free(api);
    buf_done(&path);
    return rc;
}

/* ---- types ---- */

static void print_indented(const char *text)
{
    printf("%*s", TYPE_INDENT, "");
    wrap_print(stdout, TYPE_INDENT, 2 * TYPE_INDENT, text);
}

static void add_parameter_limits(struct buf *line, const json_t *parameter)
{
    const char *least = step_text_of(parameter, "min"), *most = step_text_of(parameter, "max");

    if (*least != '\0' && *most != '\0')
        buf_add_format(line, ", from %s to %s", least, most);
    else if (*least != '\0')
        buf_add_format(line, ", at least %s", least);
    else if (*most != '\0')
        buf_add_format(line, ", at most %s", most);
}

static void add_member(struct buf *line, const json_t *object, const char *member,
                       const char *before)
{
    const char *text = step_text_of(object, member);

    if (*text != '\0')
        buf_add_format(line, "%s%s", before, text);
}

static void print_parameter(const json_t *parameter)
{
    const json_t *allowed = json_object_get(parameter, "allowedValues");
    const json_t *value;
    struct buf line;
    size_t i;

    buf_init(&line, LINE_MAX_BYTES);
    buf_add_format(&line, "%s (%s%s", step_text_of(parameter, "name"),
                   step_text_of(parameter, "type"),
                   json_is_true(json_object_get(parameter, "required")) ? ", required" : "");
    add_parameter_limits(&line, parameter);
    add_member(&line, parameter, "matching", ", matching ");
    add_member(&line, parameter, "default", ", default ");
    buf_add_char(&line, ')');
    json_array_foreach(allowed, i, value)
        buf_add_format(&line, "%s%s", i == 0 ? ": " : " | ", show_text(value));
    add_member(&line, parameter, "values", ": reportctl types ");
    add_member(&line, parameter, "description", "  ");
    print_indented(buf_str(&line));
    buf_done(&line);
}

/* The columns, for a person: those that have a label or a unit. */
static void print_columns(const json_t *columns)
{
    const json_t *column;
    bool any = false;
    struct buf line;
    size_t i;

    buf_init(&line, LINE_MAX_BYTES);
    json_array_foreach(columns, i, column)
    {
        const char *label = step_text_of(column, "label"), *unit = step_text_of(column, "unit");

        if (*label == '\0' && *unit == '\0')
            continue;
        buf_add_format(&line, "%s%s", any ? ", " : "columns: ", step_text_of(column, "name"));
        if (*label != '\0')
            buf_add_format(&line, " \"%s\"", label);
        if (*unit != '\0')
            buf_add_format(&line, " in %s", unit);
        any = true;
    }
    if (any)
        print_indented(buf_str(&line));
    buf_done(&line);
}

static void print_type(const json_t *type)
{
    const json_t *parameter;
    size_t i;

    printf("%s\n", step_text_of(type, "name"));
    if (step_text_of(type, "description")[0] != '\0')
        print_indented(step_text_of(type, "description"));
    json_array_foreach(json_object_get(type, "parameters"), i, parameter)
        print_parameter(parameter);
    print_columns(json_object_get(type, "columns"));
}

static void print_choice(const json_t *choice)
{
    const char *value = step_text_of(choice, "value"), *label = step_text_of(choice, "label");

    printf("%s%s%s\n", value, str_eq(value, label) ? "" : "  ", str_eq(value, label) ? "" : label);
}

int ctl_types(struct ctl *ctl, struct err *err)
{
    const bool choices = ctl->count > 0;
    struct api *api = NULL;
    json_t *envelope = NULL;
    const json_t *one;
    struct buf path;
    size_t i;
    int rc = 0;

    buf_init(&path, API_QUERY_MAX);
    buf_add_str(&path, "/Report/Types");
    if (choices && strchr(ctl->arguments[0], '.') == NULL)
        rc = err_set(err, -E_INVALID, "'%s' is not a NAME.Parameter, such as Orders.CustomerID",
                     ctl->arguments[0]);
    if (choices && rc == 0) {
        buf_add_char(&path, '?');
        rc = api_add_query(&path, "values", ctl->arguments[0], err);
    }
    if (rc == 0)
        rc = api_open(&ctl->options, &api, err)
                 ?: step_fetch(ctl, api, buf_str(&path), &envelope, err);
    if (envelope != NULL && !json_is_array(json_object_get(envelope, "data")))
        rc = api_unexpected(api, err);
    json_array_foreach(json_object_get(envelope, "data"), i, one)
    {
        if (choices)
            print_choice(one);
        else
            print_type(one);
    }
    json_decref(envelope);
    api_free(api);
    buf_done(&path);
    return rc;
}
