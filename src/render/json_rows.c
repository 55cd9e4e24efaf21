/* src/render/json_rows.c -- rows → nested JSON objects, by a plan made once from the column
 * names. */
#include "render/json_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/json.h"
#include "core/sql_text.h"
#include "render/json_value.h"
#include "render/seen.h"

enum {
    JSON_ARRAYS_MAX = 2,       /* one inside the other */
    NAME_MAX_BYTES = 1024,     /* of a column */
    NAME_BYTES_MAX = 64 << 10, /* of a column in the footer */
    KEYS_BYTES_MAX = 16 << 20, /* of all text between the values */
    PREVIOUS_MAX = 256 << 20,  /* bytes of the texts of the previous row in one level */
    NUMBER_TEXT_MAX = 64,      /* bytes of an integer or a double as text */
};

/* A key: a view, not terminated; length 0: there is none. */
struct json_part {
    const char *at;
    size_t len;
};

/* "array[].array[].object.leaf", of which only the leaf is required. */
struct json_path {
    struct json_part arrays[JSON_ARRAYS_MAX], object, leaf;
    size_t level; /* number of arrays */
};

/* A range of bytes in json_rows.keys. */
struct span {
    size_t at, len;
};

struct plan_column {
    const char *name;              /* in json_rows.names, like the parts of the path */
    const struct column *declared; /* borrowed from the definition; NULL: none */
    struct json_path path;
    struct seen seen;
    struct span before; /* all text between the previous value and this one */
};

/* The columns of the row's object, of an element of its array, or of the array inside those. */
struct level {
    size_t first, end;
    bool any;  /* its array has an element; in the first level: an object has been written */
    bool open; /* an object is open, and in it the array of the next level */
    struct span close; /* after the columns: the end of the object, or the key of the next level's
                        * array */
    struct buf previous_text; /* of the open object: the texts among its values */
};

enum { LEVELS_MAX = JSON_ARRAYS_MAX + 1 };

struct json_rows {
    size_t count; /* columns, level by level */
    char *names;  /* names of all columns, and their parts without the marks */
    struct buf keys;
    struct level levels[LEVELS_MAX];
    size_t last;                   /* the deepest level */
    size_t objects;                /* objects of the first level so far … */
    size_t object_at;              /* … and where the last one begins in its buffer */
    struct source_value *previous; /* of the open objects: the values of their columns */
    struct plan_column columns[];
};

static int misfit(const char *name, const char *why, struct err *err)
{
    return err_set(err, -E_SOURCE, "The column '%.128s' %s.", name, why);
}

/* ---- "array[].object.name" split into its parts ---- */

/* Are both the same key? */
static bool json_part_eq(const struct json_part *a, const struct json_part *b)
{
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

static bool is_array_part(const struct json_part *part)
{
    return part->len >= 2 && memcmp(part->at + part->len - 2, "[]", 2) == 0;
}

/* Add a part that is before a dot. */
static const char *add_path_part(struct json_path *path, struct json_part part)
{
    if (path->object.len > 0)
        return is_array_part(&part) ? "puts an array into an object; write 'array[].name'"
                                    : "nests too deeply; write 'object.name'";
    if (!is_array_part(&part)) {
        path->object = part;
        return NULL;
    }
    if (path->level == JSON_ARRAYS_MAX)
        return "nests arrays too deeply; write 'array[].array[].name'";
    part.len -= 2;
    path->arrays[path->level++] = part;
    return NULL;
}

/* Copy the part at *at, up to a dot or the end, into *keys. *at moves past the dot; it is NULL
 * after the last part. */
static struct json_part cut_part(const char **at, char **keys)
{
    struct json_part part = {.at = *keys};
    const char *from = *at;

    for (; *from != '\0' && *from != '.'; from++) {
        from += from[0] == '\\' && from[1] == '.';
        *(*keys)++ = *from;
    }
    part.len = (size_t)(*keys - part.at);
    *at = *from == '.' ? from + 1 : NULL;
    return part;
}

static const char *parse_path(const char *name, char *keys, struct json_path *path)
{
    for (const char *at = name; at != NULL;) {
        struct json_part part = cut_part(&at, &keys);
        const char *why = NULL;

        if (part.len == 0 || (at != NULL && part.len == 2 && is_array_part(&part)))
            return "has an empty name, or an empty part in it";
        if (at != NULL)
            why = add_path_part(path, part);
        else if (is_array_part(&part))
            return "names no column of the array; write 'array[].name'";
        else
            path->leaf = part;
        if (why != NULL)
            return why;
    }
    return NULL;
}

/* Split `name` into `keys`, which has room for it with its NUL and lives as long as the path.
 * Unless it `nests`, it is one key, whatever it contains; else "\\." is a dot within a key.
 * -E_SOURCE names a column that is not a valid path. */
static int json_path_parse(const char *name, bool nests, char *keys, struct json_path *ret,
                           struct err *err)
{
    struct json_path path = {.level = 0};
    const char *why = NULL;
    size_t len = strlen(name);

    if (len > NAME_MAX_BYTES)
        why = "has a name that is too long; give it a shorter one";
    else if (len == 0)
        why = "has an empty name, or an empty part in it";
    else if (nests)
        why = parse_path(name, keys, &path);
    else
        path.leaf = (struct json_part){.at = memcpy(keys, name, len + 1), .len = len};
    if (why != NULL)
        return misfit(name, why, err);
    *ret = path;
    return 0;
}

/* ---- the plan ---- */

/* The key of a column at the top of its object or element. */
static const struct json_part *top_key(const struct json_path *path)
{
    return path->object.len > 0 ? &path->object : &path->leaf;
}

/* Is column `at` in the same object as the previous column? */
static bool continues_object(const struct json_rows *rows, const struct level *level, size_t at)
{
    const struct json_path *path = &rows->columns[at].path;

    return at > level->first && path->object.len > 0 &&
           json_part_eq(&path->object, &rows->columns[at - 1].path.object);
}

/* Check against the earlier columns of its level: a duplicate key would make invalid JSON. */
static int check_duplicate_keys(const struct json_rows *rows, const struct level *level, size_t at,
                                struct err *err)
{
    static const char twice[] = "appears twice; give one of them another name";
    const struct plan_column *column = &rows->columns[at];
    bool same_run = continues_object(rows, level, at);

    for (size_t i = at; i-- > level->first;) {
        const struct json_path *other = &rows->columns[i].path;

        if (same_run && json_part_eq(&other->object, &column->path.object)) {
            if (json_part_eq(&other->leaf, &column->path.leaf))
                return misfit(column->name, twice, err);
            continue;
        }
        if (!json_part_eq(top_key(other), top_key(&column->path)))
            continue;
        if (other->object.len > 0 && column->path.object.len > 0)
            return misfit(column->name,
                          "belongs to an object whose columns are not next to each other; move it "
                          "there",
                          err);
        return misfit(column->name,
                      other->object.len > 0 || column->path.object.len > 0
                          ? "has the same key as an object; give one of them another name"
                          : twice,
                      err);
    }
    return 0;
}

/* Check against the array in the objects of its level. */
static int check_arrays(const struct json_rows *rows, size_t at, struct err *err)
{
    const struct plan_column *column = &rows->columns[at];
    const struct json_path *path = &column->path, *deepest = &rows->columns[rows->count - 1].path;
    const struct json_path *before = &rows->columns[at > 0 ? at - 1 : 0].path;

    if (path->level < before->level)
        return misfit(column->name, "must come before the columns of the array", err);
    for (size_t i = 0; i < before->level; i++) {
        if (!json_part_eq(&path->arrays[i], &before->arrays[i]))
            return misfit(
                column->name,
                "belongs to a second array; a row may have one array, and each of its elements one",
                err);
    }
    if (path->level < deepest->level && json_part_eq(top_key(path), &deepest->arrays[path->level]))
        return misfit(column->name, "has the same key as the array", err);
    return 0;
}

static int check_shape(const struct json_rows *rows, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < rows->count; i++) {
        rc = check_arrays(rows, i, err)
                 ?: check_duplicate_keys(rows, &rows->levels[rows->columns[i].path.level], i, err);
    }
    return rc;
}

static bool add_part_key(struct buf *b, const struct json_part *key, const char *opening)
{
    if (!json_add_text(b, key->at, key->len))
        return false;
    buf_add_char(b, ':');
    buf_add_str(b, opening);
    return true;
}

/* Plan the text before the value of column `at`. */
static bool plan_column_keys(struct json_rows *rows, const struct level *level, size_t at)
{
    struct plan_column *column = &rows->columns[at];
    bool same = continues_object(rows, level, at), good;

    column->before.at = rows->keys.len;
    if (at == level->first)
        buf_add_char(&rows->keys, '{');
    else if (rows->columns[at - 1].path.object.len > 0 && !same)
        buf_add_str(&rows->keys, "},");
    else
        buf_add_char(&rows->keys, ',');
    good = (column->path.object.len == 0 || same ||
            add_part_key(&rows->keys, &column->path.object, "{")) &&
           add_part_key(&rows->keys, &column->path.leaf, "");
    column->before.len = rows->keys.len - column->before.at;
    return good;
}

/* Plan the text after the columns of the level. */
static bool plan_level_close(struct json_rows *rows, size_t number)
{
    struct level *level = &rows->levels[number];
    bool none = level->first == level->end, good = true;
    bool in_object = !none && rows->columns[level->end - 1].path.object.len > 0;

    level->close.at = rows->keys.len;
    if (number == rows->last) {
        buf_add_str(&rows->keys, in_object ? "}}" : "}");
    } else {
        buf_add_str(&rows->keys, none ? "{" : in_object ? "}," : ",");
        good = add_part_key(&rows->keys, &rows->columns[rows->count - 1].path.arrays[number], "[");
    }
    level->close.len = rows->keys.len - level->close.at;
    return good;
}

static int plan_rows(struct json_rows *rows, struct err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (!plan_column_keys(rows, &rows->levels[rows->columns[i].path.level], i))
            return misfit(rows->columns[i].name, "has a name that is not UTF-8", err);
    }
    for (size_t i = 0; i <= rows->last; i++) {
        if (!plan_level_close(rows, i))
            return misfit(rows->columns[rows->count - 1].name, "has a name that is not UTF-8", err);
    }
    return buf_failed(&rows->keys) ? err_set(err, -E_NOMEM, "Out of memory.") : 0;
}

static void add_span(const struct json_rows *rows, struct span span, struct buf *out)
{
    buf_add(out, rows->keys.data + span.at, span.len);
}

/* Which of the columns have a name that nests; NULL: out of memory. Yours to free(). */
static bool *find_nesting(const struct statement *statement, const char *const *columns,
                          size_t count)
{
    bool *nests = calloc(count + 1, sizeof(*nests));
    bool marks = false;

    for (size_t i = 0; i < count; i++)
        marks |= strpbrk(columns[i], ".[") != NULL;
    if (marks && nests != NULL)
        sql_find_aliases(statement->sql, columns, count, nests);
    return nests;
}

static const struct column *find_declared(const struct definition *def, const char *name)
{
    const struct column *declared = definition_column(def, name);

    /* A column of COLUMN_ANY only has a label. */
    return declared != NULL && declared->type != COLUMN_ANY ? declared : NULL;
}

static int name_columns(struct json_rows *rows, const struct definition *def,
                        const struct statement *statement, const char *const *columns,
                        struct err *err)
{
    bool *nests = find_nesting(statement, columns, rows->count);
    size_t size = 1;
    char *at;
    int rc = 0;

    for (size_t i = 0; i < rows->count; i++)
        size += 2 * (strlen(columns[i]) + 1);
    at = rows->names = malloc(size);
    if (nests == NULL || at == NULL)
        rc = err_set(err, -E_NOMEM, "Out of memory.");
    for (size_t i = 0; rc == 0 && i < rows->count; i++) {
        size_t len = strlen(columns[i]) + 1;
        struct plan_column *column = &rows->columns[i];

        column->declared = find_declared(def, columns[i]);
        column->name = memcpy(at, columns[i], len);
        rc = json_path_parse(column->name, nests[i], at + len, &column->path, err);
        at += 2 * len;
    }
    free(nests);
    return rc;
}

/* Set where each level begins, if the columns are in order of level. */
static void divide_levels(struct json_rows *rows)
{
    size_t at = 0;

    rows->last = rows->count > 0 ? rows->columns[rows->count - 1].path.level : 0;
    for (size_t i = 0; i <= rows->last; i++) {
        rows->levels[i].first = at;
        while (at < rows->count && rows->columns[at].path.level <= i)
            at++;
        rows->levels[i].end = at;
    }
}

int json_rows_new(const struct definition *def, const struct statement *statement,
                  const char *const *columns, size_t count, struct json_rows **ret, struct err *err)
{
    struct json_rows *rows = calloc(1, sizeof(*rows) + count * sizeof(rows->columns[0]));
    int rc;

    if (rows == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rows->count = count;
    buf_init(&rows->keys, KEYS_BYTES_MAX);
    for (size_t i = 0; i < LEVELS_MAX; i++)
        buf_init(&rows->levels[i].previous_text, PREVIOUS_MAX);
    rows->previous = calloc(count + 1, sizeof(rows->previous[0]));
    rc = rows->previous == NULL ? err_set(err, -E_NOMEM, "Out of memory.")
                                : name_columns(rows, def, statement, columns, err);
    if (rc == 0) {
        divide_levels(rows);
        rc = check_shape(rows, err);
    }
    if (rc == 0)
        rc = plan_rows(rows, err);
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
    for (size_t i = 0; i < LEVELS_MAX; i++)
        buf_done(&rows->levels[i].previous_text);
    buf_done(&rows->keys);
    free(rows->names);
    free(rows->previous);
    free(rows);
}

/* ---- keys of parents ---- */

/* In a column declared decimal, texts are numbers, too. */
static bool is_number_value(const struct source_value *value, const struct column *declared)
{
    return value->kind == SOURCE_INTEGER || value->kind == SOURCE_REAL ||
           value->kind == SOURCE_NUMERIC ||
           (value->kind == SOURCE_TEXT && declared != NULL && declared->type == COLUMN_DECIMAL);
}

/* The number as decimal text, in `scratch` if it is not stored as text. */
static struct json_part number_text(const struct source_value *value, struct buf *scratch)
{
    if (value->kind == SOURCE_NUMERIC || value->kind == SOURCE_TEXT)
        return (struct json_part){.at = value->text.data, .len = value->text.len};
    json_value_add(scratch, value, "", NULL, &(struct err){0});
    return (struct json_part){.at = buf_str(scratch), .len = scratch->len};
}

/* Are they equal numbers, written or stored in different ways, such as 1.0, 1.00 and 1? Not
 * inlined, to keep it out of the path of every row. */
__attribute__((noinline)) static bool
number_eq(const struct source_value *a, const struct source_value *b, const struct column *declared)
{
    struct buf scratch[2];
    struct json_part x, y;
    bool equal;

    if ((a->kind == b->kind && a->kind < SOURCE_TEXT) || !is_number_value(a, declared) ||
        !is_number_value(b, declared))
        return false;
    buf_init(&scratch[0], NUMBER_TEXT_MAX);
    buf_init(&scratch[1], NUMBER_TEXT_MAX);
    x = number_text(a, &scratch[0]);
    y = number_text(b, &scratch[1]);
    equal = decimal_equal(x.at, x.len, y.at, y.len);
    buf_done(&scratch[0]);
    buf_done(&scratch[1]);
    return equal;
}

/* The next token of a JSON text, or part of a word; *at moves past it. len 0: the end. */
static struct json_part next_token(const char **at, const char *end)
{
    struct json_part token;

    while (*at < end && strchr(" \t\r\n", **at) != NULL)
        ++*at;
    token.at = *at;
    if (*at < end && **at == '"') {
        for (++*at; *at < end && **at != '"'; ++*at)
            *at += **at == '\\';
        ++*at;
    } else {
        while (*at < end && strchr("+-.eE0123456789", **at) != NULL)
            ++*at;
        *at += *at == token.at && *at < end;
    }
    token.len = (size_t)(*at - token.at);
    return token;
}

/* Are they values of jsonb, or arrays, that differ only in how numbers are written: {"a": 1.0} and
 * {"a": 1.00}? The server has put their keys into the same order. */
__attribute__((noinline)) static bool json_eq(const struct source_value *a,
                                              const struct source_value *b)
{
    const char *left = a->text.data, *right = b->text.data;
    struct json_part x, y;

    if (a->kind != SOURCE_JSON || b->kind != SOURCE_JSON)
        return false;
    do {
        x = next_token(&left, a->text.data + a->text.len);
        y = next_token(&right, b->text.data + b->text.len);
    } while (x.len > 0 && (json_part_eq(&x, &y) || decimal_equal(x.at, x.len, y.at, y.len)));
    return x.len == 0 && y.len == 0;
}

static bool same_value(const struct source_value *a, const struct source_value *b)
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

/* Does the row continue the open object? Compared from the right, where rows differ first. */
static bool continues(const struct json_rows *rows, const struct level *level,
                      const struct source_value *row)
{
    if (!level->open)
        return false;
    for (size_t i = level->end; i-- > level->first;) {
        if (!same_value(&rows->previous[i], &row[i]) &&
            !number_eq(&rows->previous[i], &row[i], rows->columns[i].declared) &&
            !json_eq(&rows->previous[i], &row[i]))
            return false;
    }
    return true;
}

/* Keep a copy of the values of the level, for continues(). */
static int remember_values(struct json_rows *rows, struct level *level,
                           const struct source_value *row, struct err *err)
{
    struct buf *text = &level->previous_text;
    size_t at = 0;

    buf_reset(text);
    for (size_t i = level->first; i < level->end; i++) {
        rows->previous[i] = row[i];
        if (row[i].kind >= SOURCE_TEXT)
            buf_add(text, row[i].text.data, row[i].text.len);
    }
    if (buf_is_starved(text))
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (buf_failed(text))
        return err_set(err, -E_SOURCE, "A row of the report is too large.");
    /* The buffer does not move any more. */
    for (size_t i = level->first; i < level->end; i++) {
        if (row[i].kind < SOURCE_TEXT)
            continue;
        rows->previous[i].text.data = text->data + at;
        at += row[i].text.len;
    }
    return 0;
}

/* ---- rows ---- */

/* A number whose length is known only once it is printed: an exponent or a scale adds zeros or
 * removes digits. */
static bool prints_number(const struct plan_column *column, enum source_kind kind)
{
    const struct column *declared = column->declared;

    if (declared == NULL)
        return kind == SOURCE_NUMERIC;
    return kind != SOURCE_NULL &&
           (declared->type == COLUMN_DECIMAL || declared->type == COLUMN_SCALED);
}

static int add_values(struct json_rows *rows, const struct level *level,
                      const struct source_value *row, struct buf *out, struct err *err)
{
    for (size_t i = level->first; i < level->end; i++) {
        struct plan_column *column = &rows->columns[i];
        const bool number = prints_number(column, row[i].kind);
        size_t at;
        int rc;

        if (!number && (column->declared == NULL || row[i].kind >= SOURCE_TEXT))
            seen_add(&column->seen, &row[i]);
        add_span(rows, column->before, out);
        at = out->len;
        rc = json_value_add(out, &row[i], column->name, column->declared, err);
        if (rc < 0)
            return rc;
        if (buf_is_starved(out))
            return err_set(err, -E_NOMEM, "Out of memory.");
        if (buf_failed(out))
            return misfit(column->name, "makes a row that is too large", err);
        if (number)
            seen_add_number(&column->seen, row[i].kind, out->len - at);
    }
    return 0;
}

/* Checks the columns from `first` on. */
static bool all_null(const struct json_rows *rows, size_t first, const struct source_value *row)
{
    for (size_t i = first; i < rows->count; i++) {
        if (row[i].kind != SOURCE_NULL)
            return false;
    }
    return true;
}

/* Close the objects that are open, from the innermost to that of the level. */
static void close_levels(struct json_rows *rows, size_t number, struct buf *out)
{
    for (size_t i = rows->last; i-- > number;) {
        if (!rows->levels[i].open)
            continue;
        buf_add(out, "]}", 2);
        rows->levels[i].open = rows->levels[i + 1].any = false;
    }
}

/* Write one object of the level, which stays open if there is a level below it. */
static int add_object(struct json_rows *rows, size_t number, const struct source_value *row,
                      struct buf *out, struct err *err)
{
    struct level *level = &rows->levels[number];
    int rc;

    if (level->any)
        buf_add_char(out, ',');
    level->any = true;
    if (number == 0) {
        rows->objects++;
        rows->object_at = out->len;
    }
    rc = add_values(rows, level, row, out, err);
    add_span(rows, level->close, out);
    if (rc < 0 || number == rows->last)
        return rc;
    level->open = true;
    return remember_values(rows, level, row, err);
}

int json_rows_add(struct json_rows *rows, const struct source_value *row, struct buf *out,
                  struct err *err)
{
    size_t number = 0;
    int rc = 0;

    while (number < rows->last && continues(rows, &rows->levels[number], row))
        number++;
    close_levels(rows, number, out);
    for (; rc == 0 && number <= rows->last; number++) {
        if (number > 0 && all_null(rows, rows->levels[number].first, row))
            break;
        rc = add_object(rows, number, row, out, err);
    }
    return rc;
}

size_t json_rows_objects(const struct json_rows *rows)
{
    return rows->objects;
}

void json_rows_end(struct json_rows *rows, struct buf *out)
{
    close_levels(rows, 0, out);
}

size_t json_rows_object_at(const struct json_rows *rows)
{
    return rows->object_at;
}

/* ---- what the columns are ---- */

static char *copy_key(const struct json_part *key)
{
    return key->len > 0 ? strndup(key->at, key->len) : NULL;
}

/* "array.object.leaf"; NULL: out of memory. */
static char *full_name(const struct json_path *path)
{
    struct buf name;

    buf_init(&name, NAME_BYTES_MAX);
    for (size_t i = 0; i < path->level; i++) {
        buf_add(&name, path->arrays[i].at, path->arrays[i].len);
        buf_add_char(&name, '.');
    }
    if (path->object.len > 0) {
        buf_add(&name, path->object.at, path->object.len);
        buf_add_char(&name, '.');
    }
    buf_add(&name, path->leaf.at, path->leaf.len);
    return buf_take(&name);
}

static bool describe_column(const struct plan_column *column, const struct definition *def,
                            struct footer_column *ret)
{
    const struct json_path *path = &column->path;
    const struct column *declared = definition_column(def, column->name);
    const char *label = declared != NULL ? declared->label : NULL;
    const char *unit = declared != NULL ? declared->unit : NULL;

    *ret = (struct footer_column){.name = full_name(path),
                                  .label = label != NULL ? strdup(label) : NULL,
                                  .unit = unit != NULL ? strdup(unit) : NULL,
                                  .object = copy_key(&path->object),
                                  .leaf = copy_key(&path->leaf),
                                  .level = (int)path->level,
                                  .longest = column->seen.longest};
    ret->type = seen_type(&column->seen, column->declared, &ret->scale);
    return ret->name != NULL && ret->leaf != NULL && (label == NULL || ret->label != NULL) &&
           (unit == NULL || ret->unit != NULL) && (path->object.len == 0 || ret->object != NULL);
}

int json_rows_describe(const struct json_rows *rows, const struct definition *def,
                       struct footer_part *part, struct err *err)
{
    bool good = true;

    part->columns = calloc(rows->count + 1, sizeof(part->columns[0]));
    if (part->columns == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    for (size_t i = 0; i < rows->count; i++)
        good &= describe_column(&rows->columns[i], def, &part->columns[part->column_count++]);
    for (size_t i = 0; i < rows->last; i++) {
        part->arrays[i] = copy_key(&rows->columns[rows->count - 1].path.arrays[i]);
        good &= part->arrays[i] != NULL;
    }
    return good ? 0 : err_set(err, -E_NOMEM, "Out of memory.");
}
