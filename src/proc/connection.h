/* src/proc/connection.h -- a report's database: one thread opens and uses it, another stops it. */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/thread.h"
#include "proc/sandbox.h"
#include "source/source.h"

struct connection {
    struct lock lock;      /* guards `source` against being stopped and closed at once */
    struct source *source; /* NULL: not open. Set by the thread that runs the report */
    atomic_bool stopped;   /* also used by the thread that opens it, which may wait for a lock */
};

/* Not open, and not stopped; there is nothing to undo but connection_close(). */
void connection_init(struct connection *connection);

/* What a process may touch that reports on one database: its files as they are now, and all of
 * `temp_folder`. While there is one thread. sandbox_files_end() it. */
void connection_files(const char *url, const char *temp_folder, struct sandbox_files *ret);

/* Open the database and give up, in this thread, all but `files`, which cannot be undone; what was
 * stopped meanwhile stays stopped. As source_open(); spec->stopped is set here. */
int connection_open(struct connection *connection, struct source_spec spec,
                    const struct sandbox_files *files, struct err *err);
void connection_close(struct connection *connection); /* fine if it is not open */

/* Any thread, which does not wait: stop what runs and what starts, until it is resumed. */
void connection_stop(struct connection *connection);
void connection_resume(struct connection *connection);
