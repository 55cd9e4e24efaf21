/* src/base/buf.h -- a growable byte buffer with a maximum from birth, and arrays that grow. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Failure is sticky: after an add that does not fit (or finds no memory) the buffer keeps what it
 * had, ignores further adds and buf_failed() is true, so a writer checks once, at the end. */
struct buf {
    char *data; /* always NUL-terminated once something was added; NULL before */
    size_t len; /* bytes in use, without the NUL */
    size_t cap; /* at most max + 1 */
    size_t max;
    bool failed, starved;
    bool borrowed; /* `data` */
};

/* Its memory is room[size], which is borrowed: at most size - 1 bytes. Not for buf_take(). */
void buf_init_in(struct buf *b, char *room, size_t size);
void buf_init(struct buf *b, size_t max); /* `max` bytes of content at most */
void buf_done(struct buf *b);
void buf_reset(struct buf *b); /* empty, not failed; keeps the memory */
bool buf_failed(const struct buf *b);
bool buf_is_starved(const struct buf *b); /* failed for want of memory, not of room */

/* buf_reserve() of a buffer that may have to grow. */
char *buf_grow(struct buf *b, size_t n);

/* Room for `n` more bytes: the place to write them, or NULL (then the buffer has failed). Inline,
 * like buf_add(), because every value of a report passes through it. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
    return n < b->cap - b->len && !b->failed ? b->data + b->len : buf_grow(b, n);
}

/* Append bytes. Nothing is added to a buffer that has failed, here and below. */
static inline void buf_add(struct buf *b, const void *data, size_t n)
{
    char *place = buf_reserve(b, n);

    if (place == NULL)
        return;
    if (n > 0)
        memcpy(place, data, n);
    b->len += n;
    place[n] = '\0';
}

/* Append one byte. */
static inline void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

/* Append a string, without its NUL. */
void buf_add_str(struct buf *b, const char *s);
/* Append what printf would print. */
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The content as a string that is yours to free(); NULL if the buffer has failed. Empties it. */
char *buf_take(struct buf *b);
/* The content as a string, borrowed until the next change; "" when empty. */
const char *buf_str(const struct buf *b);

/* Make room for one more element after `count` of `size` bytes: `array` is the address of the
 * pointer to them, as for realloc(), and *room, their capacity, doubles. False: out of memory, and
 * nothing has changed. */
bool array_grow(void *array, size_t count, size_t *room, size_t size);
