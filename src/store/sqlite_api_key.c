/* src/store/sqlite_api_key.c -- API keys in SQLite. */
#include "store/sqlite_impl.h"

int sqlite_api_key_add(struct store_conn *conn, struct store_api_key_add *arg, struct err *err)
{
    struct sql q = sql_start(
        conn, SQL_API_KEY_ADD, value_guid(&arg->id), value_text(arg->user), value_text(arg->name),
        value_blob(arg->hash, API_KEY_HASH_BYTES), value_text(arg->grants), value_text(arg->allow),
        value_bool(arg->is_operator), value_int(arg->now_ms), value_int(arg->expires_ms));
    int rc;

    sql_next(&q);
    if (q.rc == SQLITE_CONSTRAINT_UNIQUE) {
        sql_end(&q, err);
        return err_set(err, -E_EXISTS, "There is a key '%s' already.", arg->name);
    }
    rc = sql_end(&q, err);
    return rc < 0 || sqlite3_changes(q.conn->db) > 0
               ? rc
               : err_set(err, -E_NOT_FOUND, "There is no user '%s'.", arg->user);
}

static int no_such_key(const char *name, struct err *err)
{
    return err_set(err, -E_NOT_FOUND, "There is no key '%s'.", name);
}

int sqlite_api_key_remove(struct store_conn *conn, struct store_api_key_remove *arg,
                          struct err *err)
{
    struct sql q = sql_start(conn, SQL_API_KEY_REMOVE, value_text(arg->name));
    bool found = sql_next(&q);
    int rc;

    if (found)
        store_sessions_ended(conn, sql_get_int(&q, 0));
    rc = sql_run(&q, err);
    q.conn->dropped |= found; /* see sqlite_maintain() */
    return rc < 0 || found ? rc : no_such_key(arg->name, err);
}

int sqlite_api_key_enable(struct store_conn *conn, struct store_api_key_enable *arg,
                          struct err *err)
{
    int rc = sql_do(conn, err, SQL_API_KEY_ENABLE, value_text(arg->name));

    return rc < 0 || sqlite3_changes(((struct sqlite_conn *)conn)->db) > 0
               ? rc
               : no_such_key(arg->name, err);
}

int sqlite_api_key_used(struct store_conn *conn, struct store_api_key_used *arg, struct err *err)
{
    return sql_do(conn, err, SQL_API_KEY_USED, value_guid(&arg->id), value_int(arg->now_ms));
}

int sqlite_api_key_list(struct store_conn *conn, struct store_api_key_list *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_API_KEY_LIST, value_text(arg->user));
    void *keys = NULL;

    for (arg->count = 0; sql_next(&q); arg->count++) {
        struct store_api_key *key = sql_grow(&q, &keys, arg->count, sizeof(*key));

        if (key == NULL)
            break;
        *key = (struct store_api_key){.name = sql_get_text(&q, 0),
                                      .user = sql_get_text(&q, 1),
                                      .grants = sql_get_text(&q, 2),
                                      .allow = sql_get_text(&q, 3),
                                      .is_operator = sql_get_bool(&q, 4),
                                      .suspended = sql_get_bool(&q, 5),
                                      .disabled = sql_get_bool(&q, 6),
                                      .created_ms = sql_get_int(&q, 7),
                                      .expires_ms = sql_get_int(&q, 8),
                                      .used_ms = sql_get_int(&q, 9)};
    }
    arg->keys = keys;
    return sql_end(&q, err);
}
