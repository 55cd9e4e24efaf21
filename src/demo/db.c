/* src/demo/db.c -- bulk load into a new SQLite file: no journal, indexes after the rows. */
#include "demo/db.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo/files.h"

struct demo_db {
    sqlite3 *handle;
    sqlite3_stmt *inserts[DEMO_TABLE_COUNT];
    bool failed;
    char failure[ERR_TEXT_MAX];
};

static const struct {
    const char *name;
    int columns;
} tables[DEMO_TABLE_COUNT] = {
#define X(name, columns) {#name, columns},
    DEMO_TABLES(X)
#undef X
};

/* The line of the schema after which statements wait until the rows are loaded. */
static const char indexes_mark[] = "\n-- indexes\n";

static void keep_failure(struct demo_db *db, const char *what)
{
    if (db->failed)
        return;
    db->failed = true;
    snprintf(db->failure, sizeof(db->failure), "%s: %s", what, sqlite3_errmsg(db->handle));
}

/* The failure that was kept, as -E_IO; 0 if there is none. */
static int demo_db_failed(const struct demo_db *db, struct err *err)
{
    return db->failed ? err_set(err, -E_IO, "cannot write the registry: %s", db->failure) : 0;
}

static void run_sql(struct demo_db *db, const char *sql)
{
    if (!db->failed && sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        keep_failure(db, "cannot prepare the database");
}

static void create_tables(struct demo_db *db)
{
    const char *mark = strstr(demo_schema_sql, indexes_mark);
    char *sql = mark != NULL ? strndup(demo_schema_sql, (size_t)(mark - demo_schema_sql))
                             : strdup(demo_schema_sql);

    if (sql == NULL) {
        keep_failure(db, "out of memory");
        return;
    }
    run_sql(db, sql);
    free(sql);
}

static void prepare_inserts(struct demo_db *db)
{
    for (size_t i = 0; i < DEMO_TABLE_COUNT && !db->failed; i++) {
        char sql[128];
        int len = snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES (?", tables[i].name);

        for (int column = 1; column < tables[i].columns; column++)
            len += snprintf(sql + len, sizeof(sql) - (size_t)len, ",?");
        snprintf(sql + len, sizeof(sql) - (size_t)len, ")");
        if (sqlite3_prepare_v2(db->handle, sql, -1, &db->inserts[i], NULL) != SQLITE_OK)
            keep_failure(db, tables[i].name);
    }
}

int demo_db_create(const char *path, struct demo_db **ret, struct err *err)
{
    struct demo_db *db = calloc(1, sizeof(*db));
    int rc;

    if (db == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    if (sqlite3_open(path, &db->handle) != SQLITE_OK)
        keep_failure(db, path);
    /* An interrupted load leaves a file that is deleted, so nothing has to be journaled. */
    run_sql(db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;"
                "PRAGMA cache_size = -65536; BEGIN");
    create_tables(db);
    prepare_inserts(db);
    rc = demo_db_failed(db, err);
    if (rc != 0) {
        demo_db_close(db);
        return rc;
    }
    *ret = db;
    return 0;
}

void demo_db_insert(struct demo_db *db, enum demo_table table, const struct demo_cell *cells,
                    size_t count)
{
    sqlite3_stmt *insert = db->inserts[table];

    if (db->failed)
        return;
    for (size_t i = 0; i < count; i++) {
        int column = (int)i + 1;

        if (cells[i].kind == DEMO_INTEGER)
            sqlite3_bind_int64(insert, column, cells[i].integer);
        else if (cells[i].kind == DEMO_TEXT)
            sqlite3_bind_text(insert, column, cells[i].text, -1, SQLITE_STATIC);
        else
            sqlite3_bind_null(insert, column);
    }
    if (sqlite3_step(insert) != SQLITE_DONE)
        keep_failure(db, tables[table].name);
    sqlite3_reset(insert);
}

int demo_db_finish(struct demo_db *db, struct err *err)
{
    const char *mark = strstr(demo_schema_sql, indexes_mark);

    if (mark != NULL)
        run_sql(db, mark);
    run_sql(db, "ANALYZE; COMMIT");
    return demo_db_failed(db, err);
}

void demo_db_close(struct demo_db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < DEMO_TABLE_COUNT; i++)
        sqlite3_finalize(db->inserts[i]);
    sqlite3_close(db->handle);
    free(db);
}
