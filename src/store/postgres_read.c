/* src/store/postgres_read.c -- reads reports in PostgreSQL: one, a page, what has expired,
 * all, counts. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres_impl.h"

/* Committed before the report is looked up. So either the look-up sees the tombstone of a deletion,
 * or the deletion, which looks for transfers after its own commit, sees this one. */
static void send_transfer(struct postgres_conn *c, const struct store_find *arg)
{
    call_run(c, PG_BEGIN);
    call_run(c, PG_HASTE);
    call_run(c, PG_TRANSFER, value_guid(&arg->transfer), value_guid(&arg->id),
             value_text(arg->node));
    call_run(c, PG_COMMIT);
}

void postgres_send_find(struct postgres_conn *c, struct store_find *arg)
{
    if (arg->node != NULL)
        send_transfer(c, arg);
    call_run(c, arg->want_result ? PG_FIND_RESULT : PG_FIND, value_guid(&arg->id),
             value_int(arg->user_id), value_bool(arg->want_parameters), value_access(arg->as));
}

/* Like a file, but it need not be fetched after this. Without it, the spool says what is missing.
 */
static void read_only_chunk(struct postgres_conn *c, struct store_find *arg, int column)
{
    if (get_null(c, column))
        return;
    arg->result_len = (size_t)PQgetlength(c->result, c->row, column);
    arg->result = malloc(arg->result_len + 1);
    arg->report.in_row = arg->result != NULL;
    if (arg->result == NULL)
        results_no_memory(c);
    else
        memcpy(arg->result, PQgetvalue(c->result, c->row, column), arg->result_len);
}

int postgres_read_find(struct postgres_conn *c, struct store_find *arg)
{
    if (arg->node != NULL &&
        (!results_take(c) || !results_take(c) || !results_take(c) || !results_take(c)))
        return -E_STORE;
    arg->position = 0;
    arg->result = NULL;
    arg->result_len = 0;
    arg->found = results_next(c);
    if (arg->found) {
        postgres_read_report(c, &arg->report);
        report_take_parameters(&arg->report, get_sealed_text(c, POSTGRES_REPORT_COLUMN_COUNT,
                                                             arg->report.key, KEYRING_PARAMETERS));
        arg->position = get_int(c, POSTGRES_REPORT_COLUMN_COUNT + 1);
        arg->report.sealed = get_bool(c, POSTGRES_REPORT_COLUMN_COUNT + 2);
        arg->report.user_name = get_text(c, POSTGRES_REPORT_COLUMN_COUNT + 3);
        read_only_chunk(c, arg, POSTGRES_REPORT_COLUMN_COUNT + 4);
    }
    return 0;
}

void postgres_send_list(struct postgres_conn *c, struct store_list *arg)
{
    struct store_value size = value_int(arg->page_size);
    struct store_value from = value_int((arg->page - 1) * arg->page_size);
    struct store_value longest = value_int(STORE_LISTED_MAX + KEYRING_OVERHEAD);

    bool every = arg->state == -1 && arg->name == NULL && arg->types == NULL;

    if (arg->user_id == 0)
        call_run(c,
                 arg->user != NULL ? PG_LIST_ONES
                 : every           ? PG_LIST_ALL
                                   : PG_LIST_KINDS,
                 value_int(arg->state), value_text(arg->name), value_text(arg->types),
                 value_text(arg->user), size, from, longest, value_int(store_count_most(arg)));
    else
        call_run(c, PG_LIST, value_int(arg->user_id), value_int(arg->state), size, from,
                 value_text(arg->name), longest);
}

/* After the columns of each report come its parameters, its owner if all users are listed, its seq,
 * and the total. An empty page is a row of NULLs with the total. */
int postgres_read_list(struct postgres_conn *c, struct store_list *arg)
{
    bool owned = arg->user_id == 0;

    arg->count = 0;
    arg->reports = results_array(c, sizeof(*arg->reports));
    if (arg->reports == NULL)
        return -E_STORE;
    while (results_next(c)) {
        struct report *report = &arg->reports[arg->count];

        arg->total = get_int(c, POSTGRES_REPORT_COLUMN_COUNT + 2 + owned);
        if (get_null(c, 0))
            continue;
        postgres_read_report(c, report);
        report_take_parameters(report, get_sealed_text(c, POSTGRES_REPORT_COLUMN_COUNT, report->key,
                                                       KEYRING_PARAMETERS));
        if (owned)
            report->user_name = get_text(c, POSTGRES_REPORT_COLUMN_COUNT + 1);
        arg->count++;
    }
    return 0;
}

void postgres_send_match(struct postgres_conn *c, struct store_match *arg)
{
    if (arg->user_id == 0)
        call_run(c, arg->user != NULL ? PG_MATCH_ONES : PG_MATCH_ALL, value_int(arg->state),
                 value_text(arg->name), value_text(arg->types), value_text(arg->user),
                 value_int(arg->before_ms), value_int(STORE_MATCH_MAX));
    else
        call_run(c, PG_MATCH, value_int(arg->user_id), value_int(arg->state), value_text(arg->name),
                 value_int(arg->before_ms), value_int(STORE_MATCH_MAX));
}

int postgres_read_match(struct postgres_conn *c, struct store_match *arg)
{
    arg->count = 0;
    arg->total = 0;
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        arg->by_state[i] = 0;
    arg->ids = results_array(c, sizeof(*arg->ids));
    if (arg->ids == NULL)
        return -E_STORE;
    while (results_next(c)) {
        arg->ids[arg->count++] = get_guid(c, 0);
        arg->by_state[get_int(c, 1)]++;
        arg->total = get_int(c, 2);
    }
    return 0;
}

void postgres_send_overview(struct postgres_conn *c, struct store_overview *arg)
{
    (void)arg;
    call_run(c, PG_STATS);
    call_run(c, PG_OLDEST);
    call_run(c, PG_RUNNING_SOURCES);
    call_run(c, PG_BUSIEST, value_int(STORE_BUSY_QUEUE), value_int(STORE_BUSIEST));
    call_run(c, PG_NODE_LIST);
    call_run(c, PG_PAUSED);
}

static int read_loads(struct postgres_conn *c, struct store_load **ret, size_t *ret_count)
{
    struct store_load *loads = results_array(c, sizeof(*loads));

    if (loads == NULL)
        return -E_STORE;
    for (*ret_count = 0; results_next(c); (*ret_count)++) {
        struct store_load *one = &loads[*ret_count];

        get_name(c, 0, one->name, sizeof(one->name));
        one->running = get_int(c, 1);
        one->queued = get_int(c, 2);
    }
    *ret = loads;
    return 0;
}

static int read_nodes(struct postgres_conn *c, struct store_overview *arg)
{
    arg->nodes = results_array(c, sizeof(*arg->nodes));
    if (arg->nodes == NULL)
        return -E_STORE;
    for (arg->node_count = 0; results_next(c); arg->node_count++) {
        struct store_node *node = &arg->nodes[arg->node_count];

        get_name(c, 0, node->id, sizeof(node->id));
        get_name(c, 1, node->host, sizeof(node->host));
        node->running = get_int(c, 2);
    }
    return 0;
}

int postgres_read_overview(struct postgres_conn *c, struct store_overview *arg)
{
    struct store_stats stats;
    int rc = postgres_read_stats(c, &stats);

    if (rc < 0)
        return rc;
    memcpy(arg->by_state, stats.by_state, sizeof(arg->by_state));
    if (!results_take(c))
        return -E_STORE;
    arg->oldest_ms = results_next(c) ? get_int(c, 0) : 0;
    if (!results_take(c))
        return -E_STORE;
    rc = read_loads(c, &arg->sources, &arg->source_count);
    if (rc == 0)
        rc = results_take(c) ? read_loads(c, &arg->users, &arg->user_count) : -E_STORE;
    if (rc == 0)
        rc = results_take(c) ? read_nodes(c, arg) : -E_STORE;
    if (rc == 0)
        rc = results_take(c) ? postgres_read_paused(c, &arg->paused) : -E_STORE;
    return rc;
}

void postgres_send_expired(struct postgres_conn *c, struct store_expired *arg)
{
    (void)arg;
    call_run(c, PG_EXPIRED,
             value_int(STORE_BATCH_MAX + 1) /* one more, to know when the next one expires */);
    call_run(c, PG_USERS_REMOVED);
}

int postgres_read_expired(struct postgres_conn *c, struct store_expired *arg)
{
    arg->count = 0;
    arg->next_ms = 0;
    while (arg->next_ms == 0 && results_next(c)) {
        int64_t expires_ms = get_int(c, 2);

        if (expires_ms > arg->now_ms || arg->count == STORE_BATCH_MAX)
            arg->next_ms = expires_ms;
        else
            arg->refs[arg->count++] =
                (struct store_ref){.id = get_guid(c, 0), .attempt = (int)get_int(c, 1)};
    }
    if (!results_take(c))
        return -E_STORE;
    arg->removing = results_next(c) && get_int(c, 0) > 0;
    return 0;
}

POSTGRES_SENDS(stats, PG_STATS)

int postgres_read_stats(struct postgres_conn *c, struct store_stats *arg)
{
    *arg = (struct store_stats){0};
    while (results_next(c)) {
        int64_t state = get_int(c, 0);

        if (state >= 0 && state < REPORT_STATE_COUNT)
            arg->by_state[state] = get_int(c, 1);
        else
            arg->oldest_ms = get_int(c, 1);
    }
    return 0;
}

void postgres_send_scan(struct postgres_conn *c, struct store_scan *arg)
{
    call_run(c, PG_SCAN, value_guid(&arg->after), value_int(STORE_SCAN_MAX));
}

int postgres_read_scan(struct postgres_conn *c, struct store_scan *arg)
{
    for (arg->count = 0; results_next(c); arg->count++) {
        struct store_scanned *one = &arg->reports[arg->count];
        uint8_t key[REPORT_KEY_BYTES];

        *one = (struct store_scanned){.id = get_guid(c, 0),
                                      .state = (enum report_state)get_int(c, 1),
                                      .attempt = (int)get_int(c, 2),
                                      .bytes = get_int(c, 3),
                                      .expires_ms = get_int(c, 4),
                                      .sealed = get_bool(c, 5)};
        one->locked = one->state != REPORT_DELETING && !postgres_unwrap(c, &one->id, 6, key);
        sodium_memzero(key, sizeof(key));
    }
    return 0;
}

POSTGRES_SENDS(identity, PG_IDENTITY)

int postgres_read_identity(struct postgres_conn *c, struct store_identity *arg)
{
    if (!results_next(c))
        return -E_STORE;
    arg->id = get_guid(c, 0);
    arg->home = (enum store_home)get_int(c, 1);
    return 0;
}

void postgres_send_identity_take(struct postgres_conn *c, struct store_identity_take *arg)
{
    call_run(c, PG_IDENTITY_TAKE, value_guid(&arg->id));
}

POSTGRES_READS_NOTHING(identity_take)

POSTGRES_SENDS(ledgers, PG_LEDGERS)

int postgres_read_ledgers(struct postgres_conn *c, struct store_ledgers *arg)
{
    arg->count = 0;
    arg->items = results_array(c, sizeof(*arg->items));
    if (arg->items == NULL)
        return -E_STORE;
    while (results_next(c)) {
        struct store_ledger *ledger = &arg->items[arg->count++];
        char *place = get_text(c, 2);

        ledger->id = get_guid(c, 0);
        ledger->records = get_int(c, 1);
        ledger->given_up_ms = get_int(c, 3);
        if (place != NULL)
            str_copy(ledger->place, sizeof(ledger->place), place);
        free(place);
    }
    return 0;
}

void postgres_send_ledger_note(struct postgres_conn *c, struct store_ledger_note *arg)
{
    call_run(c, PG_LEDGERS_FORGET, value_guid(&arg->ledger->id), value_int(arg->forget_ms));
    call_run(c, PG_LEDGER_NOTE, value_guid(&arg->ledger->id), value_text(arg->ledger->place),
             value_int(arg->ledger->records), value_int(arg->ledger->given_up_ms));
}

int postgres_read_ledger_note(struct postgres_conn *c, struct store_ledger_note *arg)
{
    (void)arg;
    return results_take(c) ? 0 : -E_STORE;
}
