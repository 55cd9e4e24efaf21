/* src/http/report_delete.c -- DELETE /Report: answered when reference, query and files are gone. */
#include "http/report.h"

#include <stdlib.h>

#include "base/seam.h"
#include "http/report_find.h"
#include "http/report_receipt.h"

static void removed(struct deletion *deletion)
{
    exchange_wake(deletion->owner);
}

static void reply_deleted(struct exchange *ex, const struct deletion *deletion)
{
    struct receipt receipt = {.reference = &deletion->id, .state = deletion->was};

    exchange_add_long(ex, "X-Deletion-Receipt", report_receipt(ex, &receipt));
    exchange_reply(ex, true, "Report request has been deleted.", NULL);
}

static void delete_done(struct exchange *ex)
{
    const struct deletion *deletion = ex->state;

    SEAM_STEP("http", "delete", "removed");
    if (deletion->rc == 0)
        reply_deleted(ex, deletion);
    else if (deletion->rc == -E_UNKNOWN_REFERENCE)
        report_reply_unknown(ex);
    else
        exchange_reply_error(ex, &deletion->err, NULL);
}

void report_delete(struct exchange *ex)
{
    struct deletion *deletion;
    struct guid id;

    if (!report_reference(ex, &id))
        return;
    deletion = calloc(1, sizeof(*deletion));
    if (deletion == NULL) {
        exchange_fail(ex, -E_NOMEM, "No memory to delete the report.");
        return;
    }
    ex->state = deletion;
    ex->state_free = free;
    deletion->id = id;
    deletion->user_id = ex->user->id;
    deletion->done = removed;
    deletion->owner = ex;
    exchange_await(ex, delete_done);
    deletion_start(ex->services->purger, deletion);
}
