/* src/http/report_result.c -- GET /Report: the result, whole or in part, from its file. */
#include "http/report.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/seam.h"
#include "base/str.h"
#include "http/conditional.h"
#include "http/report_find.h"

enum {
    RESULT_ETAG_TEXT = 2 * REPORT_DIGEST_BYTES + 3,              /* hex, quoted, NUL */
    RESULT_BASE64_TEXT = 4 * ((REPORT_DIGEST_BYTES + 2) / 3) + 1 /* padded, NUL */
};

/* The validators of a result, made from its row. */
struct tags {
    char etag[RESULT_ETAG_TEXT];
    char digest[RESULT_BASE64_TEXT];
    char modified[CLOCK_HTTP_TEXT], expires[CLOCK_HTTP_TEXT];
};

static void tags_make(const struct report *report, struct tags *tags)
{
    static const char hex[] = "0123456789abcdef";
    char *at = tags->etag;

    *at++ = '"';
    for (int i = 0; i < REPORT_DIGEST_BYTES; i++) {
        *at++ = hex[report->digest[i] >> 4];
        *at++ = hex[report->digest[i] & 15];
    }
    *at++ = '"';
    *at = '\0';
    EVP_EncodeBlock((unsigned char *)tags->digest, report->digest, REPORT_DIGEST_BYTES);
    clock_format_http(report->finished_ms, tags->modified);
    clock_format_http(report->expires_ms, tags->expires);
}

static void add_tags(struct exchange *ex, const struct tags *tags)
{
    exchange_add_header(ex, "ETag", "%s", tags->etag);
    exchange_add_header(ex, "Last-Modified", "%s", tags->modified);
    exchange_add_header(ex, "Expires", "%s", tags->expires);
    exchange_add_header(ex, "Accept-Ranges", "bytes");
    exchange_add_header(ex, "Repr-Digest", "sha-256=:%s:", tags->digest);
}

/* Does the client have it already? */
static bool is_cached(struct exchange *ex, const struct tags *tags)
{
    const char *list = exchange_header(ex, "If-None-Match");
    const char *since = exchange_header(ex, "If-Modified-Since");

    if (list != NULL)
        return etag_listed(list, tags->etag);
    return since != NULL && str_eq(since, tags->modified);
}

static void reply_not_complete(struct exchange *ex, const struct report *report)
{
    const char *state = report_state_name(report->state);

    if (report->state == REPORT_ERROR)
        err_set(&ex->err, -E_NOT_COMPLETE, "The report has no result, its status is error: %s",
                report->message);
    else
        err_set(&ex->err, -E_NOT_COMPLETE,
                "The report is not complete yet, it is %s. Get it when GET /Report/Status says "
                "complete; 'Prefer: wait=60' makes that call wait.",
                state);
    exchange_add_header(ex, "X-Report-State", "%s", state);
    exchange_reply_error(ex, &ex->err, NULL);
}

/* An open result. */
struct result {
    int fd;
    struct unseal *unseal; /* has the descriptor if the file is encrypted; else NULL */
    int64_t size;
};

static void close_result(struct result *result)
{
    if (result->unseal != NULL)
        unseal_free(result->unseal);
    else
        close(result->fd);
}

/* 0: *ret is yours, to send or to close. */
static int open_result(struct exchange *ex, const struct report *report, struct result *ret)
{
    struct result result = {.fd = spool_result(ex->services->spool, &report->id, report->attempt,
                                               &result.size, &ex->err)};

    if (result.fd < 0)
        return result.fd;
    if (report->sealed) {
        int rc = unseal_new(result.fd, report->bytes, report->key, &result.unseal, &ex->err);

        if (rc < 0) {
            close(result.fd);
            return rc;
        }
        result.size = report->bytes;
    }
    *ret = result;
    return 0;
}

/* Is the first byte what was written? Said while there is a status to say it with. */
static bool is_sound(struct exchange *ex, struct result *result, int64_t first)
{
    char byte;

    return result->unseal == NULL || ex->head ||
           unseal_read(result->unseal, first, &byte, 1, &ex->err) >= 0;
}

static void send_result(struct exchange *ex, int status, struct result *result, int64_t first,
                        int64_t length)
{
    if (result->unseal != NULL)
        exchange_reply_unsealed(ex, status, result->unseal, first, length);
    else
        exchange_reply_file(ex, status, result->fd, first, length);
}

static void reply_result(struct exchange *ex, const struct tags *tags, struct result *result)
{
    int64_t size = result->size;
    bool ranges =
        !ex->head && if_range_holds(exchange_header(ex, "If-Range"), tags->etag, tags->modified);
    int64_t first = 0, length = size;
    enum range_kind kind =
        range_read(ranges ? exchange_header(ex, "Range") : NULL, size, &first, &length);

    if (kind == RANGE_NONE) {
        close_result(result);
        exchange_add_header(ex, "Content-Range", "bytes */%" PRId64, size);
        err_set(&ex->err, -E_RANGE,
                "The result has %" PRId64 " bytes: ask for a range in 0-%" PRId64, size, size - 1);
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    if (!is_sound(ex, result, first)) {
        close_result(result);
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    add_tags(ex, tags);
    if (kind == RANGE_PART)
        exchange_add_header(ex, "Content-Range", "bytes %" PRId64 "-%" PRId64 "/%" PRId64, first,
                            first + length - 1, size);
    else
        exchange_add_header(ex, "Content-Digest", "sha-256=:%s:", tags->digest);
    send_result(ex, kind == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, result, first,
                length);
}

/* The file was not there although the row said complete: deleted in between, or lost. */
static void result_missing(struct exchange *ex)
{
    if (!ex->op.find.found) {
        report_reply_unknown(ex);
        return;
    }
    err_set(&ex->err, -E_INTERNAL, "the file of a complete result is missing");
    exchange_reply_error(ex, &ex->err, NULL);
}

static void result_found(struct exchange *ex)
{
    const struct store_find *find = &ex->op.find;
    struct tags tags;
    struct result result;
    int rc;

    if (!find->found) {
        report_reply_unknown(ex);
        return;
    }
    if (find->report.state != REPORT_COMPLETE) {
        reply_not_complete(ex, &find->report);
        return;
    }
    tags_make(&find->report, &tags);
    if (is_cached(ex, &tags)) {
        add_tags(ex, &tags);
        exchange_reply_status(ex, MHD_HTTP_NOT_MODIFIED);
        return;
    }
    SEAM_STEP("http", "result", "found");
    rc = open_result(ex, &find->report, &result);
    if (rc == 0)
        reply_result(ex, &tags, &result);
    else if (rc == -E_NOT_FOUND)
        report_find(ex, &find->id, result_missing);
    else
        exchange_reply_error(ex, &ex->err, NULL);
}

void report_get(struct exchange *ex)
{
    struct guid id;

    if (report_reference(ex, &id))
        report_find(ex, &id, result_found);
}
