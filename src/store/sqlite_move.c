/* src/store/sqlite_move.c -- a SQLite store that moves to PostgreSQL: its mark, its rows, and the
 * stub that is left. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/seam.h"
#include "store/move_impl.h"
#include "store/sqlite_impl.h"

enum { SELECT_MAX = 2048 };

/* ---- statements ---- */

/* Run `text` on a separate connection, and pass each row to `each`, which may be NULL. */
struct reading {
    struct sqlite_conn *c;
    move_row_fn *each;
    void *context;
};

static struct store_value value_at(sqlite3_stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        return value_null();
    case SQLITE_INTEGER:
        return value_int(sqlite3_column_int64(stmt, column));
    case SQLITE_TEXT:
        return (struct store_value){.kind = VALUE_TEXT,
                                    .data = sqlite3_column_text(stmt, column),
                                    .len = sqlite3_column_bytes(stmt, column)};
    default: /* SQLite gives an empty blob as a NULL pointer, but it is not NULL */
        return (struct store_value){.kind = VALUE_BLOB,
                                    .data = sqlite3_column_blob(stmt, column),
                                    .len = sqlite3_column_bytes(stmt, column)};
    }
}

static int give_row(const struct reading *reading, sqlite3_stmt *stmt, struct err *err)
{
    struct store_value values[MOVE_COLUMNS_MAX];
    int count = sqlite3_column_count(stmt);

    CHECK(count <= MOVE_COLUMNS_MAX);
    for (int i = 0; i < count; i++)
        values[i] = value_at(stmt, i);
    return reading->each(reading->context, values, err);
}

static int read_rows(const struct reading *reading, const char *text, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int sqlite_rc = sqlite3_prepare_v2(reading->c->db, text, -1, &stmt, NULL), rc = 0;

    while (sqlite_rc == SQLITE_OK && rc == 0) {
        sqlite_rc = sqlite3_step(stmt);
        if (sqlite_rc != SQLITE_ROW)
            break;
        rc = give_row(reading, stmt, err);
        sqlite_rc = SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    if (rc == 0 && sqlite_rc != SQLITE_DONE)
        rc = sqlite_trouble(reading->c, sqlite_rc, err);
    return rc;
}

static int query_all(struct store_conn *like, const char *text, move_row_fn *each, void *context,
                     struct err *err)
{
    struct reading reading = {.each = each, .context = context};
    struct store_conn *conn;
    int rc = sqlite_open_reader(like, &conn, err);

    if (rc < 0)
        return rc;
    reading.c = (struct sqlite_conn *)conn;
    rc = read_rows(&reading, text, err);
    sqlite_close(conn);
    return rc;
}

/* ---- the mark ---- */

int sqlite_move_mark(struct store_conn *like, bool marked, struct err *err)
{
    struct store_conn *conn;
    char text[128];
    int rc = sqlite_open_reader(like, &conn, err), sqlite_rc;

    if (rc < 0)
        return rc;
    snprintf(text, sizeof(text),
             "PRAGMA query_only = OFF; PRAGMA synchronous = FULL; PRAGMA user_version = %d",
             sqlite_migration_count + (marked ? STORE_MOVING : 0));
    sqlite_rc =
        SEAM_FAILS("store.mark") ? SQLITE_IOERR : sqlite_exec((struct sqlite_conn *)conn, text);
    if (sqlite_rc != SQLITE_OK)
        rc = sqlite_trouble((struct sqlite_conn *)conn, sqlite_rc, err);
    sqlite_close(conn);
    return rc;
}

static int take_bool(void *context, const struct store_value *values, struct err *err)
{
    (void)err;
    *(bool *)context = values[0].number >= STORE_MOVING;
    return 0;
}

int sqlite_move_is_marked(struct store_conn *like, bool *ret, struct err *err)
{
    return query_all(like, "PRAGMA user_version", take_bool, ret, err);
}

static int take_guid(void *context, const struct store_value *values, struct err *err)
{
    if (values[0].kind != VALUE_BLOB || values[0].len != GUID_BYTES)
        return err_set(err, -E_STORE, "The store has no id.");
    memcpy(context, values[0].data, GUID_BYTES);
    return 0;
}

int sqlite_move_id(struct store_conn *like, struct guid *ret, struct err *err)
{
    return query_all(like, "SELECT id FROM identity", take_guid, ret, err);
}

/* ---- rows ---- */

int sqlite_move_each(struct store_conn *like, const struct move_table *table, move_row_fn *each,
                     void *context, struct err *err)
{
    char room[SELECT_MAX];
    struct buf text;

    buf_init_in(&text, room, sizeof(room));
    for (const struct move_column *column = table->columns; column->from != NULL; column++)
        buf_add_format(&text, "%s %s", column == table->columns ? "SELECT" : ",", column->from);
    buf_add_format(&text, " FROM %s ORDER BY %s", table->from, table->order_from);
    CHECK(!buf_failed(&text));
    return query_all(like, text.data, each, context, err);
}

/* ---- the stub ---- */

/* A store without tables, and marked. */
static int make_stub(const char *path, struct err *err)
{
    char text[160];
    sqlite3 *db = NULL;
    int rc;

    unlink(path); /* left by a try that was killed */
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    snprintf(text, sizeof(text),
             "PRAGMA synchronous = FULL; PRAGMA application_id = %d; PRAGMA user_version = %d",
             SQLITE_APPLICATION_ID, sqlite_migration_count + STORE_MOVING);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, text, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc == SQLITE_OK ? 0 : err_set(err, -E_STORE, "make '%s': %s", path, sqlite3_errstr(rc));
}

/* The stub is renamed before the old store is truncated: an empty file would be taken for a new
 * store. */
static int replace(const char *path, const char *stub, struct err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), rc = 0;

    if (fd < 0 || rename(stub, path) < 0 || file_sync_folder_of(path) < 0)
        rc = err_errno(err, -E_STORE, "replace '%s'", path);
    SEAM_STEP("migrate", "store", "replaced");
    if (rc == 0 && ftruncate(fd, 0) < 0)
        rc = err_errno(err, -E_STORE, "erase what was '%s'", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int leave(const char *path, struct err *err)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal", "-reserve1", "-reserve2"};
    char *stub;
    int rc;

    if (asprintf(&stub, "%s.moved", path) < 0)
        return sqlite_no_memory(err);
    file_remove_beside(path, ends, sizeof(ends) / sizeof(ends[0]));
    rc = make_stub(stub, err) ?: replace(path, stub, err);
    free(stub);
    return rc;
}

/* SQLite keeps its other files beside the target of a symbolic link. */
int store_move_leave(const char *path, struct err *err)
{
    char real[PATH_MAX];

    if (realpath(path, real) == NULL)
        return err_errno(err, -E_STORE, "find '%s'", path);
    return leave(real, err);
}
