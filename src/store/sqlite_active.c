/* src/store/sqlite_active.c -- active reports in memory: which user's reports hold slots, and how
 * far the running ones are. An index of slots on disk by user would have every submit of a group
 * write a page of its own.
 *
 * Each user's list has every report that holds a slot, as any connection may see it now: a report
 * is added before the commit that takes the slot, and removed after the one that releases it.
 * Readers check in the table which of them really hold one. `held` is exact in the writer's
 * transaction. The lists are read from the table at the start and after a rollback. When another
 * process has committed, the process that has the store reads only those users again that the other
 * one has recorded. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/thread.h"
#include "store/sqlite_impl.h"

struct holder {
    int64_t user_id;
    int held;
    size_t count, cap;
    int64_t *seqs;
};

static int compare_holders(const void *left, const void *right)
{
    const struct holder *a = left, *b = right;

    return (a->user_id > b->user_id) - (a->user_id < b->user_id);
}

static void holder_free(void *node)
{
    struct holder *holder = node;

    free(holder->seqs);
    free(holder);
}

/* NULL: the user never held a slot. */
static struct holder *find_holder(void *const *holders, int64_t user_id)
{
    const struct holder wanted = {.user_id = user_id};
    struct holder **found = tfind(&wanted, holders, compare_holders);

    return found != NULL ? *found : NULL;
}

/* NULL: no memory. */
static struct holder *make_holder(void **holders, int64_t user_id)
{
    struct holder *holder = find_holder(holders, user_id);

    if (holder != NULL)
        return holder;
    holder = calloc(1, sizeof(*holder));
    if (holder == NULL)
        return NULL;
    holder->user_id = user_id;
    if (tsearch(holder, holders, compare_holders) == NULL) {
        free(holder);
        return NULL;
    }
    return holder;
}

/* The lists that all connections see. */
static void **shared_holders(struct sqlite_shared *shared)
{
    lock_check_held(&shared->lock);
    return &shared->holders;
}

int sqlite_no_memory(struct err *err)
{
    return err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
}

static int add_seq(void **holders, int64_t user_id, int64_t seq, struct err *err)
{
    struct holder *holder = make_holder(holders, user_id);

    if (holder == NULL)
        return sqlite_no_memory(err);
    if (!array_grow(&holder->seqs, holder->count, &holder->cap, sizeof(seq)))
        return sqlite_no_memory(err);
    holder->seqs[holder->count++] = seq;
    holder->held++;
    return 0;
}

static void remove_seq(void **holders, const struct sqlite_release *release)
{
    struct holder *holder = find_holder(holders, release->user_id);

    for (size_t i = 0; holder != NULL && i < holder->count; i++) {
        if (holder->seqs[i] == release->seq) {
            holder->seqs[i] = holder->seqs[--holder->count];
            return;
        }
    }
}

/* ---- reading them from the table ---- */

static int read_data_version(struct store_conn *conn, int64_t *ret, struct err *err)
{
    struct sql q = sql_start(conn, SQL_DATA_VERSION);

    if (sql_next(&q))
        *ret = sql_get_int(&q, 0);
    return sql_end(&q, err);
}

/* Read the turns and limits of those users. */
static int read_turns(struct sql *q, struct fair_queue *queue, struct err *err)
{
    bool good = true;
    int end;

    while (good && sql_next(q))
        good = fair_queue_user(queue, sql_get_int(q, 0), sql_get_int(q, 1), (int)sql_get_int(q, 2));
    end = sql_end(q, err);
    return good ? end : sqlite_no_memory(err);
}

static int read_one(struct sql *q, void **holders, struct fair_queue *queue, struct err *err)
{
    int64_t user_id = sql_get_int(q, 0), seq = sql_get_int(q, 1);
    bool queued = sql_get_int(q, 2) == REPORT_QUEUED;
    char *name = queued ? sql_get_text(q, 3) : NULL;
    bool good = !queued || (name != NULL && fair_queue_add(queue, user_id, name, seq));

    free(name);
    return good ? add_seq(holders, user_id, seq, err) : sqlite_no_memory(err);
}

static int read_holders(struct store_conn *conn, void **holders, struct fair_queue *queue,
                        struct err *err)
{
    struct sql users = sql_start(conn, SQL_TURNS), q;
    int rc = read_turns(&users, queue, err) ?: sqlite_running_read_again(conn, queue, err), end;

    q = sql_start(conn, SQL_HOLDERS);
    while (rc == 0 && sql_next(&q))
        rc = read_one(&q, holders, queue, err);
    end = sql_end(&q, rc == 0 ? err : NULL);
    return rc < 0 ? rc : end;
}

/* Put these in the place of the current ones, which are freed. */
static void exchange_holders(struct sqlite_shared *shared, void *holders, struct fair_queue *queue)
{
    void *holders_before;
    struct fair_queue *queue_before;

    lock_take(&shared->lock);
    holders_before = shared->holders;
    queue_before = shared->queue;
    shared->holders = holders;
    shared->queue = queue;
    lock_release(&shared->lock);
    tdestroy(holders_before, holder_free);
    fair_queue_free(queue_before);
}

static int read_all_holders(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    struct fair_queue *queue = fair_queue_new();
    void *holders = NULL;
    int rc;

    rc = queue != NULL ? read_holders(conn, &holders, queue, err) : sqlite_no_memory(err);
    if (rc < 0) {
        tdestroy(holders, holder_free);
        fair_queue_free(queue);
        return rc;
    }
    exchange_holders(c->shared, holders, queue);
    return 0;
}

/* ---- what another process has changed ---- */

/* If there is no memory to record it, everything is read again after this transaction. */
static void record_release(struct sqlite_conn *c, int64_t user_id, int64_t seq)
{
    struct sqlite_release release = {.user_id = user_id, .seq = seq};

    if (array_grow(&c->releases, c->release_count, &c->release_cap, sizeof(release)))
        c->releases[c->release_count++] = release;
    else
        c->holders_stale = true;
}

int sqlite_queue_read_user(struct store_conn *conn, int64_t user_id, struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    struct sql q = sql_start(conn, SQL_TURN_OF, value_int(user_id));
    int rc;

    lock_take(&shared->lock);
    rc = read_turns(&q, shared->queue, err);
    lock_release(&shared->lock);
    return rc;
}

/* The report at `seq` may have ended, or be deleted. */
static int read_seq_again(struct store_conn *conn, struct holder *holder, int64_t seq,
                          struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    struct sql q = sql_start(conn, SQL_STATE_AT, value_int(seq));
    bool found = sql_next(&q);
    bool queued = found && sql_get_int(&q, 0) == REPORT_QUEUED;
    bool held = found && sql_get_bool(&q, 1);
    int rc = sql_end(&q, err);

    if (rc < 0 || queued)
        return rc;
    lock_take(&c->shared->lock);
    fair_queue_remove(c->shared->queue, holder->user_id, seq);
    if (!held)
        holder->held--;
    lock_release(&c->shared->lock);
    if (!held)
        record_release(c, holder->user_id, seq);
    return 0;
}

/* Only this thread changes the holder, so it is read without the lock. */
static int read_user_again(struct store_conn *conn, int64_t user_id, struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    struct holder *holder;
    int rc = sqlite_queue_read_user(conn, user_id, err);

    lock_take(&shared->lock);
    holder = find_holder(shared_holders(shared), user_id);
    lock_release(&shared->lock);
    for (size_t i = 0; rc == 0 && holder != NULL && i < holder->count; i++)
        rc = read_seq_again(conn, holder, holder->seqs[i], err);
    return rc;
}

static int read_changed_users(struct store_conn *conn, struct err *err)
{
    struct sql q = sql_start(conn, SQL_CHANGED_USERS);
    bool any = false;
    int rc = 0, end;

    while (rc == 0 && sql_next(&q)) {
        rc = read_user_again(conn, sql_get_int(&q, 0), err);
        any = true;
    }
    end = sql_end(&q, rc == 0 ? err : NULL);
    rc = rc < 0 ? rc : end;
    return rc < 0 || !any ? rc : sql_do(conn, err, SQL_CHANGED_SEEN);
}

int sqlite_active_changed(struct store_conn *conn, int64_t user_id, struct err *err)
{
    return ((struct sqlite_conn *)conn)->shared->alone
               ? 0
               : sql_do(conn, err, SQL_CHANGED, value_int(user_id));
}

int sqlite_active_begin(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int64_t version = c->data_version;
    int rc = read_data_version(conn, &version, err);

    c->release_count = 0;
    if (rc < 0 || (version == c->data_version && !c->holders_stale))
        return rc;
    rc = c->holders_stale || !c->shared->alone ? read_all_holders(conn, err)
                                               : read_changed_users(conn, err);
    c->holders_stale = rc < 0;
    memset(c->owners, 0, sizeof(c->owners)); /* another process may have removed a user */
    if (rc == 0)
        c->data_version = version;
    return rc;
}

/* ---- changes ---- */

void sqlite_active_commit(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    sqlite_running_commit(c->shared);
    if (c->release_count == 0)
        return;
    lock_take(&c->shared->lock);
    for (size_t i = 0; i < c->release_count; i++)
        remove_seq(shared_holders(c->shared), &c->releases[i]);
    lock_release(&c->shared->lock);
    c->release_count = 0;
}

int sqlite_active_count(struct store_conn *conn, int64_t user_id)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    struct holder *holder;
    int held;

    lock_take(&shared->lock);
    holder = find_holder(shared_holders(shared), user_id);
    held = holder != NULL ? holder->held : 0;
    lock_release(&shared->lock);
    return held;
}

int sqlite_active_take(struct store_conn *conn, int64_t user_id, int64_t seq, struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    int rc;

    lock_take(&shared->lock);
    rc = add_seq(shared_holders(shared), user_id, seq, err);
    lock_release(&shared->lock);
    return rc;
}

void sqlite_active_release(struct store_conn *conn, int64_t user_id, int64_t seq)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    struct holder *holder;

    lock_take(&c->shared->lock);
    holder = find_holder(shared_holders(c->shared), user_id);
    if (holder != NULL)
        holder->held--;
    lock_release(&c->shared->lock);
    record_release(c, user_id, seq);
}

/* ---- reading ---- */

char *sqlite_active_list(struct store_conn *conn, int64_t user_id)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    sqlite3_str *text = sqlite3_str_new(NULL);
    struct holder *holder;

    sqlite3_str_appendchar(text, 1, '[');
    lock_take(&shared->lock);
    holder = find_holder(shared_holders(shared), user_id);
    for (size_t i = 0; holder != NULL && i < holder->count; i++)
        sqlite3_str_appendf(text, "%s%lld", i == 0 ? "" : ",", (long long)holder->seqs[i]);
    lock_release(&shared->lock);
    sqlite3_str_appendchar(text, 1, ']');
    return sqlite3_str_finish(text);
}

void sqlite_active_free(struct sqlite_conn *c)
{
    tdestroy(c->shared->holders, holder_free);
    fair_queue_free(c->shared->queue);
    free(c->releases);
}
