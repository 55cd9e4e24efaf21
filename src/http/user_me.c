/* src/http/user_me.c -- GET /User/Me: who is logged in, the limits, and what is active. */
#include "http/user.h"

#include "base/json.h"
#include "http/report_find.h"

enum { ANSWER_MAX = STORE_ACTIVE_MAX * 1024 + 1024 }; /* room for escaped names */

int user_active_limit(const struct exchange *ex)
{
    return ex->user->active_limit != 0 ? ex->user->active_limit
                                       : (int)ex->services->config->active_limit.number;
}

static void active_listed(struct exchange *ex)
{
    const struct store_list *list = &ex->op.list;
    struct buf data;

    buf_init(&data, ANSWER_MAX);
    buf_add_str(&data, "{\"name\":");
    json_add_string(&data, ex->user->name);
    buf_add_format(&data, ",\"operator\":%s,\"limits\":{\"active\":%d},",
                   ex->user->is_operator ? "true" : "false", user_active_limit(ex));
    report_add_active(&data, list->reports, list->count);
    buf_add_char(&data, '}');
    exchange_reply_built(ex, &data);
}

void user_me(struct exchange *ex)
{
    exchange_op(ex, STORE_LIST)->list = (struct store_list){
        .user_id = ex->user->id, .state = STORE_ACTIVE, .page = 1, .page_size = STORE_PAGE_MAX};
    exchange_post(ex, active_listed);
}
