/* src/proc/connection.c -- opening, stopping and closing under one lock. */
#include "proc/connection.h"

#include <stddef.h>

#include "proc/sandbox.h"

void connection_init(struct connection *connection)
{
    pthread_mutex_init(&connection->mutex, NULL);
}

int connection_open(struct connection *connection, struct source_spec spec, struct err *err)
{
    struct source *source = NULL;
    int rc;

    spec.stopped = &connection->stopped;
    rc = source_open(&spec, &source, err);
    if (rc < 0)
        return rc;
    sandbox_thread(spec.temp_folder); /* as far as the kernel has it */
    pthread_mutex_lock(&connection->mutex);
    connection->source = source;
    if (atomic_load(&connection->stopped))
        source_interrupt(source);
    pthread_mutex_unlock(&connection->mutex);
    return 0;
}

void connection_close(struct connection *connection)
{
    struct source *source;

    pthread_mutex_lock(&connection->mutex);
    source = connection->source;
    connection->source = NULL;
    pthread_mutex_unlock(&connection->mutex);
    source_free(source);
}

void connection_stop(struct connection *connection)
{
    pthread_mutex_lock(&connection->mutex);
    atomic_store(&connection->stopped, true);
    if (connection->source != NULL)
        source_interrupt(connection->source);
    pthread_mutex_unlock(&connection->mutex);
}

void connection_resume(struct connection *connection)
{
    pthread_mutex_lock(&connection->mutex);
    atomic_store(&connection->stopped, false);
    if (connection->source != NULL)
        source_resume(connection->source);
    pthread_mutex_unlock(&connection->mutex);
}
