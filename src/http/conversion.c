/* src/http/conversion.c -- a queue whose threads convert results to other forms and codings, block
 * by block. */
#include "http/conversion.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/seam.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "render/block_reader.h"

enum {
    THREADS = 2,
    BLOCK_MAX = 1 << 30, /* bytes that one row may become */
};

struct conversions {
    struct work_queue *queue;
    struct lock lock;
    LIST_HEAD(, conversion) all;
};

struct block {
    struct buf bytes;
    int state; /* as conversion_state() */
    struct err err;
};

/* While one block is being sent, the other one is made. */
struct conversion {
    struct conversions *conversions;
    LIST_ENTRY(conversion) entry;
    struct spool_reader *reader;
    struct conversion_spec spec;
    sem_t fetched;
    struct footer *footer;
    struct form_writer *writer;   /* NULL: before the first block */
    struct encoder *encoder;      /* NULL: identity */
    EVP_MD_CTX *hash;             /* JSON: of what was read … */
    struct block_reader *checked; /* … other forms and windows: compares what it reads */
    char date[CLOCK_DATE_TEXT];
    struct buf plain; /* input of the encoder */
    int64_t count;    /* elements of a window */
    struct block blocks[2], *block;
    struct lock lock;
    bool making, made; /* the other block */
    bool abandoned;    /* to be freed once `making` ends */
    struct work_item item;
    void (*done)(void *owner); /* NULL: nothing waits for the other block */
    void *owner;
};

/* ---- reading, on a thread that may block ---- */

/* The transfer is only sure to exist while its connection waits for the block. */
static bool conversion_is_ended(struct conversion *conversion)
{
    bool ended;

    lock_take(&conversion->lock);
    ended = conversion->abandoned ||
            (conversion->done != NULL && transfer_is_ended(conversion->spec.transfer));
    lock_release(&conversion->lock);
    return ended;
}

static void on_fetched(void *owner)
{
    struct conversion *conversion = owner;

    sem_post(&conversion->fetched);
}

/* A spool_read_fn. */
static ssize_t read_some(void *context, int64_t at, void *out, size_t max, struct err *err)
{
    struct conversion *conversion = context;

    if (conversion_is_ended(conversion))
        return err_set(err, -E_BUSY, "the transfer was ended");
    sched_yield(); /* even with its nice value it could keep its core until the next tick: 4 ms at
                    * 250 Hz */
    if (!spool_reader_is_ready(conversion->reader, at)) {
        spool_reader_fetch(conversion->reader, at, on_fetched, conversion);
        while (sem_wait(&conversion->fetched) < 0)
            continue; /* EINTR */
    }
    return spool_reader_read(conversion->reader, at, out, max, err);
}

/* A form_read_fn. JSON is read once, from its first byte to its last. */
static int read_stored_result(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    struct conversion *conversion = context;
    int rc = spool_read_all(read_some, context, at, out, len, err);

    if (rc == 0 && conversion->hash != NULL)
        EVP_DigestUpdate(conversion->hash, out, len);
    return rc;
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

static int read_date(struct conversion *conversion, const struct form_spec *spec, struct err *err)
{
    char head[RESULT_HEAD_MAX];
    size_t len = spec->bytes < RESULT_HEAD_MAX ? (size_t)spec->bytes : RESULT_HEAD_MAX;
    int rc = spec->read(spec->context, 0, head, len, err);

    if (rc < 0)
        return rc;
    if (result_date(head, len, conversion->date) || conversion->spec.form == FORM_JSON)
        return 0;
    return err_damaged(err, "the stored result");
}

static int read_stored_footer(struct conversion *conversion, struct err *err)
{
    int64_t end = spool_reader_end(conversion->reader), at = 0;
    uint8_t trailer[FOOTER_TRAILER];
    char *text = NULL;
    size_t len = 0;
    int rc = 0;

    if (end - spool_reader_size(conversion->reader) < FOOTER_TRAILER)
        return err_damaged(err, "the stored result");
    rc = read_stored_result(conversion, end - FOOTER_TRAILER, trailer, sizeof(trailer), err);
    if (rc == 0)
        rc = footer_find(trailer, end, &at, &len, err);
    if (rc < 0)
        return rc;
    text = malloc(len + 1);
    rc = text != NULL ? read_stored_result(conversion, at, text, len, err)
                      : err_set(err, -E_NOMEM, "Out of memory.");
    if (rc == 0)
        rc = footer_read(text, len, trailer, &conversion->footer, err);
    free(text);
    return rc;
}

/* How what is stored is read: JSON needs no footer, which results of older versions do not have. */
static int open_stored(struct conversion *conversion, bool json, struct form_spec *ret,
                       struct err *err)
{
    int rc = json ? 0 : read_stored_footer(conversion, err);

    *ret = (struct form_spec){.form = conversion->spec.form,
                              .options = conversion->spec.options,
                              .footer = conversion->footer,
                              .bytes = spool_reader_size(conversion->reader),
                              .read = read_stored_result,
                              .context = conversion};
    if (json || rc < 0)
        return rc;
    rc = block_reader_new(ret, &conversion->checked, err);
    ret->read = block_reader_read;
    ret->context = conversion->checked;
    return rc;
}

static int make_window(struct conversion *conversion, struct buf *out, struct err *err)
{
    struct form_rows *rows = NULL;
    struct form_spec spec;
    int rc = open_stored(conversion, false, &spec, err) ?: form_rows_new(&spec, &rows, err);

    rc = rc
             ?: form_rows_window(rows, conversion->footer, &conversion->spec.window, out,
                                 &conversion->count, err);
    form_rows_free(rows);
    return rc;
}

static int open_hash(struct conversion *conversion, struct err *err)
{
    conversion->hash = EVP_MD_CTX_new();
    return conversion->hash != NULL && EVP_DigestInit_ex(conversion->hash, EVP_sha256(), NULL) == 1
               ? 0
               : err_set(err, -E_NOMEM, "Out of memory.");
}

static int open_writer(struct conversion *conversion, struct err *err)
{
    bool json = conversion->spec.form == FORM_JSON;
    struct form_spec spec;
    int rc = open_stored(conversion, json, &spec, err) ?: read_date(conversion, &spec, err);

    if (rc == 0 && json)
        rc = open_hash(conversion, err);
    if (rc == 0 && conversion->spec.coding != CODING_IDENTITY)
        rc =
            encoder_new(conversion->spec.coding, json ? spec.bytes : -1, &conversion->encoder, err);
    return rc ?: form_new(&spec, &conversion->writer, err);
}

/* Is the JSON what was written? Compared before its last bytes are sent. */
static int compare_stored(struct conversion *conversion, struct err *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (conversion->hash == NULL)
        return 0;
    EVP_DigestFinal_ex(conversion->hash, digest, NULL);
    return memcmp(digest, conversion->spec.digest, REPORT_DIGEST_BYTES) == 0
               ? 0
               : err_damaged(err, "the stored result");
}

/* The first block is flushed, so that the first byte is sent soon. */
static int write_block(struct conversion *conversion, bool first, struct buf *out, struct err *err)
{
    struct buf *plain = conversion->encoder != NULL ? &conversion->plain : out;
    enum encode how = first ? ENCODE_FLUSH : ENCODE_MORE;
    int more, rc = 0;

    buf_reset(plain);
    more = form_more(conversion->writer, plain, err);
    if (more == 0) {
        how = ENCODE_END;
        rc = compare_stored(conversion, err);
    }
    if (more >= 0 && rc == 0 && conversion->encoder != NULL)
        rc = encoder_add(conversion->encoder, plain->data, plain->len, how, out, err);
    return rc ?: more;
}

/* As conversion_state(). */
static int fill_block(struct conversion *conversion, struct buf *out, struct err *err)
{
    bool first = conversion->writer == NULL;
    int rc = 0;

    if (conversion_is_ended(conversion))
        return err_set(err, -E_BUSY, "the transfer was ended");
    if (conversion->spec.window.count > 0)
        return make_window(conversion, out, err);
    if (first)
        rc = open_writer(conversion, err);
    return rc ?: write_block(conversion, first, out, err);
}

static struct block *other_block(struct conversion *conversion)
{
    return &conversion->blocks[conversion->block == conversion->blocks];
}

/* Make the other block. */
static void queue_block(struct conversion *conversion)
{
    lock_check_held(&conversion->lock);
    CHECK(!conversion->making && !conversion->made);
    conversion->making = true;
    work_queue_push(conversion->conversions->queue, &conversion->item);
}

/* From now on the block that was made is the current one, and the next one is made. */
static void turn(struct conversion *conversion)
{
    lock_check_held(&conversion->lock);
    conversion->block = other_block(conversion);
    conversion->made = false;
    if (conversion->block->state > 0)
        queue_block(conversion);
}

static void conversion_destroy(struct conversion *conversion)
{
    lock_take(&conversion->conversions->lock);
    LIST_REMOVE(conversion, entry);
    lock_release(&conversion->conversions->lock);
    form_free(conversion->writer);
    encoder_free(conversion->encoder);
    EVP_MD_CTX_free(conversion->hash);
    block_reader_free(conversion->checked);
    footer_free(conversion->footer);
    spool_reader_free(conversion->reader);
    buf_done(&conversion->plain);
    for (size_t i = 0; i < 2; i++)
        buf_done(&conversion->blocks[i].bytes);
    sem_destroy(&conversion->fetched);
    lock_done(&conversion->lock);
    free(conversion);
}

/* A work_run_fn: one item at a time. */
static void make_block(void *context, struct work_item *item)
{
    struct conversion *conversion = container_of(item, struct conversion, item);
    struct block *block = other_block(conversion);
    void (*done)(void *owner);
    void *owner;
    bool abandoned;

    (void)context;
    buf_reset(&block->bytes);
    block->state = fill_block(conversion, &block->bytes, &block->err);
    SEAM_STEP("http", "form", "made");
    lock_take(&conversion->lock);
    conversion->making = false;
    conversion->made = true;
    done = conversion->done;
    owner = conversion->owner;
    abandoned = conversion->abandoned;
    conversion->done = NULL;
    if (done != NULL)
        turn(conversion);
    lock_release(&conversion->lock); /* from here on it may be freed */
    if (done != NULL)
        done(owner);
    else if (abandoned)
        conversion_destroy(conversion);
}

/* ---- the queue ---- */

struct conversions *conversions_new(void)
{
    struct conversions *conversions = calloc(1, sizeof(*conversions));

    if (conversions == NULL)
        return NULL;
    lock_init(&conversions->lock);
    LIST_INIT(&conversions->all);
    conversions->queue = work_queue_new(&(struct work_queue_spec){.name = "convert",
                                                                  .threads = THREADS,
                                                                  .nice = CONVERSION_NICE,
                                                                  .batch_max = 1,
                                                                  .run = make_block});
    if (conversions->queue == NULL) {
        lock_done(&conversions->lock);
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
    CHECK(LIST_EMPTY(&conversions->all));
    lock_done(&conversions->lock);
    free(conversions);
}

/* Windows, which are short, do not wait for conversions, and are counted separately. */
static int take_place(struct conversions *conversions, struct conversion *conversion,
                      struct err *err)
{
    const struct conversion_spec *spec = &conversion->spec;
    const struct conversion *other;
    int all = 0, own = 0;

    lock_take(&conversions->lock);
    LIST_INSERT_HEAD(&conversions->all, conversion, entry);
    LIST_FOREACH(other, &conversions->all, entry)
    {
        bool alike = (other->spec.window.count > 0) == (spec->window.count > 0);

        all += alike;
        own += alike && other->spec.user_id == spec->user_id;
    }
    lock_release(&conversions->lock);
    if (own > CONVERSIONS_OF_USER_MAX)
        return err_set(err, -E_BUSY,
                       "Too many results are being converted for you: at most %d at the same "
                       "time. Try again in a moment.",
                       CONVERSIONS_OF_USER_MAX);
    if (all > CONVERSIONS_MAX)
        return err_set(err, -E_BUSY,
                       "Too many results are being converted. Try again in a moment.");
    return 0;
}

int64_t conversions_count(struct conversions *conversions)
{
    const struct conversion *conversion;
    int64_t count = 0;

    lock_take(&conversions->lock);
    LIST_FOREACH(conversion, &conversions->all, entry)
    {
        count++;
    }
    lock_release(&conversions->lock);
    return count;
}

int conversion_new(struct conversions *conversions, struct spool_reader *reader,
                   const struct conversion_spec *spec, struct conversion **ret, struct err *err)
{
    struct conversion *conversion = calloc(1, sizeof(*conversion));
    int rc;

    if (conversion == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    conversion->conversions = conversions;
    conversion->spec = *spec;
    sem_init(&conversion->fetched, 0, 0);
    lock_init(&conversion->lock);
    buf_init(&conversion->plain, BLOCK_MAX);
    for (size_t i = 0; i < 2; i++)
        buf_init(&conversion->blocks[i].bytes, BLOCK_MAX);
    conversion->block = conversion->blocks;
    rc = take_place(conversions, conversion, err);
    if (rc < 0) {
        conversion_free(conversion);
        return rc;
    }
    conversion->reader = reader;
    *ret = conversion;
    return 0;
}

void conversion_free(struct conversion *conversion)
{
    bool making;

    if (conversion == NULL)
        return;
    lock_take(&conversion->lock);
    CHECK(conversion->done == NULL);
    making = conversion->abandoned = conversion->making;
    lock_release(&conversion->lock); /* then the thread that makes the block frees it */
    if (!making)
        conversion_destroy(conversion);
}

void conversion_next(struct conversion *conversion, void (*done)(void *owner), void *owner)
{
    bool made;

    lock_take(&conversion->lock);
    CHECK(done != NULL && conversion->done == NULL);
    made = conversion->made;
    if (made) {
        turn(conversion);
    } else {
        conversion->done = done;
        conversion->owner = owner;
        if (!conversion->making)
            queue_block(conversion);
    }
    lock_release(&conversion->lock);
    if (made)
        done(owner);
}

int conversion_state(const struct conversion *conversion, struct err *err)
{
    if (conversion->block->state < 0)
        *err = conversion->block->err;
    return conversion->block->state;
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
    return &conversion->block->bytes;
}
