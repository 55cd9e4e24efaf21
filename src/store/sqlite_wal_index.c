/* src/store/sqlite_wal_index.c -- whether any process has written to the database, found out
 * without a system call. In WAL mode each commit ends with a new header of the wal-index, which all
 * processes have mapped, and a reader's snapshot is what that header says
 * (https://sqlite.org/walformat.html, 2). So as long as the header is the same, a new transaction
 * would read what the previous one read. */
#include "store/sqlite_impl.h"
#include "store/versions.h"

enum {
    HEADER_WORDS = (int)VERSION_STATE_WORDS, /* 48 bytes, twice; the second copy is written first */
    HEADER_VERSION = 3007000,
    WORD_VERSION = 0,
    WORD_CHANGE = 2,          /* iChange, incremented by each transaction that writes */
    SHARED_REGION = 32 * 1024 /* the size that SQLite maps at a time */
};

static const volatile void *find_header(struct store_conn *conn)
{
    sqlite3 *db = ((struct sqlite_conn *)conn)->db;
    sqlite3_file *file = NULL;
    void volatile *region = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        file->pMethods == NULL || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, SHARED_REGION, 0, &region) != SQLITE_OK)
        return NULL;
    return region;
}

static bool read_wal_index(const volatile void *place, struct wal_index *ret)
{
    const volatile uint32_t *header = place;
    bool whole = true;

    for (int i = 0; i < HEADER_WORDS; i++)
        ret->state[i] = __atomic_load_n(&header[i], __ATOMIC_ACQUIRE);
    for (int i = 0; i < HEADER_WORDS; i++)
        whole &= __atomic_load_n(&header[HEADER_WORDS + i], __ATOMIC_ACQUIRE) == ret->state[i];
    ret->commits = ret->state[WORD_CHANGE];
    return whole && ret->state[WORD_VERSION] == HEADER_VERSION;
}

/* The number of pages written to the log. */
static int64_t written(struct store_conn *conn)
{
    int pages = 0, highest;

    sqlite3_db_status(((struct sqlite_conn *)conn)->db, SQLITE_DBSTATUS_CACHE_WRITE, &pages,
                      &highest, 0);
    return pages;
}

const struct version_watch version_sqlite = {find_header, read_wal_index, written};
