/* tests/folder.h -- a temporary folder of a test, and SQLite databases in it. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static inline void folder_make(char path[256])
{
    const char *base = getenv("TMPDIR");

    snprintf(path, 256, "%s/reportd-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(path) == NULL)
        abort();
}

static inline int folder_remove_one(const char *path, const struct stat *st, int kind,
                                    struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void folder_remove(const char *path)
{
    nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Run the statements on folder/name, made if there is none; the connection is yours to close. */
static inline sqlite3 *folder_database(const char *folder, const char *name, const char *sql)
{
    char path[1024], *why = NULL;
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, why != NULL ? why : "cannot open");
        abort();
    }
    return db;
}

#endif
