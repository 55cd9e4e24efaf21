/* src/store/move.c -- what moves from SQLite to PostgreSQL, table by table, and in which order. */
#include "store/move.h"

#include "base/seam.h"
#include "store/engine_impl.h"
#include "store/move_impl.h"

#define SAME(name, kind)                                                                           \
    {                                                                                              \
#name, #name, kind                                                                         \
    }

static const struct move_column accounts[] = {SAME(id, MOVE_BIGINT),
                                              SAME(name, MOVE_RAW),
                                              SAME(password_hash, MOVE_RAW),
                                              SAME(disabled, MOVE_BOOL),
                                              SAME(failures, MOVE_BIGINT),
                                              SAME(first_failure_ms, MOVE_BIGINT),
                                              SAME(locked_until_ms, MOVE_BIGINT),
                                              SAME(allow, MOVE_RAW),
                                              SAME(grants, MOVE_RAW),
                                              SAME(operator, MOVE_BOOL),
                                              SAME(active_limit, MOVE_INT),
                                              SAME(running_limit, MOVE_INT),
                                              SAME(removed, MOVE_BOOL),
                                              SAME(issuer, MOVE_RAW),
                                              SAME(subject, MOVE_RAW),
                                              SAME(member_of, MOVE_RAW),
                                              SAME(member_s, MOVE_BIGINT),
                                              {0}};
static const struct move_column groups[] = {
    SAME(name, MOVE_RAW), SAME(grants, MOVE_RAW), SAME(operator, MOVE_BOOL), {0}};
static const struct move_column turns[] = {
    {"id", "user_id", MOVE_BIGINT}, {"turn", "number", MOVE_BIGINT}, {0}};
static const struct move_column addresses[] = {SAME(user_id, MOVE_BIGINT),
                                               SAME(address, MOVE_RAW),
                                               SAME(succeeded_ms, MOVE_BIGINT),
                                               SAME(failures, MOVE_INT),
                                               SAME(first_failure_ms, MOVE_BIGINT),
                                               SAME(locked_until_ms, MOVE_BIGINT),
                                               {0}};
static const struct move_column sessions[] = {SAME(id, MOVE_RAW),
                                              SAME(user_id, MOVE_BIGINT),
                                              SAME(access, MOVE_RAW),
                                              SAME(refresh_hash, MOVE_RAW),
                                              SAME(expires_ms, MOVE_BIGINT),
                                              SAME(created_ms, MOVE_BIGINT),
                                              SAME(renewed_ms, MOVE_BIGINT),
                                              SAME(address, MOVE_RAW),
                                              {0}};
static const struct move_column used[] = {SAME(session_id, MOVE_RAW),
                                          SAME(hash, MOVE_RAW),
                                          SAME(access, MOVE_RAW),
                                          SAME(used_ms, MOVE_BIGINT),
                                          {0}};
static const struct move_column api_keys[] = {SAME(id, MOVE_RAW),
                                              SAME(user_id, MOVE_BIGINT),
                                              SAME(name, MOVE_RAW),
                                              SAME(hash, MOVE_RAW),
                                              SAME(grants, MOVE_RAW),
                                              SAME(allow, MOVE_RAW),
                                              SAME(operator, MOVE_BOOL),
                                              SAME(suspended, MOVE_BOOL),
                                              SAME(created_ms, MOVE_BIGINT),
                                              SAME(expires_ms, MOVE_BIGINT),
                                              SAME(used_ms, MOVE_BIGINT),
                                              {0}};
static const struct move_column pauses[] = {SAME(source, MOVE_RAW), {0}};
static const struct move_column ledgers[] = {SAME(id, MOVE_RAW),
                                             SAME(place, MOVE_RAW),
                                             SAME(records, MOVE_BIGINT),
                                             SAME(given_up_ms, MOVE_BIGINT),
                                             {0}};
static const struct move_column reports[] = {
    SAME(seq, MOVE_BIGINT),
    SAME(id, MOVE_RAW),
    SAME(user_id, MOVE_BIGINT),
    SAME(state, MOVE_BIGINT),
    {"slot = 1 AND state <> 4", "slot", MOVE_BOOL},
    SAME(attempt, MOVE_BIGINT),
    SAME(failures, MOVE_BIGINT),
    SAME(rows, MOVE_BIGINT),
    SAME(bytes, MOVE_BIGINT),
    SAME(submitted_ms, MOVE_BIGINT),
    SAME(started_ms, MOVE_BIGINT),
    /* in PostgreSQL, of one that is being deleted: since
     * when, and nobody is deleting it now */
    {"CASE state WHEN 4 THEN 0 ELSE finished_ms END", "finished_ms", MOVE_BIGINT},
    SAME(expires_ms, MOVE_BIGINT),
    SAME(name, MOVE_RAW),
    SAME(key_expires_ms, MOVE_BIGINT),
    SAME(footer, MOVE_BIGINT),
    {"parameters", "sealed_parameters", MOVE_PARAMETERS},
    {"message", "sealed_message", MOVE_MESSAGE},
    {"digest", "sealed_digest", MOVE_DIGEST},
    {"key", "key_mac", MOVE_MAC},
    {"key_hash", "request_mac", MOVE_MAC},
    {"seal_key", "key_number", MOVE_KEY_NUMBER},
    {"seal_key", "wrapped_key", MOVE_WRAPPED},
    {"seal_key", "result_sealed", MOVE_SEALED},
    {0}};

/* Tables whose rows are referenced come first. `waiting` and the sequences are made from these at
 * the end; rows about nodes, keys of the store and progress belong to the shared store alone. */
enum { ACCOUNT, GROUP, TURN, ADDRESS, SESSION, USED, API_KEY, PAUSE, LEDGER, REPORT, TABLE_COUNT };
static const struct move_table tables[TABLE_COUNT] = {
    [ACCOUNT] = {"user", "account", "id", "id", accounts, false},
    [GROUP] = {"user_group", "user_group", "name", "name", groups, false},
    [TURN] = {"user WHERE turn <> 0", "turn", "id", "user_id", turns, false},
    [ADDRESS] = {"login_address", "login_address", "user_id, address",
                 "user_id, address COLLATE \"C\"", addresses, false},
    [SESSION] = {"session", "session", "id", "id", sessions, false},
    [USED] = {"used_refresh", "used_refresh", "session_id, hash", "session_id, hash", used, false},
    [API_KEY] = {"api_key", "api_key", "id", "id", api_keys, false},
    [PAUSE] = {"paused", "paused", "source", "source COLLATE \"C\"", pauses, false},
    [LEDGER] = {"ledger", "ledger", "id", "id", ledgers, false},
    [REPORT] = {"report", "report", "seq", "seq", reports, true},
};

/* ---- what the store contains ---- */

static int begin_at(struct store *to, bool sealed, struct postgres_move **ret, struct err *err)
{
    if (to->ops != &store_postgres)
        return err_set(err, -E_CONFIG, "only a store in PostgreSQL can be moved to");
    return postgres_move_begin(to->first, sealed, ret, err);
}

static int classify(const struct postgres_move_found *found, const struct guid *id, bool marked,
                    enum store_move *ret, struct err *err)
{
    bool same = guid_eq(&found->id, id);

    if (found->marked && !same)
        return err_set(err, -E_EXISTS,
                       "another store is being moved into this database; name another one");
    if (!found->marked && !(same && marked) && !found->empty)
        return err_set(err, -E_EXISTS,
                       "there is a store in this database already: name another one, or, if nobody "
                       "needs it, drop its schema reportd");
    if (found->marked)
        *ret = MOVE_BEGUN;
    else
        *ret = same && marked ? MOVE_DONE : MOVE_ABSENT;
    return 0;
}

int store_move_find(struct store *from, struct store *to, enum store_move *ret, struct err *err)
{
    struct postgres_move_found found = {0};
    struct postgres_move *move = NULL;
    struct guid id;
    bool marked = false;
    int rc;

    if (from->ops != &store_sqlite)
        return err_set(err, -E_CONFIG, "only an embedded store can be moved from");
    rc = sqlite_move_id(from->first, &id, err)
             ?: sqlite_move_is_marked(from->first, &marked, err)
             ?: begin_at(to, false, &move, err);
    if (rc < 0)
        return rc;
    rc = postgres_move_end(move, postgres_move_find(move, &found, err), err);
    return rc < 0 ? rc : classify(&found, &id, marked, ret, err);
}

/* ---- rows ---- */

static int copy_table(struct store *from, struct postgres_move *move,
                      const struct move_table *table, struct err *err)
{
    return postgres_move_copy_begin(move, table, err)
               ?: sqlite_move_each(from->first, table, postgres_move_copy_row, move, err)
               ?: postgres_move_copy_end(move, err);
}

static int copy_tables(struct store *from, struct store *to, bool sealed, struct err *err)
{
    struct postgres_move *move;
    struct guid id;
    int rc = sqlite_move_id(from->first, &id, err) ?: begin_at(to, sealed, &move, err);

    if (rc != 0)
        return rc;
    rc = postgres_move_mark(move, err);
    for (int i = 0; i < TABLE_COUNT && rc == 0; i++)
        rc = copy_table(from, move, &tables[i], err);
    if (rc == 0)
        rc = postgres_move_settle(move, &id, err);
    SEAM_STEP("migrate", "rows", "written");
    return postgres_move_end(move, rc, err);
}

/* `from` is marked first: a report deleted there while its row is already in `to` would survive. */
int store_move_rows(struct store *from, struct store *to, bool sealed, struct err *err)
{
    struct err ignored;
    enum store_move state;
    int rc = sqlite_move_mark(from->first, true, err);

    SEAM_STEP("migrate", "source", "marked");
    if (rc == 0)
        rc = copy_tables(from, to, sealed, err);
    /* If it is unknown whether it was committed, the next try finds out. */
    if (rc < 0 && store_move_find(from, to, &state, &ignored) == 0 && state == MOVE_ABSENT)
        sqlite_move_mark(from->first, false, &ignored);
    SEAM_STEP("migrate", "rows", "copied");
    return rc;
}

static int check_table(struct store *from, struct postgres_move *move,
                       const struct move_table *table, int64_t *ret, struct err *err)
{
    return postgres_move_check_begin(move, table, err)
               ?: sqlite_move_each(from->first, table, postgres_move_check_row, move, err)
               ?: postgres_move_check_end(move, ret, err);
}

int store_move_check(struct store *from, struct store *to, bool sealed, struct store_moved *ret,
                     struct err *err)
{
    int64_t counts[TABLE_COUNT] = {0};
    struct postgres_move *move;
    int rc = begin_at(to, sealed, &move, err);

    if (rc < 0)
        return rc;
    for (int i = 0; i < TABLE_COUNT && rc == 0; i++)
        rc = check_table(from, move, &tables[i], &counts[i], err);
    rc = postgres_move_end(move, rc, err);
    if (rc == 0)
        *ret = (struct store_moved){counts[ACCOUNT], counts[SESSION], counts[REPORT]};
    return rc;
}

/* ---- the end ---- */

static int run_alone(struct store *to, int (*step)(struct postgres_move *move, struct err *err),
                     struct err *err)
{
    struct postgres_move *move;
    int rc = begin_at(to, false, &move, err);

    return rc < 0 ? rc : postgres_move_end(move, step(move, err), err);
}

int store_move_finish(struct store *to, struct err *err)
{
    return run_alone(to, postgres_move_unmark, err);
}

int store_move_drop(struct store *to, struct err *err)
{
    return run_alone(to, postgres_move_drop, err);
}

int store_move_unmark(struct store *from, struct err *err)
{
    return sqlite_move_mark(from->first, false, err);
}
