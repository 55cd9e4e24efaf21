/* src/base/buf.c -- the growable byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BUF_FIRST_CAP = 256, ARRAY_FIRST = 16 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_init_in(struct buf *b, char *room, size_t size)
{
    room[0] = '\0';
    *b = (struct buf){.data = room, .cap = size, .max = size - 1, .borrowed = true};
}

void buf_done(struct buf *b)
{
    if (!b->borrowed)
        free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = b->starved = false;
    if (b->data != NULL)
        b->data[0] = '\0';
}

bool buf_failed(const struct buf *b)
{
    return b->failed;
}

bool buf_is_starved(const struct buf *b)
{
    return b->starved;
}

/* Make room for `need` bytes: doubles the memory, up to the maximum and its NUL. */
static bool enlarge(struct buf *b, size_t need)
{
    size_t cap = b->cap != 0 ? b->cap : BUF_FIRST_CAP;
    char *data;

    CHECK(!b->borrowed); /* it already has room for its maximum */
    while (cap < need)
        cap *= 2;
    if (cap > b->max)
        cap = b->max + 1;
    data = realloc(b->data, cap);
    b->starved = data == NULL;
    if (data == NULL)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

char *buf_grow(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - b->len ||
        (b->len + n + 1 > b->cap && !enlarge(b, b->len + n + 1))) {
        b->failed = true;
        return NULL;
    }
    return b->data + b->len;
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_format(struct buf *b, const char *format, ...)
{
    va_list args;
    int need;
    char *place;

    va_start(args, format);
    need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    place = need < 0 ? NULL : buf_reserve(b, (size_t)need);
    if (place == NULL) {
        b->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(place, (size_t)need + 1, format, args);
    va_end(args);
    b->len += (size_t)need;
}

char *buf_take(struct buf *b)
{
    char *data = b->failed ? NULL : b->data;

    CHECK(!b->borrowed);
    if (data == NULL && !b->failed)
        return strdup("");
    if (b->failed)
        free(b->data);
    *b = (struct buf){.max = b->max};
    return data;
}

const char *buf_str(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

bool array_grow(void *array, size_t count, size_t *room, size_t size)
{
    size_t more = *room > 0 ? 2 * *room : ARRAY_FIRST;
    void *items;

    if (count < *room)
        return true;
    memcpy(&items, array, sizeof(items)); /* works for a pointer to any type */
    items = reallocarray(items, more, size);
    if (items == NULL)
        return false;
    memcpy(array, &items, sizeof(items));
    *room = more;
    return true;
}
