/* src/source/sqlite.c -- rows of an SQLite database, which cannot be changed from here. */
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/param.h"
#include "source/source_impl.h"
#include "source/sqlite_impl.h"

enum {
    VALUE_BYTES_MAX = 128 << 20, /* more than render's limit, since render can name the column */
    CACHE_KIB = 1 << 10,         /* also the unit of a sort: 4 ms that cannot be interrupted. Four
                                  * times as much makes sorts and joins at most 3 % faster */
    INTERRUPT_OPS = 1000,     /* steps of SQLite's virtual machine between two checks of the flag */
    BUSY_WAIT_US = 5000,      /* between two tries to get a lock … */
    BUSY_MS = 30000,          /* … and for how long */
    LOOKS_MAX = 10,           /* checks of a file that is being replaced */
    CACHED_MAX = 32,          /* compiled statements that are kept, … */
    CACHED_BYTES_MAX = 32768, /* … of at most this many bytes each */
};

/* Our own statements, around those of a definition. The first read pins the snapshot: all
 * statements see the database as it is then. */
enum own { OWN_BEGIN, OWN_PIN, OWN_ROLLBACK, OWN_COUNT };
static const char *const own_sql[OWN_COUNT] = {"BEGIN DEFERRED",
                                               "SELECT 1 FROM sqlite_schema LIMIT 1", "ROLLBACK"};

struct sqlite_source {
    struct source base;
    sqlite3 *db;
    sqlite3_stmt *own[OWN_COUNT], *to_real; /* compiled at first use; `to_real` is for binding */
    struct sqlite_file file;
    atomic_bool interrupted;
    atomic_bool *stopped; /* from the spec, while opening; then NULL */
    int64_t temp_limit;
    int64_t busy_until_ms; /* when to give up waiting for the current lock */
    bool author;           /* may see values: SQLite's own messages about running queries */
    bool own_transaction;  /* the authorizer permits BEGIN and COMMIT */
    bool own_pragma_names; /* the schema has tables named like SQLite's pragma_… functions */
    const char *user_name; /* of the session; borrowed from source_begin() to source_end() */
    struct sqlite_query *cached[CACHED_MAX]; /* compiled, not in use, oldest first */
    size_t cached_count;
    unsigned cached_version; /* SQLite's version of the data that they were compiled for */
};

struct sqlite_query {
    struct source_query base;
    struct sqlite_source *source;
    char *sql; /* as it was compiled; the key in the cache */
    sqlite3_stmt *stmt;
    int line;
    size_t columns;
};

static struct sqlite_source *to_sqlite(struct source *source)
{
    return (struct sqlite_source *)source;
}

/* The message for the user, by result code of SQLite. */
static const struct {
    int code;
    const char *text;
} words[] = {
    {SQLITE_BUSY, "The report's database is busy. Try again later."},
    {SQLITE_LOCKED, "The report's database is busy. Try again later."},
    {SQLITE_TOOBIG, "The report's query makes a value that is too large."},
    {SQLITE_CANTOPEN, "The report's database cannot be opened."},
    {SQLITE_READONLY, "The report's database was left in the middle of a change by a program that "
                      "ended. Ask the operator to open it once with a program that may write."},
    {SQLITE_NOTADB, "The report's database cannot be read."},
    {SQLITE_CORRUPT, "The report's database cannot be read."},
    {SQLITE_IOERR, "The report's database cannot be read."},
    {SQLITE_AUTH, "The report's query tries to do what a report may not do."},
};

static const char *message_for(int code)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].code == (code & 0xff))
            return words[i].text;
    }
    return "The report's query failed.";
}

static bool is_stopped(struct sqlite_source *source)
{
    return atomic_load(&source->interrupted) ||
           (source->stopped != NULL && atomic_load(source->stopped));
}

/* Report the failure that SQLite describes in `message`; `line` 0: not a statement of the
 * definition. */
static int fail_with(struct sqlite_source *source, int code, const char *message, int line,
                     struct err *err)
{
    if ((code & 0xff) == SQLITE_INTERRUPT || ((code & 0xff) == SQLITE_BUSY && is_stopped(source)))
        return err_set(err, -E_CANCELLED, "The report was stopped.");
    if ((code & 0xff) == SQLITE_FULL)
        sqlite_temp_why_full(err);
    else if ((code & 0xff) == SQLITE_NOMEM)
        err_set(err, -E_NOMEM, "Out of memory.");
    else
        err_set(err, -E_SOURCE, "%s", message_for(code));
    if (line == 0)
        return err_detail(err, "sqlite: %s (%d)", message, code);
    return err_detail(err, "line %d: sqlite: %s (%d)", line, message, code);
}

static int fail_query(struct sqlite_source *source, int code, int line, struct err *err)
{
    return fail_with(source, code, sqlite3_errmsg(source->db), line, err);
}

/* Of a running query: SQLite's own message may quote values. */
static int fail_running(struct sqlite_query *query, int code, struct err *err)
{
    return query->source->author
               ? fail_query(query->source, code, query->line, err)
               : fail_with(query->source, code, sqlite3_errstr(code), query->line, err);
}

/* Add to the log's detail which permission may be missing. */
static int explain_permission(const struct sqlite_source *source, struct err *err)
{
    char detail[ERR_TEXT_MAX];

    if (!source->file.wal)
        return err->code;
    snprintf(detail, sizeof(detail), "%s", err->detail);
    return err_detail(
        err,
        "%.200s; the database is in WAL mode%s: let this user read its -wal and write "
        "its -shm, or close it everywhere, or use rollback mode",
        detail,
        source->file.foreign ? " and belongs to another user, or its folder is read-only" : "");
}

/* Refuse a statement that SQLite would run. */
static int refuse_statement(int line, const char *why, struct err *err)
{
    err_set(err, -E_SOURCE, "The report's query failed.");
    return err_detail(err, "line %d: %s", line, why);
}

static int on_progress(void *context)
{
    struct sqlite_source *source = context;

    return atomic_load_explicit(&source->interrupted, memory_order_relaxed);
}

/* Used instead of sqlite3_busy_timeout(), which does not react to an interrupt while it waits. */
static int on_busy(void *context, int tries)
{
    struct sqlite_source *source = context;

    if (tries == 0)
        source->busy_until_ms = clock_mono_ms() + BUSY_MS;
    if (clock_mono_ms() > source->busy_until_ms || is_stopped(source))
        return 0;
    usleep(BUSY_WAIT_US);
    return 1;
}

/* Is it a table behind an index table (R*Tree, full-text search)? Opening an index table prepares
 * statements that write to such tables. They are never run: the file is open read-only, and
 * compile_statement() refuses a statement of a definition that writes. */
static bool is_shadow(const char *table)
{
    static const char *const endings[] = {"_node",     "_parent",  "_rowid",   "_data",
                                          "_idx",      "_content", "_docsize", "_config",
                                          "_segments", "_segdir",  "_stat"};
    size_t len = strlen(table);

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t n = strlen(endings[i]);

        if (len > n && str_eq(table + len - n, endings[i]))
            return true;
    }
    return false;
}

/* A report may read, and nothing else: whatever is not listed here is refused. */
static int on_authorize(void *context, int action, const char *first, const char *second,
                        const char *database, const char *trigger)
{
    struct sqlite_source *source = context;

    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_READ:
        /* The authorizer does not see their PRAGMA before it is run. */
        return !source->own_pragma_names && sqlite3_strnicmp(first, "pragma_", 7) == 0 ? SQLITE_DENY
                                                                                       : SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return str_eq_nocase(second, "load_extension") || str_eq_nocase(second, "fts3_tokenizer")
                   ? SQLITE_DENY
                   : SQLITE_OK;
    case SQLITE_UPDATE:
        /* Asked when a table function (json_each) registers itself. The parser refuses a real
         * UPDATE of the schema, unless writable_schema is on, which would take a PRAGMA. */
        return str_eq(first, "sqlite_master") || is_shadow(first) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_INSERT:
    case SQLITE_DELETE:
        return is_shadow(first) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
        /* Full-text search asks for it to find out whether its cache is still valid. */
        return str_eq(first, "data_version") && second == NULL ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_TRANSACTION:
        return source->own_transaction ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static void set_limits(sqlite3 *db)
{
    static const int flags[][2] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        /* A schema may use JSON functions, R*Tree and full-text search, as in the shell: the
         * authorizer and the read-only connection refuse what is not allowed. */
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX},
        {SQLITE_LIMIT_SQL_LENGTH, DEFINITION_FILE_MAX},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 1000},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        sqlite3_db_config(db, flags[i][0], flags[i][1], NULL);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        sqlite3_limit(db, limits[i][0], limits[i][1]);
}

static int on_pragma_name(void *context, int count, char **values, char **names)
{
    struct sqlite_source *source = context;

    (void)count;
    (void)names;
    source->own_pragma_names = str_eq(values[0], "1");
    return 0;
}

/* Pragmas and the first read, before the authorizer is set. */
static int prepare_connection(struct sqlite_source *source, struct err *err)
{
    char pragmas[256];
    int code;

    sqlite3_extended_result_codes(source->db, 1);
    sqlite3_busy_handler(source->db, on_busy, source);
    sqlite3_progress_handler(source->db, INTERRUPT_OPS, on_progress, source);
    set_limits(source->db);
    snprintf(pragmas, sizeof(pragmas),
             "PRAGMA query_only = 1; PRAGMA cache_size = -%d; PRAGMA temp_store = FILE;"
             "SELECT count(*) > 0 FROM sqlite_schema WHERE name LIKE 'pragma\\_%%' ESCAPE '\\'",
             CACHE_KIB);
    code = sqlite3_exec(source->db, pragmas, on_pragma_name, source, NULL);
    if (code != SQLITE_OK)
        return fail_query(source, code, 0, err);
    sqlite3_set_authorizer(source->db, on_authorize, source);
    return 0;
}

static void query_end(struct sqlite_query *query)
{
    sqlite3_finalize(query->stmt);
    free(query->sql);
    free(query);
}

static struct sqlite_query *cache_remove(struct sqlite_source *source, size_t at)
{
    struct sqlite_query *query = source->cached[at];

    source->cached_count--;
    for (; at < source->cached_count; at++)
        source->cached[at] = source->cached[at + 1];
    return query;
}

static void cache_clear(struct sqlite_source *source)
{
    while (source->cached_count > 0)
        query_end(cache_remove(source, source->cached_count - 1));
}

/* Called in a transaction, whose snapshot does not change: statements compiled for other data, and
 * perhaps another schema, are removed. */
static void cache_check(struct sqlite_source *source)
{
    unsigned version = 0;
    int code = sqlite3_file_control(source->db, "main", SQLITE_FCNTL_DATA_VERSION, &version);

    if (code != SQLITE_OK || version != source->cached_version)
        cache_clear(source);
    source->cached_version = version;
}

/* NULL: it is not in the cache. */
static struct sqlite_query *cache_take(struct sqlite_source *source, const char *sql)
{
    for (size_t i = source->cached_count; i-- > 0;) {
        if (str_eq(source->cached[i]->sql, sql))
            return cache_remove(source, i);
    }
    return NULL;
}

/* Nothing of the report is kept: neither values nor cursors. */
static void cache_add(struct sqlite_query *query)
{
    struct sqlite_source *source = query->source;

    sqlite3_reset(query->stmt);
    sqlite3_clear_bindings(query->stmt);
    if (source->cached_count == CACHED_MAX)
        query_end(cache_remove(source, 0));
    source->cached[source->cached_count++] = query;
}

static void sqlite_close(struct source *base)
{
    struct sqlite_source *source = to_sqlite(base);

    cache_clear(source);
    for (int i = 0; i < OWN_COUNT; i++)
        sqlite3_finalize(source->own[i]);
    sqlite3_finalize(source->to_real);
    sqlite3_close(source->db);
    free(source);
}

/* Open the file that was examined. */
static int open_database_file(struct sqlite_source *source, struct err *err)
{
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI;
    const char *vfs;
    struct buf uri;
    int code;

    if (sqlite_temp_vfs(&vfs, err) < 0)
        return err->code;
    buf_init(&uri, SQLITE_FILE_URI_MAX);
    sqlite_file_uri(&source->file, &uri);
    code =
        buf_failed(&uri) ? SQLITE_NOMEM : sqlite3_open_v2(buf_str(&uri), &source->db, flags, vfs);
    buf_done(&uri);
    return code != SQLITE_OK ? fail_query(source, code, 0, err) : prepare_connection(source, err);
}

/* Open a file that may be replaced at any moment: the one that is opened is the one that was
 * examined. */
static int open_path(struct sqlite_source *source, const char *path, struct err *err)
{
    for (int look = 0; look < LOOKS_MAX; look++) {
        int rc;

        if (!sqlite_file_identify(&source->file, path)) {
            bool strange = source->file.stat.st_mode != 0 && !S_ISREG(source->file.stat.st_mode);
            const char *why = strange ? "is not a regular file" : strerror(errno);

            err_set(err, -E_SOURCE, "%s", message_for(SQLITE_CANTOPEN));
            return err_detail(err, "sqlite: '%s': %s", path, why);
        }
        rc = open_database_file(source, err);
        if (rc == -E_CANCELLED || sqlite_file_is_same(&source->file))
            return rc == -E_SOURCE ? explain_permission(source, err) : rc;
        sqlite3_close(source->db);
        source->db = NULL;
    }
    err_set(err, -E_SOURCE, "%s", message_for(SQLITE_BUSY));
    return err_detail(err, "sqlite: '%s' is being replaced or written to all the time", path);
}

static void sqlite_each_file(const char *url, source_file_fn *found, void *context)
{
    static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
    char real[PATH_MAX], path[PATH_MAX + 8];

    if (realpath(strchr(url, ':') + 1, real) == NULL)
        return;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", real, suffixes[i]);
        found(context, path);
    }
}

/* READONLY works for both journal modes: in rollback mode the file only has to be readable; for WAL
 * mode see sqlite_impl.h. */
static int sqlite_open(const struct source_spec *spec, const char *path, struct source **ret,
                       struct err *err)
{
    struct sqlite_source *source;
    int rc = sqlite_temp_folder(spec->temp_folder, err);

    if (rc < 0)
        return rc;
    source = calloc(1, sizeof(*source));
    if (source == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    source->base.ops = &source_sqlite;
    source->stopped = spec->stopped;
    source->temp_limit = spec->temp_limit;
    source->author = spec->notice != NULL;
    rc = open_path(source, path, err);
    if (rc < 0) {
        sqlite_close(&source->base);
        return rc;
    }
    source->stopped = NULL;
    *ret = &source->base;
    return 0;
}

/* In WAL mode the connection is not kept: while idle it would keep an old -wal in use. */
static bool sqlite_is_current(const struct source *base)
{
    const struct sqlite_source *source = (const struct sqlite_source *)base;

    return !source->file.wal && sqlite_file_is_same(&source->file);
}

static int run_own(struct sqlite_source *source, enum own which)
{
    sqlite3_stmt **stmt = &source->own[which];
    int code = SQLITE_OK;

    source->own_transaction = true;
    if (*stmt == NULL)
        code = sqlite3_prepare_v3(source->db, own_sql[which], -1, SQLITE_PREPARE_PERSISTENT, stmt,
                                  NULL);
    if (code == SQLITE_OK) {
        sqlite3_step(*stmt);
        code = sqlite3_reset(*stmt); /* the step's error */
    }
    source->own_transaction = false;
    return code;
}

static void end_read(struct sqlite_source *source)
{
    source->user_name = NULL;
    /* Also after an interrupt, which must not keep the transaction (and its lock) open; one that
     * arrives at this moment stops even the ROLLBACK. */
    sqlite3_progress_handler(source->db, 0, NULL, NULL);
    while (!sqlite3_get_autocommit(source->db) && run_own(source, OWN_ROLLBACK) == SQLITE_INTERRUPT)
        continue;
    sqlite3_progress_handler(source->db, INTERRUPT_OPS, on_progress, source);
}

static int sqlite_end(struct source *base, struct err *err)
{
    struct sqlite_source *source = to_sqlite(base);

    end_read(source);
    if (!source->file.immutable || sqlite_file_is_same(&source->file))
        return 0;
    err_set(err, -E_CHANGED,
            "The report's database was written to while the report read it. Try again later.");
    return err_detail(
        err,
        "sqlite: '%s' is in WAL mode, may only be read here, and was written to while nothing "
        "could keep it still: let this user write in its folder's -shm, or use "
        "rollback mode",
        source->file.path);
}

/* 'localtime' and 'utc' in its date functions use the zone of the process, which runs one report at
 * a time. */
static int set_zone(const char *name, struct err *err)
{
    if (setenv("TZ", name != NULL ? name : "UTC", 1) < 0)
        return err_set(err, -E_NOMEM, "Out of memory.");
    tzset();
    return 0;
}

static int sqlite_source_begin(struct source *base, const struct source_session *session,
                               struct err *err)
{
    struct sqlite_source *source = to_sqlite(base);
    int code = atomic_load(&source->interrupted) ? SQLITE_INTERRUPT : SQLITE_OK;

    if (set_zone(session->timezone, err) < 0)
        return err->code;
    sqlite_temp_limit(source->temp_limit);
    if (code == SQLITE_OK)
        code = run_own(source, OWN_BEGIN);
    if (code == SQLITE_OK)
        code = run_own(source, OWN_PIN);
    if (code != SQLITE_OK) {
        int rc = fail_query(source, code, 0, err);

        end_read(source);
        return rc == -E_SOURCE ? explain_permission(source, err) : rc;
    }
    source->user_name = session->user_name;
    cache_check(source);
    return 0;
}

/* The line of the definition that SQLite's error refers to. */
static int error_line(sqlite3 *db, const struct statement *statement)
{
    int offset = sqlite3_error_offset(db);
    int line = statement->line - statement->above;

    for (int i = 0; i < offset && statement->sql[i] != '\0'; i++)
        line += statement->sql[i] == '\n';
    return line;
}

static int compile_statement(struct sqlite_source *source, const struct statement *statement,
                             sqlite3_stmt **ret, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    const char *why = NULL;
    bool more = false;
    int code = sqlite_compile(source->db, statement->sql, &stmt, &more);

    if (code != SQLITE_OK)
        return fail_query(source, code, error_line(source->db, statement), err);
    if (stmt == NULL)
        why = "there is no statement; write one SELECT";
    else if (!sqlite3_stmt_readonly(stmt) || sqlite3_column_count(stmt) == 0)
        why = "the statement is not a SELECT";
    else if (more)
        why = "there is more than one statement; write one SELECT";
    if (why != NULL) {
        sqlite3_finalize(stmt);
        return refuse_statement(statement->line, why, err);
    }
    *ret = stmt;
    return 0;
}

/* SQLite reads ":Name::type" as the name of one parameter. */
static const char *why_unbound(const char *name, int code)
{
    if (code != SQLITE_NOTFOUND)
        return "cannot be bound";
    return name != NULL && strstr(name, "::") != NULL
               ? "has a cast of PostgreSQL; SQLite has no x::type: write CAST(:Name AS type)"
               : "is not declared; declare it with '-- parameter:'";
}

static int bind_all(struct sqlite_query *query, const struct param_value *values, size_t count,
                    struct err *err)
{
    struct sqlite_source *source = query->source;
    const char *name = NULL;
    int code = sqlite_bind(query->stmt, &source->to_real, values, count, source->user_name, &name);

    if (code == SQLITE_OK)
        return 0;
    err_set(err, -E_SOURCE, "%s", message_for(code));
    return err_detail(err, "line %d: parameter '%s' %s", query->line, name != NULL ? name : "?",
                      why_unbound(name, code));
}

static void sqlite_query_free(struct source_query *base)
{
    struct sqlite_query *query = (struct sqlite_query *)base;

    if (sqlite3_stmt_status(query->stmt, SQLITE_STMTSTATUS_MEMUSED, 0) <= CACHED_BYTES_MAX)
        cache_add(query);
    else
        query_end(query);
}

/* Takes it from the cache, or compiles it. */
static int new_query(struct sqlite_source *source, const struct statement *statement,
                     struct sqlite_query **ret, struct err *err)
{
    struct sqlite_query *query = cache_take(source, statement->sql);
    int rc = 0;

    if (query == NULL) {
        query = calloc(1, sizeof(*query));
        if (query == NULL)
            return err_set(err, -E_NOMEM, "Out of memory.");
        query->base.ops = &source_sqlite;
        query->source = source;
        query->sql = strdup(statement->sql);
        rc = query->sql == NULL ? err_set(err, -E_NOMEM, "Out of memory.")
                                : compile_statement(source, statement, &query->stmt, err);
    }
    if (rc < 0) {
        query_end(query);
        return rc;
    }
    query->line = statement->line;
    query->columns = (size_t)sqlite3_column_count(query->stmt);
    *ret = query;
    return 0;
}

static int new_query_with_lists(struct sqlite_source *source, const struct statement *statement,
                                const struct param_value *values, size_t count,
                                struct sqlite_query **ret, struct err *err)
{
    struct statement sent = *statement;
    struct buf sql;
    int rc;

    buf_init(&sql, SQLITE_SQL_MAX);
    sqlite_bind_rewrite(&sql, statement->sql, values, count);
    sent.sql = (char *)buf_str(&sql);
    rc = buf_failed(&sql) ? err_set(err, -E_NOMEM, "Out of memory.")
                          : new_query(source, &sent, ret, err);
    buf_done(&sql);
    return rc;
}

static int sqlite_query(struct source *base, const struct statement *statement,
                        const struct param_value *values, size_t count, struct source_query **ret,
                        struct err *err)
{
    struct sqlite_source *source = to_sqlite(base);
    struct sqlite_query *query;
    int rc = params_have_list(values, count)
                 ? new_query_with_lists(source, statement, values, count, &query, err)
                 : new_query(source, statement, &query, err);

    if (rc < 0)
        return rc;
    rc = bind_all(query, values, count, err);
    if (rc < 0)
        sqlite_query_free(&query->base);
    else
        *ret = &query->base;
    return rc;
}

static size_t sqlite_columns(const struct source_query *base)
{
    return ((const struct sqlite_query *)base)->columns;
}

static const char *sqlite_column_name(const struct source_query *base, size_t column)
{
    const char *name = sqlite3_column_name(((const struct sqlite_query *)base)->stmt, (int)column);

    return name != NULL ? name : ""; /* NULL: out of memory */
}

/* Of the declared types only REAL says something about the values: all its numbers are stored as
 * REAL (https://www.sqlite.org/datatype3.html, 3.1). */
static enum source_kind sqlite_column_type(const struct source_query *base, size_t column,
                                           char name[SOURCE_TYPE_TEXT])
{
    const char *type =
        sqlite3_column_decltype(((const struct sqlite_query *)base)->stmt, (int)column);

    str_copy(name, SOURCE_TYPE_TEXT, type != NULL ? type : "");
    if (strcasestr(name, "INT") != NULL || strcasestr(name, "CHAR") != NULL ||
        strcasestr(name, "CLOB") != NULL || strcasestr(name, "TEXT") != NULL ||
        strcasestr(name, "BLOB") != NULL)
        return SOURCE_NULL;
    return strcasestr(name, "REAL") != NULL || strcasestr(name, "FLOA") != NULL ||
                   strcasestr(name, "DOUB") != NULL
               ? SOURCE_REAL
               : SOURCE_NULL;
}

/* False: no memory for the text. Uses sqlite3_column_value(), which looks each column up only once;
 * its "unprotected" values are safe as long as one thread uses the connection, as here. */
static bool read_sqlite_value(sqlite3_value *from, struct source_value *value)
{
    switch (sqlite3_value_type(from)) {
    case SQLITE_INTEGER:
        value->kind = SOURCE_INTEGER;
        value->integer = sqlite3_value_int64(from);
        return true;
    case SQLITE_FLOAT:
        value->kind = SOURCE_REAL;
        value->real = sqlite3_value_double(from);
        return true;
    case SQLITE_TEXT:
        value->kind = SOURCE_TEXT;
        value->text.data = (const char *)sqlite3_value_text(from);
        value->text.len = (size_t)sqlite3_value_bytes(from);
        return value->text.data != NULL;
    case SQLITE_BLOB:
        value->kind = SOURCE_BLOB;
        value->text.len = (size_t)sqlite3_value_bytes(from);
        value->text.data = value->text.len > 0 ? sqlite3_value_blob(from) : "";
        return value->text.data != NULL;
    default:
        value->kind = SOURCE_NULL;
        return true;
    }
}

static int sqlite_step(struct source_query *base, struct source_value *row, struct err *err)
{
    struct sqlite_query *query = (struct sqlite_query *)base;
    int code = on_progress(query->source) ? SQLITE_INTERRUPT : sqlite3_step(query->stmt);

    if (code == SQLITE_DONE)
        return 0;
    if (code != SQLITE_ROW)
        return fail_running(query, code, err);
    for (size_t i = 0; i < query->columns; i++) {
        if (!read_sqlite_value(sqlite3_column_value(query->stmt, (int)i), &row[i]))
            return fail_running(query, SQLITE_NOMEM, err);
    }
    return 1;
}

static void sqlite_interrupt(struct source *base)
{
    struct sqlite_source *source = to_sqlite(base);

    /* The flag also stops what starts later. sqlite3_interrupt() has no effect once nothing runs,
     * but it reaches code between two checks of the flag, such as a sort. */
    atomic_store(&source->interrupted, true);
    sqlite3_interrupt(source->db);
}

static void sqlite_resume(struct source *base)
{
    atomic_store(&to_sqlite(base)->interrupted, false);
}

const struct source_ops source_sqlite = {.open = sqlite_open,
                                         .each_file = sqlite_each_file,
                                         .close = sqlite_close,
                                         .begin = sqlite_source_begin,
                                         .end = sqlite_end,
                                         .is_current = sqlite_is_current,
                                         .query = sqlite_query,
                                         .query_free = sqlite_query_free,
                                         .columns = sqlite_columns,
                                         .column_name = sqlite_column_name,
                                         .column_type = sqlite_column_type,
                                         .step = sqlite_step,
                                         .interrupt = sqlite_interrupt,
                                         .resume = sqlite_resume};
