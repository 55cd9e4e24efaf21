/* src/proc/events.h -- the hub: what a change in the store means for the parts of this node. */
#pragma once

#include <stdint.h>

#include "proc/deletion.h"
#include "proc/streams.h"
#include "proc/supervisor.h"
#include "proc/transfers.h"
#include "proc/waiters.h"
#include "store/store.h"

struct events;

/* From here on the store notifies the hub of every move of a report, after its commit, and the hub
 * notifies its subscribers (the table in events.c). All is borrowed until events_free(). NULL: out
 * of memory. */
struct events *events_new(struct store *store, struct waiters *waiters, struct transfers *transfers,
                          struct streams *streams);
/* After store_free(). NULL is fine. */
void events_free(struct events *events);

/* The parts that start after the first changes; when they start, they check for changes themselves.
 * Any thread. */
void events_add_supervisor(struct events *events, struct supervisor *supervisor);
void events_add_purger(struct events *events, struct purger *purger);

/* For struct supervisor_spec; `events` is the hub. */
void events_report_finished(void *events, int64_t expires_ms);
