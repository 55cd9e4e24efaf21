/* src/ctl/rows.c -- the command rows: rows of a result as a table. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "base/table.h"
#include "base/wrap.h"
#include "ctl/commands.h"

/* ---- values in the JSON text, unchanged, so that a number keeps all its digits ---- */

/* A part of the text, borrowed. If the text is not JSON, a slice is any part of it. */
struct slice {
    const char *at, *end;
};

static const char *skip(const char *at, const char *end, const char *set)
{
    while (at < end && *at != '\0' && strchr(set, *at) != NULL)
        at++;
    return at;
}

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;

    do {
        if (at < end && *at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (at < end && (*at == '{' || *at == '['))
            depth++;
        else if (at < end && (*at == '}' || *at == ']'))
            depth--;
        else if (depth == 0)
            return at + strcspn(at, ",]} \t\r\n");
        at++;
    } while (depth > 0 && at < end);
    return at;
}

/* The content of the array or object `value`; empty for another value. */
static struct slice slice_inside(struct slice value)
{
    bool holds = value.end - value.at >= 2 && (*value.at == '{' || *value.at == '[');

    return holds ? (struct slice){value.at + 1, value.end - 1} : (struct slice){"", ""};
}

/* Take the next member, or (with `key` NULL) element, off `rest`; false: there is none. The key
 * includes its quotes. */
static bool slice_next(struct slice *rest, struct slice *key, struct slice *value)
{
    const char *at = skip(rest->at, rest->end, ", \t\r\n");

    rest->at = at;
    if (at >= rest->end || (key != NULL && *at != '"'))
        return false;
    if (key != NULL) {
        *key = (struct slice){at, skip_string(at, rest->end)};
        at = skip(key->end, rest->end, ": \t\r\n");
    }
    *value = (struct slice){at, skip_value(at, rest->end)};
    if (value->end > rest->end || value->end <= at)
        return false;
    rest->at = value->end;
    return true;
}

/* The value of an object's member whose key has no escapes; false: there is none. */
static bool slice_member(struct slice object, const char *name, struct slice *ret)
{
    struct slice rest = slice_inside(object), key;
    size_t len = strlen(name);

    while (slice_next(&rest, &key, ret)) {
        if ((size_t)(key.end - key.at) == len + 2 && memcmp(key.at + 1, name, len) == 0)
            return true;
    }
    return false;
}

static bool slice_is(struct slice value, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(value.end - value.at) == len && memcmp(value.at, text, len) == 0;
}

/* False: it is not an integer. */
static bool slice_number(struct slice value, int64_t *ret)
{
    size_t len = (size_t)(value.end - value.at);
    char text[24] = "";

    if (len >= sizeof(text))
        return false;
    memcpy(text, value.at, len);
    return str_to_int64(text, ret);
}

/* ---- pages ---- */

enum {
    COUNT_DEFAULT = 500,
    PAGE_ROWS = 1000,     /* the server's limit per request */
    TERMINAL_WIDTH = 40,  /* a wider text is cut, on a terminal only */
    ALIGNED_WIDTH = 200,  /* a wider cell shifts the cells after it */
    TEXT_MAX = 256 << 20, /* more than any answer contains */
};

struct column {
    char *name, *title; /* as in the rows; and as it is shown */
    bool array, json, number;
    size_t width;
};

struct rows_table {
    struct column *columns; /* NULL: before the first page */
    size_t count;
    bool labels;
    size_t terminal; /* width of the terminal; 0: it is not one */
    struct buf line, cut, cell;
};

/* The content of an answer. */
struct page {
    struct slice columns, rows;
    int64_t count, total;
};

/* ---- columns ---- */

static const char *member_text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static bool read_shown_column(const struct rows_table *table, const json_t *json,
                              struct column *ret)
{
    const char *name = member_text(json, "name"), *type = member_text(json, "type");
    const char *label = table->labels ? member_text(json, "label") : NULL;

    ret->name = name != NULL ? strdup(name) : NULL;
    ret->title = name != NULL ? strdup(label != NULL ? label : name) : NULL;
    ret->array = str_eq(type, "array");
    ret->json = str_eq(type, "json");
    ret->number = str_eq(type, "integer") || str_eq(type, "decimal") || str_eq(type, "number");
    return ret->name != NULL && ret->title != NULL;
}

static bool read_shown_columns(struct rows_table *table, struct slice text)
{
    json_t *list = json_loadb(text.at, (size_t)(text.end - text.at), 0, NULL);
    size_t count = json_array_size(list);
    bool good = json_is_array(list);

    table->columns = calloc(count + 1, sizeof(*table->columns));
    for (size_t i = 0; good && i < count && table->columns != NULL; i++)
        good = read_shown_column(table, json_array_get(list, i), &table->columns[table->count++]);
    json_decref(list);
    return good && table->columns != NULL;
}

static void table_done(struct rows_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->columns[i].name);
        free(table->columns[i].title);
    }
    free(table->columns);
    buf_done(&table->line);
    buf_done(&table->cut);
    buf_done(&table->cell);
}

/* ---- values ---- */

/* How much of the column's name the key is: all of it, or, up to a dot, the object around it; 0:
 * nothing. */
static size_t match(struct buf *scratch, struct slice key, const char *name)
{
    size_t len;

    buf_reset(scratch);
    json_text_decode(scratch, key.at + 1, (size_t)(key.end - key.at) - 2);
    len = scratch->len;
    if (len > strlen(name) || memcmp(name, buf_str(scratch), len) != 0)
        return 0;
    return name[len] == '\0' || name[len] == '.' ? len : 0;
}

/* The value of a column in the rest of its row: members are in the order of the columns. False: it
 * is missing. */
static bool find_member(struct rows_table *table, struct slice *rest, const char *name,
                        struct slice *ret)
{
    struct slice key, member, here = *rest;

    for (; slice_next(rest, &key, &member); here = *rest) {
        size_t len = match(&table->cell, key, name);
        struct slice inside = slice_inside(member);

        if (len > 0 && name[len] == '.' && find_member(table, &inside, name + len + 1, ret)) {
            *rest = here; /* it may contain the next column, too */
            return true;
        }
        *ret = member;
        if (len > 0 && name[len] == '\0')
            return true;
    }
    return false;
}

static void add_array(struct buf *out, struct slice array)
{
    struct slice rest = slice_inside(array), element;
    size_t count = 0;

    while (slice_next(&rest, NULL, &element))
        count++;
    buf_add_format(out, "[%zu %s]", count, count == 1 ? "row" : "rows");
}

/* The value in readable form, into `cell`. */
static void read_cell(struct rows_table *table, const struct column *column, struct slice value)
{
    size_t len = (size_t)(value.end - value.at);

    buf_reset(&table->cell);
    if (slice_is(value, "null"))
        buf_add_str(&table->cell, "NULL");
    else if (column->array)
        add_array(&table->cell, value);
    else if (*value.at == '"' && !column->json && len >= 2)
        json_text_decode(&table->cell, value.at + 1, len - 2);
    else
        buf_add(&table->cell, value.at, len);
}

/* ---- lines ---- */

static size_t most_of(const struct rows_table *table, const struct column *column)
{
    return table->terminal > 0 && !column->number ? TERMINAL_WIDTH : 0;
}

static void measure_column(const struct rows_table *table, struct column *column, const char *text,
                           size_t len)
{
    size_t width = table_width(text, len), most = most_of(table, column);

    if (most == 0)
        most = ALIGNED_WIDTH;
    if (width > most)
        width = most;
    if (width > column->width)
        column->width = width;
}

static void print_cell_text(struct rows_table *table, const struct column *column, const char *text,
                            size_t len)
{
    bool last = column + 1 == table->columns + table->count;
    const struct table_cell cell = {.width = last && !column->number ? 0 : column->width,
                                    .most = most_of(table, column),
                                    .right = column->number};

    table_add(&table->line, text, len, &cell);
    if (!last)
        buf_add_str(&table->line, "  ");
}

static void print_line(struct rows_table *table)
{
    const struct table_cell cell = {.most = table->terminal};

    buf_reset(&table->cut);
    if (table->terminal > 0)
        table_add(&table->cut, buf_str(&table->line), table->line.len, &cell);
    else
        buf_add(&table->cut, buf_str(&table->line), table->line.len);
    buf_add_char(&table->cut, '\n');
    fwrite(buf_str(&table->cut), 1, table->cut.len, stdout);
    buf_reset(&table->line);
}

/* Measure or print the row. */
static void show_row(struct rows_table *table, struct slice row, bool print)
{
    static const char null[] = "null";
    struct slice rest = slice_inside(row);

    for (size_t i = 0; i < table->count; i++) {
        struct column *column = &table->columns[i];
        struct slice value;

        if (!find_member(table, &rest, column->name, &value)) {
            rest = slice_inside(row);
            value = (struct slice){null, null + strlen(null)};
        }
        read_cell(table, column, value);
        if (print)
            print_cell_text(table, column, buf_str(&table->cell), table->cell.len);
        else
            measure_column(table, column, buf_str(&table->cell), table->cell.len);
    }
    if (print)
        print_line(table);
}

static void show_rows(struct rows_table *table, struct slice rows, bool print)
{
    struct slice rest = slice_inside(rows), row;

    while (slice_next(&rest, NULL, &row))
        show_row(table, row, print);
}

static void show_head(struct rows_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        print_cell_text(table, &table->columns[i], table->columns[i].title,
                        strlen(table->columns[i].title));
    print_line(table);
}

static int show_page(struct rows_table *table, const struct page *page, struct err *err)
{
    bool first = table->columns == NULL;

    if (first && !read_shown_columns(table, page->columns))
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; first && i < table->count; i++)
        measure_column(table, &table->columns[i], table->columns[i].title,
                       strlen(table->columns[i].title));
    show_rows(table, page->rows, false);
    if (first)
        show_head(table);
    show_rows(table, page->rows, true);
    return buf_failed(&table->line) || buf_failed(&table->cut) || buf_failed(&table->cell)
               ? err_set(err, -E_NOMEM, "out of memory")
               : 0;
}

/* ---- pages ---- */

/* Read the answer to the last call; a refusal becomes its error. */
static int read_page(struct api *api, struct page *ret, struct err *err)
{
    const struct buf *body = api_body(api);
    struct slice answer = {buf_str(body), buf_str(body) + body->len}, result, data, number;
    json_t *envelope = NULL;
    int rc;

    while (answer.at < answer.end && answer.end[-1] != '}')
        answer.end--;
    if (slice_member(answer, "result", &result) && slice_is(result, "true") &&
        slice_member(answer, "recordCount", &number) && slice_number(number, &ret->count) &&
        ret->count >= 0 && slice_member(answer, "data", &data) &&
        slice_member(data, "totalRows", &number) && slice_number(number, &ret->total) &&
        ret->total >= 0 && slice_member(data, "columns", &ret->columns) &&
        slice_member(data, "rows", &ret->rows))
        return 0;
    rc = api_envelope(api, &envelope, err);
    json_decref(envelope);
    return rc ?: api_unexpected(api, err);
}

static int get_page(struct api *api, const char *reference, int64_t from, int64_t count,
                    struct page *ret, struct err *err)
{
    char base[API_PATH_MAX], path[API_PATH_MAX + 64];
    struct http_request request = {.method = "GET", .path = path, .repeatable = true};
    int rc = api_reference_path("Report/Rows", reference, base, err);

    count = count < PAGE_ROWS ? count : PAGE_ROWS;
    snprintf(path, sizeof(path), "%s&from=%lld&count=%lld", base, (long long)from,
             (long long)count);
    rc = rc ?: api_call(api, &request, NULL, err) ?: read_page(api, ret, err);
    if (rc == 0 && ret->count > 0 && (ret->count > count || ret->count > ret->total - from))
        rc = api_unexpected(api, err);
    return rc;
}

static int read_page_number(const char *text, int64_t least, int64_t *ret, struct err *err)
{
    if (text != NULL && (!str_to_int64(text, ret) || *ret < least))
        return err_set(err, -E_INVALID, "'%s' is not a number from %lld on", text,
                       (long long)least);
    return 0;
}

static int show_result(struct ctl *ctl, struct api *api, struct rows_table *table, struct err *err)
{
    struct page page = {0};
    int64_t from = 0, left = COUNT_DEFAULT, shown = 0;
    int rc = read_page_number(ctl->options.from, 0, &from, err)
                 ?: read_page_number(ctl->options.count, 1, &left, err);

    if (rc != 0)
        return rc;
    do {
        rc = get_page(api, ctl->arguments[0], from, left, &page, err);
        if (rc == 0 && ctl->options.json != NULL)
            api_print(api);
        else if (rc == 0)
            rc = show_page(table, &page, err);
        from += page.count;
        left -= page.count;
        shown += page.count;
    } while (rc == 0 && left > 0 && page.count > 0 && from < page.total && !ferror(stdout));
    if (rc == 0 && ctl->options.json == NULL)
        fprintf(stderr, "%lld of %lld rows\n", (long long)shown, (long long)page.total);
    return rc;
}

int ctl_rows(struct ctl *ctl, struct err *err)
{
    struct rows_table table = {.labels = ctl->options.labels != NULL,
                               .terminal = (size_t)wrap_terminal(stdout)};
    struct api *api = NULL;
    int rc = api_open(&ctl->options, &api, err);

    buf_init(&table.line, TEXT_MAX);
    buf_init(&table.cut, TEXT_MAX);
    buf_init(&table.cell, TEXT_MAX);
    rc = rc ?: show_result(ctl, api, &table, err);
    table_done(&table);
    api_free(api);
    return rc;
}
