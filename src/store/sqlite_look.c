/* src/store/sqlite_look.c -- looking at reports in SQLite: one, a page, what has expired, all,
 * counts.
 */
#include <stdlib.h>

#include <string.h>

#include "base/seam.h"
#include "base/str.h"
#include "store/sqlite_impl.h"

int sqlite_find(struct store_conn *conn, struct store_find *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_FIND);

    sql_guid(&q, 1, &arg->id);
    sql_int(&q, 2, arg->user_id);
    sql_int(&q, 3, arg->want_parameters);
    sql_int(&q, 4, arg->want_result);
    arg->position = 0;
    arg->result = NULL;
    arg->result_len = 0;
    arg->found = sql_next(&q);
    if (arg->found) {
        sqlite_read_report(&q, &arg->report);
        arg->report.parameters = sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT);
        arg->position = sql_get_int(&q, SQLITE_REPORT_COLUMN_COUNT + 1);
        arg->report.sealed = !sql_is_null(&q, SQLITE_REPORT_COLUMN_COUNT + 2);
        sql_get_blob(&q, SQLITE_REPORT_COLUMN_COUNT + 2, arg->report.key, REPORT_KEY_BYTES);
        arg->report.in_row = sql_get_bool(&q, SQLITE_REPORT_COLUMN_COUNT + 3);
        arg->result = sql_copy_blob(&q, SQLITE_REPORT_COLUMN_COUNT + 4, &arg->result_len);
    }
    return sql_end(&q, err);
}

/* `active`: sqlite_active_list(). */
static int list_total(struct store_conn *conn, struct store_list *arg, const char *active,
                      struct err *err)
{
    bool all = arg->state == -1 && arg->name == NULL;
    struct sql q = sql_start(conn, all ? SQL_LIST_TOTAL : SQL_LIST_SOME_TOTAL);

    sql_int(&q, 1, arg->user_id);
    sql_json(&q, 2, active);
    if (!all) {
        sql_int(&q, 3, arg->state);
        sql_text(&q, 4, arg->name);
    }
    if (sql_next(&q))
        arg->total = sql_get_int(&q, 0);
    return sql_end(&q, err);
}

static int list_page(struct store_conn *conn, struct store_list *arg, const char *active,
                     struct err *err)
{
    struct sql q = sql_start(conn, SQL_LIST);

    sql_int(&q, 1, arg->user_id);
    sql_json(&q, 2, active);
    sql_int(&q, 3, arg->state);
    sql_text(&q, 4, arg->name);
    sql_int(&q, 5, arg->page_size);
    sql_int(&q, 6, (arg->page - 1) * arg->page_size);
    return sqlite_read_reports(&q, &arg->reports, &arg->count, err);
}

/* Total and page are of one moment: one transaction reads both. It begins with the first of them,
 * so that `active` is from before. */
int sqlite_list(struct store_conn *conn, struct store_list *arg, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = sqlite_exec(c, "BEGIN");
    char *active;

    if (rc != SQLITE_OK)
        return sqlite_trouble(c, rc, err);
    active = sqlite_active_list(conn, arg->user_id);
    rc = list_total(conn, arg, active, err);
    SEAM_STEP("store", "list", "counted");
    if (rc == 0)
        rc = list_page(conn, arg, active, err);
    sqlite_exec(c, "COMMIT"); /* nothing was written that it could fail on */
    sqlite3_free(active);
    return rc;
}

/* `active` is from before the query begins to read. */
int sqlite_match(struct store_conn *conn, struct store_match *arg, struct err *err)
{
    char *active = sqlite_active_list(conn, arg->user_id);
    struct sql q = sql_start(conn, SQL_MATCH);
    void *ids = NULL;

    arg->count = 0;
    arg->total = 0;
    memset(arg->by_state, 0, sizeof(arg->by_state));
    sql_int(&q, 1, arg->user_id);
    sql_json(&q, 2, active);
    sql_int(&q, 3, arg->state);
    sql_text(&q, 4, arg->name);
    sql_int(&q, 5, arg->before_ms);
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
    struct sql q = sql_start(conn, SQL_EXPIRED);

    arg->count = 0;
    arg->next_ms = 0;
    sql_int(&q, 1, STORE_BATCH_MAX + 1); /* one more: to know when the next one comes */
    while (arg->next_ms == 0 && sql_next(&q)) {
        int64_t expires_ms = sql_get_int(&q, 2);

        if (expires_ms > arg->now_ms || arg->count == STORE_BATCH_MAX)
            arg->next_ms = expires_ms;
        else
            arg->refs[arg->count++] =
                (struct store_ref){.id = sql_get_guid(&q, 0), .attempt = (int)sql_get_int(&q, 1)};
    }
    return sql_end(&q, err);
}

int sqlite_stats(struct store_conn *conn, struct store_stats *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_STATS);

    memset(arg->by_state, 0, sizeof(arg->by_state));
    while (sql_next(&q)) {
        int64_t state = sql_get_int(&q, 0);

        if (state >= 0 && state < REPORT_STATE_COUNT)
            arg->by_state[state] = sql_get_int(&q, 1);
    }
    return sql_end(&q, err);
}

int sqlite_scan(struct store_conn *conn, struct store_scan *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_SCAN);

    sql_guid(&q, 1, &arg->after);
    sql_int(&q, 2, STORE_SCAN_MAX);
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
    struct sql q = sql_start(conn, SQL_IDENTITY_TAKE);

    sql_guid(&q, 1, &arg->id);
    return sql_run(&q, err);
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
    struct sql q = sql_start(conn, SQL_LEDGERS_FORGET);
    int rc;

    sql_guid(&q, 1, &arg->ledger->id);
    sql_int(&q, 2, arg->forget_ms);
    rc = sql_run(&q, err);
    if (rc < 0)
        return rc;
    q = sql_start(conn, SQL_LEDGER_NOTE);
    sql_guid(&q, 1, &arg->ledger->id);
    sql_text(&q, 2, arg->ledger->place);
    sql_int(&q, 3, arg->ledger->records);
    sql_int(&q, 4, arg->ledger->given_up_ms);
    return sql_run(&q, err);
}

int sqlite_ledger_count(struct store_conn *conn, const struct store_counted *counted,
                        struct err *err)
{
    struct sql q;
    int rc;

    if (counted->records == 0)
        return 0;
    q = sql_start(conn, SQL_LEDGER_COUNT);
    sql_guid(&q, 1, &counted->ledger);
    sql_int(&q, 2, counted->records);
    rc = sql_run(&q, err);
    if (rc == 0 && sqlite3_changes(q.conn->db) == 0)
        rc = err_set(err, -E_STORE,
                     "The store has lost what it knew of the deletion ledger; restart the server.");
    return rc;
}
