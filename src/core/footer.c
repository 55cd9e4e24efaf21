/* src/core/footer.c -- the description of a stored result: JSON, found by the trailer after it. */
#include "core/footer.h"

#include <endian.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "core/json_read.h"

/* No result has that many bytes or rows: sums of such numbers do not overflow. The description was
 * written by a worker, which may have been taken over. */
static const int64_t place_max = INT64_C(1) << 56;

static const char magic[8] = "rdfoot1\n";

struct trailer {
    char magic[sizeof(magic)];
    uint64_t len; /* length of the description, little-endian */
    uint8_t hash[crypto_generichash_BYTES_MIN];
};
_Static_assert(sizeof(struct trailer) == FOOTER_TRAILER, "without padding");

static const char *const type_names[] = {
#define X(name, word) word,
    FOOTER_TYPES(X)
#undef X
};

const char *footer_type_name(enum footer_type type)
{
    return type_names[type];
}

static void hash(const void *text, size_t len, uint8_t out[crypto_generichash_BYTES_MIN])
{
    crypto_generichash(out, crypto_generichash_BYTES_MIN, text, len, NULL, 0);
}

/* ---- writing ---- */

/* Values that are the usual ones are left out. */
static void add_unusual(struct buf *b, const char *key, int64_t value, int64_t usual)
{
    if (value != usual)
        json_add_number(b, key, value);
}

static void add_text_member(struct buf *b, const char *key, const char *text)
{
    if (text == NULL)
        return;
    json_add_key(b, key);
    json_add_string(b, text);
}

static void add_column(struct buf *b, const struct footer_column *column)
{
    buf_add_char(b, '{');
    add_text_member(b, "name", str_eq(column->name, column->leaf) ? NULL : column->name);
    add_text_member(b, "label", column->label);
    add_text_member(b, "unit", column->unit);
    add_text_member(b, "object", column->object);
    add_text_member(b, "leaf", column->leaf);
    add_text_member(b, "type", footer_type_name(column->type));
    add_unusual(b, "level", column->level, 0);
    add_unusual(b, "scale", column->scale, -1);
    add_unusual(b, "longest", column->longest, 0);
    buf_add_char(b, '}');
}

static void add_footer_part(struct buf *b, const struct footer_part *part)
{
    buf_add_char(b, '{');
    add_text_member(b, "name", part->name);
    json_add_number(b, "at", part->at);
    json_add_number(b, "end", part->end);
    json_add_number(b, "rows", part->rows);
    add_text_member(b, "array", part->arrays[0]);
    add_text_member(b, "arrayInArray", part->arrays[1]);
    json_add_key(b, "columns");
    buf_add_char(b, '[');
    for (size_t i = 0; i < part->column_count; i++) {
        if (i > 0)
            buf_add_char(b, ',');
        add_column(b, &part->columns[i]);
    }
    buf_add_str(b, "]}");
}

int footer_write(const struct footer *footer, struct buf *out, struct err *err)
{
    struct trailer trailer;
    size_t begin = out->len;

    buf_add_char(out, '{');
    json_add_number(out, "stride", footer->stride);
    json_add_number(out, "indexAt", footer->index_at);
    json_add_number(out, "indexCount", footer->index_count);
    add_unusual(out, "sumsAt", footer->sums_at, 0);
    json_add_key(out, "parts");
    buf_add_char(out, '[');
    for (size_t i = 0; i < footer->part_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_footer_part(out, &footer->parts[i]);
    }
    buf_add_str(out, "]}");
    if (buf_is_starved(out))
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (buf_failed(out) || out->len - begin > FOOTER_TEXT_MAX)
        return err_set(err, -E_SOURCE, "The report has too many columns.");
    memcpy(trailer.magic, magic, sizeof(magic));
    trailer.len = htole64(out->len - begin);
    hash(out->data + begin, out->len - begin, trailer.hash);
    buf_add(out, &trailer, sizeof(trailer));
    return buf_failed(out) ? err_set(err, -E_NOMEM, "Out of memory.") : 0;
}

/* ---- reading ---- */

int footer_find(const uint8_t bytes[FOOTER_TRAILER], int64_t size, int64_t *ret_at, size_t *ret_len,
                struct err *err)
{
    struct trailer trailer;
    uint64_t len;

    memcpy(&trailer, bytes, sizeof(trailer));
    len = le64toh(trailer.len);
    if (memcmp(trailer.magic, magic, sizeof(magic)) != 0 || len > FOOTER_TEXT_MAX ||
        (int64_t)len + FOOTER_TRAILER > size)
        return err_damaged(err, "the footer of a stored result");
    *ret_at = size - FOOTER_TRAILER - (int64_t)len;
    *ret_len = len;
    return 0;
}

/* Sticky: a member that is missing or of another type makes `ok` false. */
struct reading {
    bool ok;
};

static int64_t get_place(struct reading *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    r->ok = r->ok && json_is_integer(value) && json_integer_value(value) >= -1 &&
            json_integer_value(value) <= place_max;
    return json_integer_value(value);
}

static int64_t get_unusual(struct reading *r, const json_t *object, const char *key, int64_t usual)
{
    return json_object_get(object, key) != NULL ? get_place(r, object, key) : usual;
}

/* A copy of the member; NULL: there is none, which is a fault if it is `needed`. */
static char *get_text(struct reading *r, const json_t *object, const char *key, bool needed)
{
    const json_t *value = json_object_get(object, key);
    char *text = json_is_string(value) ? strdup(json_string_value(value)) : NULL;

    r->ok = r->ok && (text != NULL || (value == NULL && !needed));
    return text;
}

static enum footer_type get_type(struct reading *r, const json_t *object)
{
    const char *word = json_string_value(json_object_get(object, "type"));

    for (int i = 0; word != NULL && i < FOOTER_TYPE_COUNT; i++) {
        if (str_eq(word, type_names[i]))
            return (enum footer_type)i;
    }
    r->ok = false;
    return FOOTER_STRING;
}

static void read_column(struct reading *r, const json_t *json, struct footer_column *ret)
{
    *ret = (struct footer_column){.leaf = get_text(r, json, "leaf", true),
                                  .label = get_text(r, json, "label", false),
                                  .unit = get_text(r, json, "unit", false),
                                  .object = get_text(r, json, "object", false),
                                  .type = get_type(r, json),
                                  .level = (int)get_unusual(r, json, "level", 0),
                                  .scale = (int)get_unusual(r, json, "scale", -1),
                                  .longest = get_unusual(r, json, "longest", 0)};
    ret->name = get_text(r, json, json_object_get(json, "name") != NULL ? "name" : "leaf", true);
    r->ok = r->ok && ret->level >= 0 && ret->level <= FOOTER_ARRAYS_MAX;
}

/* By level, and with a name for each array. */
static bool is_in_order(const struct footer_part *part)
{
    int level = 0;

    for (size_t i = 0; i < part->column_count; i++) {
        if (part->columns[i].level < level)
            return false;
        level = part->columns[i].level;
    }
    return (level < 1 || part->arrays[0] != NULL) && (level < 2 || part->arrays[1] != NULL);
}

static void read_footer_part(struct reading *r, const json_t *json, struct footer_part *ret)
{
    const json_t *columns = json_object_get(json, "columns");
    size_t count = json_array_size(columns);

    *ret = (struct footer_part){
        .name = get_text(r, json, "name", true),
        .at = get_place(r, json, "at"),
        .end = get_place(r, json, "end"),
        .rows = get_place(r, json, "rows"),
        .arrays = {get_text(r, json, "array", false), get_text(r, json, "arrayInArray", false)},
        .columns = calloc(count + 1, sizeof(ret->columns[0]))};
    r->ok = r->ok && ret->columns != NULL && json_is_array(columns) && ret->at <= ret->end;
    for (size_t i = 0; r->ok && i < count; i++)
        read_column(r, json_array_get(columns, i), &ret->columns[ret->column_count++]);
    r->ok = r->ok && is_in_order(ret);
}

static struct footer *read_footer(struct reading *r, const json_t *json)
{
    const json_t *parts = json_object_get(json, "parts");
    size_t count = json_array_size(parts);
    struct footer *footer = calloc(1, sizeof(*footer));

    if (footer == NULL)
        return NULL;
    footer->stride = get_place(r, json, "stride");
    footer->index_at = get_place(r, json, "indexAt");
    footer->index_count = get_place(r, json, "indexCount");
    footer->sums_at = get_unusual(r, json, "sumsAt", 0);
    footer->parts = calloc(count + 1, sizeof(footer->parts[0]));
    r->ok = r->ok && footer->parts != NULL && count > 0 && footer->stride > 0 &&
            footer->index_at >= 0 && footer->index_count >= 0 &&
            footer->index_count <= FOOTER_INDEX_MAX && footer->sums_at >= 0;
    for (size_t i = 0; r->ok && i < count; i++)
        read_footer_part(r, json_array_get(parts, i), &footer->parts[footer->part_count++]);
    return footer;
}

int footer_read(const char *text, size_t len, const uint8_t bytes[FOOTER_TRAILER],
                struct footer **ret, struct err *err)
{
    struct reading reading = {.ok = true};
    uint8_t expected[crypto_generichash_BYTES_MIN];
    struct trailer trailer;
    bool starved;
    json_t *json;

    memcpy(&trailer, bytes, sizeof(trailer));
    hash(text, len, expected);
    if (memcmp(expected, trailer.hash, sizeof(expected)) != 0)
        return err_damaged(err, "the footer of a stored result");
    json = json_read(text, len, NULL, &starved);
    *ret = read_footer(&reading, json);
    json_decref(json);
    if (*ret != NULL && reading.ok)
        return 0;
    footer_free(*ret);
    *ret = NULL;
    return starved ? err_set(err, -E_NOMEM, "Out of memory.")
                   : err_damaged(err, "the footer of a stored result");
}

static void footer_part_done(struct footer_part *part)
{
    free(part->name);
    for (size_t i = 0; i < FOOTER_ARRAYS_MAX; i++)
        free(part->arrays[i]);
    for (size_t i = 0; i < part->column_count; i++) {
        free(part->columns[i].name);
        free(part->columns[i].label);
        free(part->columns[i].unit);
        free(part->columns[i].object);
        free(part->columns[i].leaf);
    }
    free(part->columns);
}

void footer_done(struct footer *footer)
{
    for (size_t i = 0; i < footer->part_count; i++)
        footer_part_done(&footer->parts[i]);
    free(footer->parts);
}

void footer_free(struct footer *footer)
{
    if (footer == NULL)
        return;
    footer_done(footer);
    free(footer);
}

const struct footer_part *footer_results(const struct footer *footer)
{
    return &footer->parts[0];
}
