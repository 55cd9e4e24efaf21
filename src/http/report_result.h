/* src/http/report_result.h -- what GET /Report and GET /Report/Rows have in common: a result that
 * is opened, or why it cannot be sent. */
#pragma once

#include "http/exchange.h"
#include "http/form_choice.h"
#include "spool/spool.h"

/* After report_find_result(): open the result of a complete report. *ret is yours. What
 * spool_reader_new() returns, with ex->err. */
int result_open(struct exchange *ex, struct spool_reader **ret);
/* Answer with the caller's report in that form: GET /Report once user and reference are known. */
void result_send(struct exchange *ex, const struct guid *id, const struct form_choice *choice);
/* A complete report of the store. False: replied that it has no result in this form. */
bool result_has_form(struct exchange *ex, const struct report *report, enum form form);
/* Does it depend on what the result is: on If-Match, If-Unmodified-Since or If-None-Match? */
bool result_is_conditional(struct exchange *ex);
/* Do these let it be deleted? A report without a result matches nothing, not even `*`. False:
 * replied 412 (RFC 9110, 13.2.2). */
bool result_may_be_deleted(struct exchange *ex, const struct report *report);
/* Answer that the report has no result yet, or ended in error. */
void result_not_complete(struct exchange *ex, const struct report *report);
/* Answer ex->err, which says why the result cannot be sent, unless the transfer was ended: by a
 * deletion, or since this node has lost its lease. */
void result_trouble(struct exchange *ex);
/* The last step before the result is sent. False: the transfer was ended, and an answer is on its
 * way. */
bool result_may_be_sent(struct exchange *ex);
