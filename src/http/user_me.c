/* src/http/user_me.c -- GET /User/Me: who is logged in, the limits, and what is active. */
#include "http/user.h"

#include "base/json.h"

enum { ANSWER_MAX = 512 * 1024 };

static void add_active(struct buf *out, const struct report *report)
{
    char guid[GUID_TEXT];

    guid_format(&report->id, guid);
    buf_add_format(out, "{\"reference\":\"%s\"", guid);
    json_add_member(out, "reportName", report->name);
    json_add_member(out, "state", report_state_name(report->state));
    buf_add_char(out, '}');
}

/* Nobody is an operator: there are only users. */
static void active_listed(struct exchange *ex)
{
    const struct store_list *list = &ex->op.list;
    struct buf data;

    buf_init(&data, ANSWER_MAX);
    buf_add_str(&data, "{\"name\":");
    json_add_string(&data, ex->user->name);
    buf_add_format(&data, ",\"operator\":false,\"limits\":{\"active\":%d},\"active\":[",
                   (int)ex->services->config->active_limit.number);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_add_char(&data, ',');
        add_active(&data, &list->reports[i]);
    }
    buf_add_str(&data, "]}");
    if (buf_failed(&data))
        exchange_fail(ex, -E_NOMEM, "no memory for %zu reports", list->count);
    else
        exchange_reply(ex, true, "", buf_str(&data));
    buf_done(&data);
}

void user_me(struct exchange *ex)
{
    exchange_op(ex, STORE_LIST)->list = (struct store_list){
        .user_id = ex->user->id, .state = STORE_ACTIVE, .page = 1, .page_size = STORE_PAGE_MAX};
    exchange_post(ex, active_listed);
}
