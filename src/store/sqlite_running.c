/* src/store/sqlite_running.c -- what runs in this process: how many reports per source, and their
 * rows and bytes so far. Kept in memory only: after a crash nothing runs. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/thread.h"
#include "store/sqlite_impl.h"

struct sqlite_running {
    struct sqlite_running *next;
    struct guid id;
    int64_t user_id;
    int attempt;
    bool over; /* removed once the current transaction is committed */
    int64_t rows, bytes;
    char source[];
};

static struct sqlite_shared *lock_shared(struct store_conn *conn)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;

    lock_take(&shared->lock);
    return shared;
}

/* NULL: it is not running. */
static struct sqlite_running *find_running_entry(struct sqlite_shared *shared,
                                                 const struct guid *id)
{
    struct sqlite_running *one = shared->running;

    lock_check_held(&shared->lock);
    while (one != NULL && (one->over || !guid_eq(&one->id, id)))
        one = one->next;
    return one;
}

int sqlite_running_start(struct store_conn *conn, const struct report *report, const char *source,
                         struct err *err)
{
    struct sqlite_running *one = calloc(1, sizeof(*one) + strlen(source) + 1);
    struct sqlite_shared *shared = lock_shared(conn);
    bool good = one != NULL && fair_queue_run(shared->queue, report->user_id, 1);

    if (good) {
        one->id = report->id;
        one->user_id = report->user_id;
        one->attempt = report->attempt;
        memcpy(one->source, source, strlen(source) + 1);
        one->next = shared->running;
        shared->running = one;
    }
    lock_release(&shared->lock);
    if (good)
        return 0;
    free(one);
    return sqlite_no_memory(err);
}

void sqlite_running_end(struct store_conn *conn, const struct guid *id)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running *one = find_running_entry(shared, id);

    if (one != NULL) {
        one->over = true;
        fair_queue_run(shared->queue, one->user_id, -1); /* the queue knows the user, so this needs
                                                          * no memory */
    }
    lock_release(&shared->lock);
}

/* Remove the entries that are over. */
static void remove_over_entries(struct sqlite_shared *shared)
{
    struct sqlite_running **link = &shared->running;

    lock_check_held(&shared->lock);
    while (*link != NULL) {
        struct sqlite_running *one = *link;

        if (one->over) {
            *link = one->next;
            free(one);
        } else {
            link = &one->next;
        }
    }
}

void sqlite_running_commit(struct sqlite_shared *shared)
{
    lock_take(&shared->lock);
    remove_over_entries(shared);
    lock_release(&shared->lock);
}

/* After a rollback, what was claimed in the transaction is queued, and what ended in it is
 * running. */
static int check_entry_over(struct store_conn *conn, struct sqlite_running *one, struct err *err)
{
    struct sql q = sql_start(conn, SQL_PLACE, value_guid(&one->id));

    one->over =
        !sql_next(&q) || sql_get_int(&q, 3) == REPORT_QUEUED || sql_get_int(&q, 5) != one->attempt;
    return sql_end(&q, err);
}

int sqlite_running_read_again(struct store_conn *conn, struct fair_queue *queue, struct err *err)
{
    struct sqlite_shared *shared = lock_shared(conn);
    int rc = 0;

    for (struct sqlite_running *one = shared->running; rc == 0 && one != NULL; one = one->next) {
        rc = check_entry_over(conn, one, err);
        if (rc == 0 && !one->over && !fair_queue_run(queue, one->user_id, 1))
            rc = sqlite_no_memory(err);
    }
    if (rc == 0)
        remove_over_entries(shared);
    lock_release(&shared->lock);
    return rc;
}

/* ---- reading ---- */

bool sqlite_running_has(struct store_conn *conn, const struct guid *id)
{
    struct sqlite_shared *shared = lock_shared(conn);
    bool has = find_running_entry(shared, id) != NULL;

    lock_release(&shared->lock);
    return has;
}

int64_t sqlite_running_on(struct store_conn *conn, const char *source)
{
    struct sqlite_shared *shared = lock_shared(conn);
    int64_t count = 0;

    for (const struct sqlite_running *one = shared->running; one != NULL; one = one->next)
        count += !one->over && str_eq(one->source, source);
    lock_release(&shared->lock);
    return count;
}

int sqlite_running_list(struct store_conn *conn, struct store_overview *arg, struct err *err)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct store_load *all = NULL;
    size_t count = 0, room = 0;
    bool good = true;

    for (const struct sqlite_running *one = shared->running; good && one != NULL; one = one->next) {
        if (one->over)
            continue;
        good = array_grow(&all, count, &room, sizeof(*all));
        if (good) {
            all[count] = (struct store_load){.running = 1};
            str_copy(all[count++].name, sizeof(all->name), one->source);
        }
    }
    lock_release(&shared->lock);
    arg->sources = all;
    arg->source_count = count;
    return good ? 0 : sqlite_no_memory(err);
}

int sqlite_progress(struct store_conn *conn, struct store_progress *arg, struct err *err)
{
    struct sqlite_shared *shared = lock_shared(conn);
    struct sqlite_running *one = find_running_entry(shared, &arg->id);

    (void)err;
    if (one != NULL && one->attempt == arg->attempt) {
        one->rows = arg->rows;
        one->bytes = arg->bytes;
    }
    lock_release(&shared->lock);
    return 0;
}

void sqlite_running_read(struct store_conn *conn, struct report *report)
{
    struct sqlite_shared *shared = lock_shared(conn);
    const struct sqlite_running *one = find_running_entry(shared, &report->id);

    if (one != NULL) {
        report->rows = one->rows;
        report->bytes = one->bytes;
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
