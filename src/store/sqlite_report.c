/* src/store/sqlite_report.c -- the life of a report in SQLite: submit, claim, finish, delete. */
#include <assert.h>
#include <string.h>

#include "store/sqlite_impl.h"

/* ---- rows ---- */

void sqlite_read_report(struct sql *q, struct report *ret)
{
    *ret = (struct report){
        .id = sql_get_guid(q, 0),
        .user_id = sql_get_int(q, 1),
        .name = sql_get_text(q, 2),
        .message = sql_get_text(q, 3),
        .state = (enum report_state)sql_get_int(q, 4),
        .attempt = (int)sql_get_int(q, 5),
        .failures = (int)sql_get_int(q, 6),
        .rows = sql_get_int(q, 7),
        .bytes = sql_get_int(q, 8),
        .submitted_ms = sql_get_int(q, 9),
        .started_ms = sql_get_int(q, 10),
        .finished_ms = sql_get_int(q, 11),
        .expires_ms = sql_get_int(q, 12),
    };
    sql_get_blob(q, 13, ret->digest, REPORT_DIGEST_BYTES);
    if (ret->state == REPORT_PROCESSING)
        sqlite_running_read(&q->conn->base, ret);
}

int sqlite_read_reports(struct sql *q, struct report **ret_reports, size_t *ret_count,
                        struct err *err)
{
    void *reports = NULL;
    size_t count = 0;

    while (sql_next(q)) {
        struct report *report = sql_grow(q, &reports, count, sizeof(*report));

        if (report == NULL)
            break;
        sqlite_read_report(q, report);
        count++;
    }
    *ret_reports = reports;
    *ret_count = count;
    return sql_end(q, err);
}

/* ---- the one writer of a state ---- */

struct move {
    enum report_state from, to;
    bool moved;      /* out; the rest only if it is true */
    struct guid id;  /* out */
    int64_t user_id; /* out */
};

/* A slot is held while queued or processing, and by a deleted report until its query has stopped:
 * which is known when the row is dropped. */
static bool holds_slot(enum report_state from, enum report_state to)
{
    return report_is_active(to) || (to == REPORT_DELETING && from == REPORT_PROCESSING);
}

/* Every change of a state goes through here: compare and set by an SQLITE_MOVE statement of which
 * ?4 and up are bound. Ends the statement. */
static int move_report(struct sql *q, struct move *move, struct err *err)
{
    assert(report_may_move(move->from, move->to));
    sql_int(q, 1, move->to);
    sql_int(q, 2, holds_slot(move->from, move->to));
    sql_int(q, 3, move->from);
    move->moved = sql_next(q);
    if (move->moved) {
        move->id = sql_get_guid(q, 0);
        move->user_id = sql_get_int(q, 1);
        store_changed(
            &q->conn->base,
            &(struct store_change){.id = move->id, .user_id = move->user_id, .state = move->to});
        if (move->from == REPORT_PROCESSING)
            sqlite_running_end(&q->conn->base, &move->id);
    }
    return sql_run(q, err);
}

/* ---- submit ---- */

static int active_reports(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_ACTIVE);

    sql_int(&q, 1, arg->user_id);
    return sqlite_read_reports(&q, &arg->active, &arg->active_count, err);
}

int sqlite_key(struct store_conn *conn, struct store_key *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_KEY_FIND);
    uint8_t hash[STORE_HASH_BYTES];

    arg->outcome = SUBMIT_ACCEPTED;
    sql_int(&q, 1, arg->user_id);
    sql_text(&q, 2, arg->key);
    sql_int(&q, 3, arg->now_ms);
    if (sql_next(&q)) {
        arg->id = sql_get_guid(&q, 0);
        sql_get_blob(&q, 1, hash, sizeof(hash));
        arg->outcome = memcmp(hash, arg->request_hash, sizeof(hash)) == 0 ? SUBMIT_REPLAYED
                                                                          : SUBMIT_KEY_REUSED;
    }
    return sql_end(&q, err);
}

/* Does the key answer the request (then the outcome is known)? An expired one is taken from the
 * report that has it. */
static int use_key(struct store_conn *conn, struct store_submit *arg, bool *ret_answered,
                   struct err *err)
{
    struct store_key look = {.user_id = arg->user_id, .key = arg->key, .now_ms = arg->now_ms};
    struct sql q;
    int rc;

    memcpy(look.request_hash, arg->request_hash, sizeof(look.request_hash));
    rc = sqlite_key(conn, &look, err);
    if (rc < 0)
        return rc;
    *ret_answered = look.outcome != SUBMIT_ACCEPTED;
    if (*ret_answered) {
        arg->outcome = look.outcome;
        if (look.outcome == SUBMIT_REPLAYED)
            arg->id = look.id;
        return 0;
    }
    q = sql_start(conn, SQL_KEY_FORGET);
    sql_int(&q, 1, arg->user_id);
    sql_text(&q, 2, arg->key);
    return sql_run(&q, err);
}

/* The limit is counted by the statement that inserts; it takes no row when the limit is reached. */
static int insert_report(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_SUBMIT);

    sql_guid(&q, 1, &arg->id);
    sql_int(&q, 2, arg->user_id);
    sql_int(&q, 3, arg->now_ms);
    sql_text(&q, 4, arg->name);
    sql_text(&q, 5, arg->parameters);
    sql_text(&q, 6, arg->key);
    sql_blob(&q, 7, arg->key != NULL ? arg->request_hash : NULL, STORE_HASH_BYTES);
    if (arg->key != NULL)
        sql_int(&q, 8, arg->key_expires_ms);
    else
        sql_text(&q, 8, NULL);
    sql_int(&q, 9, arg->active_limit);
    sql_next(&q);
    arg->outcome = sqlite3_changes(q.conn->db) > 0 ? SUBMIT_ACCEPTED : SUBMIT_LIMIT;
    if (q.rc == SQLITE_CONSTRAINT_FOREIGNKEY) {
        sql_end(&q, err);
        return err_set(err, -E_NOT_FOUND, "There is no such user.");
    }
    return sql_end(&q, err);
}

int sqlite_submit(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    bool answered = false;
    int rc = 0;

    if (arg->key != NULL)
        rc = use_key(conn, arg, &answered, err);
    if (rc < 0 || answered)
        return rc;
    rc = insert_report(conn, arg, err);
    if (rc < 0)
        return rc;
    if (arg->outcome == SUBMIT_LIMIT)
        return active_reports(conn, arg, err);
    store_changed(conn, &(struct store_change){
                            .id = arg->id, .user_id = arg->user_id, .state = REPORT_QUEUED});
    return 0;
}

/* ---- running ---- */

int sqlite_claim(struct store_conn *conn, struct store_claim *arg, struct err *err)
{
    struct move move = {.from = REPORT_QUEUED, .to = REPORT_PROCESSING};
    struct sql q = sql_start(conn, SQL_CLAIM);
    int rc;

    sql_int(&q, 4, arg->now_ms);
    rc = move_report(&q, &move, err);
    arg->found = move.moved;
    if (rc < 0 || !move.moved)
        return rc;
    q = sql_start(conn, SQL_CLAIMED);
    sql_guid(&q, 1, &move.id);
    if (sql_next(&q)) {
        sqlite_read_report(&q, &arg->report);
        arg->report.parameters = sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT);
        arg->report.user_name = sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT + 1);
        sqlite_running_start(conn, &move.id, arg->report.attempt);
    }
    return sql_end(&q, err);
}

int sqlite_finish(struct store_conn *conn, struct store_finish *arg, struct err *err)
{
    struct move move = {.from = REPORT_PROCESSING, .to = arg->state};
    struct sql q = sql_start(conn, SQL_FINISH);
    bool complete = arg->state == REPORT_COMPLETE;
    int rc;

    sql_guid(&q, 4, &arg->id);
    sql_int(&q, 5, arg->attempt);
    sql_int(&q, 6, arg->rows);
    sql_int(&q, 7, arg->bytes);
    sql_int(&q, 8, arg->now_ms);
    sql_int(&q, 9, arg->expires_ms);
    sql_blob(&q, 10, complete ? arg->digest : NULL, REPORT_DIGEST_BYTES);
    sql_text(&q, 11, complete ? NULL : arg->message);
    sql_blob(&q, 12, complete ? arg->key : NULL, REPORT_KEY_BYTES);
    rc = move_report(&q, &move, err);
    arg->moved = move.moved;
    return rc;
}

int sqlite_requeue(struct store_conn *conn, struct store_requeue *arg, struct err *err)
{
    struct move move = {.from = REPORT_PROCESSING, .to = REPORT_QUEUED};
    struct sql q = sql_start(conn, SQL_REQUEUE);
    int rc;

    sql_guid(&q, 4, &arg->id);
    sql_int(&q, 5, arg->attempt);
    sql_int(&q, 6, arg->failed);
    rc = move_report(&q, &move, err);
    arg->moved = move.moved;
    return rc;
}

/* A SQLite store has one node: whatever is processing was this one's. */
int sqlite_recover(struct store_conn *conn, struct store_recover *arg, struct err *err)
{
    struct move move = {.from = REPORT_PROCESSING, .to = REPORT_QUEUED};
    int rc;

    arg->requeued = 0;
    do {
        struct sql q = sql_start(conn, SQL_RECOVER);

        rc = move_report(&q, &move, err);
        arg->requeued += move.moved;
    } while (rc == 0 && move.moved);
    return rc;
}

/* It has one node, which lives as long as the store is used, and holds nothing against itself. */
int sqlite_heartbeat(struct store_conn *conn, struct store_heartbeat *arg, struct err *err)
{
    (void)conn;
    (void)err;
    arg->alive = true;
    arg->requeued = 0;
    arg->count = 0;
    return 0;
}

int sqlite_held(struct store_conn *conn, struct store_held *arg, struct err *err)
{
    (void)conn;
    (void)err;
    arg->held = false;
    return 0;
}

/* ---- deletion ---- */

int sqlite_mark(struct store_conn *conn, struct store_mark *arg, struct err *err)
{
    struct move move = {.to = REPORT_DELETING};
    struct sql q = sql_start(conn, SQL_MARK_FIND);
    int rc;

    sql_guid(&q, 1, &arg->id);
    sql_int(&q, 2, arg->user_id);
    arg->held = false;
    arg->found = sql_next(&q);
    if (arg->found) {
        arg->was = (enum report_state)sql_get_int(&q, 0);
        arg->attempt = (int)sql_get_int(&q, 1);
    }
    rc = sql_end(&q, err);
    if (rc < 0 || !arg->found)
        return rc;
    move.from = arg->was;
    q = sql_start(conn, SQL_MARK);
    sql_guid(&q, 4, &arg->id);
    return move_report(&q, &move, err);
}

int sqlite_drop(struct store_conn *conn, struct store_drop *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_DROP);

    sql_guid(&q, 1, &arg->id);
    q.conn->dropped = true; /* see sqlite_tend() */
    return sql_run(&q, err);
}

int sqlite_deleting(struct store_conn *conn, struct store_deleting *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_DELETING);

    sql_int(&q, 1, STORE_BATCH_MAX);
    for (arg->count = 0; arg->count < STORE_BATCH_MAX && sql_next(&q); arg->count++)
        arg->refs[arg->count] =
            (struct store_ref){.id = sql_get_guid(&q, 0), .attempt = (int)sql_get_int(&q, 1)};
    return sql_end(&q, err);
}
