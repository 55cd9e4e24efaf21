/* src/store/move_impl.h -- the tables that move, and what a backend does for it. Only
 * src/store/move.c, sqlite_move.c and postgres_move.c include this. */
#pragma once

#include "store/move.h"
#include "store/store_impl.h"

/* How a value is kept in PostgreSQL. RAW: text, uuid, bytea. The others are of a report: sealed
 * with its key, or a keyed hash; KEY_NUMBER, WRAPPED and SEALED are made of its key in SQLite. */
enum move_kind {
    MOVE_BIGINT,
    MOVE_INT,
    MOVE_BOOL,
    MOVE_RAW,
    MOVE_PARAMETERS,
    MOVE_MESSAGE,
    MOVE_DIGEST,
    MOVE_MAC,
    MOVE_KEY_NUMBER,
    MOVE_WRAPPED,
    MOVE_SEALED,
};

struct move_column {
    const char *from; /* in SQLite; NULL: there are no more */
    const char *to;
    enum move_kind kind;
};

struct move_table {
    const char *from; /* in SQLite, with its WHERE */
    const char *to;
    const char *order_from, *order_to;
    const struct move_column *columns;
    bool is_report;
};
enum { MOVE_COLUMNS_MAX = 32 };

/* The first columns of a report. */
enum { MOVE_REPORT_ID = 1, MOVE_REPORT_USER = 2, MOVE_REPORT_STATE = 3 };

/* A row; the values, in the order of the columns, are borrowed for the call. 0, or -E_* which ends
 * it.
 */
typedef int move_row_fn(void *context, const struct store_value *values, struct err *err);

/* ---- sqlite_move.c ---- */

int sqlite_move_mark(struct store_conn *like, bool marked, struct err *err);
int sqlite_move_is_marked(struct store_conn *like, bool *ret, struct err *err);
int sqlite_move_id(struct store_conn *like, struct guid *ret, struct err *err);
/* Each row of the table, in its order; the values are borrowed for the call. */
int sqlite_move_each(struct store_conn *like, const struct move_table *table, move_row_fn *each,
                     void *context, struct err *err);

/* ---- postgres_move.c: one transaction, or what looks at the store ---- */

struct postgres_move;
int postgres_move_begin(struct store_conn *like, bool sealed, struct postgres_move **ret,
                        struct err *err);
/* Commit if `rc` is 0, which is what it returns then, or roll back; `move` is freed. */
int postgres_move_end(struct postgres_move *move, int rc, struct err *err);

struct postgres_move_found {
    bool marked, empty;
    struct guid id;
};
int postgres_move_find(struct postgres_move *move, struct postgres_move_found *ret,
                       struct err *err);
/* Before the first row and after the last one. */
int postgres_move_mark(struct postgres_move *move, struct err *err);
int postgres_move_settle(struct postgres_move *move, const struct guid *id, struct err *err);
int postgres_move_unmark(struct postgres_move *move, struct err *err);
int postgres_move_drop(struct postgres_move *move, struct err *err);

/* Write the rows of a table: begin, each, end. */
int postgres_move_copy_begin(struct postgres_move *move, const struct move_table *table,
                             struct err *err);
move_row_fn postgres_move_copy_row;
int postgres_move_copy_end(struct postgres_move *move, struct err *err);
/* Compare the rows of a table with what is there: *ret_count is how many were the same. */
int postgres_move_check_begin(struct postgres_move *move, const struct move_table *table,
                              struct err *err);
move_row_fn postgres_move_check_row;
int postgres_move_check_end(struct postgres_move *move, int64_t *ret_count, struct err *err);
