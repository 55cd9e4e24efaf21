/* src/store/sqlite_counts.c -- how many reports are in each state, so that counting them reads a
 * few rows. A transaction sums up what it adds to each count, and writes that once, before its
 * commit. */
#include "store/sqlite_impl.h"

void sqlite_counts(struct store_conn *conn, int from, int to)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    if (from != SQLITE_NOWHERE)
        c->counts[from]--;
    if (to != SQLITE_NOWHERE)
        c->counts[to]++;
}

int sqlite_counts_write(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = 0;

    for (int state = 0; rc == 0 && state < REPORT_STATE_COUNT; state++) {
        if (c->counts[state] != 0)
            rc = sql_do(conn, err, SQL_COUNTS, value_int(state), value_int(c->counts[state]));
        c->counts[state] = 0;
    }
    return rc;
}
