/* src/store/sqlite_open.c -- opens and closes a SQLite store: the file, the settings, the
 * schema. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/sqlite_impl.h"

/* ---- are the open files still those of the store's name? ----
 *
 * A file that was removed or replaced can be written to as long as it is open, but nobody finds it
 * after that. So it is not written to: nothing is acknowledged that the next start would not find.
 * If the same files return to their place, work continues. */

static const char *const ends[SQLITE_FILES] = {"", "-wal", "-shm"};

static int record_files(struct sqlite_shared *shared, struct err *err)
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

        if (id->inode == 0) /* not known yet */
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

static void forget_place(struct sqlite_shared *shared)
{
    for (int i = 0; i < SQLITE_FILES; i++)
        free(shared->names[i]);
}

/* ---- opening ---- */

static int open_trouble(struct sqlite_conn *c, int rc, struct err *err)
{
    c->full = sqlite_is_full(c, rc);
    err_set(err, -E_STORE, "Cannot open the store '%s': %s.", c->shared->path,
            c->full ? "its disk is full" : sqlite3_errstr(rc));
    return err_detail(err, "sqlite: %s (code %d)", c->db != NULL ? sqlite3_errmsg(c->db) : "", rc);
}

/* The one number that a PRAGMA or SELECT returns. */
static int read_number(struct sqlite_conn *c, const char *text, int64_t *ret)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(c->db, text, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* ---- the file ---- */

/* Make the file, accessible to the owner only, unless it exists. SQLite gives its -wal and -shm the
 * same mode. An existing file is not opened: closing it would drop the locks of this process on
 * it. */
static int make_store_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        return err_errno(err, -E_STORE, "Cannot make the store '%s'", path);
    if (fd < 0)
        return 0;
    close(fd);
    if (file_sync_folder_of(path) < 0)
        return err_errno(err, -E_STORE, "Cannot write the folder of the store '%s'", path);
    return 0;
}

/* The path is absolute, so that readers find the file whatever the working folder is by then, and
 * so that SQLite treats no name specially. */
static int find_file(const struct store_spec *spec, const char *path, char **ret, struct err *err)
{
    char *full;

    if (*path == '\0')
        return err_set(err, -E_STORE, "The store has no path; write sqlite:PATH.");
    if (spec->create && make_store_file(path, err) < 0)
        return -E_STORE;
    full = realpath(path, NULL);
    if (full == NULL && errno == ENOENT)
        return err_set(err, -E_NOT_FOUND,
                       "There is no store '%s'; start the server once to make it.", path);
    if (full == NULL)
        return err_errno(err, -E_STORE, "Cannot open the store '%s'", path);
    *ret = full;
    return 0;
}

/* Kept open until SQLite has closed the file: closing it earlier would drop SQLite's locks. */
static int open_file(struct sqlite_shared *shared, struct err *err)
{
    shared->fd = open(shared->path, O_RDWR | O_CLOEXEC);
    if (shared->fd < 0)
        return err_errno(err, -E_STORE, "Cannot open the store '%s'", shared->path);
    return 0;
}

/* Of two servers on one store, each would treat the other's running reports as left over. flock()
 * does not interfere with SQLite's own locks, and is released when the process ends, however it
 * ends. */
static int take_alone(struct sqlite_shared *shared, struct err *err)
{
    shared->alone = flock(shared->fd, LOCK_EX | LOCK_NB) == 0;
    if (shared->alone)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_errno(err, -E_STORE, "Cannot lock the store '%s'", shared->path);
    return err_set(err, -E_BUSY,
                   "The store '%s' is in use by another reportd serve, fsck or restore; stop that "
                   "first. (Several servers share one store in PostgreSQL.)",
                   shared->path);
}

/* ---- the schema ---- */

/* Refuse a database that is not our store, before anything in it is changed. */
static int check_application(struct sqlite_conn *c, struct err *err)
{
    int64_t id = 0, tables = 0;
    int rc = read_number(c, "PRAGMA application_id", &id);

    if (rc == SQLITE_OK)
        rc = read_number(c, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    if (id != SQLITE_APPLICATION_ID && (id != 0 || tables != 0))
        return err_set(err, -E_STORE,
                       "'%s' is another program's database; name another path for the store.",
                       c->shared->path);
    return 0;
}

/* Apply the next migration, in a transaction of its own; *ret_version is the version after it.
 * Another process may have been faster, so the version is read inside the transaction. */
static int migrate_once(struct sqlite_conn *c, int64_t *ret_version)
{
    int64_t version = 0;
    char tombstone[96];
    int rc = sqlite_exec(c, "BEGIN IMMEDIATE");

    if (rc == SQLITE_OK)
        rc = read_number(c, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK && version < sqlite_migration_count) {
        snprintf(tombstone, sizeof(tombstone),
                 "PRAGMA application_id = %d; PRAGMA user_version = %lld", SQLITE_APPLICATION_ID,
                 (long long)++version);
        rc = sqlite_exec(c, sqlite_migrations[version - 1]);
        if (rc == SQLITE_OK)
            rc = sqlite_exec(c, tombstone);
    }
    if (rc == SQLITE_OK)
        rc = sqlite_exec(c, "COMMIT");
    if (rc == SQLITE_OK)
        *ret_version = version;
    else if (sqlite3_get_autocommit(c->db) == 0)
        sqlite_exec(c, "ROLLBACK");
    return rc;
}

/* `version` is beyond STORE_MOVING: reportd migrate has marked the store. The stub that it leaves
 * of a store that was moved has no tables. */
static int check_moving(struct sqlite_conn *c, const struct store_spec *spec, int64_t version,
                        struct err *err)
{
    int64_t tables = 0;
    int rc = read_number(c, "SELECT count(*) FROM sqlite_schema", &tables);

    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    if (tables == 0)
        return err_set(err, -E_EXISTS,
                       "The store '%s' was moved to PostgreSQL by reportd migrate; use the "
                       "configuration that names it there.",
                       c->shared->path);
    if (!spec->moving)
        return err_set(err, -E_STORE,
                       "The store '%s' is being moved to PostgreSQL: run reportd migrate again to "
                       "finish that, or with --undo to go on with this store.",
                       c->shared->path);
    if (version != STORE_MOVING + sqlite_migration_count)
        return err_set(err, -E_STORE,
                       "Another version of reportd has begun to move the store '%s' to "
                       "PostgreSQL; finish it, or undo it, with that one.",
                       c->shared->path);
    return 0;
}

static int migrate(struct sqlite_conn *c, const struct store_spec *spec, struct err *err)
{
    bool create = spec->create || spec->upgrade;
    int64_t version = 0;
    int rc = read_number(c, "PRAGMA user_version", &version);

    if (rc == SQLITE_OK && version >= STORE_MOVING)
        return check_moving(c, spec, version, err);
    if (rc == SQLITE_OK && version < sqlite_migration_count && !create)
        return err_set(err, -E_CHANGED,
                       "The store '%s' has schema %lld, this program needs %d; start the server "
                       "once to bring it up to date.",
                       c->shared->path, (long long)version, sqlite_migration_count);
    while (rc == SQLITE_OK && version < sqlite_migration_count)
        rc = migrate_once(c, &version);
    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    if (version > sqlite_migration_count)
        return err_set(err, -E_STORE,
                       "The store '%s' has schema %lld, newer than this program's %d; use the "
                       "reportd that made it, or a later one.",
                       c->shared->path, (long long)version, sqlite_migration_count);
    return 0;
}

/* ---- connections ---- */

static int connect_db(struct sqlite_conn *c, struct err *err)
{
    int rc = sqlite3_open_v2(c->shared->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             sqlite_scrub_vfs());

    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, SQLITE_BUSY_MS);
    return 0;
}

static struct sqlite_conn *conn_new(struct sqlite_shared *shared, bool writes)
{
    struct sqlite_conn *c = calloc(1, sizeof(*c));

    if (c != NULL) {
        c->base.ops = &store_sqlite;
        c->shared = shared;
        c->writes = writes;
    }
    return c;
}

static void disconnect(struct sqlite_conn *c)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(c->statements[i]);
        c->statements[i] = NULL;
    }
    sqlite3_close(c->db);
    c->db = NULL;
}

void sqlite_close(struct store_conn *conn)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;

    /* Closing it would checkpoint into this file and remove the log of another one. */
    if (c->db != NULL && sqlite_place_check(c->shared, NULL) < 0)
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    disconnect(c);
    if (c->writes) {
        sqlite_reserve_close(c->shared);
        forget_place(c->shared);
        sqlite_active_free(c);
        sqlite_running_free(c->shared);
        lock_done(&c->shared->lock);
        if (c->shared->fd >= 0)
            close(c->shared->fd);
        free(c->shared->path);
        free(c->shared);
    }
    free(c);
}

_Static_assert(SQLITE_PAGE == 4096 && SQLITE_PAGES_MAX == 33554431, "set_up_writer() sets them");

/* Readers also need to know who holds slots, so it is read before anything is written. */
static int load_holders(struct sqlite_conn *c, struct err *err)
{
    int rc = sqlite_exec(c, "BEGIN");

    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    c->holders_stale = true;
    rc = sqlite_active_begin(&c->base, err);
    sqlite_exec(c, "COMMIT"); /* cannot fail: nothing was written */
    return rc;
}

static int set_up_writer(struct sqlite_conn *c, const struct store_spec *spec, struct err *err)
{
    int rc = connect_db(c, err) ?: check_application(c, err);

    if (rc < 0)
        return rc;
    rc = sqlite_exec(c, "PRAGMA page_size = 4096;"
                        "PRAGMA max_page_count = 33554431;"
                        "PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = FULL;"
                        "PRAGMA foreign_keys = ON;"
                        "PRAGMA secure_delete = ON;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA cache_size = -16384;" /* KiB */
                        "PRAGMA wal_autocheckpoint = 4096");
    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    c->dropped = true; /* the previous process may have dropped rows and crashed */
    rc = migrate(c, spec, err) ?: load_holders(c, err);
    if (rc < 0)
        return rc;
    rc = sqlite_log_watch(c);
    if (rc != SQLITE_OK)
        return open_trouble(c, rc, err);
    return record_files(c->shared, err);
}

/* A full disk first lacks room for the log and its index. */
static int set_up(struct sqlite_conn *c, const struct store_spec *spec, struct err *err)
{
    int rc;

    sqlite_reserve_open(c->shared);
    rc = set_up_writer(c, spec, err);
    if (rc == 0 || !c->full || !sqlite_reserve_remove(c->shared))
        return rc;
    disconnect(c);
    return set_up_writer(c, spec, err);
}

int sqlite_open(const struct store_spec *spec, const char *path, struct store_conn **ret,
                struct err *err)
{
    struct sqlite_shared *shared;
    struct sqlite_conn *c;
    char *full;
    int rc;

    rc = find_file(spec, path, &full, err);
    if (rc < 0)
        return rc;
    shared = calloc(1, sizeof(*shared));
    c = shared != NULL ? conn_new(shared, true) : NULL;
    if (c == NULL) {
        free(shared);
        free(full);
        return err_set(err, -E_STORE, "Cannot open the store: out of memory.");
    }
    shared->path = full;
    shared->fd = -1;
    for (int i = 0; i < SQLITE_RESERVE_FILES; i++)
        shared->reserve[i] = -1;
    lock_init(&shared->lock);
    rc = open_file(shared, err);
    if (rc == 0 && spec->alone)
        rc = take_alone(shared, err);
    if (rc == 0)
        rc = set_up(c, spec, err);
    if (rc < 0) {
        sqlite_close(&c->base);
        return rc;
    }
    c->whole = spec->create ? sqlite_reserve_make(shared) : true;
    *ret = &c->base;
    return 0;
}

int sqlite_open_reader(struct store_conn *like, struct store_conn **ret, struct err *err)
{
    struct sqlite_conn *c = conn_new(((struct sqlite_conn *)like)->shared, false);
    int rc;

    if (c == NULL)
        return err_set(err, -E_STORE, "The store is unavailable: out of memory, try again.");
    rc = connect_db(c, err);
    if (rc == 0) {
        int sqlite_rc = sqlite_exec(c, "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;"
                                       "PRAGMA cache_size = -4096"); /* KiB */

        if (sqlite_rc != SQLITE_OK)
            rc = open_trouble(c, sqlite_rc, err);
    }
    if (rc < 0) {
        sqlite_close(&c->base);
        return rc;
    }
    *ret = &c->base;
    return 0;
}
