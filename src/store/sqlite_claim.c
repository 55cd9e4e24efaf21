/* src/store/sqlite_claim.c -- what starts next in SQLite, and what is paused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/sqlite_impl.h"

/* ---- the queue in memory ---- */

static struct fair_queue *locked_queue(struct store_conn *conn)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;

    lock_check_held(&shared->lock);
    return shared->queue;
}

static int name_of(struct store_conn *conn, int64_t seq, char **ret, struct err *err)
{
    struct sql q = sql_start(conn, SQL_NAME_AT, value_int(seq));
    int rc;

    if (sql_next(&q))
        *ret = sql_get_text(&q, 0);
    rc = sql_end(&q, err);
    return rc == 0 && *ret == NULL ? sqlite_no_memory(err) : rc;
}

static bool step(struct fair_queue *queue, const struct sqlite_step *step, const char *name)
{
    if (step->from == REPORT_QUEUED)
        fair_queue_remove(queue, step->user_id, step->seq);
    return step->to != REPORT_QUEUED || fair_queue_add(queue, step->user_id, name, step->seq);
}

int sqlite_queue_step(struct store_conn *conn, const struct sqlite_step *arg, const char *name,
                      struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    char *own = NULL;
    bool good;
    int rc = 0;

    if (arg->to == REPORT_QUEUED && name == NULL)
        rc = name_of(conn, arg->seq, &own, err);
    if (rc < 0)
        return rc;
    lock_take(&shared->lock);
    good = step(locked_queue(conn), arg, name != NULL ? name : own);
    lock_release(&shared->lock);
    free(own);
    return good ? 0 : sqlite_no_memory(err);
}

int64_t sqlite_queue_position(struct store_conn *conn, int64_t user_id, int64_t seq)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    int64_t position;

    lock_take(&shared->lock);
    position = fair_queue_position(locked_queue(conn), user_id, seq);
    lock_release(&shared->lock);
    return position;
}

/* ---- claims ---- */

/* What a claim may start. */
struct opening {
    struct store_conn *conn;
    const struct store_claim *claim;
    struct store_paused paused;
};

static bool is_full(const struct opening *opening, const char *source)
{
    for (size_t i = 0; i < opening->claim->limit_count; i++) {
        const struct store_limit *limit = &opening->claim->limits[i];

        if (str_eq(limit->source, source))
            return sqlite_running_on(opening->conn, source) >= limit->max_running;
    }
    return false;
}

static bool may_start(void *context, const char *name)
{
    const struct opening *opening = context;
    char source[STORE_SOURCE_TEXT];

    store_offered_source(opening->claim, name, source);
    return source[0] == '\0' ||
           (!str_has_line(opening->paused.sources, source) && !is_full(opening, source));
}

/* The number of the user's start is stored with the claim, so that it counts after a restart,
 * too. */
static int record_start(struct store_conn *conn, int64_t user_id, struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    int64_t turn;

    lock_take(&shared->lock);
    turn = fair_queue_start(locked_queue(conn), user_id);
    lock_release(&shared->lock);
    if (turn == 0)
        return sqlite_no_memory(err);
    return sql_do(conn, err, SQL_TURN, value_int(user_id), value_int(turn));
}

static int claim_next(struct store_conn *conn, struct opening *opening, struct store_claim *arg,
                      struct err *err)
{
    /* Only the writer, which is this thread, changes the queue: reading it needs no lock. */
    struct fair_queue *queue = ((struct sqlite_conn *)conn)->shared->queue;
    bool closed =
        opening->paused.all || str_has_line(opening->paused.sources, STORE_NODE_MARK STORE_ALONE);
    int64_t seq = closed ? 0 : fair_queue_next(queue, arg->running_limit, may_start, opening);
    char source[STORE_SOURCE_TEXT];
    int rc;

    arg->found = seq != 0;
    arg->held_back = !arg->found && !fair_queue_is_empty(queue);
    if (!arg->found)
        return 0;
    if (!sqlite_has_reserve(conn)) /* it would only fail, and ending it needs room */
        return sqlite_full(err);
    rc = sqlite_take(conn, seq, arg, err);
    if (rc < 0)
        return rc;
    store_offered_source(arg, arg->report.name, source);
    return sqlite_running_start(conn, &arg->report, source, err)
               ?: record_start(conn, arg->report.user_id, err);
}

int sqlite_claim(struct store_conn *conn, struct store_claim *arg, struct err *err)
{
    struct opening opening = {.conn = conn, .claim = arg};
    int rc = sqlite_paused(conn, &opening.paused, err);

    if (rc == 0)
        rc = claim_next(conn, &opening, arg, err);
    free(opening.paused.sources);
    return rc;
}

/* ---- pauses ---- */

int sqlite_pause(struct store_conn *conn, struct store_pause *arg, struct err *err)
{
    const char *source = arg->source != NULL ? arg->source : "";
    int rc = sql_do(conn, err, arg->paused ? SQL_PAUSE : SQL_RESUME, value_text(source));

    if (rc == 0 && !arg->paused)
        store_changed(conn, &(struct store_change){.state = REPORT_QUEUED}); /* not a change of a
                                                                              * report */
    return rc;
}

int sqlite_paused(struct store_conn *conn, struct store_paused *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_PAUSED);
    struct buf sources;

    arg->all = false;
    buf_init(&sources, PAUSED_MAX);
    while (sql_next(&q)) {
        char *source = sql_get_text(&q, 0);

        store_add_paused(arg, &sources, source);
        free(source);
    }
    arg->sources = buf_take(&sources);
    return sql_end(&q, err) ?: arg->sources == NULL ? sqlite_no_memory(err) : 0;
}
