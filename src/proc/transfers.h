/* src/proc/transfers.h -- the results that are on their way to clients, by report, so that a
 * deletion ends them, however slowly a client reads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "store/store.h"

struct transfers;
struct peer;     /* a client's connection */
struct transfer; /* one result, or a part of one, on a connection */

/* A transfer begins before its report is looked up: so either the look-up sees a deletion's
 * tombstone, or the deletion finds the transfer. It ends when the client's machine has all of it,
 * or with its connection: until then bytes of it may be in the kernel. Any thread. */

/* `store` is borrowed, NULL: none. If it is shared, the other nodes see what this one sends, under
 * its name, and nothing is sent while it has none. NULL: no memory. */
struct transfers *transfers_new(struct store *store);
void transfers_free(struct transfers *transfers); /* after the store; NULL is fine */

/* This node lives under that name. NULL: the others may count it as dead, so all transfers end, and
 * none begins. */
void transfers_name(struct transfers *transfers, const char *node);
/* Wait until the node has a name, or for so long; at once if the store is not shared. */
void transfers_await_name(struct transfers *transfers, int64_t patience_ms);

/* A connection on the socket `fd`, borrowed until peer_close(); NULL: no memory. */
struct peer *peer_new(struct transfers *transfers, int fd);
/* A request has come on it: forget the results that the client has by then. NULL is fine. */
void peer_asked(struct peer *peer);
/* Before the socket is closed: its number may be another connection's right after that. False: the
 * client has not received all of a result, and a duplicate of the socket is open until
 * transfers_maintain() finds that it has, or that it takes nothing any more. NULL is fine: true. */
bool peer_close(struct peer *peer);
/* If it is time at `now_ms` (monotonic), close the duplicates that are over: *ret_gone is their
 * number; one whose client has taken nothing for a minute is reset. Returns after how many
 * milliseconds to check again; -1: none is left. Any thread. */
int transfers_maintain(struct transfers *transfers, int64_t now_ms, int *ret_gone);
/* When all connections are closed: wait some seconds for the clients, then reset what is left. */
void transfers_finish(struct transfers *transfers);

/* Yours: transfer_done(). -E_NOMEM, as always if `peer` is NULL; -E_BUSY: the node has no name. */
int transfer_begin(struct peer *peer, const struct guid *id, struct transfer **ret,
                   struct err *err);
/* Have the look-up of its report enter the transfer into a store that is shared. */
void transfer_enter(struct transfer *transfer, struct store_find *find);
/* -E_BUSY: a transfer cannot begin, or was ended though its report lives: the node has no lease. */
int transfer_out_of_touch(struct err *err);
/* From here on bytes of the result go to the client. False: send none, it was ended, by a deletion
 * or since the node has lost its lease. */
bool transfer_send(struct transfer *transfer);
/* Has it been ended meanwhile? Then its connection is broken off. */
bool transfer_is_ended(struct transfer *transfer);
/* Reset its connection: nothing else shows a client of HTTP/1.0, or a proxy, that an answer without
 * a length is incomplete. */
void transfer_break_off(struct transfer *transfer);
/* Bytes that the client's machine has not acknowledged; -1: unknown. While the socket is open. */
int transfer_left(const struct transfer *transfer);
/* The server has nothing more to send. NULL is fine. */
void transfer_done(struct transfer *transfer);

/* The report is deleted: on return the connections that its result was being sent on are broken
 * off, and what the kernel had of it for them is dropped. Cheap when there are none. */
void transfers_end(struct transfers *transfers, const struct guid *id);
/* Called where the store and this node differ about what it sends, since a crash of the database
 * may undo what was not waited for. The store has `row` as a transfer of this report: if there is
 * no such transfer, the store is told once more that it is over, since a deletion waits for
 * that. */
void transfers_settle(struct transfers *transfers, const struct guid *id, const struct guid *row);
/* News may have been missed: enter all transfers once more, and end those of deleted reports. */
void transfers_check(struct transfers *transfers);
