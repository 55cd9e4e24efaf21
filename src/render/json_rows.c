/* src/render/json_rows.c -- rows → nested JSON objects, by a plan made once from the names. */
#include "render/json_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "render/json_value.h"

enum {
    NAME_MAX_BYTES = 1024,
    KEY_BYTES_MAX = 64 << 10, /* of what stands before one value */
    PREVIOUS_MAX = 256 << 20, /* bytes of the previous row's plain texts */
};

/* "array[].object.leaf", the first two or one of them absent: views into `name`. */
struct part {
    const char *at;
    size_t len;
};

struct path {
    struct part array, object, leaf;
};

struct plan_column {
    char *name;
    const struct column *declared; /* borrowed from the definition; NULL: none */
    struct path path;
    struct buf before; /* all that stands between the previous value and this one */
};

struct json_rows {
    size_t count, plain; /* columns; the first `plain` ones are not in the array */
    bool in_object;      /* an object with an array is open … */
    bool in_array;       /* … and has an element */
    bool any;            /* an object has been written */
    struct buf open_array, close_plain, close_element;
    struct source_value *previous; /* plain values of the open object; texts in … */
    struct buf previous_text;
    struct plan_column columns[];
};

static bool part_eq(const struct part *a, const struct part *b)
{
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

/* The key a column takes at the top of its object or element. */
static const struct part *top_key(const struct path *path)
{
    return path->object.len > 0 ? &path->object : &path->leaf;
}

static bool has_array(const struct path *path)
{
    return path->array.len > 0;
}

static int misfit(const char *name, const char *why, struct err *err)
{
    return err_set(err, -E_SOURCE, "The column '%s' %s.", name, why);
}

/* Cut the first component, up to `separator`, off *rest; false if there is no separator. */
static bool cut(const char **rest, const char *separator, struct part *ret)
{
    const char *end = strstr(*rest, separator);

    if (end == NULL)
        return false;
    *ret = (struct part){.at = *rest, .len = (size_t)(end - *rest)};
    *rest = end + strlen(separator);
    return true;
}

static int parse_path(const char *name, struct path *ret, struct err *err)
{
    struct path path = {0};
    const char *rest = name;
    bool array = cut(&rest, "[].", &path.array);
    bool object = cut(&rest, ".", &path.object);

    path.leaf = (struct part){.at = rest, .len = strlen(rest)};
    if (path.leaf.len == 0 || (array && path.array.len == 0) || (object && path.object.len == 0))
        return misfit(name, "has an empty name or part of a name", err);
    if (path.leaf.len + path.object.len + path.array.len > NAME_MAX_BYTES)
        return misfit(name, "has a name that is too long", err);
    if (memchr(path.array.at != NULL ? path.array.at : "", '.', path.array.len) != NULL ||
        strstr(rest, "[]") != NULL || (object && memmem(path.object.at, path.object.len, "[]", 2)))
        return misfit(name, "puts an array inside another; write 'array[].name'", err);
    if (strchr(rest, '.') != NULL)
        return misfit(name, "nests too deep; write 'object.name'", err);
    *ret = path;
    return 0;
}

/* Does column `at` stand in the same object as the one before it? */
static bool same_object(const struct json_rows *rows, size_t first, size_t at)
{
    const struct path *path = &rows->columns[at].path;

    return at > first && path->object.len > 0 &&
           part_eq(&path->object, &rows->columns[at - 1].path.object);
}

/* Against the columns before it in its group: the same key twice makes invalid JSON. */
static int check_keys(const struct json_rows *rows, size_t first, size_t at, struct err *err)
{
    const struct plan_column *column = &rows->columns[at];
    bool same_run = same_object(rows, first, at);

    for (size_t i = at; i-- > first;) {
        const struct path *other = &rows->columns[i].path;

        if (same_run && part_eq(&other->object, &column->path.object)) {
            if (part_eq(&other->leaf, &column->path.leaf))
                return misfit(column->name, "is there twice", err);
            continue;
        }
        if (part_eq(top_key(other), top_key(&column->path)))
            return misfit(column->name,
                          "has the key of another column, or columns of one object do not stand "
                          "together",
                          err);
    }
    return 0;
}

static int check_shape(const struct json_rows *rows, struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct plan_column *column = &rows->columns[i];
        const struct path *path = &column->path;
        size_t first = i >= rows->plain ? rows->plain : 0;
        int rc;

        if (i >= rows->plain && !has_array(path))
            return misfit(column->name, "must stand before the columns of the array", err);
        if (i > rows->plain && !part_eq(&path->array, &rows->columns[rows->plain].path.array))
            return misfit(column->name, "begins a second array; a report may have one", err);
        if (i < rows->plain && rows->plain < rows->count &&
            part_eq(top_key(path), &rows->columns[rows->plain].path.array))
            return misfit(column->name, "has the key of the array", err);
        rc = check_keys(rows, first, i, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool add_key(struct buf *b, const struct part *key, const char *opening)
{
    if (!json_add_text(b, key->at, key->len))
        return false;
    buf_add_char(b, ':');
    buf_add_str(b, opening);
    return true;
}

/* What stands before the value of column `at` of the group that begins with column `first`. */
static bool plan_before(struct json_rows *rows, size_t first, size_t at)
{
    struct plan_column *column = &rows->columns[at];
    bool same = same_object(rows, first, at);

    if (at == first)
        buf_add_char(&column->before, '{');
    else if (rows->columns[at - 1].path.object.len > 0 && !same)
        buf_add_str(&column->before, "},");
    else
        buf_add_char(&column->before, ',');
    if (column->path.object.len > 0 && !same &&
        !add_key(&column->before, &column->path.object, "{"))
        return false;
    return add_key(&column->before, &column->path.leaf, "");
}

static int plan(struct json_rows *rows, struct err *err)
{
    bool plain_object = rows->plain > 0 && rows->columns[rows->plain - 1].path.object.len > 0;

    for (size_t i = 0; i < rows->count; i++) {
        if (!plan_before(rows, i >= rows->plain ? rows->plain : 0, i))
            return misfit(rows->columns[i].name, "has a name that is not UTF-8", err);
    }
    if (rows->plain == rows->count) {
        buf_add_str(&rows->close_plain, plain_object ? "}}" : "}");
        return 0;
    }
    buf_add_str(&rows->open_array, rows->plain == 0 ? "{" : plain_object ? "}," : ",");
    if (!add_key(&rows->open_array, &rows->columns[rows->plain].path.array, "["))
        return misfit(rows->columns[rows->plain].name, "has a name that is not UTF-8", err);
    buf_add_str(&rows->close_element,
                rows->columns[rows->count - 1].path.object.len > 0 ? "}}" : "}");
    return 0;
}

static int name_columns(struct json_rows *rows, const struct definition *def,
                        const char *const *columns, struct err *err)
{
    rows->plain = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        struct plan_column *column = &rows->columns[i];
        int rc;

        buf_init(&column->before, KEY_BYTES_MAX);
        column->declared = definition_column(def, columns[i]);
        column->name = strdup(columns[i]);
        if (column->name == NULL)
            return err_set(err, -E_NOMEM, "Out of memory.");
        rc = parse_path(column->name, &column->path, err);
        if (rc < 0)
            return rc;
        if (has_array(&column->path) && rows->plain == rows->count)
            rows->plain = i;
    }
    return 0;
}

int json_rows_new(const struct definition *def, const char *const *columns, size_t count,
                  struct json_rows **ret, struct err *err)
{
    struct json_rows *rows = calloc(1, sizeof(*rows) + count * sizeof(rows->columns[0]));
    int rc;

    if (rows == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rows->count = count;
    buf_init(&rows->open_array, KEY_BYTES_MAX);
    buf_init(&rows->close_plain, KEY_BYTES_MAX);
    buf_init(&rows->close_element, KEY_BYTES_MAX);
    buf_init(&rows->previous_text, PREVIOUS_MAX);
    rows->previous = calloc(count + 1, sizeof(rows->previous[0]));
    rc = rows->previous == NULL ? err_set(err, -E_NOMEM, "Out of memory.")
                                : name_columns(rows, def, columns, err);
    if (rc == 0)
        rc = check_shape(rows, err);
    if (rc == 0)
        rc = plan(rows, err);
    if (rc < 0) {
        json_rows_free(rows);
        return rc;
    }
    *ret = rows;
    return 0;
}

void json_rows_free(struct json_rows *rows)
{
    if (rows == NULL)
        return;
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->columns[i].name);
        buf_done(&rows->columns[i].before);
    }
    buf_done(&rows->open_array);
    buf_done(&rows->close_plain);
    buf_done(&rows->close_element);
    buf_done(&rows->previous_text);
    free(rows->previous);
    free(rows);
}

static bool value_eq(const struct source_value *a, const struct source_value *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case SOURCE_NULL:
        return true;
    case SOURCE_INTEGER:
    case SOURCE_BOOLEAN:
        return a->integer == b->integer;
    case SOURCE_REAL:
        return a->real == b->real;
    default:
        return a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
    }
}

/* Is the row of the object that is open? Compared from the right, where rows differ first. */
static bool continues(const struct json_rows *rows, const struct source_value *row)
{
    if (!rows->in_object)
        return false;
    for (size_t i = rows->plain; i-- > 0;) {
        if (!value_eq(&rows->previous[i], &row[i]))
            return false;
    }
    return true;
}

/* Keep a copy of the plain values, for continues(). */
static int remember(struct json_rows *rows, const struct source_value *row, struct err *err)
{
    size_t at = 0;

    buf_reset(&rows->previous_text);
    for (size_t i = 0; i < rows->plain; i++) {
        rows->previous[i] = row[i];
        if (row[i].kind >= SOURCE_TEXT)
            buf_add(&rows->previous_text, row[i].text.data, row[i].text.len);
    }
    if (buf_is_starved(&rows->previous_text))
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (buf_failed(&rows->previous_text))
        return err_set(err, -E_SOURCE, "A row of the report is too large.");
    /* The buffer does not move any more. */
    for (size_t i = 0; i < rows->plain; i++) {
        if (row[i].kind < SOURCE_TEXT)
            continue;
        rows->previous[i].text.data = rows->previous_text.data + at;
        at += row[i].text.len;
    }
    return 0;
}

static int add_values(struct json_rows *rows, size_t first, size_t end,
                      const struct source_value *row, struct buf *out, struct err *err)
{
    for (size_t i = first; i < end; i++) {
        const struct plan_column *column = &rows->columns[i];
        int rc;

        buf_add(out, column->before.data, column->before.len);
        rc = json_value_add(out, &row[i], column->name, column->declared, err);
        if (rc < 0)
            return rc;
        if (buf_is_starved(out))
            return err_set(err, -E_NOMEM, "Out of memory.");
        if (buf_failed(out))
            return misfit(column->name, "makes a row that is too large", err);
    }
    return 0;
}

static bool all_null(const struct json_rows *rows, const struct source_value *row)
{
    for (size_t i = rows->plain; i < rows->count; i++) {
        if (row[i].kind != SOURCE_NULL)
            return false;
    }
    return true;
}

static int add_element(struct json_rows *rows, const struct source_value *row, struct buf *out,
                       struct err *err)
{
    int rc;

    if (all_null(rows, row))
        return 0;
    if (rows->in_array)
        buf_add_char(out, ',');
    rows->in_array = true;
    rc = add_values(rows, rows->plain, rows->count, row, out, err);
    buf_add(out, rows->close_element.data, rows->close_element.len);
    return rc;
}

int json_rows_add(struct json_rows *rows, const struct source_value *row, struct buf *out,
                  struct err *err)
{
    int rc;

    if (continues(rows, row))
        return add_element(rows, row, out, err);
    json_rows_end(rows, out);
    if (rows->any)
        buf_add_char(out, ',');
    rows->any = true;
    rc = add_values(rows, 0, rows->plain, row, out, err);
    if (rc < 0)
        return rc;
    if (rows->plain == rows->count) {
        buf_add(out, rows->close_plain.data, rows->close_plain.len);
        return 0;
    }
    buf_add(out, rows->open_array.data, rows->open_array.len);
    rows->in_object = true;
    rc = remember(rows, row, err);
    return rc < 0 ? rc : add_element(rows, row, out, err);
}

void json_rows_end(struct json_rows *rows, struct buf *out)
{
    if (rows->in_object)
        buf_add(out, "]}", 2);
    rows->in_object = rows->in_array = false;
}
