/* src/store/sqlite_group.c -- groups, and users of identity providers, in SQLite. */
#include <stdlib.h>

#include "base/str.h"
#include "store/sqlite_impl.h"

/* ---- groups ---- */

/* What a member may not run any more ends. */
static int revoke_members(struct store_conn *conn, struct store_group_change *arg, struct err *err)
{
    struct store_user_change ends = {
        .now_ms = arg->now_ms, .retention_ms = arg->retention_ms, .retentions = arg->retentions};
    struct sql q = sql_start(conn, SQL_GROUP_MEMBERS, value_text(arg->name));
    void *members = NULL;
    size_t count = 0;
    int rc;

    while (sql_next(&q)) {
        int64_t *id = sql_grow(&q, &members, count, sizeof(*id));

        if (id == NULL)
            break;
        *id = sql_get_int(&q, 0);
        count++;
    }
    rc = sql_end(&q, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = sqlite_revoke(conn, ((int64_t *)members)[i], &ends, err);
    free(members);
    arg->ended = ends.ended;
    return rc;
}

static int add_group(struct store_conn *conn, const struct store_group_change *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_GROUP_ADD, value_text(arg->name),
                             value_text(arg->grants != NULL ? arg->grants : ""),
                             value_bool(arg->operates > 0));

    sql_next(&q);
    if (q.rc == SQLITE_CONSTRAINT_PRIMARYKEY) {
        sql_end(&q, err);
        return err_set(err, -E_EXISTS, "There is a group '%s' already.", arg->name);
    }
    return sql_end(&q, err);
}

int sqlite_group_change(struct store_conn *conn, struct store_group_change *arg, struct err *err)
{
    int rc;

    arg->ended = 0;
    if (arg->what == GROUP_ADD)
        return add_group(conn, arg, err);
    if (arg->what == GROUP_REMOVE)
        rc = sql_do(conn, err, SQL_GROUP_REMOVE, value_text(arg->name));
    else
        rc = sql_do(conn, err, SQL_GROUP_SET, value_text(arg->name), value_text(arg->grants),
                    arg->operates == 0 ? value_null() : value_bool(arg->operates > 0),
                    value_text(arg->old_grants));
    if (rc < 0)
        return rc;
    if (sqlite3_changes(((struct sqlite_conn *)conn)->db) == 0)
        return err_set(err, -E_NOT_FOUND, "There is no group '%s'.", arg->name);
    return revoke_members(conn, arg, err);
}

int sqlite_group_list(struct store_conn *conn, struct store_group_list *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_GROUP_LIST);
    void *groups = NULL;

    for (arg->count = 0; sql_next(&q); arg->count++) {
        struct store_group *group = sql_grow(&q, &groups, arg->count, sizeof(*group));

        if (group == NULL)
            break;
        *group = (struct store_group){.name = sql_get_text(&q, 0),
                                      .grants = sql_get_text(&q, 1),
                                      .is_operator = sql_get_bool(&q, 2),
                                      .members = sql_get_int(&q, 3)};
    }
    arg->groups = groups;
    return sql_end(&q, err);
}

/* ---- users of identity providers ---- */

/* -E_EXISTS: the name is taken. */
static int add_external(struct store_conn *conn, const struct store_enrol *arg, const char *name,
                        struct err *err)
{
    struct sql q =
        sql_start(conn, SQL_ENROL_ADD, value_text(name), value_text(arg->issuer),
                  value_text(arg->subject), value_text(arg->groups), value_int(arg->issued_s));

    sql_next(&q);
    if (q.rc == SQLITE_CONSTRAINT_UNIQUE) {
        sql_end(&q, err);
        return err_set(err, -E_EXISTS, "There is a user '%s' already.", name);
    }
    return sql_end(&q, err);
}

static int add_under_free_name(struct store_conn *conn, struct store_enrol *arg, struct err *err)
{
    int rc = add_external(conn, arg, arg->name, err);

    arg->created = arg->name;
    if (rc == -E_EXISTS) {
        rc = add_external(conn, arg, arg->other_name, err);
        arg->created = arg->other_name;
    }
    return rc;
}

struct external {
    int64_t id;
    bool found, disabled, regroups, newer;
};

static int find_external(struct store_conn *conn, const struct store_enrol *arg,
                         struct external *ret, struct err *err)
{
    struct sql q =
        sql_start(conn, SQL_ENROL_FIND, value_text(arg->issuer), value_text(arg->subject));

    *ret = (struct external){.found = sql_next(&q)};
    if (ret->found) {
        char *groups = sql_get_text(&q, 2);

        ret->id = sql_get_int(&q, 0);
        ret->disabled = sql_get_bool(&q, 1);
        ret->newer = sql_get_int(&q, 3) <= arg->issued_s;
        ret->regroups = ret->newer && !str_eq(groups, arg->groups);
        free(groups);
    }
    return sql_end(&q, err);
}

int sqlite_enrol(struct store_conn *conn, struct store_enrol *arg, struct err *err)
{
    static const uint8_t of_no_token[STORE_HASH_BYTES];
    struct store_user_change ends = {
        .now_ms = arg->now_ms, .retention_ms = arg->retention_ms, .retentions = arg->retentions};
    struct external user;
    int rc = find_external(conn, arg, &user, err);

    arg->created = NULL;
    arg->regrouped = arg->opened = false;
    if (rc == 0 && !user.found)
        rc = add_under_free_name(conn, arg, err) ?: find_external(conn, arg, &user, err);
    if (rc < 0 || user.disabled)
        return rc;
    arg->regrouped = user.regroups;
    arg->opened = true;
    if (user.newer)
        rc = sql_do(conn, err, SQL_ENROL_GROUPS, value_int(user.id), value_text(arg->groups),
                    value_int(arg->issued_s));
    if (rc == 0 && user.regroups)
        rc = sqlite_revoke(conn, user.id, &ends, err);
    return rc
               ?: sql_do(conn, err, SQL_SESSION_ADD, value_guid(&arg->session), value_int(user.id),
                         value_guid(&arg->session), value_blob(of_no_token, sizeof(of_no_token)),
                         value_int(arg->expires_ms), value_int(arg->now_ms),
                         value_text(arg->address != NULL ? arg->address : ""));
}
