/* src/http/conversion.c -- a queue whose threads make blocks of results in other forms. */
#include "http/conversion.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "base/work_queue.h"

enum {
    THREADS = 2,
    NICE = 10,           /* requests come first */
    BLOCK_MAX = 1 << 30, /* bytes that one row may make */
};

struct conversions {
    struct work_queue *queue;
    atomic_int count;
};

struct conversion {
    struct conversions *conversions;
    struct spool_reader *reader;
    struct conversion_spec spec;
    sem_t fetched;
    struct footer *footer;
    struct form_writer *writer; /* NULL: before the first block */
    char date[CLOCK_DATE_TEXT];
    struct buf block;
    size_t taken;  /* bytes of it */
    int64_t count; /* elements in it, of a window */
    int state;
    struct err err;
    struct work_item item;
    void (*done)(void *owner); /* NULL: no block is being made */
    void *owner;
};

static int damaged(struct err *err)
{
    return err_set(err, -E_INTERNAL, "the stored result is not what was written");
}

/* ---- reading, on a thread that may wait ---- */

static void on_fetched(void *owner)
{
    struct conversion *conversion = owner;

    sem_post(&conversion->fetched);
}

/* A form_read_fn. */
static int read_result(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    struct conversion *conversion = context;
    char *to = out;

    while (len > 0) {
        ssize_t n;

        if (transfer_is_ended(conversion->spec.transfer))
            return err_set(err, -E_NOT_FOUND, "the report was deleted");
        if (!spool_reader_is_ready(conversion->reader, at)) {
            spool_reader_fetch(conversion->reader, at, on_fetched, conversion);
            while (sem_wait(&conversion->fetched) < 0)
                continue; /* EINTR */
        }
        n = spool_reader_read(conversion->reader, at, to, len, err);
        if (n <= 0)
            return n < 0 ? (int)n : damaged(err);
        to += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

bool result_date(const char *head, size_t len, char out[CLOCK_DATE_TEXT])
{
    static const char key[] = "\"generatedDate\":\"";
    const char *at = memmem(head, len, key, sizeof(key) - 1);

    if (at == NULL || (size_t)(head + len - at) < sizeof(key) - 1 + CLOCK_DATE_TEXT)
        return false;
    memcpy(out, at + sizeof(key) - 1, CLOCK_DATE_TEXT - 1);
    out[CLOCK_DATE_TEXT - 1] = '\0';
    return strspn(out, "0123456789-") == CLOCK_DATE_TEXT - 1;
}

static int read_date(struct conversion *conversion, struct err *err)
{
    int64_t size = spool_reader_size(conversion->reader);
    char head[RESULT_HEAD_MAX];
    size_t len = size < RESULT_HEAD_MAX ? (size_t)size : RESULT_HEAD_MAX;
    int rc = read_result(conversion, 0, head, len, err);

    if (rc < 0)
        return rc;
    return result_date(head, len, conversion->date) ? 0 : damaged(err);
}

static int read_footer(struct conversion *conversion, struct err *err)
{
    int64_t end = spool_reader_end(conversion->reader), at = 0;
    uint8_t trailer[FOOTER_TRAILER];
    char *text = NULL;
    size_t len = 0;
    int rc = 0;

    if (end - spool_reader_size(conversion->reader) < FOOTER_TRAILER)
        return damaged(err);
    rc = read_result(conversion, end - FOOTER_TRAILER, trailer, sizeof(trailer), err);
    if (rc == 0)
        rc = footer_find(trailer, end, &at, &len, err);
    if (rc < 0)
        return rc;
    text = malloc(len + 1);
    rc = text != NULL ? read_result(conversion, at, text, len, err)
                      : err_set(err, -E_NOMEM, "Out of memory.");
    if (rc == 0)
        rc = footer_read(text, len, trailer, &conversion->footer, err);
    free(text);
    return rc;
}

static struct form_spec form_spec(struct conversion *conversion)
{
    return (struct form_spec){.form = conversion->spec.form,
                              .options = conversion->spec.options,
                              .footer = conversion->footer,
                              .bytes = spool_reader_size(conversion->reader),
                              .read = read_result,
                              .context = conversion};
}

static int make_window(struct conversion *conversion, struct err *err)
{
    struct form_rows *rows = NULL;
    struct form_spec spec;
    int rc = read_footer(conversion, err);

    spec = form_spec(conversion);
    rc = rc ?: form_rows_new(&spec, &rows, err);
    rc = rc
             ?: form_rows_window(rows, conversion->footer, &conversion->spec.window,
                                 &conversion->block, &conversion->count, err);
    form_rows_free(rows);
    return rc;
}

static int open_writer(struct conversion *conversion, struct err *err)
{
    struct form_spec spec;
    int rc = read_footer(conversion, err);

    if (rc == 0)
        rc = read_date(conversion, err);
    spec = form_spec(conversion);
    return rc == 0 ? form_new(&spec, &conversion->writer, err) : rc;
}

/* As conversion_state(). */
static int fill_block(struct conversion *conversion, struct err *err)
{
    int rc = 0;

    if (transfer_is_ended(conversion->spec.transfer))
        return err_set(err, -E_NOT_FOUND, "the report was deleted");
    if (conversion->spec.window.count > 0)
        return make_window(conversion, err);
    if (conversion->writer == NULL)
        rc = open_writer(conversion, err);
    return rc ?: form_more(conversion->writer, &conversion->block, err);
}

/* A work_run_fn: one at a time. */
static void make_block(void *context, struct work_item *item)
{
    struct conversion *conversion = container_of(item, struct conversion, item);
    void (*done)(void *owner) = conversion->done;

    (void)context;
    buf_reset(&conversion->block);
    conversion->taken = 0;
    conversion->state = fill_block(conversion, &conversion->err);
    conversion->done = NULL; /* from here on it may be freed */
    done(conversion->owner);
}

/* ---- the queue ---- */

struct conversions *conversions_new(void)
{
    struct conversions *conversions = calloc(1, sizeof(*conversions));

    if (conversions == NULL)
        return NULL;
    conversions->queue = work_queue_new(&(struct work_queue_spec){
        .name = "convert", .threads = THREADS, .nice = NICE, .batch_max = 1, .run = make_block});
    if (conversions->queue == NULL) {
        free(conversions);
        return NULL;
    }
    return conversions;
}

void conversions_free(struct conversions *conversions)
{
    if (conversions == NULL)
        return;
    work_queue_free(conversions->queue);
    CHECK(atomic_load(&conversions->count) == 0);
    free(conversions);
}

int conversion_new(struct conversions *conversions, struct spool_reader *reader,
                   const struct conversion_spec *spec, struct conversion **ret, struct err *err)
{
    struct conversion *conversion = calloc(1, sizeof(*conversion));

    if (conversion == NULL) {
        spool_reader_free(reader);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    conversion->conversions = conversions;
    conversion->reader = reader;
    conversion->spec = *spec;
    sem_init(&conversion->fetched, 0, 0);
    buf_init(&conversion->block, BLOCK_MAX);
    if (atomic_fetch_add(&conversions->count, 1) >= CONVERSIONS_MAX) {
        conversion_free(conversion);
        return err_set(err, -E_BUSY,
                       "Too many results are being converted. Try again in a moment.");
    }
    *ret = conversion;
    return 0;
}

void conversion_free(struct conversion *conversion)
{
    if (conversion == NULL)
        return;
    CHECK(conversion->done == NULL);
    atomic_fetch_sub(&conversion->conversions->count, 1);
    form_free(conversion->writer);
    footer_free(conversion->footer);
    spool_reader_free(conversion->reader);
    buf_done(&conversion->block);
    sem_destroy(&conversion->fetched);
    free(conversion);
}

void conversion_next(struct conversion *conversion, void (*done)(void *owner), void *owner)
{
    CHECK(done != NULL && conversion->done == NULL);
    conversion->done = done;
    conversion->owner = owner;
    work_queue_push(conversion->conversions->queue, &conversion->item);
}

int conversion_state(const struct conversion *conversion, struct err *err)
{
    if (conversion->state < 0)
        *err = conversion->err;
    return conversion->state;
}

size_t conversion_take(struct conversion *conversion, char *out, size_t max)
{
    size_t left = conversion->block.len - conversion->taken, n = left < max ? left : max;

    if (n > 0)
        memcpy(out, conversion->block.data + conversion->taken, n);
    conversion->taken += n;
    return n;
}

const char *conversion_date(const struct conversion *conversion)
{
    return conversion->date;
}

int64_t conversion_count(const struct conversion *conversion)
{
    return conversion->count;
}

const struct footer *conversion_footer(const struct conversion *conversion)
{
    return conversion->footer;
}

const struct buf *conversion_block(const struct conversion *conversion)
{
    return &conversion->block;
}
