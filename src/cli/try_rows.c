/* src/cli/try_rows.c -- nested JSON, which this program has written itself, flattened into rows. */
#include "cli/try_rows.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    NAME_MAX_BYTES = 4096,
    CELL_MAX_BYTES = 128 << 20,
    CELL_WIDTH_MAX = 40, /* characters of a cell in a table */
    TABLE_COLUMNS_MAX = 256,
};

/* A value in the text: [at, end). */
struct slice {
    const char *at, *end;
};

struct rows {
    char **names;        /* of the columns, in the order in which they first come */
    struct slice *cells; /* of the row that is being put together */
    size_t count, room;
    size_t guess; /* where the next column probably is */
    bool starved;
    /* What is done with a row; false: enough. */
    bool (*each)(struct rows *rows, void *context);
    void *context;
};

/* ---- reading: the text is well-formed ---- */

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

static const char *skip_value(const char *at)
{
    int depth = 0;

    at = skip_blanks(at);
    do {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
        while (depth == 0 && *at != '\0' && strchr(",}] \t\r\n", *at) == NULL && at[-1] != '}' &&
               at[-1] != ']')
            at++;
    } while (depth > 0);
    return at;
}

/* Walks the members of an object or the elements of an array. */
struct walk {
    const char *at; /* behind the last one */
    bool object, first;
    struct slice key, value;
};

/* Of nothing, if there is no container. */
static struct walk walk_of(struct slice container)
{
    if (container.at == NULL)
        return (struct walk){.at = "]"};
    return (struct walk){.at = container.at + 1, .object = *container.at == '{', .first = true};
}

static bool walk_next(struct walk *walk)
{
    const char *at = skip_blanks(walk->at);

    if (*at == '}' || *at == ']')
        return false;
    if (!walk->first)
        at = skip_blanks(at + 1); /* the comma */
    walk->first = false;
    if (walk->object) {
        walk->key = (struct slice){at, skip_string(at)};
        at = skip_blanks(walk->key.end) + 1; /* the colon */
    }
    at = skip_blanks(at);
    walk->value = (struct slice){at, skip_value(at)};
    walk->at = walk->value.end;
    return true;
}

/* The text of a string without quotes and escapes; of anything else as it is; of null nothing. */
static void add_plain(struct buf *out, struct slice value)
{
    size_t len = (size_t)(value.end - value.at);
    json_t *string;

    if (value.at == NULL || (len == 4 && memcmp(value.at, "null", 4) == 0))
        return;
    if (*value.at != '"' || memchr(value.at, '\\', len) == NULL) {
        bool quoted = *value.at == '"';

        buf_add(out, value.at + quoted, len - (quoted ? 2 : 0));
        return;
    }
    string = json_loadb(value.at, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (string != NULL)
        buf_add(out, json_string_value(string), json_string_length(string));
    json_decref(string);
}

/* An array of objects is rows; any other array, of a json column, is a value. */
static bool is_rows(struct slice value)
{
    return *value.at == '[' && *skip_blanks(value.at + 1) == '{';
}

/* ---- columns and rows ---- */

/* The column of that name, which may be new; NULL: no memory. */
static struct slice *column(struct rows *rows, const char *name)
{
    size_t i = rows->guess;

    if (i >= rows->count || strcmp(rows->names[i], name) != 0) {
        for (i = 0; i < rows->count && strcmp(rows->names[i], name) != 0; i++)
            continue;
    }
    if (i == rows->room) {
        size_t room = rows->room * 2 + 16;
        char **names = reallocarray(rows->names, room, sizeof(*names));
        struct slice *cells;

        rows->names = names != NULL ? names : rows->names;
        cells = reallocarray(rows->cells, room, sizeof(*cells));
        rows->cells = cells != NULL ? cells : rows->cells;
        if (names == NULL || cells == NULL)
            return NULL;
        rows->room = room;
    }
    if (i == rows->count) {
        rows->names[i] = strdup(name);
        rows->cells[i] = (struct slice){0};
        if (rows->names[i] == NULL)
            return NULL;
        rows->count++;
    }
    rows->guess = i + 1;
    return &rows->cells[i];
}

static bool flatten(struct rows *rows, struct slice object, const char *prefix);

/* `array` of the object: a row for each element, or one for none. */
static bool flatten_array(struct rows *rows, struct slice array, const char *prefix)
{
    struct walk walk = walk_of(array);
    bool more = true;

    while (more && walk_next(&walk))
        more = flatten(rows, walk.value, prefix);
    return more;
}

/* Put the members of an object into the row; what an array has comes behind. `*ret_array` with its
 * prefix is the one that there is. */
static void fill(struct rows *rows, struct slice object, const char *prefix, bool clear,
                 struct slice *ret_array, struct buf *ret_prefix)
{
    struct walk walk = walk_of(object);

    while (!rows->starved && walk_next(&walk)) {
        struct buf name;

        buf_init(&name, NAME_MAX_BYTES);
        buf_add_str(&name, prefix);
        add_plain(&name, walk.key);
        if (is_rows(walk.value) && ret_array->at == NULL) {
            *ret_array = walk.value;
            buf_add_str(&name, "[].");
            buf_add(ret_prefix, name.data, name.len);
        } else if (*walk.value.at == '{') {
            buf_add_char(&name, '.');
            fill(rows, walk.value, buf_str(&name), clear, ret_array, ret_prefix);
        } else if (*walk.value.at != '[' || *skip_blanks(walk.value.at + 1) != ']') {
            struct slice *cell = column(rows, buf_str(&name));

            rows->starved = cell == NULL;
            if (cell != NULL)
                *cell = clear ? (struct slice){0} : walk.value;
        }
        buf_done(&name);
    }
}

static bool flatten(struct rows *rows, struct slice object, const char *prefix)
{
    struct slice array = {0};
    struct buf below;
    bool more;

    buf_init(&below, NAME_MAX_BYTES);
    rows->guess = *prefix == '\0' ? 0 : rows->guess;
    fill(rows, object, prefix, false, &array, &below);
    more = array.at != NULL ? flatten_array(rows, array, buf_str(&below))
                            : rows->each(rows, rows->context);
    buf_reset(&below);
    array = (struct slice){0};
    fill(rows, object, prefix, true, &array, &below);
    buf_done(&below);
    return more && !rows->starved;
}

static int rows_each(struct rows *rows, struct slice array,
                     bool (*each)(struct rows *rows, void *context), void *context)
{
    struct walk walk = walk_of(array);

    rows->each = each;
    rows->context = context;
    while (walk_next(&walk) && flatten(rows, walk.value, ""))
        continue;
    return rows->starved ? -E_NOMEM : 0;
}

static void rows_done(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->names[i]);
    free(rows->names);
    free(rows->cells);
}

/* The first pass: only the names. */
static bool look(struct rows *rows, void *context)
{
    (void)rows;
    (void)context;
    return true;
}

/* `{"result":…,"data":{…}}` → the data; its member of that name. */
static struct slice member(struct slice object, const char *name)
{
    struct walk walk = walk_of(object);

    while (walk_next(&walk)) {
        if ((size_t)(walk.key.end - walk.key.at) == strlen(name) + 2 &&
            memcmp(walk.key.at + 1, name, strlen(name)) == 0)
            return walk.value;
    }
    return (struct slice){0};
}

/* ---- CSV ---- */

static void put_csv(FILE *out, const char *text, size_t len, bool last)
{
    bool quoted = memchr(text, '"', len) != NULL || memchr(text, ',', len) != NULL ||
                  memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL;

    if (quoted)
        putc('"', out);
    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '"')
            putc('"', out);
        putc(text[i], out);
    }
    fputs(quoted ? last ? "\"\r\n" : "\"," : last ? "\r\n" : ",", out);
}

static bool put_csv_row(struct rows *rows, void *context)
{
    struct buf cell;

    buf_init(&cell, CELL_MAX_BYTES);
    for (size_t i = 0; i < rows->count; i++) {
        buf_reset(&cell);
        add_plain(&cell, rows->cells[i]);
        rows->starved |= buf_failed(&cell);
        put_csv(context, buf_str(&cell), cell.len, i + 1 == rows->count);
    }
    buf_done(&cell);
    return true;
}

int try_rows_csv(FILE *out, const char *json, size_t len)
{
    struct slice data = member((struct slice){json, json + len}, "data");
    struct slice results = member(data, "results");
    struct rows rows = {0};
    int rc = rows_each(&rows, results, look, NULL);

    for (size_t i = 0; i < rows.count; i++)
        put_csv(out, rows.names[i], strlen(rows.names[i]), i + 1 == rows.count);
    if (rc == 0)
        rc = rows_each(&rows, results, put_csv_row, out);
    rows_done(&rows);
    return rc;
}

/* ---- a table ---- */

struct table {
    FILE *out;
    size_t most, seen;
    size_t *widths; /* NULL: count and measure; else print */
    size_t measured[TABLE_COLUMNS_MAX];
    bool more; /* there are rows that are not shown */
};

/* Characters that a cell takes: a code point each. */
static size_t width_of(const char *text, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width < CELL_WIDTH_MAX ? width : CELL_WIDTH_MAX;
}

/* Print a cell, cut, without what a terminal could take for an order of its own. */
static void put_cell(FILE *out, const char *text, size_t len, size_t width, bool last)
{
    size_t shown = 0, i = 0;

    for (; i < len; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80 && ++shown > CELL_WIDTH_MAX)
            break;
        putc((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i], out);
    }
    for (size_t k = shown > CELL_WIDTH_MAX ? CELL_WIDTH_MAX : shown; !last && k < width; k++)
        putc(' ', out);
    fputs(last ? "\n" : "  ", out);
}

static bool put_table_row(struct rows *rows, void *context)
{
    struct table *table = context;
    struct buf cell;

    if (table->seen == table->most) {
        table->more = true;
        return false;
    }
    table->seen++;
    buf_init(&cell, CELL_MAX_BYTES);
    for (size_t i = 0; i < rows->count && i < TABLE_COLUMNS_MAX; i++) {
        size_t width;

        buf_reset(&cell);
        add_plain(&cell, rows->cells[i]);
        width = width_of(buf_str(&cell), cell.len);
        if (table->widths == NULL)
            table->measured[i] = width > table->measured[i] ? width : table->measured[i];
        else
            put_cell(table->out, buf_str(&cell), cell.len, table->widths[i], i + 1 == rows->count);
    }
    buf_done(&cell);
    return true;
}

static void put_head(const struct rows *rows, struct table *table)
{
    for (size_t i = 0; i < rows->count && i < TABLE_COLUMNS_MAX; i++) {
        size_t width = width_of(rows->names[i], strlen(rows->names[i]));

        if (width > table->measured[i])
            table->measured[i] = width;
    }
    for (size_t i = 0; i < rows->count && i < TABLE_COLUMNS_MAX; i++)
        put_cell(table->out, rows->names[i], strlen(rows->names[i]), table->measured[i],
                 i + 1 == rows->count);
    for (size_t i = 0; i < rows->count && i < TABLE_COLUMNS_MAX; i++) {
        for (size_t k = 0; k < table->measured[i]; k++)
            putc('-', table->out);
        fputs(i + 1 == rows->count ? "\n" : "  ", table->out);
    }
}

static int put_table(FILE *out, struct slice array, size_t most)
{
    struct table table = {.out = out, .most = most};
    struct rows rows = {0};
    int rc = rows_each(&rows, array, put_table_row, &table);

    if (rc == 0 && table.seen > 0) {
        put_head(&rows, &table);
        table.widths = table.measured;
        table.seen = 0;
        rc = rows_each(&rows, array, put_table_row, &table);
    }
    if (table.more)
        fprintf(out, "… the first %zu rows\n", most);
    rows_done(&rows);
    return rc;
}

int try_rows_table(FILE *out, const char *json, size_t len, size_t most)
{
    struct slice data = member((struct slice){json, json + len}, "data");
    struct walk walk = walk_of(data);
    int rc = 0;

    while (rc == 0 && walk_next(&walk)) {
        size_t name = (size_t)(walk.key.end - walk.key.at) - 2;
        bool summary = name == strlen("summary") && memcmp(walk.key.at + 1, "summary", name) == 0;

        if (*walk.value.at == '[') {
            fprintf(out, "%.*s:\n", (int)name, walk.key.at + 1);
            rc = put_table(out, walk.value, most);
            fprintf(out, "\n");
        } else if (summary) {
            fprintf(out, "summary: %.*s\n", (int)(walk.value.end - walk.value.at), walk.value.at);
        }
    }
    return rc;
}
