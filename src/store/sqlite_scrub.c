/* src/store/sqlite_scrub.c -- a VFS that writes database pages without what SQLite left in their
 * unused middle. secure_delete overwrites deleted cells and freed pages. But when a page is split
 * or merged, cells move to a neighbour, and their old copies stay in the gap between a page's cell
 * pointers and its cells, where no later deletion finds them. The gap means nothing to SQLite, so
 * it is written to the disk as zeros. (The log has such copies, too: see empty_log() in
 * sqlite.c.) */
#include <pthread.h>
#include <string.h>

#include "store/sqlite_impl.h"

enum {
    DATABASE_HEADER = 100, /* bytes of page 1 before its b-tree header */
    BTREE_HEADER = 8,
    CHILD_POINTER = 4, /* more bytes, in the header of an interior page */
};

/* Comes after SQLite's own file object in memory: its methods, except the one that we replace. */
struct scrubbed {
    struct sqlite3_io_methods methods;
    const struct sqlite3_io_methods *real;
};

/* SQLite keeps a pointer to it for the life of the process. */
static sqlite3_vfs scrub_vfs;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char vfs_name[] = "reportd";

static sqlite3_vfs *real_vfs(void)
{
    return scrub_vfs.pAppData;
}

static struct scrubbed *of_file(sqlite3_file *file)
{
    return (struct scrubbed *)((char *)file + real_vfs()->szOsFile);
}

static size_t page_number_at(const unsigned char *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* Where the gap of a page is (https://sqlite.org/fileformat2.html, 1.6); false: it is not a b-tree
 * page. The other kinds begin with a page number, which SQLITE_PAGES_MAX keeps below the types of
 * b-tree pages. */
static bool find_gap(const unsigned char *page, size_t header, size_t *ret_from, size_t *ret_to)
{
    const unsigned char *btree = page + header;
    bool interior = btree[0] == 2 || btree[0] == 5;

    if (!interior && btree[0] != 10 && btree[0] != 13)
        return false;
    *ret_from =
        header + BTREE_HEADER + (interior ? CHILD_POINTER : 0) + 2 * page_number_at(btree + 3);
    *ret_to = page_number_at(btree + 5);
    return *ret_from < *ret_to && *ret_to <= SQLITE_PAGE;
}

static int scrub_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 offset)
{
    int (*write)(sqlite3_file *, const void *, int, sqlite3_int64) = of_file(file)->real->xWrite;
    size_t header = offset == 0 ? DATABASE_HEADER : 0, from, to;
    unsigned char page[SQLITE_PAGE];

    if (len != SQLITE_PAGE || !find_gap(data, header, &from, &to))
        return write(file, data, len, offset);
    memcpy(page, data, SQLITE_PAGE);
    memset(page + from, 0, to - from);
    return write(file, page, len, offset);
}

static int scrub_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *ret_flags)
{
    sqlite3_vfs *real = real_vfs();
    int rc = real->xOpen(real, name, file, flags, ret_flags);

    (void)vfs;
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        struct scrubbed *scrubbed = of_file(file);

        scrubbed->real = file->pMethods;
        scrubbed->methods = *file->pMethods;
        scrubbed->methods.xWrite = scrub_write;
        file->pMethods = &scrubbed->methods;
    }
    return rc;
}

static void register_vfs(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    scrub_vfs = *real;
    scrub_vfs.pNext = NULL;
    scrub_vfs.zName = vfs_name;
    scrub_vfs.szOsFile = real->szOsFile + (int)sizeof(struct scrubbed);
    scrub_vfs.pAppData = real;
    scrub_vfs.xOpen = scrub_open;
    sqlite3_vfs_register(&scrub_vfs, 0);
}

const char *sqlite_scrub_vfs(void)
{
    pthread_once(&once, register_vfs);
    return vfs_name;
}
