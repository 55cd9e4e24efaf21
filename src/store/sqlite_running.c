/* src/store/sqlite_running.c -- rows and bytes so far of the running reports, in memory. */
#include <stdlib.h>

#include "store/sqlite_impl.h"

struct sqlite_running {
    struct sqlite_running *next;
    struct guid id;
    int attempt;
    int64_t rows, bytes;
};

static struct sqlite_shared *lock_shared(struct store_conn *conn)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;

    lock_take(&shared->lock);
    return shared;
}

/* The link to the report's entry, or the end of the list. */
static struct sqlite_running **find_entry(struct sqlite_shared *shared, const struct guid *id)
{
    struct sqlite_running **link = &shared->running;

    lock_check_held(&shared->lock);
    while (*link != NULL && !guid_eq(&(*link)->id, id))
        link = &(*link)->next;
    return link;
}

void sqlite_running_start(struct store_conn *conn, const struct guid *id, int attempt)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running **link = find_entry(shared, id);

    if (*link == NULL)
        *link = calloc(1, sizeof(**link));
    if (*link != NULL) /* without memory its progress is not shown, nothing worse */
        **link = (struct sqlite_running){.next = (*link)->next, .id = *id, .attempt = attempt};
    lock_release(&shared->lock);
}

void sqlite_running_end(struct store_conn *conn, const struct guid *id)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running **link = find_entry(shared, id);
    struct sqlite_running *gone = *link;

    if (gone != NULL) {
        *link = gone->next;
        free(gone);
    }
    lock_release(&shared->lock);
}

int sqlite_progress(struct store_conn *conn, struct store_progress *arg, struct err *err)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running *running = *find_entry(shared, &arg->id);

    (void)err;
    if (running != NULL && running->attempt == arg->attempt) {
        running->rows = arg->rows;
        running->bytes = arg->bytes;
    }
    lock_release(&shared->lock);
    return 0;
}

void sqlite_running_read(struct store_conn *conn, struct report *report)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running *running = *find_entry(shared, &report->id);

    if (running != NULL) {
        report->rows = running->rows;
        report->bytes = running->bytes;
    }
    lock_release(&shared->lock);
}

void sqlite_running_free(struct sqlite_shared *shared)
{
    while (shared->running != NULL) {
        struct sqlite_running *gone = shared->running;

        shared->running = gone->next;
        free(gone);
    }
}
