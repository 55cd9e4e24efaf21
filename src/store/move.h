/* src/store/move.h -- the rows of an embedded store move into a shared one. From the first step to
 * the last no server starts on either, so nothing is deleted, or added, in one of them alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Both stores are opened with `moving`, `from` alone; neither has an operation in progress. */

/* ABSENT: `to` is empty. BEGUN: it has the rows of `from`. DONE: and servers may use it. */
enum store_move { MOVE_ABSENT, MOVE_BEGUN, MOVE_DONE };
/* -E_EXISTS: there is another store, or another one is being moved there; -E_STORE. */
int store_move_find(struct store *from, struct store *to, enum store_move *ret, struct err *err);

/* Mark both stores, and copy users, sessions, reports and all else, except results, in one
 * transaction: ABSENT → BEGUN, or all as it was. No report is PROCESSING. `sealed`: every result is
 * going to be encrypted. -E_STORE. */
int store_move_rows(struct store *from, struct store *to, bool sealed, struct err *err);

struct store_moved {
    int64_t users, sessions, reports;
};
/* Read every row back and compare it. -E_STORE: one is missing, is another, or is too many. */
int store_move_check(struct store *from, struct store *to, bool sealed, struct store_moved *ret,
                     struct err *err);

/* BEGUN → DONE. */
int store_move_finish(struct store *to, struct err *err);
/* BEGUN or ABSENT: all that `to` has is dropped, and it may only be freed after that … */
int store_move_drop(struct store *to, struct err *err);
/* … and at last servers may use `from` again. */
int store_move_unmark(struct store *from, struct err *err);

/* DONE, and the store at this path, which has been freed, is of no more use: what says so takes its
 * place, and its bytes are overwritten with nothing. -E_STORE. */
int store_move_leave(const char *path, struct err *err);
