/* src/render/form_lines.c -- copies the elements of results, and makes the commas between them line
 * breaks. */
#include "render/form_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "core/block_sums.h"

enum { BORDER_MAX = 4 << 10 };

struct form_lines {
    const struct form_spec *spec;
    const struct footer_part *part;
    struct buf border; /* the end of an element and the beginning of the next one: },{"KEY": */
    char room[BORDER_MAX];
    char rest[BORDER_MAX]; /* the last bytes read, in which a border may begin */
    size_t rest_len;
    int64_t at, borders; /* the next byte to read; how many borders there were before it */
};

/* ---- what a border is ---- */

/* The first key of the objects at a level. NULL: there are no such objects. */
static const char *first_key(const struct footer_part *part, int level)
{
    for (size_t i = 0; i < part->column_count; i++) {
        const struct footer_column *column = &part->columns[i];

        if (column->level == level)
            return column->object != NULL ? column->object : column->leaf;
    }
    return level < FOOTER_ARRAYS_MAX ? part->arrays[level] : NULL;
}

/* An object follows a comma only in an array. A JSON value may have an array of any objects; those
 * in the arrays of an element must not begin as the element does. */
static bool elements_differ(const struct footer_part *part)
{
    const char *key = first_key(part, 0);

    for (size_t i = 0; i < part->column_count; i++) {
        if (part->columns[i].type == FOOTER_JSON)
            return false;
    }
    for (int level = 1; level <= FOOTER_ARRAYS_MAX; level++) {
        const char *other = first_key(part, level);

        if (other != NULL && strcmp(other, key) == 0)
            return false;
    }
    return true;
}

/* In a text a quote has a backslash before it, so the one of a border begins the key, or ends a
 * text with the same bytes. No key that is allowed here begins with what may follow a text. */
static bool plan_border(struct form_lines *lines)
{
    const char *key = first_key(lines->part, 0);

    if (key == NULL || (*key != '\0' && strchr(",:]}", *key) != NULL))
        return false;
    buf_add_str(&lines->border, "},{");
    if (!json_add_text(&lines->border, key, strlen(key)))
        return false;
    buf_add_char(&lines->border, ':');
    return !buf_failed(&lines->border);
}

static bool suits(struct form_lines *lines)
{
    const struct footer_part *part = lines->part;

    return lines->spec->footer->sums_at != 0 && part->at >= 0 && part->at <= part->end &&
           part->end <= lines->spec->bytes && plan_border(lines) && elements_differ(part);
}

/* ---- lines ---- */

/* Up to the end of a block, which is read without a copy if it is wanted as a whole. */
static int read_block(struct form_lines *lines, struct buf *out, struct err *err)
{
    int64_t left = lines->part->end - lines->at, size = SUMMED_BLOCK - lines->at % SUMMED_BLOCK;
    size_t len = (size_t)(size < left ? size : left);
    char *room = buf_reserve(out, len);
    int rc;

    if (room == NULL)
        return err_no_memory(err);
    rc = lines->spec->read(lines->spec->context, lines->at, room, len, err);
    if (rc < 0)
        return rc;
    out->len += len;
    out->data[out->len] = '\0';
    lines->at += (int64_t)len;
    return 0;
}

/* Break the lines from place `from` on. Returns the place from which on a border may begin whose
 * end has not been read. */
static size_t break_lines(struct form_lines *lines, struct buf *out, size_t from)
{
    const size_t len = lines->border.len;
    char *brace;

    for (; out->len - from >= len; from = (size_t)(brace - out->data) - 1) {
        brace = memchr(out->data + from + 2, '{', out->len - from - len + 1);
        if (brace == NULL)
            return out->len - len + 1;
        if (memcmp(brace - 2, lines->border.data, len) == 0) {
            brace[-1] = '\n';
            lines->borders++;
        }
    }
    return from;
}

static int end_lines(struct form_lines *lines, struct buf *out, struct err *err)
{
    int64_t rows = lines->part->at < lines->part->end ? lines->borders + 1 : 0;

    if (rows != lines->part->rows)
        return err_damaged(err, "the stored result");
    if (rows > 0)
        buf_add_char(out, '\n');
    return 0;
}

int form_lines_more(struct form_lines *lines, size_t least, struct buf *out, struct err *err)
{
    size_t before = out->len, from = before;

    buf_add(out, lines->rest, lines->rest_len);
    while (lines->at < lines->part->end && out->len - before < least) {
        int rc = read_block(lines, out, err);

        if (rc < 0)
            return rc;
        from = break_lines(lines, out, from);
    }
    if (buf_failed(out))
        return err_no_memory(err);
    if (lines->at == lines->part->end)
        return end_lines(lines, out, err);
    lines->rest_len = out->len - from;
    memcpy(lines->rest, out->data + from, lines->rest_len);
    out->len = from;
    return 1;
}

int form_lines_new(const struct form_spec *spec, struct form_lines **ret, struct err *err)
{
    struct form_lines *lines = calloc(1, sizeof(*lines));

    if (lines == NULL)
        return err_no_memory(err);
    lines->spec = spec;
    lines->part = footer_results(spec->footer);
    lines->at = lines->part->at;
    buf_init_in(&lines->border, lines->room, sizeof(lines->room));
    if (!suits(lines)) {
        form_lines_free(lines);
        lines = NULL;
    }
    *ret = lines;
    return 0;
}

void form_lines_free(struct form_lines *lines)
{
    free(lines);
}
