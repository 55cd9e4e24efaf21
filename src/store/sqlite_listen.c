/* src/store/sqlite_listen.c -- notices changes by other processes that use the store's file. */
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "store/sqlite_impl.h"

enum { LOOK_MS = 1000 /* without inotify */ };

/* A process that has changed the store closes its file at the end, however it ends, and the kernel
 * reports that. This process opens and closes it seldom. */
struct sqlite_listener {
    struct store *store;
    pthread_t thread;
    int stop;    /* an eventfd */
    int watcher; /* of inotify(7); -1: this machine has no more of them */
};

/* Read and discard what is there; its content does not matter. */
static void drain(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0)
        continue;
}

static void *listen_thread(void *arg)
{
    struct sqlite_listener *listener = arg;
    struct pollfd fds[] = {{.fd = listener->stop, .events = POLLIN},
                           {.fd = listener->watcher, .events = POLLIN}};

    for (;;) {
        int ready = poll(fds, 2, listener->watcher < 0 ? LOOK_MS : -1);

        if (ready > 0 && fds[0].revents != 0)
            return NULL;
        if (ready > 0)
            drain(listener->watcher);
        if (ready > 0 || listener->watcher < 0)
            store_notify(listener->store, NULL);
    }
}

static int watch_file(const char *path)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd >= 0 && inotify_add_watch(fd, path, IN_CLOSE_WRITE) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void free_listener(struct sqlite_listener *listener)
{
    if (listener->watcher >= 0)
        close(listener->watcher);
    if (listener->stop >= 0)
        close(listener->stop);
    free(listener);
}

int sqlite_subscribe(struct store_conn *conn, struct err *err)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    struct sqlite_listener *listener = calloc(1, sizeof(*listener));

    CHECK(shared->listener == NULL);
    if (listener == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    listener->store = conn->store;
    listener->watcher = watch_file(shared->path);
    listener->stop = eventfd(0, EFD_CLOEXEC);
    if (listener->stop < 0 ||
        thread_start(&listener->thread, "store-listen", listen_thread, listener) != 0) {
        free_listener(listener);
        return err_set(err, -E_NOMEM, "no thread to listen to the store");
    }
    shared->listener = listener;
    return 0;
}

void sqlite_unsubscribe(struct store_conn *conn)
{
    struct sqlite_shared *shared = ((struct sqlite_conn *)conn)->shared;
    struct sqlite_listener *listener = shared->listener;

    if (listener == NULL)
        return;
    eventfd_write(listener->stop, 1);
    pthread_join(listener->thread, NULL);
    shared->listener = NULL;
    free_listener(listener);
}
