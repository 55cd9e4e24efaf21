/* src/http/conversion.h -- results that are made into another form, or compressed, as they are
 * sent, off the HTTP threads. */
#pragma once

#include "base/clock.h"
#include "core/report.h"
#include "proc/transfers.h"
#include "render/coding.h"
#include "render/form.h"
#include "render/form_rows.h"
#include "spool/spool.h"

enum {
    CONVERSIONS_MAX = 64,         /* at the same time, and as many windows: each has up to 4 MiB */
    CONVERSIONS_OF_USER_MAX = 16, /* of them */
    CONVERSION_NICE = 10,         /* of the threads that make and send them: requests come first */
};

/* Their queue and its threads; NULL: no memory. */
struct conversions;
struct conversions *conversions_new(void);
void conversions_free(struct conversions *conversions); /* when there is none; NULL is fine */

/* How many there are, windows too. Any thread. */
int64_t conversions_count(struct conversions *conversions);

/* One of them. While a block is sent it makes the next one, and no more. */
struct conversion;
struct conversion_spec {
    struct form_window window; /* count > 0: one block, these elements as they are stored */
    enum form form;            /* else all of it in this form … */
    struct form_options options;
    enum coding coding;                  /* … and coding */
    uint8_t digest[REPORT_DIGEST_BYTES]; /* of the JSON, which is compared with it in that form */
    int64_t user_id;                     /* who gets it */
    struct transfer *transfer;           /* borrowed: once it has ended, so does the conversion */
};
/* Takes over `reader`, unless it fails. -E_BUSY: there are CONVERSIONS_MAX, or too many of the
 * user. *ret is yours: conversion_free(). */
int conversion_new(struct conversions *conversions, struct spool_reader *reader,
                   const struct conversion_spec *spec, struct conversion **ret, struct err *err);
/* Not while a request waits for a block; one that is being made ahead ends soon. NULL is fine. */
void conversion_free(struct conversion *conversion);

/* Go on to the next block. `done` is called once, at once or on a thread of the queue, and must not
 * block; from then on the conversion may be used, or freed. Until then `transfer` must be there. */
void conversion_next(struct conversion *conversion, void (*done)(void *owner), void *owner);
/* How making the block went: 1, or 0, it was the last one; else a negative code, and none of it can
 * be sent: of form_new(), form_more() or spool_reader_read(), or -E_NOT_FOUND, the transfer has
 * ended. */
int conversion_state(const struct conversion *conversion, struct err *err);
/* Of the window: how many elements there are; after the first block. */
int64_t conversion_count(const struct conversion *conversion);
/* Borrowed; after the first block. */
const struct footer *conversion_footer(const struct conversion *conversion);
const struct buf *conversion_block(const struct conversion *conversion);
/* YYYY-MM-DD of the result's generatedDate; "" before the first block, and in JSON without one. */
const char *conversion_date(const struct conversion *conversion);

enum { RESULT_HEAD_MAX = 512 };
/* The same from the first bytes of a result. False: it is not there. */
bool result_date(const char *head, size_t len, char out[CLOCK_DATE_TEXT]);
