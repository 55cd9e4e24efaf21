/* src/store/sqlite_place.c -- are the files that are open still those of the store's name?
 *
 * A file that was removed or replaced can be written to for as long as it is open, and is found by
 * nobody after that. So it is not written to: nothing is acknowledged that the next start would not
 * find. If the same files come back to their place, all goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/sqlite_impl.h"

static const char *const ends[SQLITE_FILES] = {"", "-wal", "-shm"};

int sqlite_place_note(struct sqlite_shared *shared, struct err *err)
{
    for (int i = 0; i < SQLITE_FILES; i++) {
        struct stat st;

        if (shared->names[i] == NULL &&
            asprintf(&shared->names[i], "%s%s", shared->path, ends[i]) < 0)
            return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
        if (stat(shared->names[i], &st) < 0)
            return err_errno(err, -E_STORE, "Cannot open the store '%s'", shared->names[i]);
        shared->files[i] = (struct sqlite_file_id){st.st_dev, st.st_ino};
    }
    return 0;
}

int sqlite_place_check(const struct sqlite_shared *shared, struct err *err)
{
    for (int i = 0; i < SQLITE_FILES; i++) {
        const struct sqlite_file_id *id = &shared->files[i];
        struct stat st;

        if (id->inode == 0) /* none is known yet */
            return 0;
        if (stat(shared->names[i], &st) == 0 && st.st_dev == id->device && st.st_ino == id->inode)
            continue;
        err_set(err, -E_STORE, "The store's file was removed or replaced.");
        err_detail(err,
                   "'%s' is not the file that is open: put that back to go on with it, or restart "
                   "the server to use what is there now",
                   shared->names[i]);
        return -E_STORE;
    }
    return 0;
}

void sqlite_place_done(struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        free(shared->names[i]);
}
