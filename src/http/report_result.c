/* src/http/report_result.c -- GET /Report: the result as it is stored, whole or in part, or in
 * another form or coding. */
#include "http/report.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/seam.h"
#include "base/str.h"
#include "http/conversion.h"
#include "http/headers.h"
#include "http/report_find.h"
#include "http/report_result.h"

enum {
    /* W/, hex, quotes, and a tag for the form */
    RESULT_ETAG_TEXT = 2 + 2 * REPORT_DIGEST_BYTES + 2 + FORM_TAG_TEXT,
    RESULT_BASE64_TEXT = 4 * ((REPORT_DIGEST_BYTES + 2) / 3) + 1 /* padded, NUL */
};

/* The validators of a result, made from its row. */
struct tags {
    char etag[RESULT_ETAG_TEXT];
    char stored[2][RESULT_ETAG_TEXT]; /* tags of the JSON, and of its zstd; "": not stored so */
    struct validators validators;     /* the same, for comparing */
    char digest[RESULT_BASE64_TEXT];  /* "": unknown until the result is opened */
    char modified[CLOCK_HTTP_TEXT], expires[CLOCK_HTTP_TEXT];
};

static void tags_digest(struct tags *tags, const uint8_t digest[REPORT_DIGEST_BYTES])
{
    EVP_EncodeBlock((unsigned char *)tags->digest, digest, REPORT_DIGEST_BYTES);
}

static void etag_make(const struct report *report, const struct form_choice *choice,
                      char out[RESULT_ETAG_TEXT])
{
    char digest[2 * REPORT_DIGEST_BYTES + 1], form[FORM_TAG_TEXT] = "";
    bool weak = !form_is_stored(choice);

    sodium_bin2hex(digest, sizeof(digest), report->digest, REPORT_DIGEST_BYTES);
    if (weak || choice->packed)
        form_tag(choice, form);
    snprintf(out, RESULT_ETAG_TEXT, "%s\"%s%s\"", weak ? "W/" : "", digest, form);
}

static void tags_make(struct exchange *ex, const struct report *report,
                      const struct form_choice *choice, struct tags *tags)
{
    *tags = (struct tags){.validators = {.etag = tags->etag,
                                         .stored = {tags->stored[0], tags->stored[1]},
                                         .modified_ms = report->finished_ms,
                                         .now_ms = store_now_ms(ex->services->store)}};
    etag_make(report, choice, tags->etag);
    etag_make(report, &(struct form_choice){.form = FORM_JSON}, tags->stored[0]);
    etag_make(report,
              &(struct form_choice){.form = FORM_JSON, .packed = true, .coding = CODING_ZSTD},
              tags->stored[1]);
    if (!choice->packed)
        tags_digest(tags, report->digest);
    clock_format_http(report->finished_ms, tags->modified);
    clock_format_http(report->expires_ms, tags->expires);
}

static void add_tags(struct exchange *ex, const struct form_choice *choice, const struct tags *tags)
{
    exchange_add_header(ex, "ETag", "%s", tags->etag);
    exchange_add_header(ex, "Last-Modified", "%s", tags->modified);
    exchange_add_header(ex, "Expires", "%s", tags->expires);
    exchange_add_header(ex, "Accept-Ranges", form_is_stored(choice) ? "bytes" : "none");
    if (form_is_stored(choice) && tags->digest[0] != '\0')
        exchange_add_header(ex, "Repr-Digest", "sha-256=:%s:", tags->digest);
    if (!form_is_stored(choice))
        exchange_add_header(ex, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store, no-transform");
}

static struct conditions read_conditions(struct exchange *ex)
{
    return (struct conditions){.match = exchange_header(ex, "If-Match"),
                               .unmodified_since = exchange_header(ex, "If-Unmodified-Since"),
                               .none_match = exchange_header(ex, "If-None-Match"),
                               .modified_since = exchange_header(ex, "If-Modified-Since")};
}

static void refuse_condition(struct exchange *ex, const struct report *report)
{
    if (report->state == REPORT_COMPLETE)
        exchange_fail(ex, -E_PRECONDITION,
                      "The result is not the one that the request names (If-Match, If-None-Match "
                      "or If-Unmodified-Since): nothing was done. HEAD /Report tells its ETag.");
    else
        exchange_fail(ex, -E_PRECONDITION,
                      "The report has no result that the request could name (If-Match or "
                      "If-Unmodified-Since), its status is %s: nothing was done.",
                      report_state_name(report->state));
}

/* `tags` are those of a complete report. */
static enum conditions_outcome check_conditions(struct exchange *ex, const struct report *report,
                                                const struct tags *tags, bool reads)
{
    struct conditions conditions = read_conditions(ex);
    struct validators none = {.now_ms = store_now_ms(ex->services->store)};
    enum conditions_outcome outcome = conditions_check(
        &conditions, report->state == REPORT_COMPLETE ? &tags->validators : &none, reads);

    if (outcome == CONDITIONS_FAIL)
        refuse_condition(ex, report);
    return outcome;
}

bool result_is_conditional(struct exchange *ex)
{
    struct conditions conditions = read_conditions(ex);

    return conditions.match != NULL || conditions.unmodified_since != NULL ||
           conditions.none_match != NULL;
}

bool result_may_be_deleted(struct exchange *ex, const struct report *report)
{
    struct form_choice json = {.form = FORM_JSON};
    struct tags tags;

    tags_make(ex, report, &json, &tags);
    return check_conditions(ex, report, &tags, false) == CONDITIONS_HOLD;
}

void result_not_complete(struct exchange *ex, const struct report *report)
{
    const char *state = report_state_name(report->state);

    if (report->state == REPORT_ERROR)
        err_set(&ex->err, -E_NOT_COMPLETE,
                "The report has no result, because it ended in error: %s", report->message);
    else
        err_set(&ex->err, -E_NOT_COMPLETE,
                "The report is not complete yet, it is %s. Get it when GET /Report/Status says "
                "complete; 'Prefer: wait=30' makes that call wait.",
                state);
    exchange_add_header(ex, "X-Report-State", "%s", state);
    exchange_reply_error(ex, &ex->err, NULL);
}

/* What is sent of a result, and from where. */
struct sending {
    struct form_choice choice;
    struct conversion *conversion; /* NULL: sent as stored, by … */
    struct spool_reader *reader;   /* … this */
    struct pack_frames frames;     /* frames that are sent; `end` 0: the JSON is sent */
    enum range_kind kind;
    int64_t first, length;
    bool unmodified; /* the client already has it */
};

/* The size of what is sent, or of what a range is part of. */
static int64_t whole_size(const struct sending *sending)
{
    return sending->frames.end > 0 ? sending->frames.end : spool_reader_size(sending->reader);
}

/* The reader's offset of the first byte. */
static int64_t first_place(const struct sending *sending)
{
    return sending->first + (sending->frames.end > 0 ? spool_reader_size(sending->reader) : 0);
}

static void free_sending(void *state)
{
    struct sending *sending = state;

    if (sending == NULL)
        return;
    conversion_free(sending->conversion);
    spool_reader_free(sending->reader);
    free(sending);
}

/* Choose the whole result or the requested range; false: replied that there is no such range. */
static bool choose_part(struct exchange *ex, const struct tags *tags, struct sending *sending)
{
    int64_t size = whole_size(sending);
    bool ranges = !ex->head && if_range_holds(exchange_header(ex, "If-Range"), &tags->validators);

    sending->length = size;
    sending->kind = range_read(ranges ? exchange_header(ex, "Range") : NULL, size, &sending->first,
                               &sending->length);
    if (sending->kind != RANGE_NONE)
        return true;
    exchange_add_header(ex, "Content-Range", "bytes */%" PRId64, size);
    exchange_fail(ex, -E_RANGE, "The result has %" PRId64 " bytes: ask for a range in 0-%" PRId64,
                  size, size - 1);
    return false;
}

static void send_result_part(struct exchange *ex, struct sending *sending)
{
    int status = sending->kind == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
    struct spool_reader *reader = sending->reader;
    int64_t at = first_place(sending);
    int fd = spool_reader_take_fd(reader, &at);

    sending->reader = NULL;
    if (fd >= 0)
        exchange_reply_file(ex, status, fd, at, sending->length);
    else
        exchange_reply_reader(ex, status, reader, at, sending->length);
}

/* The result cannot be sent although the row says complete: it was deleted meanwhile, or
 * `ex->err`. */
static void result_missing(struct exchange *ex)
{
    if (!ex->op.find.found) {
        report_reply_unknown(ex);
        return;
    }
    if (ex->err.code == -E_NOT_FOUND)
        err_set(&ex->err, -E_LOST,
                "The result of this report was lost on the server: delete the report, and submit "
                "it again if it is still needed.");
    exchange_reply_error(ex, &ex->err, NULL);
}

/* A failure in a transfer that was ended means nothing: the report was deleted, or the node has
 * lost its lease and the result is still intact. */
void result_trouble(struct exchange *ex)
{
    bool ended = transfer_is_ended(ex->transfer);

    if (ended)
        transfer_out_of_touch(&ex->err);
    if (ended || ex->err.code == -E_NOT_FOUND || ex->err.code == -E_INTERNAL)
        report_find(ex, &ex->op.find.id, result_missing);
    else
        exchange_reply_error(ex, &ex->err, NULL);
}

/* The day on which the report was generated; for a later range, the day on which that began. */
static void find_date(const struct sending *sending, const struct report *report,
                      char out[CLOCK_DATE_TEXT])
{
    char head[RESULT_HEAD_MAX];
    ssize_t len = -1;

    if (sending->conversion != NULL && conversion_date(sending->conversion)[0] != '\0') {
        str_copy(out, CLOCK_DATE_TEXT, conversion_date(sending->conversion));
        return;
    }
    if (sending->reader != NULL && spool_reader_is_ready(sending->reader, 0))
        len = spool_reader_read(sending->reader, 0, head, sizeof(head), NULL);
    if (len < 0 || !result_date(head, (size_t)len, out))
        clock_format_date(report->started_ms, out);
}

static void add_file_name(struct exchange *ex, const struct sending *sending)
{
    const struct report *report = &ex->op.find.report;
    char date[CLOCK_DATE_TEXT];

    if (sending->choice.form == FORM_JSON && !sending->choice.download)
        return;
    find_date(sending, report, date);
    exchange_add_header(ex, "Content-Disposition", "attachment; filename=\"%s-%s.%s\"",
                        report->name, date, form_word(sending->choice.form));
}

bool result_may_be_sent(struct exchange *ex)
{
    bool may = transfer_send(ex->transfer);

    if (!may)
        result_trouble(ex);
    return may;
}

/* Begin the transfer and add the headers that describe it. False: replied that it is not
 * possible. */
static bool begin_sending(struct exchange *ex, struct tags *tags)
{
    struct sending *sending = ex->state;

    if (!result_may_be_sent(ex))
        return false;
    tags_make(ex, &ex->op.find.report, &sending->choice, tags);
    if (sending->choice.packed)
        tags_digest(tags, sending->frames.digest);
    add_tags(ex, &sending->choice, tags);
    if (sending->choice.coding != CODING_IDENTITY)
        exchange_add_header(ex, MHD_HTTP_HEADER_CONTENT_ENCODING, "%s",
                            coding_name(sending->choice.coding));
    add_file_name(ex, sending);
    return true;
}

/* Is the first part what was written? Checked while an error status can still be sent. A step. */
static void result_ready(struct exchange *ex)
{
    struct sending *sending = ex->state;
    int64_t size = whole_size(sending);
    struct tags tags;
    char byte;

    if (spool_reader_read(sending->reader, first_place(sending), &byte, 1, &ex->err) < 0) {
        result_trouble(ex);
        return;
    }
    if (!begin_sending(ex, &tags))
        return;
    if (sending->kind == RANGE_PART)
        exchange_add_header(ex, "Content-Range", "bytes %" PRId64 "-%" PRId64 "/%" PRId64,
                            sending->first, sending->first + sending->length - 1, size);
    else
        exchange_add_header(ex, "Content-Digest", "sha-256=:%s:", tags.digest);
    send_result_part(ex, sending);
}

static void on_result_ready(void *owner)
{
    exchange_wake(owner);
}

/* Run `step` when the reader has the byte at this offset. */
static void await_place(struct exchange *ex, int64_t at, void (*step)(struct exchange *ex))
{
    struct sending *sending = ex->state;

    if (spool_reader_is_ready(sending->reader, at)) {
        step(ex);
        return;
    }
    exchange_await(ex, step);
    spool_reader_fetch(sending->reader, at, on_result_ready, ex);
}

static void send_stored(struct exchange *ex, const struct tags *tags)
{
    struct sending *sending = ex->state;

    if (choose_part(ex, tags, sending))
        await_place(ex, first_place(sending), result_ready);
}

/* 304, with the length that 200 would have; -1: unknown. */
static void reply_unmodified(struct exchange *ex, const struct tags *tags, int64_t size)
{
    const struct sending *sending = ex->state;

    add_tags(ex, &sending->choice, tags);
    exchange_reply_unmodified_bytes(ex, size);
}

/* The stored frames are known. A step. */
static void frames_ready(struct exchange *ex)
{
    struct sending *sending = ex->state;
    struct tags tags;

    if (spool_reader_frames(sending->reader, &sending->frames, &ex->err) < 0) {
        result_trouble(ex);
        return;
    }
    tags_make(ex, &ex->op.find.report, &sending->choice, &tags);
    if (!sending->unmodified)
        send_stored(ex, &tags);
    else if (result_may_be_sent(ex))
        reply_unmodified(ex, &tags, whole_size(sending));
}

int result_open(struct exchange *ex, struct spool_reader **ret)
{
    struct store_find *find = &ex->op.find;
    void *bytes = find->result;

    SEAM_STEP("http", "result", "found");
    if (!find->report.in_row)
        return spool_reader_new(ex->services->spool, &find->report, ret, &ex->err);
    find->result = NULL; /* the reader takes over the bytes */
    return spool_reader_of_bytes(&find->report, bytes, find->result_len, ret, &ex->err);
}

/* ---- another form, or coding ---- */

/* The first block is ready, or has failed. A step. */
static void conversion_ready(struct exchange *ex)
{
    struct sending *sending = ex->state;
    struct conversion *conversion = sending->conversion;
    struct tags tags;

    if (conversion_state(conversion, &ex->err) < 0) {
        result_trouble(ex);
        return;
    }
    if (!begin_sending(ex, &tags))
        return;
    sending->conversion = NULL;
    exchange_reply_conversion(ex, form_media_type(sending->choice.form), conversion);
}

/* Pass the reader to a conversion. -E_BUSY: too many are in progress. */
static int start_conversion(struct exchange *ex, struct sending *sending)
{
    struct conversion_spec spec = {.form = sending->choice.form,
                                   .options = sending->choice.options,
                                   .coding = sending->choice.coding,
                                   .user_id = ex->user->id,
                                   .transfer = ex->transfer};
    int rc;

    memcpy(spec.digest, ex->op.find.report.digest, sizeof(spec.digest));
    rc = conversion_new(ex->services->conversions, sending->reader, &spec, &sending->conversion,
                        &ex->err);
    if (rc == 0)
        sending->reader = NULL;
    else if (rc == -E_BUSY)
        exchange_count_limit(ex, LIMIT_CONVERSIONS);
    return rc;
}

/* ---- the steps ---- */

static void reply_result(struct exchange *ex, const struct tags *tags)
{
    struct sending *sending = ex->state;
    struct form_choice *choice = &sending->choice;
    int rc = result_open(ex, &sending->reader);

    if (rc < 0) {
        result_trouble(ex);
        return;
    }
    if (!form_is_stored(choice))
        rc = start_conversion(ex, sending);
    if (rc == -E_BUSY && choice->form == FORM_JSON &&
        codings_accept(&choice->codings, CODING_IDENTITY)) {
        choice->coding = CODING_IDENTITY; /* which cannot be converted */
        rc = 0;
    }
    if (rc < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
    } else if (!form_is_stored(choice)) {
        exchange_await(ex, conversion_ready);
        conversion_next(sending->conversion, on_result_ready, ex);
    } else if (choice->packed) {
        await_place(ex, spool_reader_end(sending->reader), frames_ready);
    } else {
        send_stored(ex, tags);
    }
}

bool result_has_form(struct exchange *ex, const struct report *report, enum form form)
{
    if (report->state != REPORT_COMPLETE) {
        result_not_complete(ex, report);
        return false;
    }
    if (form == FORM_JSON || report->footer != 0)
        return true;
    exchange_fail(
        ex, -E_PARAM,
        "This result is from an older version of the server, which made JSON only: submit "
        "the report again, then get it as %s.",
        form_word(form));
    return false;
}

static void result_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;
    struct sending *sending = ex->state;
    enum conditions_outcome outcome;
    struct tags tags;

    if (!find->found) {
        report_reply_unknown(ex);
        return;
    }
    form_choose_coding(ex, &sending->choice, &find->report);
    tags_make(ex, &find->report, &sending->choice, &tags);
    outcome = check_conditions(ex, &find->report, &tags, true);
    if (outcome == CONDITIONS_FAIL || !result_has_form(ex, &find->report, sending->choice.form))
        return;
    sending->unmodified = outcome == CONDITIONS_CACHED;
    if (sending->unmodified && !sending->choice.packed) {
        reply_unmodified(ex, &tags, form_is_stored(&sending->choice) ? find->report.bytes : -1);
        return;
    }
    reply_result(ex, &tags);
}

void result_send(struct exchange *ex, const struct guid *id, const struct form_choice *choice)
{
    struct sending *sending = exchange_new_state(ex, sizeof(*sending), free_sending);

    if (sending == NULL)
        return;
    sending->choice = *choice;
    exchange_add_header(ex, "Vary", "Accept-Encoding");
    if (form_read_codings(ex, &sending->choice, &ex->err) < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (exchange_transfer(ex, id))
        report_find_result(ex, id, result_found);
}

void report_get(struct exchange *ex)
{
    struct form_choice choice = {0};
    struct guid id;

    exchange_add_header(ex, "Vary", "Accept");
    if (form_choose(ex, &choice, &ex->err) < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (report_reference(ex, &id))
        result_send(ex, &id, &choice);
}
