/* src/store/postgres_open.c -- opens and closes a PostgreSQL store: first connection, schema. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/postgres_impl.h"

enum {
    SERVER_LEAST = 130000,   /* major version 13: older ones are no longer maintained */
    SCHEMA_MS = 600 * 1000L, /* an index on many rows takes long */
    ERASE_AFTER_MS = 3600 * 1000L,
};

PGresult *postgres_result(PGconn *pg, int sent, struct err *err)
{
    char why[PG_MESSAGE];
    PGresult *result = pg_result(pg, sent, clock_mono_ms() + SCHEMA_MS, why);

    if (result == NULL)
        postgres_unavailable(why, err);
    return result;
}

PGresult *postgres_exec(PGconn *pg, const char *text, struct err *err)
{
    return postgres_result(pg, PQsendQuery(pg, text), err);
}

static int open_trouble(struct err *err)
{
    char why[ERR_TEXT_MAX];

    str_copy(why, sizeof(why), err->detail);
    return err_set(err, -E_STORE, "Cannot open the store in PostgreSQL: %s", why);
}

/* The one number that a statement returns; -1: it returned NULL. */
static int read_number(PGconn *pg, const char *text, int64_t *ret, struct err *err)
{
    PGresult *result = postgres_exec(pg, text, err);

    if (result == NULL)
        return open_trouble(err);
    if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
        *ret = -1;
    else
        str_to_int64(PQgetvalue(result, 0, 0), ret);
    PQclear(result);
    return 0;
}

static int exec(PGconn *pg, const char *text, struct err *err)
{
    PGresult *result = postgres_exec(pg, text, err);

    PQclear(result);
    return result != NULL ? 0 : open_trouble(err);
}

/* *ret is -1 if there is no store. */
static int read_version(PGconn *pg, int64_t *ret, struct err *err)
{
    int rc = read_number(pg, "SELECT to_regclass('reportd.schema_version')::oid::bigint", ret, err);

    if (rc == 0 && *ret != -1)
        rc = read_number(pg, "SELECT coalesce(max(version), 0) FROM reportd.schema_version", ret,
                         err);
    return rc;
}

/* A node of the previous version would go on writing what it can in clear, and could not read the
 * rest. */
static int check_alone(PGconn *pg, struct err *err)
{
    PGresult *result = postgres_exec(
        pg, "SELECT string_agg(host, ', ') FROM node WHERE alive_until > clock_timestamp()", err);
    int rc = 0;

    if (result == NULL)
        return open_trouble(err);
    if (!PQgetisnull(result, 0, 0))
        rc = err_set(err, -E_STORE,
                     "The store is about to be sealed, and nodes of an older version (%.200s) are "
                     "running on it: stop all of them, then start this one.",
                     PQgetvalue(result, 0, 0));
    PQclear(result);
    return rc;
}

/* Nothing is sealed yet, so there may be no erase key: it is made here, and the operator copies it
 * to the other nodes. */
static int seal_store(PGconn *pg, struct postgres_shared *shared, struct err *err)
{
    return check_alone(pg, err)
               ?: keyring_open(shared->erase_key, true, &shared->ring, err)
               ?: postgres_seal_rows(pg, shared->ring, err);
}

/* Called in the transaction that holds the lock of migrations. */
static int apply_missing(PGconn *pg, struct postgres_shared *shared, struct err *err)
{
    int64_t version;
    char tombstone[96];
    int rc = exec(pg,
                  "SELECT pg_advisory_xact_lock(1380996164, -1);"
                  "CREATE SCHEMA IF NOT EXISTS reportd;"
                  "SET LOCAL search_path = reportd, pg_temp;"
                  "CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)",
                  err)
                 ?: read_version(pg, &version, err);

    while (rc == 0 && version < postgres_migration_count) {
        rc = exec(pg, postgres_migrations[version++], err);
        if (rc == 0 && version == postgres_sealing_migration)
            rc = seal_store(pg, shared, err);
        if (rc < 0)
            break;
        snprintf(tombstone, sizeof(tombstone), "INSERT INTO schema_version VALUES (%lld)",
                 (long long)version);
        rc = exec(pg, tombstone, err);
    }
    return rc;
}

static int migrate(PGconn *pg, struct postgres_shared *shared, struct err *err)
{
    struct err ignored;
    int rc = exec(pg, "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0", err)
                 ?: apply_missing(pg, shared, err);

    if (rc == 0)
        return exec(pg, "COMMIT", err);
    exec(pg, "ROLLBACK", &ignored);
    return rc;
}

static int check_server(PGconn *pg, struct err *err)
{
    const char *encoding = PQparameterStatus(pg, "server_encoding");

    if (PQserverVersion(pg) < SERVER_LEAST)
        return err_set(err, -E_STORE, "The store's PostgreSQL is too old; 13 or later is needed.");
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
        return err_set(err, -E_STORE,
                       "The store's database is encoded in %s; make one with ENCODING 'UTF8'.",
                       encoding != NULL ? encoding : "nothing known");
    return 0;
}

/* The identity of the store needs it: see POSTGRES_HERE. Every role has this right, unless it was
 * revoked. */
static int check_rights(PGconn *pg, struct err *err)
{
    int64_t may = 0;
    int rc = read_number(
        pg, "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::int", &may,
        err);

    if (rc < 0 || may == 1)
        return rc;
    return err_set(err, -E_STORE,
                   "The store's role may not call pg_control_system(), which tells its database "
                   "from a copy: as a superuser, in that database, run: "
                   "GRANT EXECUTE ON FUNCTION pg_control_system() TO \"%.63s\"",
                   PQuser(pg));
}

/* `version` is beyond STORE_MOVING: reportd migrate has marked it. */
static int check_moving(const struct store_spec *spec, int64_t version, struct err *err)
{
    if (!spec->moving)
        return err_set(err, -E_STORE,
                       "A store is being moved into this database: run reportd migrate again to "
                       "finish that, or with --undo to go on with the old store.");
    if (version != STORE_MOVING + postgres_migration_count)
        return err_set(err, -E_STORE,
                       "Another version of reportd has begun to move a store into this database; "
                       "finish it, or undo it, with that one.");
    return 0;
}

static int check_schema(PGconn *pg, const struct store_spec *spec, struct postgres_shared *shared,
                        struct err *err)
{
    int64_t version = 0;
    int rc = read_version(pg, &version, err);

    if (rc == 0 && version >= STORE_MOVING)
        return check_moving(spec, version, err);
    if (rc == 0 && version < 0 && !spec->create)
        return err_set(err, -E_NOT_FOUND,
                       "There is no store in this database; start the server once to make it.");
    if (rc == 0 && version < postgres_migration_count && !spec->create && !spec->upgrade)
        return err_set(err, -E_CHANGED,
                       "The store has schema %lld, this program needs %d; start the server once to "
                       "bring it up to date.",
                       (long long)version, postgres_migration_count);
    if (rc == 0 && version > postgres_migration_count)
        return err_set(err, -E_STORE,
                       "The store has schema %lld, newer than this program's %d; use the reportd "
                       "that made it, or a later one.",
                       (long long)version, postgres_migration_count);
    if (rc == 0 && version < postgres_migration_count)
        rc = migrate(pg, shared, err);
    return rc;
}

static int open_schema(struct postgres_shared *shared, const struct store_spec *spec,
                       struct err *err)
{
    PGconn *pg = postgres_connect_plain(shared, err);
    int rc = (pg != NULL ? check_server(pg, err) : open_trouble(err))
                 ?: check_rights(pg, err)
                 ?: check_schema(pg, spec, shared, err);

    PQfinish(pg);
    return rc;
}

/* Read the keys that open what is in the store. */
static int open_erase_keys(struct postgres_conn *c, struct err *err)
{
    struct postgres_shared *shared = c->shared;
    int rc = 0;

    if (shared->ring == NULL)
        rc = keyring_open(shared->erase_key, false, &shared->ring, err);
    if (rc == -E_NOT_FOUND)
        return err_set(err, -E_CONFIG,
                       "There is no erase key '%s', and what is in the store is sealed: copy "
                       "erase.key from another node, or, with a restored database, from where it "
                       "was saved with it.",
                       shared->erase_key);
    return rc == 0 ? postgres_keys_open(c, err) : rc;
}

struct postgres_conn *postgres_conn_new(struct postgres_shared *shared)
{
    struct postgres_conn *c = calloc(1, sizeof(*c));

    if (c != NULL) {
        c->base.ops = &store_postgres;
        c->shared = shared;
        c->writer = guid_new();
    }
    return c;
}

void postgres_close(struct store_conn *conn)
{
    struct postgres_conn *c = (struct postgres_conn *)conn;

    postgres_disconnect(c);
    if (c->first) {
        keyring_free(c->shared->ring);
        lock_done(&c->shared->refreshing);
        free(c->shared->erase_key);
        free(c->shared->url);
        free(c->shared);
    }
    free(c);
}

int postgres_open(const struct store_spec *spec, const char *path, struct store_conn **ret,
                  struct err *err)
{
    struct postgres_shared *shared = calloc(1, sizeof(*shared));
    struct postgres_conn *c = shared != NULL ? postgres_conn_new(shared) : NULL;
    struct guid origin = guid_new();
    int rc;

    (void)path; /* libpq reads the whole URL */
    if (c == NULL) {
        free(shared);
        return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
    }
    c->first = true;
    lock_init(&shared->refreshing);
    shared->url = strdup(spec->url);
    shared->erase_key = spec->erase_key != NULL ? strdup(spec->erase_key) : NULL;
    shared->erase_after_ms = spec->erase_after_ms != 0 ? spec->erase_after_ms : ERASE_AFTER_MS;
    guid_format(&origin, shared->origin);
    if (shared->url == NULL || shared->erase_key == NULL)
        rc = err_set(err, -E_STORE, "Cannot open the store: no memory, or no erase key was named.");
    else
        rc = open_schema(shared, spec, err);
    if (rc == 0)
        rc = postgres_connect(c, err) ?: open_erase_keys(c, err);
    if (rc < 0) {
        postgres_close(&c->base);
        return rc;
    }
    *ret = &c->base;
    return 0;
}

int postgres_open_another(struct store_conn *like, struct store_conn **ret, struct err *err)
{
    struct postgres_conn *c = postgres_conn_new(((struct postgres_conn *)like)->shared);

    if (c == NULL)
        return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
    *ret = &c->base; /* connects when it is first used */
    return 0;
}
