/* src/http/report_rows.c -- GET /Report/Rows: some elements of a result, and a description of its
 * columns. */
#include "http/report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "http/conversion.h"
#include "http/query.h"
#include "http/report_find.h"
#include "http/report_result.h"

enum {
    ROWS_DEFAULT = 500,
    ROWS_MAX = 1000,
    ROWS_BYTES_MAX = 4 << 20,
};

enum query { REFERENCE, FROM, COUNT, QUERY_COUNT };
static const char *const query_names[QUERY_COUNT] = {"reference", "from", "count"};

struct window {
    struct form_window form;
    struct conversion *conversion;
};

static void free_window(void *state)
{
    struct window *window = state;

    conversion_free(window->conversion);
    free(window);
}

static int read_window(struct exchange *ex, struct form_window *ret)
{
    const char *values[QUERY_MAX];
    int rc = query_read(ex, query_names, QUERY_COUNT, values, &ex->err);

    *ret = (struct form_window){.count = ROWS_DEFAULT, .most = ROWS_BYTES_MAX};
    rc = rc ?: query_number(values[FROM], "from", 0, INT64_MAX, &ret->from, &ex->err);
    return rc ?: query_number(values[COUNT], "count", 1, ROWS_MAX, &ret->count, &ex->err);
}

/* Columns of one level; the array in its objects is one more column, with columns of its own. */
static void add_row_columns(struct buf *out, const struct footer_part *part, int level)
{
    bool deeper = false;

    buf_add_char(out, '[');
    for (size_t i = 0; i < part->column_count; i++) {
        const struct footer_column *column = &part->columns[i];

        deeper |= column->level > level;
        if (column->level != level)
            continue;
        buf_add_str(out, out->data[out->len - 1] == '[' ? "{" : ",{");
        json_add_member(out, "name", column->name);
        json_add_member(out, "type", footer_type_name(column->type));
        json_add_member(out, "label", column->label);
        json_add_member(out, "unit", column->unit);
        buf_add_char(out, '}');
    }
    if (deeper) {
        buf_add_str(out, out->data[out->len - 1] == '[' ? "{" : ",{");
        json_add_member(out, "name", part->arrays[level]);
        json_add_member(out, "type", "array");
        json_add_member(out, "label", NULL);
        json_add_member(out, "unit", NULL);
        json_add_key(out, "columns");
        add_row_columns(out, part, level + 1);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void reply_window(struct exchange *ex, const struct window *window)
{
    const struct footer_part *part = footer_results(conversion_footer(window->conversion));
    const struct buf *rows = conversion_block(window->conversion);
    struct buf text;

    exchange_begin_records(&text, (size_t)conversion_count(window->conversion));
    buf_add_format(&text, "{\"from\":%" PRId64 ",\"totalRows\":%" PRId64 ",\"columns\":",
                   window->form.from, part->rows);
    add_row_columns(&text, part, 0);
    buf_add_str(&text, ",\"rows\":[");
    buf_add(&text, rows->data, rows->len);
    buf_add_str(&text, "]}");
    exchange_end_records(ex, &text);
}

/* A step. */
static void window_ready(struct exchange *ex)
{
    const struct window *window = ex->state;
    const struct conversion *conversion = window->conversion;

    if (conversion_state(conversion, &ex->err) < 0) {
        result_trouble(ex);
        return;
    }
    if (conversion_count(conversion) == 0 &&
        window->form.from < footer_results(conversion_footer(conversion))->rows) {
        exchange_fail(ex, -E_PARAM,
                      "Row %" PRId64 " is larger than 4 MiB: get the result with GET /Report.",
                      window->form.from);
        return;
    }
    if (result_may_be_sent(ex))
        reply_window(ex, window);
}

static void on_rows_ready(void *owner)
{
    exchange_wake(owner);
}

static void rows_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;
    struct window *window = ex->state;
    const struct conversion_spec spec = {
        .window = window->form, .user_id = ex->user->id, .transfer = ex->transfer};
    struct spool_reader *reader;

    if (!find->found)
        report_reply_unknown(ex);
    else if (find->report.state != REPORT_COMPLETE)
        result_not_complete(ex, &find->report);
    else if (find->report.footer == 0)
        exchange_fail(ex, -E_PARAM,
                      "This result is from an older version of the server, which has no windows of "
                      "it: get it with GET /Report, or submit the report again.");
    else if (result_open(ex, &reader) < 0)
        result_trouble(ex);
    else if (conversion_new(ex->services->conversions, reader, &spec, &window->conversion,
                            &ex->err) < 0) {
        if (ex->err.code == -E_BUSY)
            exchange_count_limit(ex, LIMIT_CONVERSIONS);
        spool_reader_free(reader);
        exchange_reply_error(ex, &ex->err, NULL);
    } else {
        exchange_await(ex, window_ready);
        conversion_next(window->conversion, on_rows_ready, ex);
    }
}

void report_rows(struct exchange *ex)
{
    struct window *window = exchange_new_state(ex, sizeof(*window), free_window);
    struct guid id;

    if (window == NULL)
        return;
    if (read_window(ex, &window->form) < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (report_reference(ex, &id) && exchange_transfer(ex, &id))
        report_find_result(ex, &id, rows_found);
}
