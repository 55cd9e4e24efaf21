/* src/store/postgres_move.c -- moves the rows of an embedded store into a PostgreSQL store: they
 * are written with COPY in one transaction, sealed on the way, then read back and compared. */
#include <arpa/inet.h>
#include <endian.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "store/move_impl.h"
#include "store/postgres_impl.h"

enum {
    ANSWER_MS = 600 * 1000L, /* for statements over all rows, or that wait for another lock */
    TEXT_MAX = 4096,
    ROW_MAX = 256 << 20, /* more than SQLite's limit and that of a request */
    SEND_BYTES = 256 << 10,
};

struct postgres_move {
    PGconn *pg;
    struct keyring *ring;
    bool sealed; /* every result has to be sealed */
    const struct move_table *table;
    struct buf out;                /* bytes to send, or the value to compare with */
    PGresult *page;                /* of rows to compare; NULL: none yet */
    int at;                        /* row of the page */
    int64_t count;                 /* rows so far */
    uint8_t key[REPORT_KEY_BYTES]; /* of the current report */
};

/* ---- statements ---- */

static int run(struct postgres_move *move, const char *text, struct err *err)
{
    PGresult *result = postgres_exec(move->pg, text, err);

    PQclear(result);
    return result != NULL ? 0 : -E_STORE;
}

int postgres_move_begin(struct store_conn *like, bool sealed, struct postgres_move **ret,
                        struct err *err)
{
    struct postgres_shared *shared = ((struct postgres_conn *)like)->shared;
    struct postgres_move *move = calloc(1, sizeof(*move));
    int rc;

    if (move == NULL)
        return err_no_memory(err);
    buf_init(&move->out, ROW_MAX);
    move->ring = shared->ring;
    move->sealed = sealed;
    move->pg = postgres_connect_plain(shared, err);
    rc = move->pg == NULL
             ? -E_STORE
             : run(move,
                   "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
                   "SET LOCAL idle_in_transaction_session_timeout = 0;"
                   /* the lock that makes or changes the schema; no key is replaced meanwhile */
                   "SELECT pg_advisory_xact_lock(1380996164, -1);"
                   "SELECT pg_advisory_xact_lock_shared(1380996164, -2)",
                   err);
    if (rc < 0)
        return postgres_move_end(move, rc, err);
    *ret = move;
    return 0;
}

int postgres_move_end(struct postgres_move *move, int rc, struct err *err)
{
    if (rc == 0)
        rc = run(move, "COMMIT", err);
    PQclear(move->page);
    PQfinish(move->pg); /* rolls back what was not committed */
    sodium_memzero(move->key, sizeof(move->key));
    buf_done(&move->out);
    free(move);
    return rc;
}

/* ---- the state of the store ---- */

static const char look[] =
    "SELECT max(version) >= 1000000 AS marked, NOT EXISTS (SELECT FROM account)"
    " AND NOT EXISTS (SELECT FROM report) AND NOT EXISTS (SELECT FROM ledger)"
    " AND NOT EXISTS (SELECT FROM node WHERE alive_until > clock_timestamp()),"
    " (SELECT id FROM identity) FROM schema_version";
_Static_assert(STORE_MOVING == 1000000, "the statements write it as a number");

int postgres_move_find(struct postgres_move *move, struct postgres_move_found *ret, struct err *err)
{
    PGresult *result = postgres_result(
        move->pg, PQsendQueryParams(move->pg, look, 0, NULL, NULL, NULL, NULL, 1), err);
    int rc = 0;

    if (result == NULL)
        return -E_STORE;
    if (PQntuples(result) != 1 || PQgetlength(result, 0, 2) != GUID_BYTES) {
        rc = err_set(err, -E_STORE, "The store in PostgreSQL has no id.");
    } else {
        *ret = (struct postgres_move_found){.marked = *PQgetvalue(result, 0, 0) != 0,
                                            .empty = *PQgetvalue(result, 0, 1) != 0};
        memcpy(&ret->id, PQgetvalue(result, 0, 2), GUID_BYTES);
    }
    PQclear(result);
    return rc;
}

int postgres_move_mark(struct postgres_move *move, struct err *err)
{
    return run(move,
               "INSERT INTO schema_version SELECT 1000000 + max(version) FROM schema_version;"
               "ALTER TABLE ledger ALTER noted SET DEFAULT clock_timestamp()",
               err);
}

int postgres_move_settle(struct postgres_move *move, const struct guid *id, struct err *err)
{
    static const char take[] = "UPDATE identity SET id = $1::uuid, home = " POSTGRES_HERE;
    const char *values[1] = {(const char *)id};
    const int length = GUID_BYTES, format = 1;
    PGresult *result;
    int rc = run(move,
                 "ALTER TABLE ledger ALTER noted DROP DEFAULT;"
                 "SELECT setval(pg_get_serial_sequence('report', 'seq'),"
                 "  (SELECT coalesce(max(seq), 0) + 1 FROM report), false),"
                 " setval(pg_get_serial_sequence('account', 'id'),"
                 "  (SELECT coalesce(max(id), 0) + 1 FROM account), false),"
                 " setval('start_number', (SELECT coalesce(max(number), 0) + 1 FROM turn), false);"
                 "INSERT INTO waiting (user_id, wanted, turn, first_seq)"
                 "  SELECT r.user_id, " POSTGRES_WANTED
                 ", coalesce(max(t.number), 0), min(r.seq) FROM report r LEFT JOIN turn t"
                 "  ON t.user_id = r.user_id WHERE r.state = 0 GROUP BY 1, 2",
                 err);

    if (rc < 0)
        return rc;
    result = postgres_result(
        move->pg, PQsendQueryParams(move->pg, take, 1, NULL, values, &length, &format, 0), err);
    PQclear(result);
    return result != NULL ? 0 : -E_STORE;
}

int postgres_move_unmark(struct postgres_move *move, struct err *err)
{
    return run(move, "DELETE FROM schema_version WHERE version >= 1000000; ANALYZE report", err);
}

int postgres_move_drop(struct postgres_move *move, struct err *err)
{
    return run(move, "DROP SCHEMA reportd CASCADE", err);
}

/* ---- values in PostgreSQL's binary format ---- */

static void add_length(struct buf *out, size_t len)
{
    uint32_t be = htonl((uint32_t)len);

    buf_add(out, &be, sizeof(be));
}

static void add_number(struct buf *out, enum move_kind kind, int64_t number)
{
    uint64_t wide = htobe64((uint64_t)number);
    uint32_t narrow = htonl((uint32_t)number);

    if (kind == MOVE_BOOL)
        buf_add_char(out, number != 0);
    else if (kind == MOVE_INT)
        buf_add(out, &narrow, sizeof(narrow));
    else
        buf_add(out, &wide, sizeof(wide));
}

static bool is_tombstone(const struct move_table *table, const struct store_value *values)
{
    return table->is_report && values[MOVE_REPORT_STATE].number == REPORT_DELETING;
}

/* Is the value NULL? Nothing else is left of a report that is being deleted. */
static bool is_null(const struct postgres_move *move, enum move_kind kind,
                    const struct store_value *values, int i)
{
    bool made = kind == MOVE_KEY_NUMBER || kind == MOVE_WRAPPED || kind == MOVE_SEALED;

    if (kind >= MOVE_PARAMETERS && kind != MOVE_SEALED && is_tombstone(move->table, values))
        return true;
    return !made && values[i].kind == VALUE_NULL;
}

static bool is_sealed(const struct postgres_move *move, const struct store_value *values, int i)
{
    return values[i].kind != VALUE_NULL ||
           (move->sealed && values[MOVE_REPORT_STATE].number == REPORT_COMPLETE);
}

static enum keyring_value value_of(enum move_kind kind)
{
    return kind == MOVE_PARAMETERS ? KEYRING_PARAMETERS
           : kind == MOVE_MESSAGE  ? KEYRING_MESSAGE
                                   : KEYRING_DIGEST;
}

/* Appends the value without its length. */
static void add_value(struct postgres_move *move, enum move_kind kind,
                      const struct store_value *values, int i)
{
    const struct store_value *value = &values[i];
    uint8_t mac[KEYRING_MAC_BYTES];

    switch (kind) {
    case MOVE_RAW:
        buf_add(&move->out, value->data, (size_t)value->len);
        return;
    case MOVE_SEALED:
        add_number(&move->out, MOVE_BOOL, is_sealed(move, values, i));
        return;
    case MOVE_MAC:
        keyring_mac(move->ring, values[MOVE_REPORT_USER].number, value->data, (size_t)value->len,
                    mac);
        buf_add(&move->out, mac, sizeof(mac));
        return;
    default:
        add_number(&move->out, kind, value->number);
    }
}

/* ---- writing ---- */

static const char copy_header[19] = "PGCOPY\n\377\r\n"; /* flags and extension are zero */
static const char copy_trailer[2] = {-1, -1};

static int send_rows(struct postgres_move *move, struct err *err)
{
    char why[PG_MESSAGE];

    if (buf_failed(&move->out))
        return err_no_memory(err);
    if (!pg_copy_add(move->pg, move->out.data, (int)move->out.len, clock_mono_ms() + ANSWER_MS,
                     why))
        return postgres_unavailable(why, err);
    buf_reset(&move->out);
    return 0;
}

int postgres_move_copy_begin(struct postgres_move *move, const struct move_table *table,
                             struct err *err)
{
    char room[TEXT_MAX];
    struct buf text;

    move->table = table;
    buf_init_in(&text, room, sizeof(room));
    buf_add_format(&text, "COPY %s ", table->to);
    for (const struct move_column *column = table->columns; column->to != NULL; column++)
        buf_add_format(&text, "%c%s", column == table->columns ? '(' : ',', column->to);
    buf_add_str(&text, ") FROM STDIN (FORMAT binary)");
    CHECK(!buf_failed(&text));
    if (run(move, text.data, err) < 0)
        return -E_STORE;
    buf_reset(&move->out);
    buf_add(&move->out, copy_header, sizeof(copy_header));
    return 0;
}

/* The report's key is that of its result, or, if the result is in clear, a new one. */
static void take_key(struct postgres_move *move, const struct store_value *values)
{
    int last = 0;

    while (move->table->columns[last + 1].to != NULL)
        last++;
    if (values[last].kind == VALUE_BLOB && values[last].len == REPORT_KEY_BYTES)
        memcpy(move->key, values[last].data, REPORT_KEY_BYTES);
    else
        randombytes_buf(move->key, sizeof(move->key));
}

static void add_sealed(struct postgres_move *move, enum move_kind kind,
                       const struct store_value *value)
{
    size_t len = (size_t)value->len + KEYRING_OVERHEAD;
    char *place;

    add_length(&move->out, len);
    place = buf_reserve(&move->out, len);
    if (place == NULL)
        return;
    keyring_seal(move->key, value_of(kind), value->data, (size_t)value->len, (uint8_t *)place);
    move->out.len += len;
}

static void add_wrapped(struct postgres_move *move, enum move_kind kind,
                        const struct store_value *values)
{
    struct erase_keys keys = keyring_keys(move->ring);
    uint8_t wrapped[KEYRING_WRAPPED_BYTES];

    if (kind == MOVE_KEY_NUMBER) {
        add_length(&move->out, sizeof(int64_t));
        add_number(&move->out, MOVE_BIGINT, keys.key[0].number);
    } else {
        keyring_wrap(&keys.key[0], values[MOVE_REPORT_ID].data, move->key, wrapped);
        add_length(&move->out, sizeof(wrapped));
        buf_add(&move->out, wrapped, sizeof(wrapped));
    }
    sodium_memzero(&keys, sizeof(keys));
}

/* Appends the length of the value, then the value. */
static void add_plain(struct postgres_move *move, enum move_kind kind,
                      const struct store_value *values, int i)
{
    size_t at = move->out.len, len;
    uint32_t be;

    add_length(&move->out, 0);
    add_value(move, kind, values, i);
    if (buf_failed(&move->out))
        return;
    len = move->out.len - at - sizeof(be);
    be = htonl((uint32_t)len);
    memcpy(move->out.data + at, &be, sizeof(be));
}

static void add_field(struct postgres_move *move, enum move_kind kind,
                      const struct store_value *values, int i)
{
    if (is_null(move, kind, values, i))
        add_length(&move->out, UINT32_MAX);
    else if (kind == MOVE_KEY_NUMBER || kind == MOVE_WRAPPED)
        add_wrapped(move, kind, values);
    else if (kind == MOVE_PARAMETERS || kind == MOVE_MESSAGE || kind == MOVE_DIGEST)
        add_sealed(move, kind, &values[i]);
    else
        add_plain(move, kind, values, i);
}

int postgres_move_copy_row(void *context, const struct store_value *values, struct err *err)
{
    struct postgres_move *move = context;
    const struct move_column *columns = move->table->columns;
    uint16_t count = 0, be;

    while (columns[count].to != NULL)
        count++;
    be = htons(count);
    buf_add(&move->out, &be, sizeof(be));
    if (move->table->is_report)
        take_key(move, values);
    for (int i = 0; i < count; i++)
        add_field(move, columns[i].kind, values, i);
    return move->out.len < SEND_BYTES && !buf_failed(&move->out) ? 0 : send_rows(move, err);
}

int postgres_move_copy_end(struct postgres_move *move, struct err *err)
{
    PGresult *result;

    buf_add(&move->out, copy_trailer, sizeof(copy_trailer));
    if (send_rows(move, err) < 0)
        return err->code;
    result = postgres_result(move->pg, PQputCopyEnd(move->pg, NULL), err);
    PQclear(result);
    return result != NULL ? 0 : -E_STORE;
}

/* ---- comparing ---- */

int postgres_move_check_begin(struct postgres_move *move, const struct move_table *table,
                              struct err *err)
{
    char room[TEXT_MAX];
    struct buf text;

    move->table = table;
    move->count = 0;
    buf_init_in(&text, room, sizeof(room));
    buf_add_str(&text, "DECLARE rows BINARY NO SCROLL CURSOR FOR");
    for (const struct move_column *column = table->columns; column->to != NULL; column++)
        buf_add_format(&text, "%s %s", column == table->columns ? " SELECT" : ",", column->to);
    buf_add_format(&text, " FROM %s ORDER BY %s", table->to, table->order_to);
    CHECK(!buf_failed(&text));
    return run(move, text.data, err);
}

/* Get the next row to compare; false: there is none, or `err` says why. */
static bool fetch_next(struct postgres_move *move, struct err *err)
{
    if (move->page != NULL && ++move->at < PQntuples(move->page))
        return true;
    PQclear(move->page);
    move->at = 0;
    move->page = postgres_result(
        move->pg, PQsendQueryParams(move->pg, "FETCH 256 FROM rows", 0, NULL, NULL, NULL, NULL, 1),
        err);
    return PQntuples(move->page) > 0;
}

static bool is_same_key(struct postgres_move *move, const struct store_value *values, int i)
{
    struct guid id;
    int64_t number = 0;

    memcpy(&id, values[MOVE_REPORT_ID].data, GUID_BYTES);
    if (PQgetlength(move->page, move->at, i) != KEYRING_WRAPPED_BYTES ||
        PQgetlength(move->page, move->at, i - 1) != sizeof(number))
        return false;
    memcpy(&number, PQgetvalue(move->page, move->at, i - 1), sizeof(number));
    number = (int64_t)be64toh((uint64_t)number);
    if (keyring_unwrap(move->ring, number, &id,
                       (const uint8_t *)PQgetvalue(move->page, move->at, i),
                       move->key) != KEYRING_OPENED)
        return false;
    return values[i].kind == VALUE_NULL ||
           (values[i].len == REPORT_KEY_BYTES &&
            sodium_memcmp(values[i].data, move->key, REPORT_KEY_BYTES) == 0);
}

/* Does the key open the sealed value, and is it the same? */
static bool is_same_sealed(struct postgres_move *move, enum move_kind kind,
                           const struct store_value *value, int i)
{
    size_t len = (size_t)value->len + KEYRING_OVERHEAD;
    char *place;

    buf_reset(&move->out);
    place = buf_reserve(&move->out, len);
    return place != NULL && (size_t)PQgetlength(move->page, move->at, i) == len &&
           keyring_unseal(move->key, value_of(kind), PQgetvalue(move->page, move->at, i), len,
                          place) &&
           (value->len == 0 || memcmp(place, value->data, (size_t)value->len) == 0);
}

static bool is_same(struct postgres_move *move, enum move_kind kind,
                    const struct store_value *values, int i)
{
    bool null = PQgetisnull(move->page, move->at, i) != 0;

    if (is_null(move, kind, values, i) || null)
        return null && is_null(move, kind, values, i);
    if (kind == MOVE_KEY_NUMBER) /* checked by opening the wrapped key */
        return true;
    if (kind == MOVE_WRAPPED)
        return is_same_key(move, values, i);
    if (kind == MOVE_PARAMETERS || kind == MOVE_MESSAGE || kind == MOVE_DIGEST)
        return is_same_sealed(move, kind, &values[i], i);
    buf_reset(&move->out);
    add_value(move, kind, values, i);
    return !buf_failed(&move->out) &&
           (size_t)PQgetlength(move->page, move->at, i) == move->out.len &&
           (move->out.len == 0 ||
            memcmp(PQgetvalue(move->page, move->at, i), move->out.data, move->out.len) == 0);
}

static int differs(const struct postgres_move *move, const char *what, struct err *err)
{
    return err_set(err, -E_STORE,
                   "the table %s in PostgreSQL is not what was moved there (row %lld: %s); undo it "
                   "with --undo and start again",
                   move->table->to, (long long)move->count + 1, what);
}

/* The key is checked first, since the other values need it. */
int postgres_move_check_row(void *context, const struct store_value *values, struct err *err)
{
    struct postgres_move *move = context;
    const struct move_column *columns = move->table->columns;

    if (!fetch_next(move, err))
        return move->page == NULL ? -E_STORE : differs(move, "it is not there", err);
    for (int key = 1; key >= 0; key--) {
        for (int i = 0; columns[i].to != NULL; i++) {
            if ((columns[i].kind == MOVE_WRAPPED) == (key == 1) &&
                !is_same(move, columns[i].kind, values, i))
                return differs(move, columns[i].to, err);
        }
    }
    move->count++;
    return 0;
}

int postgres_move_check_end(struct postgres_move *move, int64_t *ret_count, struct err *err)
{
    bool more = fetch_next(move, err);

    if (more || move->page == NULL)
        return more ? differs(move, "it is one too many", err) : -E_STORE;
    PQclear(move->page);
    move->page = NULL;
    *ret_count = move->count;
    return run(move, "CLOSE rows", err);
}
