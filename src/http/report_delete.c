/* src/http/report_delete.c -- DELETE /Report: answered when reference, query and files are gone. */
#include "http/report.h"

#include <stdlib.h>

#include "base/seam.h"
#include "http/report_find.h"
#include "http/report_receipt.h"

static void removed(struct removal *removal)
{
    exchange_wake(removal->owner);
}

static void reply_deleted(struct exchange *ex, const struct removal *removal)
{
    struct receipt receipt = {.reference = &removal->id, .state = removal->was};

    exchange_add_long(ex, "X-Deletion-Receipt", report_receipt(ex, &receipt));
    exchange_reply(ex, true, "Report request has been deleted.", NULL);
}

static void delete_done(struct exchange *ex)
{
    const struct removal *removal = ex->state;

    SEAM_STEP("http", "delete", "removed");
    if (removal->rc == 0)
        reply_deleted(ex, removal);
    else if (removal->rc == -E_UNKNOWN_REFERENCE)
        report_reply_unknown(ex);
    else
        exchange_reply_error(ex, &removal->err, NULL);
}

void report_delete(struct exchange *ex)
{
    struct removal *removal;
    struct guid id;

    if (!report_reference(ex, &id))
        return;
    removal = calloc(1, sizeof(*removal));
    if (removal == NULL) {
        err_set(&ex->err, -E_NOMEM, "No memory to delete the report.");
        exchange_reply_error(ex, &ex->err, NULL);
        return;
    }
    ex->state = removal;
    ex->state_free = free;
    removal->id = id;
    removal->user_id = ex->user->id;
    removal->done = removed;
    removal->owner = ex;
    exchange_await(ex, delete_done);
    removal_start(ex->services->remover, removal);
}
