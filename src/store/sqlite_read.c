/* src/store/sqlite_read.c -- reads reports in SQLite: one, a page, what has expired, all,
 * counts.
 */
#include <stdlib.h>

#include <string.h>

#include "base/seam.h"
#include "base/str.h"
#include "store/sqlite_impl.h"

int sqlite_find(struct store_conn *conn, struct store_find *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_FIND, value_guid(&arg->id), value_int(arg->user_id),
                             value_bool(arg->want_parameters), value_bool(arg->want_result));

    arg->position = 0;
    arg->result = NULL;
    arg->result_len = 0;
    arg->found = sql_next(&q);
    if (arg->found) {
        sqlite_read_report(&q, &arg->report);
        report_take_parameters(&arg->report, sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT));
        if (arg->report.state == REPORT_QUEUED && !arg->want_result)
            arg->position = sqlite_queue_position(conn, arg->report.user_id,
                                                  sql_get_int(&q, SQLITE_REPORT_COLUMN_COUNT + 1));
        arg->report.sealed = !sql_is_null(&q, SQLITE_REPORT_COLUMN_COUNT + 2);
        sql_get_blob(&q, SQLITE_REPORT_COLUMN_COUNT + 2, arg->report.key, REPORT_KEY_BYTES);
        arg->report.in_row = sql_get_bool(&q, SQLITE_REPORT_COLUMN_COUNT + 3);
        arg->result = sql_copy_blob(&q, SQLITE_REPORT_COLUMN_COUNT + 4, &arg->result_len);
        arg->report.user_name = sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT + 5);
    }
    return sql_end(&q, err);
}

/* `active`: the list from sqlite_active_list(). */
static int list_total(struct store_conn *conn, struct store_list *arg, const char *active,
                      struct err *err)
{
    bool all = arg->state == -1 && arg->name == NULL;
    struct sql q = sql_start(conn, all ? SQL_LIST_TOTAL : SQL_LIST_SOME_TOTAL,
                             value_int(arg->user_id), value_made(active));

    if (!all)
        sql_bind(&q, 3, VALUES(value_int(arg->state), value_text(arg->name)));
    if (sql_next(&q))
        arg->total = sql_get_int(&q, 0);
    return sql_end(&q, err);
}

static int list_page(struct store_conn *conn, struct store_list *arg, const char *active,
                     struct err *err)
{
    struct sql q =
        sql_start(conn, SQL_LIST, value_int(arg->user_id), value_made(active),
                  value_int(arg->state), value_text(arg->name), value_int(arg->page_size),
                  value_int((arg->page - 1) * arg->page_size), value_int(STORE_LISTED_MAX));

    return sqlite_read_reports(&q, SQLITE_WITH_PARAMETERS, &arg->reports, &arg->count, err);
}

/* The statements for a list of all users, by what is chosen. */
static const struct list_choice {
    enum sqlite_statement page, total;
} list_every = {SQL_LIST_ALL, SQL_LIST_ALL_TOTAL},
  list_kinds = {SQL_LIST_KINDS, SQL_LIST_KINDS_TOTAL},
  list_ones = {SQL_LIST_ONES, SQL_LIST_ONES_TOTAL};

static const struct list_choice *choose_list(const struct store_list *arg)
{
    if (arg->user != NULL)
        return &list_ones;
    return arg->state == -1 && arg->name == NULL && arg->types == NULL ? &list_every : &list_kinds;
}

static struct sql start_list_all(struct store_conn *conn, const struct store_list *arg,
                                 enum sqlite_statement which, int64_t most)
{
    return sql_start(conn, which, value_int(arg->state), value_text(arg->name),
                     value_text(arg->types), value_text(arg->user), value_int(0), value_int(most));
}

/* For all users. Nothing is read beyond the last report that matches, if that is known. */
static int list_all(struct store_conn *conn, struct store_list *arg, struct err *err)
{
    const struct list_choice *choice = choose_list(arg);
    int64_t from = (arg->page - 1) * arg->page_size, most = store_count_most(arg);
    int64_t size = arg->page_size;
    struct sql q = start_list_all(conn, arg, choice->total, most);
    int rc;

    if (sql_next(&q))
        arg->total = sql_get_int(&q, 0);
    rc = sql_end(&q, err);
    if (rc < 0)
        return rc;
    if (arg->total < from + size)
        size = arg->total > from ? arg->total - from : 0;
    q = start_list_all(conn, arg, choice->page, size);
    sql_bind(&q, 7, VALUES(value_int(STORE_LISTED_MAX), value_int(size > 0 ? from : 0)));
    return sqlite_read_reports(&q, SQLITE_WITH_OWNER, &arg->reports, &arg->count, err);
}

/* Total and page show the same moment: one transaction reads both. It begins with the first read,
 * so `active` has to be taken before it. */
int sqlite_list(struct store_conn *conn, struct store_list *arg, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = sqlite_exec(c, "BEGIN");
    char *active;

    if (rc != SQLITE_OK)
        return sqlite_trouble(c, rc, err);
    active = arg->user_id != 0 ? sqlite_active_list(conn, arg->user_id) : NULL;
    rc = arg->user_id != 0 ? list_total(conn, arg, active, err) : list_all(conn, arg, err);
    SEAM_STEP("store", "list", "counted");
    if (rc == 0 && arg->user_id != 0)
        rc = list_page(conn, arg, active, err);
    sqlite_exec(c, "COMMIT"); /* cannot fail: nothing was written */
    sqlite3_free(active);
    return rc;
}

static struct sql start_match(struct store_conn *conn, const struct store_match *arg,
                              const char *active)
{
    if (arg->user_id == 0)
        return sql_start(conn, arg->user != NULL ? SQL_MATCH_ONES : SQL_MATCH_ALL,
                         value_int(arg->state), value_text(arg->name), value_text(arg->types),
                         value_text(arg->user), value_int(arg->before_ms));
    return sql_start(conn, SQL_MATCH, value_int(arg->user_id), value_made(active),
                     value_int(arg->state), value_text(arg->name), value_int(arg->before_ms));
}

/* `active` is taken before the query begins to read. */
int sqlite_match(struct store_conn *conn, struct store_match *arg, struct err *err)
{
    char *active = arg->user_id != 0 ? sqlite_active_list(conn, arg->user_id) : NULL;
    struct sql q = start_match(conn, arg, active);
    void *ids = NULL;

    arg->count = 0;
    arg->total = 0;
    memset(arg->by_state, 0, sizeof(arg->by_state));
    for (; sql_next(&q); arg->total++) {
        struct guid *id =
            arg->count < STORE_MATCH_MAX ? sql_grow(&q, &ids, arg->count, sizeof(*id)) : NULL;

        if (id == NULL)
            continue;
        *id = sql_get_guid(&q, 0);
        arg->count++;
        arg->by_state[sql_get_int(&q, 1)]++;
    }
    arg->ids = ids;
    sqlite3_free(active);
    return sql_end(&q, err);
}

int sqlite_expired(struct store_conn *conn, struct store_expired *arg, struct err *err)
{
    /* one more, to know when the next one expires */
    struct sql q = sql_start(conn, SQL_EXPIRED, value_int(STORE_BATCH_MAX + 1));

    arg->count = 0;
    arg->next_ms = 0;
    while (arg->next_ms == 0 && sql_next(&q)) {
        int64_t expires_ms = sql_get_int(&q, 2);

        if (expires_ms > arg->now_ms || arg->count == STORE_BATCH_MAX)
            arg->next_ms = expires_ms;
        else
            arg->refs[arg->count++] =
                (struct store_ref){.id = sql_get_guid(&q, 0), .attempt = (int)sql_get_int(&q, 1)};
    }
    if (sql_end(&q, err) < 0)
        return -E_STORE;
    q = sql_start(conn, SQL_USERS_REMOVED);
    arg->removing = sql_next(&q) && sql_get_int(&q, 0) > 0;
    return sql_end(&q, err);
}

int sqlite_stats(struct store_conn *conn, struct store_stats *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_STATS);

    *arg = (struct store_stats){0};
    while (sql_next(&q)) {
        int64_t state = sql_get_int(&q, 0);

        if (state >= 0 && state < REPORT_STATE_COUNT)
            arg->by_state[state] = sql_get_int(&q, 1);
        else
            arg->oldest_ms = sql_get_int(&q, 1);
    }
    return sql_end(&q, err);
}

static int read_loads(struct sql *q, struct store_load **ret, size_t *ret_count, struct err *err)
{
    void *loads = NULL;

    for (*ret_count = 0; sql_next(q); (*ret_count)++) {
        struct store_load *one = sql_grow(q, &loads, *ret_count, sizeof(*one));
        char *name = one != NULL ? sql_get_text(q, 0) : NULL;

        if (name == NULL)
            break;
        str_copy(one->name, sizeof(one->name), name);
        one->running = sql_get_int(q, 1);
        one->queued = sql_get_int(q, 2);
        free(name);
    }
    *ret = loads;
    return sql_end(q, err);
}

static int read_users(struct store_conn *conn, struct store_overview *arg, struct err *err)
{
    struct sql q =
        sql_start(conn, SQL_BUSIEST, value_int(STORE_BUSY_QUEUE), value_int(STORE_BUSIEST));

    return read_loads(&q, &arg->users, &arg->user_count, err);
}

int sqlite_overview(struct store_conn *conn, struct store_overview *arg, struct err *err)
{
    struct store_stats stats;
    struct sql q = sql_start(conn, SQL_OLDEST);
    int rc;

    arg->oldest_ms = sql_next(&q) ? sql_get_int(&q, 0) : 0;
    arg->nodes = NULL;
    arg->node_count = 0;
    rc = sql_end(&q, err) ?: sqlite_stats(conn, &stats, err) ?: sqlite_running_list(conn, arg, err);
    rc = rc ?: read_users(conn, arg, err) ?: sqlite_paused(conn, &arg->paused, err);
    if (rc == 0)
        memcpy(arg->by_state, stats.by_state, sizeof(arg->by_state));
    return rc;
}

int sqlite_scan(struct store_conn *conn, struct store_scan *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_SCAN, value_guid(&arg->after), value_int(STORE_SCAN_MAX));

    for (arg->count = 0; arg->count < STORE_SCAN_MAX && sql_next(&q); arg->count++)
        arg->reports[arg->count] =
            (struct store_scanned){.id = sql_get_guid(&q, 0),
                                   .state = (enum report_state)sql_get_int(&q, 1),
                                   .attempt = (int)sql_get_int(&q, 2),
                                   .bytes = sql_get_int(&q, 3),
                                   .expires_ms = sql_get_int(&q, 4),
                                   .sealed = sql_get_bool(&q, 5),
                                   .in_row = sql_get_bool(&q, 6),
                                   .row_bytes = sql_is_null(&q, 7) ? -1 : sql_get_int(&q, 7)};
    return sql_end(&q, err);
}

int sqlite_identity(struct store_conn *conn, struct store_identity *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_IDENTITY);

    if (sql_next(&q))
        arg->id = sql_get_guid(&q, 0);
    arg->home = STORE_AT_HOME;
    return sql_end(&q, err);
}

int sqlite_identity_take(struct store_conn *conn, struct store_identity_take *arg, struct err *err)
{
    return sql_do(conn, err, SQL_IDENTITY_TAKE, value_guid(&arg->id));
}

int sqlite_ledgers(struct store_conn *conn, struct store_ledgers *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_LEDGERS);
    void *items = NULL;

    for (arg->count = 0; sql_next(&q); arg->count++) {
        struct store_ledger *ledger = sql_grow(&q, &items, arg->count, sizeof(*ledger));
        char *place = sql_get_text(&q, 2);

        if (ledger == NULL || place == NULL) {
            free(place);
            break;
        }
        ledger->id = sql_get_guid(&q, 0);
        ledger->records = sql_get_int(&q, 1);
        ledger->given_up_ms = sql_get_int(&q, 3);
        str_copy(ledger->place, sizeof(ledger->place), place);
        free(place);
    }
    arg->items = items;
    return sql_end(&q, err);
}

int sqlite_ledger_note(struct store_conn *conn, struct store_ledger_note *arg, struct err *err)
{
    const struct store_ledger *ledger = arg->ledger;

    return sql_do(conn, err, SQL_LEDGERS_FORGET, value_guid(&ledger->id), value_int(arg->forget_ms))
               ?: sql_do(conn, err, SQL_LEDGER_NOTE, value_guid(&ledger->id),
                         value_text(ledger->place), value_int(ledger->records),
                         value_int(ledger->given_up_ms));
}

int sqlite_ledger_count(struct store_conn *conn, const struct store_counted *counted,
                        struct err *err)
{
    int rc;

    if (counted->records == 0)
        return 0;
    rc = sql_do(conn, err, SQL_LEDGER_COUNT, value_guid(&counted->ledger),
                value_int(counted->records));
    if (rc == 0 && sqlite3_changes(((struct sqlite_conn *)conn)->db) == 0)
        rc = err_set(err, -E_STORE,
                     "The store has lost what it knew of the deletion ledger; restart the server.");
    return rc;
}
