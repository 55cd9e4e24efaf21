/* src/store/postgres.c -- the PostgreSQL backend. A batch is one pipeline. Its verbs are in an
 * order that keeps two batches from waiting for each other, except for deletions of many reports; a
 * deadlock is retried, and so is a batch whose outcome is unknown. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/seam.h"
#include "store/postgres_impl.h"

enum {
    ALIVE_MS = 2000,    /* longest wait for a sign of life, before anything that may take long */
    ANSWER_MS = 10000,  /* … and then for the answers to a batch */
    FRESH_MS = 10,      /* a session that has answered so short ago is there */
    DOUBT_MS = 15000,   /* how long to find out whether a batch was committed */
    LATE_MS = 10000,    /* a numbered batch that arrives so long after the last is refused */
    RENEW_MS = 5000,    /* a connection's row of `writer` that is older is replaced */
    BLINK_MS = 1000,    /* how long a database that has just gone away may take to return */
    LOST_MAX = 5,       /* tries of a batch whose session is ended each time */
    PAUSE_MS = 20,      /* between tries */
    CONFLICTS_MAX = 5,  /* tries of a batch that conflicts with another */
    CONFLICT_MS = 2000, /* a lock held longer than this is not another batch's */
    STALE_MAX = 3,      /* tries with newer keys, before a row that no key opens is given up */
};

/* ---- the order of a batch ---- */

/* Locks are taken in the order of these ranks, and within a rank by key. The holder of the lock of
 * the claims waits only for the commit. Beyond RANK_REPORTS nothing waits for a lock that another
 * batch may hold for long: locked rows are skipped. */
enum rank { RANK_USER, RANK_SESSION, RANK_REPORT, RANK_REPORTS, RANK_REST, RANK_CLAIM };

struct place {
    struct store_op *op;
    enum rank rank;
    int64_t user;
    struct guid id;
    int posted;                      /* equal places keep the order in which they were posted */
    const struct store_claim *start; /* of a SUBMIT: NULL, or the claim that takes the report */
};

static struct place lock_place(struct store_op *op)
{
    switch (op->verb) {
    case STORE_SUBMIT:
        return (struct place){
            .op = op, .rank = RANK_USER, .user = op->submit.user_id, .id = op->submit.id};
    case STORE_LOGIN:
        return (struct place){.op = op, .rank = RANK_USER, .user = op->login.user_id};
    case STORE_ROTATE:
        return (struct place){.op = op, .rank = RANK_SESSION, .id = op->rotate.session};
    case STORE_LOGOUT:
        return (struct place){.op = op, .rank = RANK_SESSION, .id = op->logout.session};
    case STORE_SETTLE:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->settle.id};
    case STORE_PROGRESS:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->progress.id};
    case STORE_FINISH:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->finish.id};
    case STORE_REQUEUE:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->requeue.id};
    case STORE_TOMBSTONE:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->tombstone.id};
    case STORE_DELETE_ROW:
        return (struct place){.op = op, .rank = RANK_REPORT, .id = op->delete_row.id};
    case STORE_CLAIM:
    case STORE_PAUSE:
        return (struct place){.op = op, .rank = RANK_CLAIM};
    case STORE_TOMBSTONE_MANY: /* in its own order by id: a deadlock is rare, and retried */
    case STORE_DELETE_ROWS:
        return (struct place){.op = op, .rank = RANK_REPORTS};
    default:
        return (struct place){.op = op, .rank = RANK_REST};
    }
}

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    int order = (a->rank > b->rank) - (a->rank < b->rank);

    if (order == 0)
        order = (a->user > b->user) - (a->user < b->user);
    if (order == 0 && a->rank == RANK_USER) /* the lock for the limit, then the user's row */
        order = (a->op->verb > b->op->verb) - (a->op->verb < b->op->verb);
    if (order == 0 && a->rank != RANK_USER)
        order = memcmp(&a->id, &b->id, sizeof(a->id));
    return order != 0 ? order : a->posted - b->posted;
}

static int count_verb(const struct place *places, int count, enum store_verb verb)
{
    int found = 0;

    for (int i = 0; i < count; i++)
        found += places[i].op->verb == verb;
    return found;
}

/* If there is a claim for each report that the batch submits, SUBMIT inserts them as processing,
 * unless others are queued; the claims, which come last, then find them. Not after a conflict, with
 * which a claim answers if another report may have to start first. */
static void pair_claims(struct place *places, int count)
{
    int claim = 0;

    if (count_verb(places, count, STORE_SUBMIT) > count_verb(places, count, STORE_CLAIM))
        return;
    for (int i = 0; i < count; i++) {
        if (places[i].op->verb != STORE_SUBMIT)
            continue;
        while (places[claim].op->verb != STORE_CLAIM)
            claim++;
        places[i].start = &places[claim++].op->claim;
    }
}

static int order_batch(struct work_item *batch, struct place places[NETWORK_BATCH_MAX])
{
    int count = 0;

    for (struct work_item *item = batch; item != NULL; item = item->next, count++) {
        CHECK(count < NETWORK_BATCH_MAX);
        places[count] = lock_place(store_op_of(item));
        places[count].posted = count;
    }
    qsort(places, (size_t)count, sizeof(places[0]), compare_places);
    pair_claims(places, count);
    return count;
}

/* ---- the verbs ---- */

static bool reads_a_whole_table(const struct store_op *op)
{
    return op->verb == STORE_LIST || op->verb == STORE_MATCH || op->verb == STORE_STATS ||
           op->verb == STORE_OVERVIEW;
}

static void send_verb_alone(struct postgres_conn *c, struct store_op *op)
{
    switch (op->verb) {
#define X(name, member, kind)                                                                      \
    case STORE_##name:                                                                             \
        postgres_send_##member(c, &op->member);                                                    \
        break;
        STORE_VERBS(X)
#undef X
    case STORE_VERB_COUNT:
        break;
    }
}

static void send_verb(struct postgres_conn *c, struct store_op *op)
{
    bool whole = reads_a_whole_table(op);

    if (whole)
        call_run(c, PG_SCANS, value_text("on"));
    send_verb_alone(c, op);
    if (whole)
        call_run(c, PG_SCANS, value_text("off"));
}

static int read_verb_alone(struct postgres_conn *c, struct store_op *op)
{
    if (!results_take(c))
        return -E_STORE;
    switch (op->verb) {
#define X(name, member, kind)                                                                      \
    case STORE_##name:                                                                             \
        return postgres_read_##member(c, &op->member);
        STORE_VERBS(X)
#undef X
    case STORE_VERB_COUNT:
        break;
    }
    return err_set(&c->err, -E_INTERNAL, "The store has no such verb.");
}

static int read_verb(struct postgres_conn *c, struct store_op *op)
{
    bool whole = reads_a_whole_table(op);
    int rc = whole && !results_take(c) ? -E_STORE : read_verb_alone(c, op);

    if (whole && rc == 0 && !results_take(c))
        rc = -E_STORE;
    return rc;
}

/* ---- one try ---- */

/* Another try may find something else. */
static void forget_found(struct postgres_conn *c, const struct place *places, int count)
{
    store_forget_changes(&c->base);
    for (int i = 0; i < count; i++) {
        store_op_done(places[i].op);
        if (places[i].op->verb == STORE_SUBMIT)
            places[i].op->submit.id = places[i].id; /* a replay returns another id */
    }
}

/* Read the answers to our notifications. Whether other nodes got them does not matter: they also
 * read the store from time to time. */
static void read_owed(struct postgres_conn *c)
{
    for (; c->owed > 0 && c->trouble != PG_LOST; c->owed--)
        results_drain(c);
    if (c->trouble != PG_LOST)
        c->trouble = PG_GOOD;
}

/* Does the batch write anything that the newest key has to seal, or check that it can? */
static bool seals(const struct place *places, int count)
{
    for (int i = 0; i < count; i++) {
        if (places[i].op->verb == STORE_SUBMIT || places[i].op->verb == STORE_PROBE)
            return true;
    }
    return false;
}

/* May what the verb gives be taken back before a session that hangs goes on, or before the verb is
 * repeated? A key that was removed may have been added anew, under the same name. */
static bool gives(enum store_verb verb)
{
    return verb == STORE_SUBMIT || verb == STORE_LOGIN || verb == STORE_USER_ADD ||
           verb == STORE_USER_CHANGE || verb == STORE_GROUP_CHANGE || verb == STORE_API_KEY_ADD ||
           verb == STORE_API_KEY_ENABLE || verb == STORE_API_KEY_REMOVE || verb == STORE_PAUSE;
}

static bool is_numbered(const struct place *places, int count)
{
    bool numbered = seals(places, count);

    for (int i = 0; i < count && !numbered; i++)
        numbered = gives(places[i].op->verb);
    return numbered;
}

/* An earlier try has carried it out, and the answer was lost: only that of SUBMIT can be found. */
static bool is_settled(const struct store_op *op)
{
    return op->again && gives(op->verb) && op->verb != STORE_SUBMIT;
}

static int read_over(struct postgres_conn *c)
{
    store_sessions_ended(&c->base, 0); /* perhaps */
    return store_doubt(&c->err);
}

/* Makes the node that makes the next key wait until the batch is committed, so that nothing is
 * written under a key that is already counted as unused. Taken before all other locks, since a
 * batch that waits for it would block others. */
static void send_hold(struct postgres_conn *c)
{
    struct erase_keys keys = keyring_keys(c->shared->ring);

    c->sealing = keys.key[0];
    sodium_memzero(&keys, sizeof(keys));
    call_run(c, PG_KEYS_HOLD);
}

/* The newest number of records in this node's ledger that the batch tells; NULL: none. Counted
 * once, in the transaction that deletes the rows, which no other node waits for. */
static const struct store_counted *newest_count(const struct place *places, int count)
{
    const struct store_counted *newest = NULL;

    for (int i = 0; i < count; i++) {
        const struct store_op *op = places[i].op;
        const struct store_counted *counted = op->verb == STORE_DELETE_ROW ? &op->delete_row.counted
                                              : op->verb == STORE_DELETE_ROWS
                                                  ? &op->delete_rows.counted
                                                  : NULL;

        if (counted != NULL && counted->records > (newest != NULL ? newest->records : 0))
            newest = counted;
    }
    return newest;
}

/* Ask, after the commit, which of the tombstones have to wait for a node: HELD for each. */
static void send_held(struct postgres_conn *c, const struct place *places, int count)
{
    struct pg_guids ids;

    pg_guids_start(&ids, (size_t)count_verb(places, count, STORE_TOMBSTONE));
    for (int i = 0; i < count; i++) {
        if (places[i].op->verb == STORE_TOMBSTONE)
            pg_guids_add(&ids, &places[i].id);
    }
    call_run(c, PG_HELD_MANY, value_guids(&ids));
}

/* If this fails, the batch is committed all the same: it is repeated as one that may be. */
static void read_held(struct postgres_conn *c, const struct place *places, int count)
{
    if (!results_take(c)) {
        c->trouble = PG_LOST;
        return;
    }
    while (results_next(c)) {
        struct guid id = get_guid(c, 0);

        for (int i = 0; i < count; i++) {
            if (places[i].op->verb == STORE_TOMBSTONE && guid_eq(&places[i].id, &id))
                places[i].op->tombstone.held = places[i].op->tombstone.found;
        }
    }
}

static void send_number(struct postgres_conn *c, bool is_sealed)
{
    c->numbered_ms = clock_mono_ms();
    call_run(c, PG_WRITER_BATCH, is_sealed ? value_int(c->sealing.number) : value_null(),
             value_guid(&c->writer), value_int(++c->batch), value_int(LATE_MS));
}

static void send_batch(struct postgres_conn *c, const struct place *places, int count,
                       enum store_kind kind)
{
    const struct store_counted *counted = newest_count(places, count);

    if (seals(places, count))
        send_hold(c);
    if (is_numbered(places, count))
        send_number(c, seals(places, count));
    for (int i = 0; i < count; i++) {
        c->start = c->crossed || c->doubted ? NULL : places[i].start;
        c->again = places[i].op->again;
        if (!is_settled(places[i].op))
            send_verb(c, places[i].op);
    }
    if (seals(places, count))
        SEAM_STEP("store", "submit", "sealed");
    sodium_memzero(&c->sealing, sizeof(c->sealing));
    if (counted != NULL)
        call_run(c, PG_LEDGER_COUNT, value_guid(&counted->ledger), value_int(counted->records));
    if (kind != STORE_READ && kind != STORE_DURABLE)
        call_run(c, PG_HASTE);
    if (kind != STORE_READ)
        call_run(c, PG_COMMIT);
    if (count_verb(places, count, STORE_TOMBSTONE) > 0)
        send_held(c, places, count);
    call_sync(c);
}

static void read_commit(struct postgres_conn *c, const struct place *places, int count,
                        enum store_kind kind)
{
    if (newest_count(places, count) != NULL && !results_take(c))
        return;
    if (kind != STORE_DURABLE && !results_take(c))
        return;
    c->committed = results_take(c);
    if (c->committed && count_verb(places, count, STORE_TOMBSTONE) > 0)
        read_held(c, places, count);
}

static void read_batch(struct postgres_conn *c, const struct place *places, int count,
                       enum store_kind kind)
{
    bool good = (kind == STORE_READ) == c->fresh || results_take(c); /* of ALIVE or BEGIN */

    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    if (good && seals(places, count))
        good = results_take(c);
    if (good && is_numbered(places, count))
        good = results_take(c);
    for (int i = 0; good && i < count; i++) {
        struct store_op *op = places[i].op;

        c->again = op->again;
        op->rc = is_settled(op) ? read_over(c) : read_verb(c, op);
        op->err = op->rc < 0 ? c->err : (struct err){0};
        good = c->trouble == PG_GOOD;
    }
    if (good && kind != STORE_READ)
        read_commit(c, places, count, kind);
    results_drain(c);
}

/* The server waits for the end of a transaction in which a statement was refused. */
static void roll_back_batch(struct postgres_conn *c)
{
    enum postgres_trouble trouble = c->trouble;

    if (trouble == PG_LOST || PQtransactionStatus(c->pg) == PQTRANS_IDLE)
        return;
    c->trouble = PG_GOOD;
    call_run(c, PG_ROLLBACK);
    call_sync(c);
    results_take(c);
    results_drain(c);
    if (c->trouble == PG_GOOD)
        c->trouble = trouble;
}

static bool await_sign_of_life(struct postgres_conn *c)
{
    call_flush(c);
    if (!results_take(c))
        c->trouble = PG_LOST;
    return c->trouble == PG_GOOD;
}

/* A statement that takes no time finds out whether the session hangs. A batch that writes sends
 * nothing else until that is answered, so if it fails, nothing can have been committed. While one
 * batch follows the other, that would only be a round trip more for each. */
static bool begin_batch(struct postgres_conn *c, enum store_kind kind)
{
    CHECK(c->owed == 0 && c->result == NULL); /* the session is between two pipelines */
    c->trouble = PG_GOOD;
    c->sent = c->committed = false;
    c->sent_ms = clock_mono_ms();
    c->fresh = c->heard_ms != 0 && c->sent_ms - c->heard_ms < FRESH_MS;
    c->deadline_ms = c->sent_ms + (c->fresh ? ANSWER_MS : ALIVE_MS);
    if (kind != STORE_READ || !c->fresh)
        call_run(c, kind == STORE_READ ? PG_ALIVE : PG_BEGIN);
    if (!c->fresh && kind != STORE_READ)
        return await_sign_of_life(c);
    if (!c->fresh)
        call_flush(c);
    return c->trouble == PG_GOOD;
}

/* Give the connection its row of `writer`, for good, before anything that is numbered is sent. If
 * what became of the previous one's last batch was not to be found out, it is over now, unless it
 * has begun. */
static bool enter(struct postgres_conn *c)
{
    struct guid fresh = guid_new();

    c->trouble = PG_GOOD;
    c->sent = c->committed = false;
    c->batch = 0;
    c->deadline_ms = clock_mono_ms() + ALIVE_MS;
    call_run(c, PG_ALIVE);
    if (!await_sign_of_life(c))
        return false;
    c->numbered_ms = clock_mono_ms();
    c->deadline_ms = c->numbered_ms + ANSWER_MS;
    call_run(c, PG_WRITER_DROP, value_guid(&c->writer));
    call_run(c, PG_WRITER_ADD, value_guid(&fresh));
    call_sync(c);
    if (results_take(c))
        results_take(c);
    results_drain(c);
    if (c->trouble != PG_GOOD)
        return false;
    c->writer = fresh;
    c->batch = 1;
    c->given_up = false;
    return true;
}

/* Is its row of `writer` too old for a numbered batch, or does one hang that has to be over? */
static bool has_to_enter(const struct postgres_conn *c, const struct place *places, int count)
{
    return c->given_up || (is_numbered(places, count) &&
                           (c->batch == 0 || clock_mono_ms() - c->numbered_ms > RENEW_MS));
}

static enum postgres_trouble try_batch(struct postgres_conn *c, const struct place *places,
                                       int count, enum store_kind kind)
{
    if (has_to_enter(c, places, count) && !enter(c)) {
        if (c->trouble == PG_LOST)
            postgres_disconnect(c);
        return c->trouble;
    }
    if (!begin_batch(c, kind)) {
        postgres_disconnect(c);
        return PG_LOST;
    }
    c->sent = kind != STORE_READ;
    send_batch(c, places, count, kind);
    read_batch(c, places, count, kind);
    if (c->trouble == PG_GOOD && c->base.changes_lost)
        c->trouble = PG_LOST; /* committed, but nobody was notified: run it again, when there is
                               * memory */
    if (c->trouble == PG_GOOD) {
        c->heard_ms = clock_mono_ms();
        return PG_GOOD;
    }
    roll_back_batch(c);
    if (c->trouble == PG_LOST)
        postgres_disconnect(c);
    return c->trouble;
}

/* ---- retries ---- */

/* Get a connection that can be used: if the server has closed it meanwhile, for example at a
 * restart, this is noticed now, and causes no doubt later. */
static int find_connection(struct postgres_conn *c, struct err *err)
{
    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + ALIVE_MS;
    if (c->pg != NULL) {
        read_owed(c);
        if (c->trouble == PG_LOST || !pg_is_there(c->pg))
            postgres_disconnect(c);
    }
    return postgres_connect(c, err);
}

/* What became of the tries of a batch so far. */
struct tries {
    int64_t began_ms;  /* monotonic: the first */
    int64_t failed_ms; /* monotonic: when connecting first failed, or 0 */
    bool was_there;    /* the database, at the last attempt */
    int conflicts, stale, lost;
};

/* After trouble with the connection: is another try useful? An unknown outcome is worth waiting
 * for, and what is numbered is not given up before it would come too late. A session that was ended
 * is opened again. A database that was there a moment ago may return at once; while it stays away,
 * requests are refused without delay. */
static bool may_try_again(const struct postgres_conn *c, bool connected, struct tries *tries)
{
    int64_t now_ms = clock_mono_ms();

    if (c->doubted)
        return now_ms - tries->began_ms < DOUBT_MS ||
               (c->unresolved && now_ms - c->numbered_ms <= LATE_MS);
    if (connected)
        return ++tries->lost < LOST_MAX && now_ms - tries->began_ms < ANSWER_MS;
    if (tries->failed_ms == 0)
        tries->failed_ms = now_ms;
    return tries->was_there && now_ms - tries->failed_ms < BLINK_MS;
}

/* Is it a lock that no batch holds, for example a database administrator's lock of the table? */
static bool is_held_up(const struct postgres_conn *c, enum postgres_trouble trouble,
                       int64_t began_ms)
{
    return trouble == PG_CONFLICT && c->waited && clock_mono_ms() - began_ms >= CONFLICT_MS;
}

/* The batch has found a newer key than ours. It may be committed all the same: a row was read after
 * the commit was sent. */
static enum postgres_trouble take_new_keys(struct postgres_conn *c, int tries, struct err *err)
{
    c->blind = tries >= STALE_MAX;
    if (postgres_keys_refresh(c, NULL, err) == 0)
        return tries > 2 * STALE_MAX ? PG_REFUSED : PG_STALE;
    return c->trouble == PG_LOST ? PG_LOST : PG_REFUSED;
}

/* Also for the tries of each operation alone. */
static void set_again(const struct place *places, int count)
{
    for (int i = 0; i < count; i++)
        places[i].op->again = true;
}

/* What is numbered must not come back if it was committed, and has been taken back since: that has
 * to be found out. */
static void doubt_batch(struct postgres_conn *c, const struct place *places, int count)
{
    c->doubted = true;
    c->unresolved = is_numbered(places, count);
    if (!c->unresolved)
        set_again(places, count);
}

/* Find out what has become of the last try; if it was not committed, it never will be. */
static enum postgres_trouble resolve(struct postgres_conn *c, const struct place *places, int count)
{
    bool known = false, committed = false;

    c->trouble = PG_GOOD;
    c->sent = c->committed = false;
    c->deadline_ms = clock_mono_ms() + ANSWER_MS;
    call_run(c, PG_BEGIN);
    call_run(c, PG_WRITER_FENCE, value_guid(&c->writer), value_int(c->batch));
    call_run(c, PG_COMMIT);
    call_sync(c);
    if (results_take(c) && results_take(c)) {
        known = results_next(c);
        committed = known && get_bool(c, 0);
        c->unresolved = !results_take(c) || !known;
    }
    results_drain(c);
    if (c->trouble == PG_GOOD && !known) { /* swept, or another state of the database */
        postgres_unavailable("this connection's row of `writer` is gone", &c->err);
        return PG_REFUSED;
    }
    if (c->unresolved) {
        roll_back_batch(c);
        if (c->trouble == PG_LOST)
            postgres_disconnect(c);
        return c->trouble;
    }
    c->batch = 0;
    if (committed)
        set_again(places, count);
    return PG_GOOD;
}

/* One try, and what has to be done before the next one. */
static enum postgres_trouble try_and_settle(struct postgres_conn *c, const struct place *places,
                                            int count, enum store_kind kind, struct tries *tries,
                                            struct err *err)
{
    enum postgres_trouble trouble = c->unresolved ? resolve(c, places, count) : PG_GOOD;

    if (trouble == PG_GOOD && c->doubted && clock_mono_ms() - tries->began_ms >= DOUBT_MS)
        return PG_LOST;
    if (trouble == PG_GOOD)
        trouble = try_batch(c, places, count, kind);
    if (trouble == PG_GOOD)
        return PG_GOOD;
    *err = c->err;
    forget_found(c, places, count);
    c->crossed = trouble == PG_CONFLICT;
    if (c->sent)
        doubt_batch(c, places, count);
    else if (trouble == PG_STALE)
        c->batch = 0; /* its row of `writer` may be gone */
    return trouble == PG_STALE ? take_new_keys(c, ++tries->stale, err) : trouble;
}

/* It was not found out what became of a try, for a lock or an error, and it may still be let in. */
static bool may_arrive(const struct postgres_conn *c, enum postgres_trouble trouble)
{
    return c->unresolved && !c->sent && trouble != PG_LOST &&
           clock_mono_ms() - c->numbered_ms <= LATE_MS;
}

static enum batch_fate try_until_known(struct postgres_conn *c, const struct place *places,
                                       int count, enum store_kind kind, struct err *err)
{
    struct tries tries = {.began_ms = clock_mono_ms(), .was_there = !c->away};

    c->doubted = c->unresolved = c->blind = c->crossed = false;
    for (;;) {
        enum postgres_trouble trouble = PG_LOST;
        bool connected = find_connection(c, err) == 0;

        if (connected)
            trouble = try_and_settle(c, places, count, kind, &tries, err);
        if (trouble == PG_GOOD)
            return BATCH_COMMITTED;
        if (may_arrive(c, trouble)) {
            pg_sleep(NULL, 0, clock_mono_ms() + PAUSE_MS, -1);
            continue;
        }
        if (is_held_up(c, trouble, tries.began_ms))
            return BATCH_NOT_BEGUN; /* each operation of the batch would be held up, too */
        if (trouble == PG_REFUSED || (trouble == PG_CONFLICT && ++tries.conflicts == CONFLICTS_MAX))
            return c->unresolved ? BATCH_NOT_BEGUN : BATCH_ROLLED_BACK;
        if (trouble == PG_LOST && !may_try_again(c, connected, &tries))
            return BATCH_NOT_BEGUN;
        if (!connected)
            pg_sleep(NULL, 0, clock_mono_ms() + PAUSE_MS, -1);
    }
}

/* Nothing is lost or done twice when the connection breaks: what may have been committed is
 * repeated as `again`, which is safe for every verb, until there is an answer. */
static enum batch_fate run_until_known(struct postgres_conn *c, const struct place *places,
                                       int count, enum store_kind kind, struct err *err)
{
    enum batch_fate fate = try_until_known(c, places, count, kind, err);

    if (c->unresolved) { /* given up: what hangs must not hold up the next batches */
        set_again(places, count);
        c->batch = 0;
        c->given_up = true;
    }
    return fate;
}

/* A crash of the server may undo a commit that it did not wait for, while nodes that rely on it
 * live on: after a lost CLAIM two nodes would run the same attempt, and a report that a lost
 * REQUEUE or DELETE_ROW had released would stay assigned to a node that does not know it. Only what
 * is soon repeated may be lost, and a report that nobody has been told of: a CLAIM after its SUBMIT
 * finds out whether it claims such a report (HASTE). */
static enum store_kind kind_here(const struct place *places, int count, enum store_kind kind)
{
    bool waits = false;

    for (int i = 0; i < count; i++) {
        enum store_verb verb = places[i].op->verb;

        waits = waits || (verb == STORE_SUBMIT && places[i].op->submit.waits);
        if ((verb == STORE_CLAIM && !waits) || verb == STORE_REQUEUE || verb == STORE_DELETE_ROW ||
            verb == STORE_DELETE_ROWS)
            return STORE_DURABLE;
    }
    return kind;
}

static enum batch_fate postgres_transact(struct store_conn *conn, struct work_item *batch,
                                         enum store_kind kind, struct err *err)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;
    struct place places[NETWORK_BATCH_MAX];
    int count = order_batch(batch, places);

    if (SEAM_FAILS("store.commit")) {
        err_errno(err, -E_STORE, "cannot commit");
        return BATCH_ROLLED_BACK;
    }
    return run_until_known(c, places, count, kind_here(places, count, kind), err);
}

const struct store_ops store_postgres = {.scheme = "postgresql",
                                         .shared = true,
                                         .open = postgres_open,
                                         .open_another = postgres_open_another,
                                         .close = postgres_close,
                                         .start = network_start,
                                         .transact = postgres_transact,
                                         .publish = postgres_publish,
                                         .subscribe = postgres_subscribe,
                                         .unsubscribe = postgres_unsubscribe,
                                         .now_ms = postgres_now_ms,
                                         .check_key = postgres_check_key};
