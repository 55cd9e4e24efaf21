/* src/store/sqlite_report.c -- the life of a report in SQLite: submit, claim, finish, delete. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/sqlite_impl.h"

/* ---- rows ---- */

void sqlite_read_report(struct sql *q, struct report *ret)
{
    *ret = (struct report){.id = sql_get_guid(q, 0),
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
                           .expires_ms = sql_get_int(q, 12)};
    sql_get_blob(q, 13, ret->digest, REPORT_DIGEST_BYTES);
    ret->footer = sql_get_int(q, 14);
    if (ret->state == REPORT_PROCESSING)
        sqlite_running_read(&q->conn->base, ret);
}

int sqlite_read_reports(struct sql *q, enum sqlite_with with, struct report **ret_reports,
                        size_t *ret_count, struct err *err)
{
    void *reports = NULL;
    size_t count = 0;

    while (sql_next(q)) {
        struct report *report = sql_grow(q, &reports, count, sizeof(*report));

        if (report == NULL)
            break;
        sqlite_read_report(q, report);
        if (with >= SQLITE_WITH_PARAMETERS)
            report_take_parameters(report, sql_get_text(q, SQLITE_REPORT_COLUMN_COUNT));
        if (with >= SQLITE_WITH_OWNER)
            report->user_name = sql_get_text(q, SQLITE_REPORT_COLUMN_COUNT + 1);
        count++;
    }
    *ret_reports = reports;
    *ret_count = count;
    return sql_end(q, err);
}

/* ---- the only writer of a state ---- */

/* A report as it is before it is moved. */
struct place {
    bool found; /* the other members are valid only if it is true */
    int64_t seq, user_id;
    struct guid id;
    enum report_state state;
    bool slot;
    int attempt;
    bool in_row;
};

/* Reads a row that starts with SQLITE_PLACE_COLUMNS. */
static void read_place_columns(struct sql *q, struct place *ret)
{
    *ret = (struct place){.found = true,
                          .seq = sql_get_int(q, 0),
                          .id = sql_get_guid(q, 1),
                          .user_id = sql_get_int(q, 2),
                          .state = (enum report_state)sql_get_int(q, 3),
                          .slot = sql_get_bool(q, 4),
                          .attempt = (int)sql_get_int(q, 5),
                          .in_row = sql_get_bool(q, 6)};
}

/* Reads the place and ends the statement, whose columns are SQLITE_PLACE_COLUMNS. */
static int read_place(struct sql *q, struct place *ret, struct err *err)
{
    *ret = (struct place){.found = false};
    if (sql_next(q))
        read_place_columns(q, ret);
    return sql_end(q, err);
}

static int find_place(struct store_conn *conn, const struct guid *id, struct place *ret,
                      struct err *err)
{
    struct sql q = sql_start(conn, SQL_PLACE, value_guid(id));

    return read_place(&q, ret, err);
}

/* Like find_place(), with the type, before it is erased; ret_name: REPORT_NAME_MAX + 1 bytes. */
static int find_named_place(struct store_conn *conn, const struct guid *id, struct place *ret,
                            char *ret_name, struct err *err)
{
    struct sql q = sql_start(conn, SQL_PLACE, value_guid(id));

    *ret = (struct place){.found = sql_next(&q)};
    if (ret->found) {
        read_place_columns(&q, ret);
        sql_get_name(&q, SQLITE_PLACE_COLUMN_COUNT, ret_name, REPORT_NAME_MAX + 1);
    }
    return sql_end(&q, err);
}

/* Find the report, if it still belongs to `attempt`, which has stopped running; else it is not
 * found. */
static int end_running(struct store_conn *conn, const struct guid *id, int attempt,
                       struct place *ret, struct err *err)
{
    int rc = find_place(conn, id, ret, err);

    ret->found = ret->found && ret->state == REPORT_PROCESSING && ret->attempt == attempt;
    if (rc == 0)
        sqlite_running_end(conn, id);
    return rc;
}

/* A report holds a slot while queued or processing, and when deleted until its query has stopped;
 * it has stopped when the row is dropped. */
static bool holds_slot(enum report_state from, enum report_state to)
{
    return report_is_active(to) || (to == REPORT_DELETING && from == REPORT_PROCESSING);
}

/* The queue in memory follows each change, here and in the process that has the store. `to` may be
 * SQLITE_NOWHERE: no state. */
static int follow_move(struct store_conn *conn, const struct place *place, int to, struct err *err)
{
    struct sqlite_step step = {
        .user_id = place->user_id, .seq = place->seq, .from = place->state, .to = to};

    return sqlite_queue_step(conn, &step, NULL, err)
               ?: sqlite_active_changed(conn, place->user_id, err);
}

/* Each change of a report names its user: cached, since a query would cost as much as the
 * change. */
static int find_owner(struct store_conn *conn, int64_t user_id, char ret[USER_NAME_MAX + 1],
                      struct err *err)
{
    struct sqlite_owner *owner =
        &((struct sqlite_conn *)conn)->owners[(uint64_t)user_id % SQLITE_OWNERS];
    int rc = 0;

    if (owner->user_id != user_id) {
        struct sql q = sql_start(conn, SQL_USER_NAME, value_int(user_id));

        owner->user_id = 0;
        if (sql_next(&q)) {
            sql_get_name(&q, 0, owner->name, sizeof(owner->name));
            owner->user_id = user_id;
        }
        rc = sql_end(&q, err);
    }
    str_copy(ret, USER_NAME_MAX + 1, owner->user_id == user_id ? owner->name : "");
    return rc;
}

static int report_changed(struct store_conn *conn, const struct guid *id, int64_t user_id,
                          enum report_state state, struct err *err)
{
    struct store_change change = {.id = *id, .user_id = user_id, .state = state};
    int rc = find_owner(conn, user_id, change.user, err);

    if (rc == 0)
        store_changed(conn, &change);
    return rc;
}

/* The only function that changes a state: with an SQLITE_MOVE statement, whose own values begin at
 * ?4, in the transaction that has read `place`. */
static int move_report(struct store_conn *conn, const struct place *place, enum report_state to,
                       enum sqlite_statement which, const struct store_value *values,
                       struct err *err)
{
    bool slot = holds_slot(place->state, to);
    struct sql q = sql_start(conn, which, value_int(to), value_bool(slot), value_int(place->seq));
    int rc;

    CHECK(report_may_move(place->state, to));
    sql_bind(&q, 4, values);
    rc = sql_run(&q, err) ?: follow_move(conn, place, to, err);
    if (rc < 0)
        return rc;
    sqlite_counts(conn, place->state, to);
    if (place->slot && !slot)
        sqlite_active_release(conn, place->user_id, place->seq);
    return report_changed(conn, &place->id, place->user_id, to, err);
}

/* ---- submit ---- */

static int active_reports(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    char *list = sqlite_active_list(conn, arg->user_id);
    struct sql q = sql_start(conn, SQL_ACTIVE, value_int(arg->user_id), value_made(list));
    int rc = sqlite_read_reports(&q, SQLITE_ALONE, &arg->active, &arg->active_count, err);

    sqlite3_free(list);
    return rc;
}

int sqlite_key(struct store_conn *conn, struct store_key *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_KEY_FIND, value_int(arg->user_id), value_text(arg->key),
                             value_int(arg->now_ms));
    uint8_t hash[STORE_HASH_BYTES];

    arg->outcome = SUBMIT_ACCEPTED;
    if (sql_next(&q)) {
        arg->id = sql_get_guid(&q, 0);
        sql_get_blob(&q, 1, hash, sizeof(hash));
        arg->outcome = memcmp(hash, arg->request_hash, sizeof(hash)) == 0 ? SUBMIT_REPLAYED
                                                                          : SUBMIT_KEY_REUSED;
    }
    return sql_end(&q, err);
}

/* Does the key answer the request (then the outcome is known)? An expired key is taken from its
 * report. */
static int use_key(struct store_conn *conn, struct store_submit *arg, bool *ret_answered,
                   struct err *err)
{
    struct store_key look = {.user_id = arg->user_id, .key = arg->key, .now_ms = arg->now_ms};
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
    return sql_do(conn, err, SQL_KEY_FORGET, value_int(arg->user_id), value_text(arg->key));
}

static int insert_report(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    bool keyed = arg->key != NULL;
    struct sql q = sql_start(conn, SQL_SUBMIT, value_guid(&arg->id), value_int(arg->user_id),
                             value_int(arg->now_ms), value_text(arg->name),
                             value_text(arg->parameters), value_text(arg->key),
                             value_blob(keyed ? arg->request_hash : NULL, STORE_HASH_BYTES),
                             keyed ? value_int(arg->key_expires_ms) : value_null());

    sql_next(&q);
    return sql_end(&q, err);
}

/* The user may have lost the right since the request was checked. */
static int check_permission(struct store_conn *conn, const struct store_submit *arg,
                            struct err *err)
{
    bool may_run;
    int rc = sqlite_may_run(conn, arg->user_id, arg->name, &may_run, err);

    return rc < 0 || may_run ? rc : err_set(err, -E_FORBIDDEN, "%s", report_not_permitted);
}

static int accept_report(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    int rc = check_permission(conn, arg, err)
                 ?: sqlite_has_reserve(conn) ? insert_report(conn, arg, err)
                                             : sqlite_full(err);
    int64_t seq = sqlite3_last_insert_rowid(((struct sqlite_conn *)conn)->db);

    if (rc == 0)
        rc = sqlite_active_take(conn, arg->user_id, seq, err);
    if (rc == 0)
        rc = sqlite_queue_step(
            conn,
            &(struct sqlite_step){
                .user_id = arg->user_id, .seq = seq, .from = SQLITE_NOWHERE, .to = REPORT_QUEUED},
            arg->name, err);
    if (rc < 0)
        return rc;
    sqlite_counts(conn, SQLITE_NOWHERE, REPORT_QUEUED);
    arg->outcome = SUBMIT_ACCEPTED;
    return report_changed(conn, &arg->id, arg->user_id, REPORT_QUEUED, err);
}

int sqlite_probe(struct store_conn *conn, struct store_probe *arg, struct err *err)
{
    (void)arg;
    return sqlite_has_reserve(conn) ? sql_do(conn, err, SQL_PROBE) : sqlite_full(err);
}

int sqlite_submit(struct store_conn *conn, struct store_submit *arg, struct err *err)
{
    bool answered = false;
    int rc = 0;

    if (arg->key != NULL)
        rc = use_key(conn, arg, &answered, err);
    if (rc < 0 || answered)
        return rc;
    if (sqlite_active_count(conn, arg->user_id) < arg->active_limit)
        return accept_report(conn, arg, err);
    arg->outcome = SUBMIT_LIMIT;
    return active_reports(conn, arg, err);
}

/* What makes it durable is the commit; as long as this process lives, nothing is lost. */
int sqlite_settle(struct store_conn *conn, struct store_settle *arg, struct err *err)
{
    (void)conn, (void)err;
    arg->lost = false;
    return 0;
}

/* ---- running ---- */

static int read_queued(struct store_conn *conn, int64_t seq, struct report *ret, struct err *err)
{
    struct sql q = sql_start(conn, SQL_CLAIMABLE, value_int(seq));
    bool found = sql_next(&q);
    int rc;

    if (found) {
        sqlite_read_report(&q, ret);
        report_take_parameters(ret, sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT));
        ret->user_name = sql_get_text(&q, SQLITE_REPORT_COLUMN_COUNT + 1);
    }
    rc = sql_end(&q, err);
    if (rc == 0 && (!found || ret->state != REPORT_QUEUED))
        /* the rollback has the queue read again */
        return err_set(err, -E_STORE, "Another program has changed the queue in the store.");
    return rc;
}

int sqlite_take(struct store_conn *conn, int64_t seq, struct store_claim *arg, struct err *err)
{
    struct report *report = &arg->report;
    struct place place = {.found = true, .seq = seq, .slot = true};
    int rc = read_queued(conn, seq, report, err);

    if (rc < 0)
        return rc;
    place.id = report->id;
    place.user_id = report->user_id;
    place.state = report->state;
    report->state = REPORT_PROCESSING;
    report->attempt++;
    report->started_ms = arg->now_ms;
    return move_report(conn, &place, report->state, SQL_CLAIM,
                       VALUES(value_int(report->started_ms), value_int(report->attempt)), err)
               ?: sqlite_may_run(conn, report->user_id, report->name, &arg->permitted, err);
}

int sqlite_finish(struct store_conn *conn, struct store_finish *arg, struct err *err)
{
    bool complete = arg->state == REPORT_COMPLETE;
    bool in_row = complete && arg->result != NULL;
    struct place place;
    int rc = end_running(conn, &arg->id, arg->attempt, &place, err);

    arg->moved = place.found;
    if (rc == 0 && place.found && in_row)
        rc = sql_do(conn, err, SQL_KEEP_RESULT, value_int(place.seq),
                    value_blob(arg->result, (int)arg->result_len));
    if (rc < 0 || !place.found)
        return rc;
    return move_report(
        conn, &place, arg->state, SQL_FINISH,
        VALUES(value_int(arg->rows), value_int(arg->bytes), value_int(arg->now_ms),
               value_int(arg->expires_ms),
               value_blob(complete ? arg->digest : NULL, REPORT_DIGEST_BYTES),
               value_text(complete ? NULL : arg->message),
               value_blob(complete && arg->sealed ? arg->key : NULL, REPORT_KEY_BYTES),
               value_bool(in_row), value_int(arg->footer)),
        err);
}

int sqlite_requeue(struct store_conn *conn, struct store_requeue *arg, struct err *err)
{
    struct place place;
    int rc = end_running(conn, &arg->id, arg->attempt, &place, err);

    arg->moved = place.found;
    if (rc < 0 || !place.found)
        return rc;
    return move_report(conn, &place, REPORT_QUEUED, SQL_REQUEUE, VALUES(value_bool(arg->failed)),
                       err);
}

/* A SQLite store has one node: everything in PROCESSING was its own. */
int sqlite_recover(struct store_conn *conn, struct store_recover *arg, struct err *err)
{
    for (arg->requeued = 0;; arg->requeued++) {
        struct sql q = sql_start(conn, SQL_RECOVER_PLACE);
        struct place place;
        int rc = read_place(&q, &place, err);

        if (rc < 0 || !place.found)
            return rc;
        rc = move_report(conn, &place, REPORT_QUEUED, SQL_REQUEUE, VALUES(value_bool(false)), err);
        if (rc < 0)
            return rc;
    }
}

/* The one node lives as long as the store is in use, and no other node can hold its reports. */
int sqlite_heartbeat(struct store_conn *conn, struct store_heartbeat *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_PROCESSING, value_int(STORE_RUNNING_MAX));

    arg->alive = true;
    arg->requeued = 0;
    for (arg->count = 0; sql_next(&q); arg->count++)
        arg->running[arg->count] =
            (struct store_ref){.id = sql_get_guid(&q, 0), .attempt = (int)sql_get_int(&q, 1)};
    return sql_end(&q, err);
}

int sqlite_held(struct store_conn *conn, struct store_held *arg, struct err *err)
{
    (void)conn, (void)err;
    arg->held = false;
    return 0;
}

int sqlite_held_many(struct store_conn *conn, struct store_held_many *arg, struct err *err)
{
    (void)conn, (void)err;
    for (size_t i = 0; i < arg->count; i++)
        arg->reports[i].held = false;
    return 0;
}

int sqlite_sent(struct store_conn *conn, struct store_sent *arg, struct err *err)
{
    (void)conn, (void)arg, (void)err;
    return 0;
}

int sqlite_nodes(struct store_conn *conn, struct store_nodes *arg, struct err *err)
{
    (void)conn, (void)err;
    *arg = (struct store_nodes){0};
    return 0;
}

/* ---- reports that their user may no longer run ---- */

struct active {
    struct place place;
    char *name;
};

/* *ret and what it owns belong to the caller. */
static int read_active(struct store_conn *conn, int64_t user_id, struct active **ret,
                       size_t *ret_count, struct err *err)
{
    char *list = sqlite_active_list(conn, user_id);
    struct sql q = sql_start(conn, SQL_ACTIVE_PLACES, value_int(user_id), value_made(list));
    void *reports = NULL;
    size_t count = 0;

    while (sql_next(&q)) {
        struct active *one = sql_grow(&q, &reports, count, sizeof(*one));

        if (one == NULL)
            break;
        read_place_columns(&q, &one->place);
        one->name = sql_get_text(&q, SQLITE_PLACE_COLUMN_COUNT);
        count++;
    }
    sqlite3_free(list);
    *ret = reports;
    *ret_count = count;
    return sql_end(&q, err);
}

static int revoke_one(struct store_conn *conn, const struct active *one,
                      struct store_user_change *arg, struct err *err)
{
    bool may_run = false;
    int rc = sqlite_may_run(conn, one->place.user_id, one->name, &may_run, err);

    if (rc < 0 || may_run)
        return rc;
    arg->ended++;
    return move_report(conn, &one->place, REPORT_ERROR, SQL_REVOKE,
                       VALUES(value_int(arg->now_ms), value_text(arg->retentions),
                              value_int(arg->retention_ms), value_text(report_not_permitted)),
                       err);
}

int sqlite_revoke(struct store_conn *conn, int64_t user_id, struct store_user_change *arg,
                  struct err *err)
{
    struct active *reports = NULL;
    size_t count = 0;
    int rc = read_active(conn, user_id, &reports, &count, err);

    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = revoke_one(conn, &reports[i], arg, err);
        free(reports[i].name);
    }
    free(reports);
    return rc;
}

/* ---- deletion ---- */

/* A report in DELETING loses its row. */
static int drop_row(struct store_conn *conn, const struct place *place, struct err *err)
{
    ((struct sqlite_conn *)conn)->dropped = true; /* see sqlite_maintain() */
    sqlite_counts(conn, REPORT_DELETING, SQLITE_NOWHERE);
    sqlite_running_end(conn, &place->id);
    return sql_do(conn, err, SQL_DELETE_ROW, value_int(place->seq))
               ?: follow_move(conn, place, SQLITE_NOWHERE, err);
}

/* Mark the report `ret->id` of the user (0: of any user), if it is in `state` (-1: in any
 * state). */
static int tombstone_one(struct store_conn *conn, int64_t user_id, int state,
                         struct store_marked *ret, struct err *err)
{
    struct place place;
    int rc = find_named_place(conn, &ret->id, &place, ret->name, err);

    ret->held = ret->in_row = false;
    ret->found = place.found && place.state != REPORT_DELETING &&
                 (user_id == place.user_id || user_id == 0) &&
                 (state < 0 || state == (int)place.state);
    if (rc < 0 || !ret->found)
        return rc;
    ret->was = place.state;
    ret->attempt = place.attempt;
    ret->in_row = place.state == REPORT_COMPLETE && place.in_row;
    ret->held = place.state == REPORT_ERROR && sqlite_running_has(conn, &place.id);
    ((struct sqlite_conn *)conn)->dropped = true; /* see sqlite_maintain() */
    rc = move_report(conn, &place, REPORT_DELETING, SQL_TOMBSTONE, VALUES(), err);
    if (rc == 0 && ret->in_row)
        rc = sql_do(conn, err, SQL_ERASE_RESULT, value_int(place.seq));
    return rc;
}

int sqlite_tombstone(struct store_conn *conn, struct store_tombstone *arg, struct err *err)
{
    struct store_marked one = {.id = arg->id};
    int rc = tombstone_one(conn, arg->user_id, -1, &one, err);

    arg->found = one.found;
    arg->was = one.was;
    arg->attempt = one.attempt;
    arg->held = one.held;
    arg->in_row = one.in_row;
    if (arg->name != NULL)
        memcpy(arg->name, one.name, sizeof(one.name));
    return rc;
}

int sqlite_tombstone_many(struct store_conn *conn, struct store_tombstone_many *arg,
                          struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < arg->count; i++)
        rc = tombstone_one(conn, arg->user_id, arg->state, &arg->reports[i], err);
    return rc;
}

/* ret_user: as in struct store_delete_row. */
static int delete_row(struct store_conn *conn, const struct guid *id, char *ret_user,
                      struct err *err)
{
    struct place place;
    int rc = find_place(conn, id, &place, err);

    if (ret_user != NULL)
        *ret_user = '\0';
    if (rc < 0 || !place.found || place.state != REPORT_DELETING)
        return rc;
    if (ret_user != NULL)
        rc = find_owner(conn, place.user_id, ret_user, err);
    if (rc == 0)
        rc = drop_row(conn, &place, err);
    if (rc == 0 && place.slot)
        sqlite_active_release(conn, place.user_id, place.seq);
    return rc;
}

int sqlite_delete_row(struct store_conn *conn, struct store_delete_row *arg, struct err *err)
{
    return sqlite_ledger_count(conn, &arg->counted, err)
               ?: delete_row(conn, &arg->id, arg->user, err);
}

int sqlite_delete_rows(struct store_conn *conn, struct store_delete_rows *arg, struct err *err)
{
    int rc = sqlite_ledger_count(conn, &arg->counted, err);

    for (size_t i = 0; rc == 0 && i < arg->count; i++)
        rc = delete_row(conn, &arg->reports[i].id, arg->reports[i].user, err);
    return rc;
}

int sqlite_deleting(struct store_conn *conn, struct store_deleting *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_DELETING, value_int(STORE_BATCH_MAX));

    for (arg->count = 0; arg->count < STORE_BATCH_MAX && sql_next(&q); arg->count++)
        arg->refs[arg->count] =
            (struct store_ref){.id = sql_get_guid(&q, 0), .attempt = (int)sql_get_int(&q, 1)};
    return sql_end(&q, err);
}
