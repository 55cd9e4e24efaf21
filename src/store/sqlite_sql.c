/* src/store/sqlite_sql.c -- runs one SQL statement: prepared once, bound, read, reset. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/str.h"
#include "store/sqlite_impl.h"

static const char *const texts[SQL_COUNT] = {
#define X(name, sql) [SQL_##name] = (sql),
    SQLITE_STATEMENTS(X)
#undef X
};

static void record_trouble(struct sql *q, int rc)
{
    if (q->rc == SQLITE_OK && rc != SQLITE_OK)
        q->rc = rc;
}

static int bind_one(sqlite3_stmt *stmt, int n, const struct store_value *value)
{
    if (value->kind == VALUE_INT || value->kind == VALUE_BOOL)
        return sqlite3_bind_int64(stmt, n, value->number);
    if (value->kind == VALUE_NULL)
        return sqlite3_bind_null(stmt, n);
    if (value->data == NULL)
        return SQLITE_NOMEM; /* from value_made() */
    return value->kind == VALUE_TEXT
               ? sqlite3_bind_text(stmt, n, value->data, value->len, SQLITE_STATIC)
               : sqlite3_bind_blob(stmt, n, value->data, value->len, SQLITE_STATIC);
}

void sql_bind(struct sql *q, int first, const struct store_value *values)
{
    for (; values->kind != VALUE_END && q->rc == SQLITE_OK; values++)
        record_trouble(q, bind_one(q->stmt, first++, values));
}

struct sql sql_start_values(struct store_conn *conn, enum sqlite_statement which,
                            const struct store_value *values)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    struct sql q = {.conn = c};

    THREAD_CHECK(&conn->user);
    CHECK(!sqlite3_stmt_busy(c->statements[which])); /* its last use has ended */
    if (c->statements[which] == NULL)
        record_trouble(&q, sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                              &c->statements[which], NULL));
    q.stmt = c->statements[which];
    sql_bind(&q, 1, values);
    return q;
}

bool sql_next(struct sql *q)
{
    int rc;

    if (q->rc != SQLITE_OK)
        return false;
    rc = sqlite3_step(q->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        record_trouble(q, rc);
    return rc == SQLITE_ROW;
}

int64_t sql_get_int(struct sql *q, int column)
{
    return sqlite3_column_int64(q->stmt, column);
}

bool sql_get_bool(struct sql *q, int column)
{
    return sqlite3_column_int(q->stmt, column) != 0;
}

bool sql_is_null(struct sql *q, int column)
{
    return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

char *sql_get_text(struct sql *q, int column)
{
    const char *text;
    char *copy;

    if (sql_is_null(q, column))
        return NULL;
    text = (const char *)sqlite3_column_text(q->stmt, column);
    copy = text != NULL ? strdup(text) : NULL;
    if (copy == NULL)
        record_trouble(q, SQLITE_NOMEM);
    return copy;
}

void sql_get_name(struct sql *q, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(q->stmt, column);

    if (text == NULL && !sql_is_null(q, column))
        record_trouble(q, SQLITE_NOMEM);
    str_copy(out, size, text != NULL ? text : "");
}

void sql_get_blob(struct sql *q, int column, void *out, int len)
{
    const void *data = sqlite3_column_blob(q->stmt, column);

    if (data != NULL && sqlite3_column_bytes(q->stmt, column) == len)
        memcpy(out, data, (size_t)len);
    else
        memset(out, 0, (size_t)len);
}

void *sql_copy_blob(struct sql *q, int column, size_t *ret_len)
{
    size_t len = (size_t)sqlite3_column_bytes(q->stmt, column);
    void *copy;

    if (sql_is_null(q, column))
        return NULL;
    copy = malloc(len + 1); /* it may be empty */
    if (copy == NULL) {
        record_trouble(q, SQLITE_NOMEM);
        return NULL;
    }
    if (len > 0)
        memcpy(copy, sqlite3_column_blob(q->stmt, column), len);
    *ret_len = len;
    return copy;
}

struct guid sql_get_guid(struct sql *q, int column)
{
    struct guid id;

    sql_get_blob(q, column, id.bytes, GUID_BYTES);
    return id;
}

/* SQLite does not say why a file could not be made. */
static bool has_no_inodes(const char *path)
{
    struct statvfs vfs;

    return statvfs(path, &vfs) == 0 && vfs.f_files > 0 && vfs.f_favail == 0;
}

bool sqlite_is_full(struct sqlite_conn *conn, int rc)
{
    int error = sqlite3_system_errno(conn->db);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return true;
    case SQLITE_IOERR: /* SHMSIZE: the log's index could not be extended */
        return rc == SQLITE_IOERR_SHMSIZE || error == ENOSPC || error == EDQUOT;
    case SQLITE_CANTOPEN:
        return has_no_inodes(conn->shared->path);
    default:
        return false;
    }
}

int sqlite_full(struct err *err)
{
    err_set(err, -E_FULL, "The server's disk is full. Delete reports, or try again later.");
    err_detail(err, "%s", "the file system of the store has no room; free some");
    return -E_STORE;
}

int sqlite_trouble(struct sqlite_conn *conn, int rc, struct err *err)
{
    conn->full = sqlite_is_full(conn, rc);
    if (conn->full)
        return sqlite_full(err);
    err_set(err, -E_STORE, "The store is unavailable: %s, try again.", sqlite3_errstr(rc));
    return err_detail(err, "sqlite: %s (code %d)", sqlite3_errmsg(conn->db), rc);
}

int sql_end(struct sql *q, struct err *err)
{
    int rc = 0;

    if (q->rc != SQLITE_OK)
        rc = sqlite_trouble(q->conn, q->rc, err);
    sqlite3_reset(q->stmt); /* repeats the error of the step, which is already in `rc` */
    return rc;
}

int sql_run(struct sql *q, struct err *err)
{
    while (sql_next(q))
        continue;
    return sql_end(q, err);
}

int sql_run_values(struct store_conn *conn, struct err *err, enum sqlite_statement which,
                   const struct store_value *values)
{
    struct sql q = sql_start_values(conn, which, values);

    return sql_run(&q, err);
}

int sqlite_exec(struct sqlite_conn *conn, const char *text)
{
    return sqlite3_exec(conn->db, text, NULL, NULL, NULL);
}

void *sql_grow(struct sql *q, void **array, size_t count, size_t size)
{
    /* The array is full whenever its size is a power of two. */
    if ((count & (count - 1)) == 0) {
        void *grown = reallocarray(*array, count == 0 ? 1 : count * 2, size);

        if (grown == NULL) {
            record_trouble(q, SQLITE_NOMEM);
            return NULL;
        }
        *array = grown;
    }
    return memset((char *)*array + count * size, 0, size);
}
