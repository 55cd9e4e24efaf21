/* src/proc/connection.c -- opens, stops and closes a connection to a source under one lock. */
#include "proc/connection.h"

#include <stddef.h>

#include "base/seam.h"

void connection_init(struct connection *connection)
{
    lock_init(&connection->lock);
}

static void on_file(void *files, const char *path)
{
    sandbox_files_read(files, path);
}

void connection_files(const char *url, const char *temp_folder, struct sandbox_files *ret)
{
    /* For SQLite only the files are read. */
    sandbox_files_begin(ret, source_reopens(url));
    source_each_file(url, on_file, ret);
    SEAM_EACH_FILE(on_file, ret);
    sandbox_files_temp(ret, temp_folder);
}

int connection_open(struct connection *connection, struct source_spec spec,
                    const struct sandbox_files *files, struct err *err)
{
    struct source *source = NULL;
    int rc;

    spec.stopped = &connection->stopped;
    rc = source_open(&spec, &source, err);
    if (rc < 0)
        return rc;
    sandbox_files_apply(files); /* as far as the kernel supports it */
    sandbox_opened(source_reopens(spec.url));
    lock_take(&connection->lock);
    connection->source = source;
    if (atomic_load(&connection->stopped))
        source_interrupt(source);
    lock_release(&connection->lock);
    return 0;
}

void connection_close(struct connection *connection)
{
    struct source *source;

    lock_take(&connection->lock);
    source = connection->source;
    connection->source = NULL;
    lock_release(&connection->lock);
    source_free(source);
}

void connection_stop(struct connection *connection)
{
    lock_take(&connection->lock);
    atomic_store(&connection->stopped, true);
    if (connection->source != NULL)
        source_interrupt(connection->source);
    lock_release(&connection->lock);
}

void connection_resume(struct connection *connection)
{
    lock_take(&connection->lock);
    atomic_store(&connection->stopped, false);
    if (connection->source != NULL)
        source_resume(connection->source);
    lock_release(&connection->lock);
}
