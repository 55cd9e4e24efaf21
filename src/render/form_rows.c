/* src/render/form_rows.c -- reads the rows of a part from the stored JSON, and compares them with
 * the footer's columns. */
#include "render/form_rows.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/json.h"
#include "core/block_sums.h"

enum {
    WINDOW = 2 * SUMMED_BLOCK, /* one block, read where it begins, after the rest of a row … */
    WINDOW_MAX = 256 << 20,    /* … and the maximum for one object */
    SLACK = 32,                /* zeros after the window, at which every search stops */
    KEYS_MAX = 64 << 10,       /* bytes before one value */
    LEVELS_MAX = FOOTER_ARRAYS_MAX + 1,
};

/* The columns of the part's objects, of the elements of their array, or of the array inside
 * those. */
struct level {
    size_t first, end;
    bool any;         /* an object of the open array has been read */
    struct buf close; /* the text after the last value: the end of the object, or the key of the
                       * next array */
    struct buf kept;  /* the values of the open object, if it has an array */
};

struct form_rows {
    form_read_fn *read;
    void *context;
    int64_t bytes; /* of the stored JSON */
    const struct footer_part *part;
    struct level levels[LEVELS_MAX];
    size_t last, depth; /* the deepest level, and that of the next object */
    struct buf *before; /* the text before the value of each column; one for each column of the
                         * part */
    struct form_value *values;
    /* The window: `len` bytes of the JSON, from `base` on; `at` is the read position. */
    char *data;
    size_t cap, len, at;
    int64_t base;
    bool damaged;
    struct buf *lines; /* NULL: values are read; else the window from `copied` on is appended
                        * here … */
    size_t copied;
    bool verbatim; /* … unchanged */
};

/* ---- the window ---- */

static void copy_lines(struct form_rows *rows)
{
    if (rows->lines != NULL)
        buf_add(rows->lines, rows->data + rows->copied, rows->at - rows->copied);
    rows->copied = rows->at;
}

static int widen(struct form_rows *rows, struct err *err)
{
    size_t cap = rows->cap > 0 ? rows->cap * 2 : WINDOW;
    char *data;

    if (cap > WINDOW_MAX)
        return err_damaged(err, "the stored result"); /* no row is that large */
    data = realloc(rows->data, cap + SLACK);
    if (data == NULL)
        return err_no_memory(err);
    rows->data = data;
    rows->cap = cap;
    return 0;
}

/* How many bytes to read: up to the end of a block, if that fits, so that the next one is read as a
 * whole, and none in vain; but as much again as there is of a long row, which is searched from its
 * beginning each time. */
static size_t read_size(const struct form_rows *rows, int64_t left)
{
    int64_t at = rows->base + (int64_t)rows->len, room = (int64_t)(rows->cap - rows->len);
    int64_t again = (int64_t)rows->len / SUMMED_BLOCK * SUMMED_BLOCK;
    int64_t size = SUMMED_BLOCK - at % SUMMED_BLOCK + again;

    size = size < left ? size : left;
    return (size_t)(size < room ? size : room);
}

/* Discard what has been read, and read on. */
static int read_more(struct form_rows *rows, struct err *err)
{
    int64_t left = rows->part->end - (rows->base + (int64_t)rows->len);
    size_t room;
    int rc = 0;

    if (left <= 0)
        return err_damaged(err, "the stored result");
    copy_lines(rows);
    rows->len -= rows->at;
    rows->base += (int64_t)rows->at;
    if (rows->len > 0)
        memmove(rows->data, rows->data + rows->at, rows->len);
    rows->at = rows->copied = 0;
    if (rows->len == rows->cap)
        rc = widen(rows, err);
    if (rc < 0)
        return rc;
    room = read_size(rows, left);
    rc = rows->read(rows->context, rows->base + (int64_t)rows->len, rows->data + rows->len, room,
                    err);
    if (rc < 0)
        return rc;
    rows->len += room;
    memset(rows->data + rows->len, 0, SLACK);
    return 0;
}

/* ---- values: each function returns the position after what it has read. NULL: the window ends
 * before the value does, or rows->damaged ---- */

static char *damage(struct form_rows *rows)
{
    rows->damaged = true;
    return NULL;
}

/* The next '"', '\\' or control character, of which there is always one in the slack. */
#ifdef __SSE2__
static char *find_special(char *at)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1f);

    for (;; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i found = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
            _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
        int mask = _mm_movemask_epi8(found);

        if (mask != 0)
            return at + __builtin_ctz((unsigned)mask);
    }
}
#else
static char *find_special(char *at)
{
    while ((unsigned char)*at >= ' ' && *at != '"' && *at != '\\')
        at++;
    return at;
}
#endif

/* Move from after the opening quote to after the closing one. */
static char *read_text(struct form_rows *rows, char *at, const char *end)
{
    for (;;) {
        at = find_special(at);
        if (at >= end)
            return NULL;
        if (*at == '"')
            return at + 1;
        if (*at != '\\')
            return damage(rows);
        at += 2;
        if (at >= end)
            return NULL;
    }
}

enum { BLANK = 1, DIGIT, STRING, OPENING, CLOSING, OUTSIDE };

static const unsigned char classes[256] = {
    [0 ... '\t' - 1] = OUTSIDE,
    ['\t'] = BLANK,
    ['\n'] = BLANK,
    ['\n' + 1 ... '\r' - 1] = OUTSIDE,
    ['\r'] = BLANK,
    ['\r' + 1 ... ' ' - 1] = OUTSIDE,
    [' '] = BLANK,
    ['0' ... '9'] = DIGIT,
    ['-'] = DIGIT,
    ['+'] = DIGIT,
    ['.'] = DIGIT,
    ['e'] = DIGIT,
    ['E'] = DIGIT,
    ['"'] = STRING,
    ['['] = OPENING,
    ['{'] = OPENING,
    [']'] = CLOSING,
    ['}'] = CLOSING,
};

/* A line must not contain a line break: outside of texts, a blank can replace it. */
static char *skip_json_blanks(const struct form_rows *rows, char *at)
{
    for (; classes[(unsigned char)*at] == BLANK; at++) {
        if (rows->lines != NULL && !rows->verbatim)
            *at = ' ';
    }
    return at;
}

/* An array or an object, taken unchanged. */
static char *read_nested(struct form_rows *rows, char *at, const char *end)
{
    int64_t depth = 0;

    for (;;) {
        unsigned char class = classes[(unsigned char)*at];

        if (at >= end)
            return NULL;
        if (class == OUTSIDE)
            return damage(rows);
        if (class == STRING) {
            at = read_text(rows, at + 1, end);
            if (at == NULL)
                return NULL;
            continue;
        }
        if (class == BLANK) {
            at = skip_json_blanks(rows, at);
            continue;
        }
        at++;
        depth += (class == OPENING) - (class == CLOSING);
        if (depth == 0)
            return at;
    }
}

static char *read_json_word(struct form_rows *rows, char *at, const char *end,
                            struct form_value *value)
{
    static const struct {
        const char *text;
        size_t len;
        enum form_kind kind;
    } words[] = {{"null", 4, FORM_NULL}, {"true", 4, FORM_TRUE}, {"false", 5, FORM_FALSE}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t left = (size_t)(end - at), len = words[i].len < left ? words[i].len : left;

        if (memcmp(at, words[i].text, len) != 0)
            continue;
        *value = (struct form_value){words[i].kind, "", 0};
        return len == words[i].len ? at + len : NULL;
    }
    return damage(rows);
}

static char *read_json_number(char *at, const char *end, struct form_value *value)
{
    const char *first = at;

    while (classes[(unsigned char)*at] == DIGIT)
        at++;
    *value = (struct form_value){FORM_NUMBER, first, (size_t)(at - first)};
    return at < end ? at : NULL;
}

static char *read_json_value(struct form_rows *rows, char *at, const char *end,
                             struct form_value *value)
{
    char *first = at = skip_json_blanks(rows, at);

    if (at >= end)
        return NULL;
    switch (classes[(unsigned char)*at]) {
    case DIGIT:
        if (*at != 'e' && *at != 'E')
            at = read_json_number(at, end, value);
        else
            at = damage(rows);
        break;
    case STRING:
        at = read_text(rows, at + 1, end);
        if (at != NULL)
            *value = (struct form_value){FORM_TEXT, first + 1, (size_t)(at - first) - 2};
        break;
    case OPENING:
        at = read_nested(rows, at, end);
        if (at != NULL)
            *value = (struct form_value){FORM_VALUE, first, (size_t)(at - first)};
        break;
    default:
        at = read_json_word(rows, at, end, value);
    }
    return at != NULL ? skip_json_blanks(rows, at) : NULL;
}

/* ---- objects ---- */

/* The first and the last bytes of both, as many as TYPE has, are the same; they may overlap. */
#define ENDS_MATCH(type, a, b, len)                                                                \
    ({                                                                                             \
        type first_[2], last_[2];                                                                  \
        memcpy(&first_[0], (a), sizeof(type));                                                     \
        memcpy(&first_[1], (b), sizeof(type));                                                     \
        memcpy(&last_[0], (a) + (len) - sizeof(type), sizeof(type));                               \
        memcpy(&last_[1], (b) + (len) - sizeof(type), sizeof(type));                               \
        ((first_[0] ^ first_[1]) | (last_[0] ^ last_[1])) == 0;                                    \
    })

/* As memcmp() == 0, whose call takes longer than the comparison of a key. */
static bool keys_match(const char *a, const char *b, size_t len)
{
    if (len == 1)
        return *a == *b;
    if (len < sizeof(uint32_t) || len > 2 * sizeof(uint64_t))
        return memcmp(a, b, len) == 0;
    return len < sizeof(uint64_t) ? ENDS_MATCH(uint32_t, a, b, len)
                                  : ENDS_MATCH(uint64_t, a, b, len);
}

static char *skip_keys(struct form_rows *rows, char *at, const char *end, const struct buf *keys)
{
    if ((size_t)(end - at) < keys->len)
        return NULL;
    return keys_match(at, keys->data, keys->len) ? at + keys->len : damage(rows);
}

static char *read_object(struct form_rows *rows, char *at, const char *end)
{
    const struct level *level = &rows->levels[rows->depth];

    for (size_t i = level->first; i < level->end; i++) {
        at = skip_keys(rows, at, end, &rows->before[i]);
        if (at != NULL)
            at = read_json_value(rows, at, end, &rows->values[i]);
        if (at == NULL)
            return NULL;
    }
    return skip_keys(rows, at, end, &level->close);
}

/* Keep the values of an object while the elements of its array are read. */
static int keep_values(struct form_rows *rows, struct err *err)
{
    struct level *level = &rows->levels[rows->depth];
    size_t at = 0;

    if (rows->lines != NULL)
        return 0;
    buf_reset(&level->kept);
    for (size_t i = level->first; i < level->end; i++)
        buf_add(&level->kept, rows->values[i].at, rows->values[i].len);
    if (buf_failed(&level->kept))
        return err_no_memory(err);
    for (size_t i = level->first; i < level->end; i++) {
        rows->values[i].at = level->kept.data + at; /* the buffer does not move any more */
        at += rows->values[i].len;
    }
    return 0;
}

/* Clear the values of the levels from rows->depth on. */
static void clear_values(struct form_rows *rows)
{
    for (size_t i = rows->levels[rows->depth].first; i < rows->part->column_count; i++)
        rows->values[i] = (struct form_value){FORM_NULL, "", 0};
}

enum { STEP_END, STEP_ROW, STEP_ON };

/* The end of the array whose elements are at rows->depth, and of the object around it. */
static char *leave_array(struct form_rows *rows, char *at, const char *end, int *ret_step)
{
    static const struct buf closing = {.data = (char *)"]}", .len = 2};

    at = skip_keys(rows, at, end, &closing);
    if (at == NULL)
        return NULL;
    *ret_step = STEP_ON;
    if (!rows->levels[rows->depth].any) {
        clear_values(rows);
        *ret_step = STEP_ROW;
    }
    rows->depth--;
    return at;
}

/* Read the next object, or the end of an array. */
static char *take_step(struct form_rows *rows, int *ret_step)
{
    char *first = rows->data + rows->at, *at = first;
    const char *end = rows->data + rows->len;
    struct level *level = &rows->levels[rows->depth];

    if (at >= end)
        return NULL;
    if (rows->depth > 0 && *at == ']')
        return leave_array(rows, at, end, ret_step);
    if (level->any && *at++ != ',')
        return damage(rows);
    at = read_object(rows, at, end);
    if (at == NULL)
        return NULL;
    if (rows->lines != NULL && !rows->verbatim && rows->depth == 0 && level->any)
        *first = '\n';
    level->any = true;
    *ret_step = rows->depth == rows->last ? STEP_ROW : STEP_ON;
    return at;
}

/* STEP_END, STEP_ROW or STEP_ON, or a negative code. */
static int take_form_step(struct form_rows *rows, struct err *err)
{
    int result = STEP_END, rc = 0;
    size_t depth = rows->depth;
    char *at;

    if (depth == 0 && rows->base + (int64_t)rows->at == rows->part->end)
        return STEP_END;
    while ((at = take_step(rows, &result)) == NULL) {
        rc = rows->damaged ? err_damaged(err, "the stored result") : read_more(rows, err);
        if (rc < 0)
            return rc;
    }
    rows->at = (size_t)(at - rows->data);
    if (result != STEP_ON || rows->depth < depth)
        return result;
    rc = keep_values(rows, err);
    rows->depth++;
    rows->levels[rows->depth].any = false;
    return rc < 0 ? rc : STEP_ON;
}

int form_rows_next(struct form_rows *rows, const struct form_value **ret, struct err *err)
{
    int rc;

    do
        rc = take_form_step(rows, err);
    while (rc == STEP_ON);
    *ret = rows->values;
    return rc;
}

int form_rows_lines(struct form_rows *rows, size_t least, struct buf *out, struct err *err)
{
    size_t before = out->len;
    int rc;

    rows->lines = out;
    do
        rc = take_form_step(rows, err);
    while (rc > STEP_END && out->len - before + rows->at - rows->copied < least);
    if (rc < 0)
        return rc;
    copy_lines(rows);
    if (rc == STEP_END && rows->levels[0].any)
        buf_add_char(out, '\n');
    return rc != STEP_END;
}

/* ---- windows ---- */

/* Jump to the last row with an offset that is not after row `from`: *ret_row is its number. */
static int seek(struct form_rows *rows, const struct footer *footer, int64_t from, int64_t *ret_row,
                struct err *err)
{
    int64_t number = from / footer->stride;
    uint64_t offset;
    int rc;

    *ret_row = 0;
    if (number == 0 || number >= footer->index_count)
        return 0;
    rc = rows->read(rows->context, footer->index_at + number * (int64_t)sizeof(offset), &offset,
                    sizeof(offset), err);
    if (rc < 0)
        return rc;
    offset = le64toh(offset);
    if (offset <= (uint64_t)rows->part->at || offset >= (uint64_t)rows->part->end)
        return err_damaged(err, "the stored result");
    rows->base = (int64_t)offset - 1; /* including the comma */
    rows->levels[0].any = true;
    *ret_row = number * footer->stride;
    return 0;
}

/* Skip the next element: 1; 0: there is none. */
static int pass_element(struct form_rows *rows, struct err *err)
{
    int rc;

    do
        rc = take_form_step(rows, err);
    while (rc > STEP_END && rows->depth > 0);
    return rc > STEP_END ? 1 : rc;
}

/* Copy elements while they are wanted and fit; one that does not fit is cut off again. */
static int copy_elements(struct form_rows *rows, const struct form_window *window, struct buf *out,
                         int64_t *ret_count, struct err *err)
{
    size_t before = out->len, fits = out->len;
    int rc = 1;

    rows->lines = out;
    rows->copied = rows->at;
    rows->verbatim = true;
    while (*ret_count < window->count && rc > 0) {
        size_t len;

        rc = pass_element(rows, err);
        len = out->len + rows->at - rows->copied;
        if (rc <= 0 || len - before > window->most)
            break;
        fits = len;
        ++*ret_count;
    }
    if (rc < 0)
        return rc;
    copy_lines(rows);
    if (buf_failed(out))
        return err_no_memory(err);
    out->len = fits;
    if (fits > before && out->data[before] == ',')
        memmove(out->data + before, out->data + before + 1, --out->len - before);
    return 0;
}

int form_rows_window(struct form_rows *rows, const struct footer *footer,
                     const struct form_window *window, struct buf *out, int64_t *ret_count,
                     struct err *err)
{
    int64_t row = 0;
    int rc = form_rows_begin(rows, footer_results(footer), err);

    *ret_count = 0;
    if (rc < 0 || window->from >= rows->part->rows)
        return rc;
    rc = seek(rows, footer, window->from, &row, err);
    for (; rc >= 0 && row < window->from; row++) {
        rc = pass_element(rows, err);
        if (rc == 0)
            return err_damaged(err, "the stored result");
    }
    return rc < 0 ? rc : copy_elements(rows, window, out, ret_count, err);
}

/* ---- the plan ---- */

static bool add_footer_key(struct buf *out, const char *key, const char *opening)
{
    bool good = key != NULL && json_add_text(out, key, strlen(key));

    buf_add_char(out, ':');
    buf_add_str(out, opening);
    return good;
}

static bool in_same_object(const struct footer_column *a, const struct footer_column *b)
{
    return a->object != NULL && b->object != NULL && strcmp(a->object, b->object) == 0;
}

static bool plan_footer_keys(struct form_rows *rows, const struct level *level, size_t i)
{
    const struct footer_column *column = &rows->part->columns[i];
    const struct footer_column *previous = i > level->first ? column - 1 : NULL;
    bool same = previous != NULL && in_same_object(previous, column), good = true;
    struct buf *before = &rows->before[i];

    if (previous == NULL)
        buf_add_char(before, '{');
    else
        buf_add_str(before, previous->object != NULL && !same ? "}," : ",");
    if (column->object != NULL && !same)
        good = add_footer_key(before, column->object, "{");
    return add_footer_key(before, column->leaf, "") && good && !buf_failed(before);
}

static bool plan_footer_close(struct form_rows *rows, size_t number)
{
    struct level *level = &rows->levels[number];
    bool none = level->first == level->end;
    bool in_object = !none && rows->part->columns[level->end - 1].object != NULL;

    if (number == rows->last) {
        buf_add_str(&level->close, in_object ? "}}" : "}");
        return !none && !buf_failed(&level->close);
    }
    buf_add_str(&level->close, none ? "{" : in_object ? "}," : ",");
    return add_footer_key(&level->close, rows->part->arrays[number], "[") &&
           !buf_failed(&level->close);
}

/* Set where each level begins: the columns are in order of level. */
static bool divide_columns(struct form_rows *rows)
{
    const struct footer_part *part = rows->part;
    size_t at = 0;

    rows->last = 0;
    if (part->column_count > 0 && part->columns[part->column_count - 1].level > 0)
        rows->last = (size_t)part->columns[part->column_count - 1].level;
    for (size_t i = 0; i <= rows->last && i < LEVELS_MAX; i++) {
        rows->levels[i].first = at;
        while (at < part->column_count && part->columns[at].level == (int)i)
            at++;
        rows->levels[i].end = at;
    }
    return rows->last < LEVELS_MAX && at == part->column_count;
}

/* 0, -E_NOMEM, or -E_INTERNAL: these columns are not those of a result. */
static int plan_keys(struct form_rows *rows, struct err *err)
{
    bool good = divide_columns(rows), starved = false;

    for (size_t i = 0; good && i <= rows->last; i++) {
        for (size_t j = rows->levels[i].first; good && j < rows->levels[i].end; j++) {
            good = plan_footer_keys(rows, &rows->levels[i], j);
            starved = buf_is_starved(&rows->before[j]);
        }
        good = good && plan_footer_close(rows, i);
        starved = starved || buf_is_starved(&rows->levels[i].close);
    }
    if (starved)
        return err_no_memory(err);
    return good ? 0 : err_damaged(err, "the stored result");
}

static void forget_part(struct form_rows *rows)
{
    for (size_t i = 0; rows->before != NULL && i < rows->part->column_count; i++)
        buf_done(&rows->before[i]);
    free(rows->before);
    free(rows->values);
    rows->before = NULL;
    rows->values = NULL;
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        buf_done(&rows->levels[i].close);
        buf_done(&rows->levels[i].kept);
        rows->levels[i] = (struct level){0};
        buf_init(&rows->levels[i].close, KEYS_MAX);
        buf_init(&rows->levels[i].kept, WINDOW_MAX);
    }
}

int form_rows_begin(struct form_rows *rows, const struct footer_part *part, struct err *err)
{
    if (rows->part != NULL)
        forget_part(rows);
    rows->part = part;
    rows->before = calloc(part->column_count + 1, sizeof(rows->before[0]));
    rows->values = calloc(part->column_count + 1, sizeof(rows->values[0]));
    if (rows->before == NULL || rows->values == NULL)
        return err_no_memory(err);
    for (size_t i = 0; i < part->column_count; i++)
        buf_init(&rows->before[i], KEYS_MAX);
    rows->base = part->at;
    rows->len = rows->at = rows->copied = rows->depth = 0;
    if (part->at < 0 || part->at > part->end || part->end > rows->bytes)
        return err_damaged(err, "the stored result");
    if (part->rows > 0)
        return plan_keys(rows, err);
    rows->base = part->end; /* there is nothing to read */
    return 0;
}

int form_rows_new(const struct form_spec *spec, struct form_rows **ret, struct err *err)
{
    struct form_rows *rows = calloc(1, sizeof(*rows));
    int rc;

    if (rows == NULL)
        return err_no_memory(err);
    rows->read = spec->read;
    rows->context = spec->context;
    rows->bytes = spec->bytes;
    forget_part(rows);
    rc = widen(rows, err);
    if (rc < 0) {
        form_rows_free(rows);
        return rc;
    }
    memset(rows->data, 0, SLACK);
    *ret = rows;
    return 0;
}

void form_rows_free(struct form_rows *rows)
{
    if (rows == NULL)
        return;
    forget_part(rows);
    free(rows->data);
    free(rows);
}
