/* src/store/sqlite_counts.c -- how many reports are in each state, and queued in each part of the
 * queue: so that counting them, and finding a place in the queue, reads a few rows.
 *
 * The table `counts` has a number for each node. Node S counts state S; node LEVEL << 58 | BLOCK
 * counts what is queued in a block of 64^LEVEL seq, LEVEL 1 … 3 (SQLITE_POSITION adds them up). A
 * transaction notes what it adds, and writes it once before its commit: a group of submits changes
 * the same five nodes. */
#include "store/sqlite_impl.h"

enum { LEVELS = 3, LEVEL_SHIFT = 58, BLOCK_SHIFT = 6, NODES_OF_MOVE = 2 + 2 * LEVELS };

static void add_to_node(struct sqlite_conn *c, int64_t node, int n)
{
    for (int i = 0; i < c->counts_used; i++) {
        if (c->counts[i].node == node) {
            c->counts[i].n += n;
            return;
        }
    }
    CHECK(c->counts_used < SQLITE_COUNTS_MAX);
    c->counts[c->counts_used++] = (struct sqlite_counts){.node = node, .n = n};
}

static void note_report(struct sqlite_conn *c, int64_t seq, int state, int n)
{
    if (state == SQLITE_NOWHERE)
        return;
    add_to_node(c, state, n);
    for (int level = 1; state == REPORT_QUEUED && level <= LEVELS; level++)
        add_to_node(c, ((int64_t)level << LEVEL_SHIFT) + (seq >> (BLOCK_SHIFT * level)), n);
}

int sqlite_counts(struct store_conn *conn, int64_t seq, int from, int to, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = 0;

    if (c->counts_used + NODES_OF_MOVE > SQLITE_COUNTS_MAX)
        rc = sqlite_counts_write(conn, err);
    if (rc < 0)
        return rc;
    note_report(c, seq, from, -1);
    note_report(c, seq, to, 1);
    return 0;
}

/* A block that is empty keeps no row: the queue wanders on for ever. */
static int write_one(struct store_conn *conn, const struct sqlite_counts *counts, struct err *err)
{
    int rc = sql_do(conn, err, SQL_COUNTS, value_int(counts->node), value_int(counts->n));

    if (rc < 0 || counts->n > 0 || counts->node <= REPORT_DELETING)
        return rc;
    return sql_do(conn, err, SQL_COUNTS_EMPTY, value_int(counts->node));
}

int sqlite_counts_write(struct store_conn *conn, struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    int rc = 0;

    for (int i = 0; rc == 0 && i < c->counts_used; i++) {
        if (c->counts[i].n != 0)
            rc = write_one(conn, &c->counts[i], err);
    }
    c->counts_used = 0;
    return rc;
}
