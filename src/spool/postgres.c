/* src/spool/postgres.c -- results as chunks in a table of the store's database, so that they are
 * deleted with their report's row. Schema: src/store/postgres_schema.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/seam.h"
#include "base/str.h"
#include "base/thread.h"
#include "pg/pg.h"
#include "spool/spool_impl.h"

/* ---- connections, on which nothing waits forever ---- */

enum { LINK_POOL_MAX = 8, LINK_PARAMS_MAX = 4 };

/* Connections that are not in use. There is at most one per thread of the spool. */
struct link_pool {
    const char *url;  /* borrowed */
    struct lock lock; /* guards the members below */
    PGconn *idle[LINK_POOL_MAX];
    int count;
};

/* Runs on a connection; 0 or an error. The caller finds out itself whether the connection was
 * lost. */
typedef int link_job_fn(PGconn *conn, void *context, struct err *err);

/* A value in PostgreSQL's binary format. */
struct link_param {
    const void *data;
    int len;
};

enum { ANSWER_MS = 20 * 1000 }; /* how long the server may be silent */

static int fail_link(const char *why, struct err *err)
{
    return err_set(err, -E_SPOOL, "the database of the results: %s", why);
}

/* The result of what was sent (`sent`: libpq's return value); of several results the last one. */
static int finish_command(PGconn *conn, int sent, PGresult **ret, struct err *err)
{
    char why[PG_MESSAGE];
    PGresult *result = pg_result(conn, sent, clock_mono_ms() + ANSWER_MS, why);

    if (result == NULL)
        return fail_link(why, err);
    if (ret != NULL)
        *ret = result;
    else
        PQclear(result);
    return 0;
}

/* Run one statement with binary parameters. If `ret` is given, *ret is the binary result and yours:
 * PQclear(). -E_SPOOL. */
static int link_query(PGconn *conn, const char *sql, const struct link_param *params,
                      PGresult **ret, struct err *err)
{
    static const int binary[LINK_PARAMS_MAX] = {1, 1, 1, 1};
    const char *values[LINK_PARAMS_MAX];
    int lengths[LINK_PARAMS_MAX], count = 0;

    for (; count < LINK_PARAMS_MAX && params != NULL && params[count].data != NULL; count++) {
        values[count] = params[count].data;
        lengths[count] = params[count].len;
    }
    return finish_command(
        conn, PQsendQueryParams(conn, sql, count, NULL, values, lengths, binary, 1), ret, err);
}

/* Run statements without parameters, separated by semicolons. -E_SPOOL. */
static int link_run_text(PGconn *conn, const char *sql, struct err *err)
{
    return finish_command(conn, PQsendQuery(conn, sql), NULL, err);
}

/* For COPY … FROM STDIN that one of these has begun: send data, and end it. -E_SPOOL. */
static int link_copy_add(PGconn *conn, const void *data, int len, struct err *err)
{
    char why[PG_MESSAGE];

    return pg_copy_add(conn, data, len, clock_mono_ms() + ANSWER_MS, why) ? 0 : fail_link(why, err);
}

static int link_copy_end(PGconn *conn, struct err *err)
{
    return finish_command(conn, PQputCopyEnd(conn, NULL), NULL, err);
}

static void link_pool_init(struct link_pool *pool, const char *url)
{
    *pool = (struct link_pool){.url = url};
    lock_init(&pool->lock);
}

static void link_pool_done(struct link_pool *pool)
{
    for (int i = 0; i < pool->count; i++)
        PQfinish(pool->idle[i]);
    lock_done(&pool->lock);
}

static PGconn *take_idle(struct link_pool *pool)
{
    PGconn *conn = NULL;

    lock_take(&pool->lock);
    if (pool->count > 0)
        conn = pool->idle[--pool->count];
    lock_release(&pool->lock);
    return conn;
}

/* A connection is kept only if its session is idle, outside of a transaction. */
static void give_back(struct link_pool *pool, PGconn *conn)
{
    CHECK(conn != NULL);
    if (!pg_is_lost(conn) && PQtransactionStatus(conn) == PQTRANS_IDLE) {
        lock_take(&pool->lock);
        if (pool->count < LINK_POOL_MAX) {
            pool->idle[pool->count++] = conn;
            conn = NULL;
        }
        lock_release(&pool->lock);
    }
    PQfinish(conn);
}

static PGconn *connect_to(const char *url, struct err *err)
{
    char why[PG_MESSAGE];
    PGconn *conn = pg_connect(
        &(struct pg_spec){
            .url = url, .name = "reportd spool", .connect_s = 3, .wake_fd = -1, .own = true},
        why);

    if (conn == NULL)
        fail_link(why, err);
    return conn;
}

static int run_on(struct link_pool *pool, PGconn *conn, link_job_fn *job, void *context,
                  bool *ret_lost, struct err *err)
{
    int rc = job(conn, context, err);

    *ret_lost = rc < 0 && pg_is_lost(conn);
    if (rc < 0 && !*ret_lost && PQtransactionStatus(conn) == PQTRANS_INERROR)
        link_query(conn, "ROLLBACK", NULL, NULL, NULL);
    give_back(pool, conn);
    return rc;
}

/* Run the job on a connection of the pool, and once more on a new one if an idle one turns out to
 * be lost: running it twice must do no harm. A transaction that it leaves open after an error is
 * rolled back. -E_SPOOL, or what the job returns. *ret_lost: it failed for lack of a connection. */
static int link_run(struct link_pool *pool, link_job_fn *job, void *context, bool *ret_lost,
                    struct err *err)
{
    PGconn *conn = take_idle(pool);
    int rc = -E_SPOOL;

    *ret_lost = true;
    if (conn != NULL)
        rc = run_on(pool, conn, job, context, ret_lost, err);
    if (rc == 0 || !*ret_lost)
        return rc;
    conn = connect_to(pool->url, err);
    return conn != NULL ? run_on(pool, conn, job, context, ret_lost, err) : -E_SPOOL;
}

/* ---- the spool ---- */

enum {
    PUBLISH_THREADS = 2, /* results copied at the same time: the disk is the limit */
    REMOVE_THREADS = 2,  /* removing a result of gigabytes takes a while; others need not wait for
                          * it */
    FETCH_THREADS = 4,   /* connections shared by all downloads */
    EACH_MAX = 256,      /* results per page of each() */
    AGAIN_MS = 250,      /* between two tries to publish without a database … */
    PATIENCE_MS = 30000, /* … and for how long: a restart of PostgreSQL fails no report */
    SLICE = 64,          /* chunks removed by one statement, 16 MiB: see remove_until_none() */
    PUBLISH_S = 60,      /* limit for a statement that publishes, … */
    PUBLISH_BYTES_A_SECOND = 1 << 20, /* … with more time for a large result */
};

struct postgres {
    struct spool spool;
    char *url;
    struct spool_temp temp;
    struct link_pool pool;
};

static struct postgres *to_postgres(struct spool *spool)
{
    return (struct postgres *)spool;
}

static const struct postgres *to_const_postgres(const struct spool *spool)
{
    return (const struct postgres *)spool;
}

/* ---- the place of a chunk, as parameters ---- */

struct place {
    struct guid id;
    uint32_t attempt, number, last; /* in network order */
    struct link_param params[LINK_PARAMS_MAX];
};

/* `params`: how many of id, attempt and number the statement uses. */
static void place_init(struct place *place, const struct guid *id, int attempt, int32_t number,
                       int params)
{
    *place = (struct place){
        .id = *id, .attempt = htonl((uint32_t)attempt), .number = htonl((uint32_t)number)};
    place->params[0] = (struct link_param){place->id.bytes, GUID_BYTES};
    if (params > 1)
        place->params[1] = (struct link_param){&place->attempt, sizeof(place->attempt)};
    if (params > 2)
        place->params[2] = (struct link_param){&place->number, sizeof(place->number)};
}

static int64_t int64_of(const PGresult *result, int row, int column)
{
    const uint8_t *byte = (const uint8_t *)PQgetvalue(result, row, column);
    uint64_t value = 0;

    for (int i = 0; i < PQgetlength(result, row, column); i++)
        value = value << 8 | byte[i];
    return (int64_t)value;
}

/* ---- remove ---- */

/* Repeat a statement that removes some of the chunks until there are none left. For a large result,
 * one statement for all of them would exceed any time limit, and it could never be deleted. */
static int remove_until_none(PGconn *conn, const char *sql, const struct link_param *params,
                             struct err *err)
{
    int64_t removed = 1;
    int rc = 0;

    while (rc == 0 && removed > 0) {
        PGresult *result = NULL;

        rc = link_query(conn, sql, params, &result, err);
        removed = 0;
        if (rc == 0)
            str_to_int64(PQcmdTuples(result), &removed);
        PQclear(result);
        SEAM_STEP("spool", "remove", "slice");
    }
    return rc;
}

/* Remove the chunks from number `from` on, of the attempts `first` … `last`. */
static int remove_slices(PGconn *conn, const struct guid *id, int first, int last, int from,
                         struct err *err)
{
    _Static_assert(SLICE == 64, "the statement says so");
    static const char sql[] =
        "DELETE FROM reportd.result_chunk WHERE ctid = ANY (ARRAY(SELECT ctid"
        " FROM reportd.result_chunk WHERE report_id = $1 AND attempt BETWEEN $2 AND $4"
        " AND number >= $3 LIMIT 64))";
    struct place place;

    place_init(&place, id, first, from, 3);
    place.last = htonl((uint32_t)last);
    place.params[3] = (struct link_param){&place.last, sizeof(place.last)};
    return remove_until_none(conn, sql, place.params, err);
}

/* For many reports, most of which are small: one statement removes chunks with about the bytes of
 * one slice, and a few thousand at most. */
static int remove_refs(PGconn *conn, const struct spool_op *op, struct err *err)
{
    _Static_assert((int)SPOOL_REFS_MAX <= (int)PG_GUIDS_MAX, "an array has them all");
    static const char sql[] =
        "DELETE FROM reportd.result_chunk WHERE ctid = ANY (ARRAY(SELECT place FROM"
        " (SELECT ctid AS place, sum(octet_length(data)) OVER (ROWS UNBOUNDED PRECEDING)"
        " - octet_length(data) AS before FROM reportd.result_chunk WHERE report_id = ANY ($1)"
        " LIMIT 4096) AS few WHERE before < 16000000))";
    struct pg_guids ids;
    struct link_param params[LINK_PARAMS_MAX] = {{ids.bytes, 0}};

    pg_guids_start(&ids, op->count);
    for (size_t i = 0; i < op->count; i++)
        pg_guids_add(&ids, &op->refs[i].id);
    params[0].len = (int)ids.len;
    return remove_until_none(conn, sql, params, err);
}

/* Remove all except the first SLICE chunks of a deleted report: these go with its row, by ON DELETE
 * CASCADE. */
static int remove_on(PGconn *conn, void *context, struct err *err)
{
    const struct spool_op *op = context;

    if (op->refs != NULL)
        return remove_refs(conn, op, err);
    return remove_slices(conn, &op->id, 1, op->attempt, op->verb == SPOOL_DISCARD ? 0 : SLICE, err);
}

static int postgres_remove(struct spool *spool, const struct spool_op *op, struct err *err)
{
    bool lost;
    /* A worker's file on this node has no name and ends with its descriptor. */
    int rc = link_run(&to_postgres(spool)->pool, remove_on, (void *)op, &lost, err);

    for (size_t i = 0; op->refs != NULL && i < op->count; i++)
        op->refs[i].left = rc < 0;
    return rc;
}

/* ---- publish ---- */

/* A row of COPY's binary format: https://www.postgresql.org/docs/15/sql-copy.html */
struct __attribute__((packed)) copy_row {
    uint16_t fields;
    uint32_t id_len;
    struct guid id;
    uint32_t attempt_len, attempt;
    uint32_t number_len, number;
    uint32_t data_len;
    uint8_t data[SPOOL_ROW_BYTES];
};
enum { COPY_ROW_HEAD = offsetof(struct copy_row, data) };

static const char copy_header[19] = "PGCOPY\n\377\r\n"; /* flags and extension are zero */
static const char copy_trailer[2] = {-1, -1};

static int copy_chunks(PGconn *conn, const struct spool_op *op, struct copy_row *row,
                       struct err *err)
{
    ssize_t len = SPOOL_ROW_BYTES;
    int rc = 0;

    *row = (struct copy_row){.fields = htons(4),
                             .id_len = htonl(GUID_BYTES),
                             .id = op->id,
                             .attempt_len = htonl(sizeof(row->attempt)),
                             .attempt = htonl((uint32_t)op->attempt),
                             .number_len = htonl(sizeof(row->number))};
    for (int32_t number = 0; rc == 0 && len == SPOOL_ROW_BYTES; number++) {
        len = file_read_all(op->fd, row->data, SPOOL_ROW_BYTES, (int64_t)number * SPOOL_ROW_BYTES);
        if (len < 0)
            return err_errno(err, -E_SPOOL, "read what a worker has written");
        if (len == 0)
            return 0;
        row->number = htonl((uint32_t)number);
        row->data_len = htonl((uint32_t)len);
        rc = link_copy_add(conn, row, COPY_ROW_HEAD + (int)len, err);
        SEAM_STEP("spool", "publish", "copied");
    }
    return rc;
}

static int remove_chunks(PGconn *conn, const struct spool_op *op, struct err *err)
{
    struct place place;

    place_init(&place, &op->id, op->attempt, 0, 2);
    return link_query(conn,
                      "DELETE FROM reportd.result_chunk WHERE report_id = $1 AND attempt <= $2",
                      place.params, NULL, err);
}

static int copy_in_result(PGconn *conn, const struct spool_op *op, struct err *err)
{
    struct copy_row *row = malloc(sizeof(*row));
    int rc;

    if (row == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rc = link_run_text(conn,
                       "COPY reportd.result_chunk (report_id, attempt, number, data) FROM STDIN"
                       " (FORMAT binary)",
                       err)
             ?: link_copy_add(conn, copy_header, sizeof(copy_header), err)
             ?: copy_chunks(conn, op, row, err)
             ?: link_copy_add(conn, copy_trailer, sizeof(copy_trailer), err)
             ?: link_copy_end(conn, err);
    free(row);
    return rc;
}

/* The session's statement_timeout is meant for statements of a few rows; here time for the file is
 * added. A node that hangs after sending half of it must not hold the report's rows forever. */
static int begin_publish(PGconn *conn, const struct spool_op *op, struct err *err)
{
    struct stat st;
    char text[64];

    if (fstat(op->fd, &st) < 0)
        return err_errno(err, -E_SPOOL, "read what a worker has written");
    snprintf(text, sizeof(text), "BEGIN; SET LOCAL statement_timeout = '%llds'",
             PUBLISH_S + (long long)st.st_size / PUBLISH_BYTES_A_SECOND);
    return link_run_text(conn, text, err);
}

/* Everything in one transaction, including the removal of a try whose commit was not confirmed.
 * Before it, slice by slice, the leftovers of earlier attempts are removed. */
static int publish_on(PGconn *conn, void *context, struct err *err)
{
    const struct spool_op *op = context;
    int rc = 0;

    if (op->attempt > 1)
        rc = remove_slices(conn, &op->id, 1, op->attempt - 1, 0, err);
    if (rc == 0)
        rc = begin_publish(conn, op, err)
                 ?: remove_chunks(conn, op, err)
                 ?: copy_in_result(conn, op, err)
                 ?: link_query(conn, "COMMIT", NULL, NULL, err);
    if (rc == 0)
        SEAM_STEP("spool", "publish", "committed");
    return rc;
}

static void postgres_publish(struct spool *spool, struct work_item *batch)
{
    struct spool_op *op = spool_op_of(batch);
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    bool lost = true, again = false;

    CHECK(batch->next == NULL);
    do {
        if (again)
            pg_sleep(NULL, 0, clock_mono_ms() + AGAIN_MS, -1);
        op->rc = link_run(&to_postgres(spool)->pool, publish_on, op, &lost, &op->err);
        again = op->rc < 0 && lost && clock_mono_ms() < until_ms;
    } while (again);
}

/* ---- read ---- */

struct query {
    const char *sql;
    struct place place;
    PGresult *result;
};

/* The function that gets the results. */
struct visit {
    spool_each_fn *each;
    void *context;
};

static int query_on(PGconn *conn, void *context, struct err *err)
{
    struct query *query = context;

    return link_query(conn, query->sql, query->place.params, &query->result, err);
}

static int run_query(struct spool *spool, struct query *query, struct err *err)
{
    bool lost;

    return link_run(&to_postgres(spool)->pool, query_on, query, &lost, err);
}

static int postgres_fetch(struct spool *spool, const struct spool_file *file, int32_t number,
                          struct spool_row *ret, struct err *err)
{
    struct query query = {.sql = "SELECT data FROM reportd.result_chunk WHERE report_id = $1 AND "
                                 "attempt = $2 AND number = $3"};
    int rc;

    place_init(&query.place, &file->id, file->attempt, number, 3);
    SEAM_STEP("spool", "fetch", "begun");
    rc = run_query(spool, &query, err);
    if (rc < 0)
        return rc;
    if (PQntuples(query.result) == 0) {
        PQclear(query.result);
        return err_set(err, -E_NOT_FOUND, "a chunk of a result is missing");
    }
    *ret = (struct spool_row){.data = PQgetvalue(query.result, 0, 0),
                              .len = (size_t)PQgetlength(query.result, 0, 0),
                              .owner = query.result};
    return 0;
}

static void postgres_release(struct spool_row *row)
{
    PQclear(row->owner);
}

/* Remove only this attempt: it may be older than the result. */
static int drop_on(PGconn *conn, void *context, struct err *err)
{
    const struct spool_file *file = context;

    return remove_slices(conn, &file->id, file->attempt, file->attempt, 0, err);
}

static int postgres_drop(struct spool *spool, const struct spool_file *file, struct err *err)
{
    bool lost;

    if (file->kind == SPOOL_TEMPORARY)
        return spool_temp_drop(&to_postgres(spool)->temp, file, err);
    return link_run(&to_postgres(spool)->pool, drop_on, (void *)file, &lost, err);
}

/* If a chunk in the middle is missing, the size is 0, which no row has. */
static int64_t postgres_size(struct spool *spool, const struct guid *id, int attempt,
                             struct err *err)
{
    struct query query = {.sql = "SELECT count(*), coalesce(sum(octet_length(data)), 0)::bigint * "
                                 "(count(*) = max(number) + 1)::int "
                                 "FROM reportd.result_chunk WHERE report_id = $1 AND attempt = $2"};
    int64_t size;
    int rc;

    place_init(&query.place, id, attempt, 0, 2);
    rc = run_query(spool, &query, err);
    if (rc < 0)
        return rc;
    size = int64_of(query.result, 0, 0) == 0
               ? err_set(err, -E_NOT_FOUND, "no chunk of the result is there")
               : int64_of(query.result, 0, 1);
    PQclear(query.result);
    return size;
}

/* One page of results, in order. */
static const char all_results[] = "SELECT report_id, attempt FROM reportd.result_chunk "
                                  "WHERE number = 0 AND (report_id, attempt) > ($1, $2) "
                                  "ORDER BY report_id, attempt LIMIT $3::int4";
/* Those of reports that are not complete, or not at the first attempt. There are few of these, so a
 * start need not read every row. The states: src/store/postgres_schema.c. */
static const char idle_results[] =
    "SELECT c.report_id, c.attempt FROM reportd.report r "
    "JOIN reportd.result_chunk c ON c.report_id = r.id AND c.number = 0 "
    "WHERE (r.state IN (0, 1, 3) OR r.attempt > 1) AND NOT (r.state = 2 AND r.attempt = c.attempt) "
    "AND (c.report_id, c.attempt) > ($1, $2) ORDER BY 1, 2 LIMIT $3::int4";

/* Returns how many results the page has; `last` becomes the last of them. */
static int each_page(struct spool *spool, struct query *query, struct spool_file *last,
                     const struct visit *visit, struct err *err)
{
    int rc, rows;

    place_init(&query->place, &last->id, last->attempt, EACH_MAX, 3);
    rc = run_query(spool, query, err);
    if (rc < 0)
        return rc;
    rows = PQntuples(query->result);
    for (int i = 0; i < rows; i++) {
        char name[SPOOL_NAME_CAP];

        *last = (struct spool_file){.name = name, .kind = SPOOL_RESULT};
        memcpy(last->id.bytes, PQgetvalue(query->result, i, 0), GUID_BYTES);
        last->attempt = (int)int64_of(query->result, i, 1);
        spool_file_name(name, &last->id, last->attempt, SPOOL_RESULT);
        visit->each(visit->context, last);
        last->name = NULL;
    }
    PQclear(query->result);
    return rows;
}

static int64_t each_of(struct spool *spool, const char *sql, const struct visit *visit,
                       struct err *err)
{
    int64_t count = spool_temp_each(&to_postgres(spool)->temp, visit->each, visit->context, err);
    struct query query = {.sql = sql};
    struct spool_file last = {0};
    int rows = EACH_MAX;

    while (count >= 0 && rows == EACH_MAX) {
        rows = each_page(spool, &query, &last, visit, err);
        count = rows < 0 ? rows : count + rows;
    }
    return count;
}

static int64_t postgres_each(struct spool *spool, spool_each_fn *each, void *context,
                             struct err *err)
{
    return each_of(spool, all_results, &(struct visit){each, context}, err);
}

static int64_t postgres_each_idle(struct spool *spool, spool_each_fn *each, void *context,
                                  struct err *err)
{
    return each_of(spool, idle_results, &(struct visit){each, context}, err);
}

/* ---- files of this node ---- */

/* The file is unlinked at once, so nothing of it is left when the node ends; a crash in between
 * leaves it to the next start's sweep. */
static int postgres_create(struct spool *spool, const struct guid *id, int attempt, struct err *err)
{
    const struct spool_temp *temp = &to_postgres(spool)->temp;
    char name[SPOOL_NAME_CAP];
    int fd;

    spool_file_name(name, id, attempt, SPOOL_PART);
    fd = openat(temp->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, -E_SPOOL, "create '%s'", name);
    unlinkat(temp->dir, name, 0);
    return fd;
}

static bool postgres_has_part(const struct spool *spool, const struct guid *id, int attempt)
{
    (void)spool, (void)id, (void)attempt;
    return false;
}

static const char *postgres_place(const struct spool *spool)
{
    (void)spool;
    return "postgresql";
}

static const char *postgres_temp(const struct spool *spool)
{
    return to_const_postgres(spool)->temp.folder;
}

static int postgres_lock(struct spool *spool, struct err *err)
{
    return spool_temp_lock(&to_postgres(spool)->temp, err);
}

/* Whether the database is there is checked by the store. */
static int postgres_check(struct spool *spool, bool try_it, struct err *err)
{
    const struct spool_temp *temp = &to_const_postgres(spool)->temp;

    return spool_dir_check(temp->dir, temp->folder, try_it, err);
}

/* ---- open ---- */

static void postgres_close(struct spool *spool)
{
    struct postgres *postgres = to_postgres(spool);

    link_pool_done(&postgres->pool);
    spool_temp_close(&postgres->temp);
    free(postgres->url);
    free(postgres);
}

static int postgres_open(const struct spool_spec *spec, struct spool **ret, struct err *err)
{
    struct postgres *postgres;
    int rc = 0;

    if (!spool_is_shared(spec))
        return err_set(err, -E_CONFIG,
                       "spool = \"postgresql\" keeps results in the store's database, but the "
                       "store is not PostgreSQL: set store = \"postgresql://…\", or spool to a "
                       "folder");
    postgres = calloc(1, sizeof(*postgres));
    if (postgres == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    postgres->url = strdup(spec->store);
    link_pool_init(&postgres->pool, postgres->url);
    if (postgres->url == NULL)
        rc = err_set(err, -E_NOMEM, "Out of memory.");
    if (rc == 0)
        rc = spool_temp_open(&postgres->temp, spec->temp, spec->existing, err);
    if (rc < 0) {
        postgres_close(&postgres->spool);
        return rc;
    }
    *ret = &postgres->spool;
    return 0;
}

const struct spool_ops spool_postgres = {
    .in_database = true,
    .publish_threads = PUBLISH_THREADS,
    .remove_threads = REMOVE_THREADS,
    .publish_batch = 1,
    .fetch_threads = FETCH_THREADS,
    .open = postgres_open,
    .close = postgres_close,
    .place = postgres_place,
    .temp_folder = postgres_temp,
    .lock = postgres_lock,
    .create = postgres_create,
    .publish = postgres_publish,
    .remove = postgres_remove,
    .size = postgres_size,
    .has_part = postgres_has_part,
    .each = postgres_each,
    .each_idle = postgres_each_idle,
    .drop = postgres_drop,
    .check = postgres_check,
    .fetch = postgres_fetch,
    .release = postgres_release,
};
