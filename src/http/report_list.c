/* src/http/report_list.c -- GET /Report/List: the caller's own reports, page by page, or one of
 * them; GET /Admin/Reports: those of all users. */
#include "http/report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "http/admin.h"
#include "http/query.h"
#include "http/report_find.h"

enum {
    LIST_PAGE_SIZE = 100,
    LIST_PAGE_MAX = 1000000000, /* multiplied by STORE_PAGE_MAX it stays far below 2^63 */
    /* Each report with its parameters, and with name and message escaped. A single report may be
     * longer. */
    LIST_JSON_MAX = STORE_PAGE_MAX * (8192 + STORE_LISTED_MAX) + 1024,
};

enum query { PAGE_NUMBER, PAGE_SIZE, STATE, REPORT_NAME, REFERENCE, QUERY_COUNT };
static const char *const query_names[QUERY_COUNT] = {"PageNumber", "PageSize", "State",
                                                     "ReportName", "Reference"};

/* Read which page is requested; *ret_one: `Reference` asks for one report. */
static int read_list_request(struct exchange *ex, struct store_list *ret, bool *ret_one)
{
    const char *values[QUERY_MAX];
    int64_t size = LIST_PAGE_SIZE;
    int rc = query_read(ex, query_names, QUERY_COUNT, values, &ex->err)
                 ?: query_number(values[PAGE_NUMBER], "PageNumber", 1, LIST_PAGE_MAX, &ret->page,
                                 &ex->err)
                 ?: query_number(values[PAGE_SIZE], "PageSize", 1, STORE_PAGE_MAX, &size, &ex->err)
                 ?: query_state(values[STATE], &ret->state, &ex->err)
                 ?: query_name(values[REPORT_NAME], &ret->name, &ex->err);

    ret->page_size = (int)size;
    if (rc != 0)
        return rc;
    *ret_one = values[REFERENCE] != NULL;
    for (int i = 0; *ret_one && i < REFERENCE; i++) {
        if (values[i] != NULL)
            return err_set(&ex->err, -E_INVALID, "Give 'Reference' alone: it is one report.");
    }
    return 0;
}

static void add_report(struct buf *out, const struct report *report)
{
    char guid[GUID_TEXT];

    guid_format(&report->id, guid);
    buf_add_format(out, "{\"reference\":\"%s\"", guid);
    if (report->user_name != NULL)
        json_add_member(out, "user", report->user_name);
    json_add_member(out, "reportName", report->name);
    json_add_member(out, "state", report_state_name(report->state));
    buf_add_format(out, ",\"rows\":%" PRId64 ",\"bytes\":%" PRId64, report->rows, report->bytes);
    json_add_time(out, "submittedAt", report->submitted_ms);
    json_add_time(out, "startedAt", report->started_ms);
    json_add_time(out, "finishedAt", report->finished_ms);
    json_add_time(out, "expiresAt", report->expires_ms);
    json_add_member(out, "message", report->message);
    json_add_key(out, "parameters");
    buf_add_str(out, report->parameters != NULL ? report->parameters : "null");
    buf_add_char(out, '}');
}

static void reply_page(struct exchange *ex, const struct store_list *list)
{
    struct buf data;

    buf_init(&data, LIST_JSON_MAX);
    buf_add_format(&data,
                   "{\"pageNumber\":%" PRId64 ",\"pageSize\":%d,\"totalCount\":%" PRId64
                   ",\"reports\":[",
                   list->page, list->page_size, list->total);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_add_char(&data, ',');
        add_report(&data, &list->reports[i]);
    }
    buf_add_str(&data, "]}");
    if (buf_failed(&data))
        exchange_fail(ex, -E_NOMEM, "no memory for a list of %zu reports", list->count);
    else
        exchange_reply_records(ex, list->count, buf_str(&data));
    buf_done(&data);
}

static void on_page_listed(struct exchange *ex)
{
    reply_page(ex, &ex->op.list);
}

static void report_found(struct exchange *ex)
{
    struct store_find *find = &ex->op.find;
    struct store_list list = {
        .page = 1, .page_size = 1, .total = 1, .count = 1, .reports = &find->report};

    if (find->found)
        reply_page(ex, &list);
    else
        report_reply_unknown(ex);
}

/* Reply with one report and all of its parameters. */
static void list_one(struct exchange *ex)
{
    struct guid id;
    struct store_op *op;

    if (!report_reference(ex, &id))
        return;
    op = exchange_op(ex, STORE_FIND);
    op->find.id = id;
    op->find.user_id = ex->user->id;
    op->find.want_parameters = true;
    exchange_post(ex, report_found);
}

void report_list(struct exchange *ex)
{
    struct store_list list = {.user_id = ex->user->id, .page = 1};
    bool one = false;

    if (read_list_request(ex, &list, &one) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    if (one) {
        list_one(ex);
        return;
    }
    exchange_op(ex, STORE_LIST)->list = list;
    exchange_post(ex, on_page_listed);
}

/* ---- reports of all users ---- */

enum all_query { ALL_PAGE_NUMBER, ALL_PAGE_SIZE, ALL_STATE, ALL_NAME, ALL_USER, ALL_SOURCE };
static const char *const all_names[] = {"PageNumber", "PageSize", "State",
                                        "ReportName", "User",     "Source"};
enum { ALL_COUNT = sizeof(all_names) / sizeof(all_names[0]) };

static int read_all_query(struct exchange *ex, struct store_list *ret, char **ret_types)
{
    const char *values[QUERY_MAX];
    int64_t size = LIST_PAGE_SIZE;
    int rc = query_read(ex, all_names, ALL_COUNT, values, &ex->err)
                 ?: query_number(values[ALL_PAGE_NUMBER], "PageNumber", 1, LIST_PAGE_MAX,
                                 &ret->page, &ex->err)
                 ?: query_number(values[ALL_PAGE_SIZE], "PageSize", 1, STORE_PAGE_MAX, &size,
                                 &ex->err)
                 ?: query_state(values[ALL_STATE], &ret->state, &ex->err)
                 ?: query_name(values[ALL_NAME], &ret->name, &ex->err)
                 ?: admin_types_of(ex, values[ALL_SOURCE], ret_types, &ex->err);

    ret->page_size = (int)size;
    ret->user = values[ALL_USER];
    return rc;
}

void admin_list(struct exchange *ex)
{
    struct store_list list = {.page = 1};
    char *types = NULL;

    if (read_all_query(ex, &list, &types) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    list.types = types;
    ex->state = types;
    ex->state_free = free;
    exchange_op(ex, STORE_LIST)->list = list;
    exchange_post(ex, on_page_listed);
}
