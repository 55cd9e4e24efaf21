/* src/store/postgres_conn.c -- a connection to PostgreSQL: opens it, prepares its statements,
 * reopens it. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/postgres_impl.h"

enum { SETUP_MS = 10000 }; /* to prepare all statements */

static const struct {
    const char *types, *sql;
} statements[PG_COUNT] = {
#define X(name, types, sql) [PG_##name] = {types, sql},
    POSTGRES_STATEMENTS(X)
#undef X
};

/* The OIDs of the built-in types, by the letters of POSTGRES_STATEMENTS; libpq's client headers do
 * not define them. */
static Oid type_of(char letter)
{
    static const struct {
        char letter;
        Oid oid;
    } types[] = {{'b', 16}, {'g', 2950}, {'G', 2951}, {'i', 20}, {'t', 25}, {'x', 17}};
    size_t i = 0;

    while (types[i].letter != letter)
        i++;
    return types[i].oid;
}

int postgres_unavailable(const char *detail, struct err *err)
{
    err_set(err, -E_STORE, "The store is unavailable: its database does not answer, try again.");
    return err_detail(err, "postgresql: %s", detail);
}

PGconn *postgres_connect_plain(const struct postgres_shared *shared, struct err *err)
{
    char why[PG_MESSAGE];
    PGconn *pg = pg_connect(
        &(struct pg_spec){
            .url = shared->url, .name = "reportd", .connect_s = 3, .wake_fd = -1, .own = true},
        why);

    if (pg == NULL)
        postgres_unavailable(why, err);
    return pg;
}

static bool prepare_statement(struct postgres_conn *c, enum postgres_statement which)
{
    Oid oids[POSTGRES_PARAMETERS_MAX];
    const char *types = statements[which].types;
    char name[12];
    int count = (int)strlen(types);

    CHECK(count <= POSTGRES_PARAMETERS_MAX);
    for (int i = 0; i < count; i++)
        oids[i] = type_of(types[i]);
    snprintf(name, sizeof(name), "%d", which);
    return PQsendPrepare(c->pg, name, statements[which].sql, count, oids) == 1;
}

/* Prepare every statement, in one round trip. */
static bool prepare_all(struct postgres_conn *c)
{
    bool good = PQenterPipelineMode(c->pg) == 1;

    for (int i = 0; good && i < PG_COUNT; i++)
        good = prepare_statement(c, (enum postgres_statement)i);
    if (!good)
        return false;
    c->trouble = PG_GOOD;
    c->deadline_ms = clock_mono_ms() + SETUP_MS;
    call_sync(c);
    for (int i = 0; i < PG_COUNT; i++)
        results_take(c);
    results_drain(c);
    return c->trouble == PG_GOOD;
}

/* The server's time was taken between our two readings of the local clock. A known offset that fits
 * is kept, so that slow answers do not make the time jump. */
void postgres_record_time(struct postgres_conn *c, int64_t server_ms)
{
    int64_t heard_ms = clock_mono_ms(), known_ms = atomic_load(&c->shared->clock_ms);
    int64_t least_ms = server_ms - heard_ms, most_ms = server_ms - c->sent_ms;

    if (known_ms < least_ms || known_ms > most_ms)
        atomic_store(&c->shared->clock_ms, least_ms + (most_ms - least_ms) / 2);
}

int64_t postgres_now_ms(const struct store_conn *conn)
{
    const struct postgres_conn *c = (const struct postgres_conn *)conn;

    return clock_steady_ms() + atomic_load(&c->shared->clock_ms);
}

/* A database that was restored meanwhile may have what has been deleted since. */
static void compare_place(struct postgres_conn *c)
{
    struct postgres_shared *shared = c->shared;
    char here[sizeof(shared->here)];

    get_name(c, 1, here, sizeof(here));
    if (shared->here[0] == '\0') /* the first connection: there are no other threads yet */
        str_copy(shared->here, sizeof(shared->here), here);
    else if (!str_eq(shared->here, here))
        results_record(c, PG_LOST,
                       "this is another database than at the start: stop all nodes, apply their "
                       "ledgers if it was restored (reportd restore), and start them");
}

static void ask_time(struct postgres_conn *c)
{
    c->sent_ms = clock_mono_ms();
    call_run(c, PG_CLOCK);
    call_run(c, PG_SCANS, value_text("off"));
    if (c->first) /* the one that writes */
        call_run(c, PG_BY_INDEX);
    call_sync(c);
    if (results_take(c) && results_next(c)) {
        postgres_record_time(c, get_int(c, 0));
        compare_place(c);
    }
    results_drain(c);
}

static int try_connect(struct postgres_conn *c, struct err *err)
{
    c->pg = postgres_connect_plain(c->shared, err);
    if (c->pg == NULL)
        return -E_STORE;
    c->owed = 0;
    c->heard_ms = 0;
    if (!prepare_all(c))
        return results_trouble(c, err);
    ask_time(c);
    return c->trouble == PG_GOOD ? 0 : results_trouble(c, err);
}

int postgres_connect(struct postgres_conn *c, struct err *err)
{
    unsigned reached = atomic_load(&c->shared->reached);

    if (c->pg != NULL)
        return 0;
    if (clock_mono_ms() < c->retry_ms && reached == c->reached)
        return postgres_unavailable("not connected; the last try has just failed", err);
    c->away = try_connect(c, err) < 0;
    if (!c->away) {
        c->backoff_ms = 0;
        c->number = 1 + (int64_t)atomic_fetch_add(&c->shared->reached, 1);
        return 0;
    }
    postgres_disconnect(c);
    c->reached = reached;
    c->backoff_ms = pg_backoff_ms(c->backoff_ms);
    c->retry_ms = clock_mono_ms() + c->backoff_ms;
    return -E_STORE;
}

void postgres_disconnect(struct postgres_conn *c)
{
    PQclear(c->result);
    c->result = NULL;
    PQfinish(c->pg);
    c->pg = NULL;
    c->owed = 0;
}
