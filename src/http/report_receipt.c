/* src/http/report_receipt.c -- receipts for deletions, and GET /.well-known/jwks.json. */
#include "http/report_receipt.h"

#include "base/log.h"
#include "http/report.h"

enum {
    ERASED_S = 5, /* an embedded store has overwritten what was freed, and cut its log */
    KEYS_MAX = RECEIPT_KEYS_MAX * 256,
    USUAL_BYTES = 1024, /* of a receipt */
};

/* With PostgreSQL: the next rotation of erase.key begins within `erase_after` and takes at most as
 * long, which is how that is to be chosen (doc/cluster.md). */
static int64_t erased_within_s(const struct services *services)
{
    return store_is_shared(services->store) ? 2 * services->config->erase_after.number / 1000
                                            : ERASED_S;
}

char *report_receipt(struct exchange *ex, struct receipt *receipt)
{
    struct buf text;
    char *taken;

    receipt->user = ex->user->name;
    receipt->node = ex->services->node;
    receipt->now_s = store_now_ms(ex->services->store) / 1000;
    receipt->erased_s = receipt->now_s + erased_within_s(ex->services);
    buf_init(&text, RECEIPT_TEXT_MAX);
    buf_reserve(&text, USUAL_BYTES);
    receipt_issue(ex->services->receipt_keys, receipt, &text);
    taken = buf_take(&text);
    if (taken == NULL)
        log_error("receipt.lost", "request=%s error=out of memory", ex->request_id);
    return taken;
}

void report_keys(struct exchange *ex)
{
    struct buf text;

    buf_init(&text, KEYS_MAX);
    receipt_keys_publish(ex->services->receipt_keys, &text);
    if (buf_failed(&text))
        exchange_fail(ex, -E_NOMEM, "no memory for the keys of receipts");
    else
        exchange_reply_json(ex, buf_str(&text));
    buf_done(&text);
}
