/* src/store/postgres_report.c -- a report's life in PostgreSQL: submit, claim, finish, delete. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres_impl.h"

/* ---- rows ---- */

enum { MESSAGE = 3, DIGEST = 13, KEY_NUMBER = 14 }; /* then the wrapped key */

bool postgres_unwrap(struct postgres_conn *c, const struct guid *id, int number,
                     uint8_t ret[REPORT_KEY_BYTES])
{
    uint8_t wrapped[KEYRING_WRAPPED_BYTES];
    enum keyring_found found;

    get_blob(c, number + 1, wrapped, sizeof(wrapped));
    found = keyring_unwrap(c->shared->ring, get_int(c, number), id, wrapped, ret);
    if (found == KEYRING_NO_SUCH_KEY && !c->blind)
        results_record(c, PG_STALE, "a report has a newer key than this node");
    return found == KEYRING_OPENED;
}

void postgres_read_report(struct postgres_conn *c, struct report *ret)
{
    uint8_t digest[REPORT_DIGEST_BYTES + KEYRING_OVERHEAD];

    *ret = (struct report){.id = get_guid(c, 0),
                           .user_id = get_int(c, 1),
                           .name = get_text(c, 2),
                           .state = (enum report_state)get_int(c, 4),
                           .attempt = (int)get_int(c, 5),
                           .failures = (int)get_int(c, 6),
                           .rows = get_int(c, 7),
                           .bytes = get_int(c, 8),
                           .submitted_ms = get_int(c, 9),
                           .started_ms = get_int(c, 10),
                           .finished_ms = get_int(c, 11),
                           .expires_ms = get_int(c, 12),
                           .footer = get_int(c, 16)};
    if (!get_null(c, KEY_NUMBER))
        postgres_unwrap(c, &ret->id, KEY_NUMBER, ret->key);
    if (!get_null(c, MESSAGE) && PQgetlength(c->result, c->row, MESSAGE) == 0) /* by REVOKE */
        ret->message = strdup(report_not_permitted);
    else
        ret->message = get_sealed_text(c, MESSAGE, ret->key, KEYRING_MESSAGE);
    get_blob(c, DIGEST, digest, sizeof(digest));
    if (!get_null(c, DIGEST) &&
        !keyring_unseal(ret->key, KEYRING_DIGEST, digest, sizeof(digest), ret->digest))
        memset(ret->digest, 0, sizeof(ret->digest));
}

/* Read all rows; store_op_done() frees *ret_reports. */
static int read_reports(struct postgres_conn *c, struct report **ret_reports, size_t *ret_count)
{
    struct report *reports;
    size_t count = 0;

    if (!results_take(c) || (reports = results_array(c, sizeof(*reports))) == NULL)
        return -E_STORE;
    while (results_next(c))
        postgres_read_report(c, &reports[count++]);
    *ret_reports = reports;
    *ret_count = count;
    return 0;
}

void postgres_changed(struct postgres_conn *c, const struct guid *id, int64_t user_id, int name,
                      enum report_state state)
{
    struct store_change change = {.id = *id, .user_id = user_id, .state = state};

    get_name(c, name, change.user, sizeof(change.user));
    store_changed(&c->base, &change);
}

static void released(struct postgres_conn *c, const struct guid *id, int64_t user_id)
{
    store_changed(&c->base,
                  &(struct store_change){
                      .id = *id, .user_id = user_id, .state = REPORT_DELETING, .released = true});
}

/* ---- submit ---- */

static struct store_value mac_of(struct postgres_conn *c, int64_t user_id, const void *data,
                                 size_t len, uint8_t room[KEYRING_MAC_BYTES])
{
    keyring_mac(c->shared->ring, user_id, data, len, room);
    return value_blob(room, KEYRING_MAC_BYTES);
}

void postgres_send_key(struct postgres_conn *c, struct store_key *arg)
{
    uint8_t mac[KEYRING_MAC_BYTES];

    call_run(c, PG_KEY_FIND, value_int(arg->user_id),
             mac_of(c, arg->user_id, arg->key, strlen(arg->key), mac), value_int(arg->now_ms));
}

int postgres_read_key(struct postgres_conn *c, struct store_key *arg)
{
    uint8_t known[KEYRING_MAC_BYTES], ours[KEYRING_MAC_BYTES];

    arg->outcome = SUBMIT_ACCEPTED;
    if (results_next(c)) {
        arg->id = get_guid(c, 0);
        get_blob(c, 1, known, sizeof(known));
        keyring_mac(c->shared->ring, arg->user_id, arg->request_hash, STORE_HASH_BYTES, ours);
        arg->outcome =
            memcmp(known, ours, sizeof(known)) == 0 ? SUBMIT_REPLAYED : SUBMIT_KEY_REUSED;
    }
    return 0;
}

static void send_key_forget(struct postgres_conn *c, const struct store_submit *arg)
{
    uint8_t mac[KEYRING_MAC_BYTES];

    call_run(c, PG_KEY_FORGET, value_int(arg->user_id),
             mac_of(c, arg->user_id, arg->key, strlen(arg->key), mac), value_int(arg->now_ms));
}

/* Is the report in the claim's offer, by a source without a limit? Otherwise only CLAIM says
 * whether it may start. */
static bool may_start_with(const struct store_claim *claim, const struct store_submit *arg,
                           char ret_source[STORE_SOURCE_TEXT])
{
    char wanted[REPORT_NAME_MAX + STORE_VERSION_TEXT + 2];

    snprintf(wanted, sizeof(wanted), "%s %s", arg->name, arg->version);
    store_offered_source(claim, wanted, ret_source);
    for (size_t i = 0; i < claim->limit_count; i++) {
        if (str_eq(claim->limits[i].source, ret_source))
            return false;
    }
    return *ret_source != '\0';
}

/* Makes a key, and sends it wrapped, with all that it seals. */
static void send_row(struct postgres_conn *c, const struct store_submit *arg)
{
    uint8_t key[REPORT_KEY_BYTES], wrapped[KEYRING_WRAPPED_BYTES];
    uint8_t key_mac[KEYRING_MAC_BYTES], request_mac[KEYRING_MAC_BYTES];
    struct store_value idempotency[] = {value_null(), value_null(), value_null()};
    char source[STORE_SOURCE_TEXT];
    const struct store_claim *start =
        c->start != NULL && may_start_with(c->start, arg, source) ? c->start : NULL;

    randombytes_buf(key, sizeof(key));
    keyring_wrap(&c->sealing, &arg->id, key, wrapped);
    if (arg->key != NULL) {
        idempotency[0] = mac_of(c, arg->user_id, arg->key, strlen(arg->key), key_mac);
        idempotency[1] = mac_of(c, arg->user_id, arg->request_hash, STORE_HASH_BYTES, request_mac);
        idempotency[2] = value_int(arg->key_expires_ms);
    }
    call_run(c, PG_SUBMIT, value_guid(&arg->id), value_int(arg->user_id), value_int(arg->now_ms),
             value_text(arg->name),
             value_sealed(c, key, KEYRING_PARAMETERS, arg->parameters, strlen(arg->parameters)),
             idempotency[0], idempotency[1], idempotency[2], value_int(arg->active_limit),
             value_text(*arg->version != '\0' ? arg->version : NULL), value_int(c->sealing.number),
             value_blob(wrapped, sizeof(wrapped)), value_access(arg->as),
             value_text(start != NULL ? start->node : NULL),
             value_guid(start != NULL ? &start->token : NULL),
             value_text(start != NULL ? source : NULL),
             value_int(start != NULL ? start->running_limit : 0), value_bool(c->again));
    sodium_memzero(key, sizeof(key));
}

/* The user's lock makes the limit exact: the next submit counts what was added before. */
void postgres_send_submit(struct postgres_conn *c, struct store_submit *arg)
{
    call_run(c, PG_LOCK_USER, value_int(arg->user_id));
    if (arg->key != NULL)
        send_key_forget(c, arg);
    send_row(c, arg);
    call_run(c, PG_ACTIVE, value_int(arg->user_id), value_guid(&arg->id));
}

/* Numbered as in the statement. */
enum { OUTCOME_NO_USER = 4, OUTCOME_NOT_PERMITTED = 5, OUTCOME_GONE = 6 };
_Static_assert(SUBMIT_ACCEPTED == 0 && SUBMIT_REPLAYED == 1 && SUBMIT_KEY_REUSED == 2 &&
                   SUBMIT_LIMIT == 3,
               "the statement answers with these numbers");

int postgres_read_submit(struct postgres_conn *c, struct store_submit *arg)
{
    int64_t outcome;
    struct guid known;
    int rc;

    if ((arg->key != NULL && !results_take(c)) || !results_take(c) || !results_next(c))
        return -E_STORE;
    outcome = get_int(c, 0);
    known = get_guid(c, 1);
    arg->connection = c->number;
    if (outcome == SUBMIT_ACCEPTED)
        postgres_changed(c, &arg->id, arg->user_id, 2, REPORT_QUEUED);
    if (outcome == SUBMIT_LIMIT)
        rc = read_reports(c, &arg->active, &arg->active_count);
    else
        rc = results_take(c) ? 0 : -E_STORE;
    if (rc < 0)
        return rc;
    if (outcome == OUTCOME_GONE)
        return store_doubt(&c->err);
    if (outcome == OUTCOME_NO_USER)
        return err_set(&c->err, -E_NOT_FOUND, "There is no such user.");
    if (outcome == OUTCOME_NOT_PERMITTED)
        return err_set(&c->err, -E_FORBIDDEN, "%s", report_not_permitted);
    arg->outcome = (enum store_submit_outcome)outcome;
    if (arg->outcome == SUBMIT_REPLAYED)
        arg->id = known;
    return 0;
}

void postgres_send_settle(struct postgres_conn *c, struct store_settle *arg)
{
    call_run(c, PG_REPORT_LOCK, value_guid(&arg->id));
}

int postgres_read_settle(struct postgres_conn *c, struct store_settle *arg)
{
    arg->lost = !results_next(c) && arg->connection != c->number;
    return 0;
}

/* ---- running ---- */

void postgres_send_progress(struct postgres_conn *c, struct store_progress *arg)
{
    call_run(c, PG_PROGRESS, value_guid(&arg->id), value_int(arg->attempt), value_int(arg->rows),
             value_int(arg->bytes));
}

POSTGRES_READS_NOTHING(progress)

/* The attempt is over, whatever its outcome. A separate statement, so that it sees a deletion that
 * came while the previous one waited for the row. */
static void send_release(struct postgres_conn *c, const struct guid *id, int attempt)
{
    call_run(c, PG_RELEASE, value_guid(id), value_int(attempt));
}

/* Read the results of the move to `state`, already taken, and of the release. */
static int read_end(struct postgres_conn *c, const struct guid *id, enum report_state state,
                    bool *ret_moved)
{
    *ret_moved = results_next(c);
    if (*ret_moved)
        postgres_changed(c, id, get_int(c, 0), 1, state);
    if (!results_take(c))
        return -E_STORE;
    if (results_next(c) && get_bool(c, 1))
        released(c, id, get_int(c, 0));
    return 0;
}

void postgres_send_finish(struct postgres_conn *c, struct store_finish *arg)
{
    bool complete = arg->state == REPORT_COMPLETE;
    const char *message = complete ? NULL : arg->message;

    CHECK(arg->key != NULL); /* a shared store keeps nothing in clear */
    if (c->again)
        call_run(c, PG_REPORT_LOCK, value_guid(&arg->id));
    call_run(
        c, PG_FINISH, value_guid(&arg->id), value_int(arg->attempt), value_int(arg->state),
        value_int(arg->rows), value_int(arg->bytes), value_int(arg->now_ms),
        value_int(arg->expires_ms),
        value_sealed(c, arg->key, KEYRING_DIGEST, complete ? arg->digest : NULL,
                     REPORT_DIGEST_BYTES),
        value_sealed(c, arg->key, KEYRING_MESSAGE, message, message != NULL ? strlen(message) : 0),
        value_bool(complete && arg->sealed), value_int(arg->footer),
        value_blob(arg->result, (int)arg->result_len));
    send_release(c, &arg->id, arg->attempt);
}

int postgres_read_finish(struct postgres_conn *c, struct store_finish *arg)
{
    if (c->again && !results_take(c))
        return -E_STORE;
    return read_end(c, &arg->id, arg->state, &arg->moved);
}

void postgres_send_requeue(struct postgres_conn *c, struct store_requeue *arg)
{
    call_run(c, PG_REQUEUE, value_guid(&arg->id), value_int(arg->attempt), value_bool(arg->failed));
    send_release(c, &arg->id, arg->attempt);
}

int postgres_read_requeue(struct postgres_conn *c, struct store_requeue *arg)
{
    return read_end(c, &arg->id, REPORT_QUEUED, &arg->moved);
}

/* ---- nodes ---- */

/* Requeue what dead nodes have left. */
static void send_reap(struct postgres_conn *c, const char *node)
{
    call_run(c, PG_REAP, value_text(node));
    call_run(c, PG_REAP_OVER);
}

static int read_reap(struct postgres_conn *c, int64_t *ret_requeued)
{
    struct guid id;

    if (!results_take(c))
        return -E_STORE;
    for (*ret_requeued = 0; results_next(c); ++*ret_requeued) {
        id = get_guid(c, 0);
        postgres_changed(c, &id, get_int(c, 1), 2, REPORT_QUEUED);
    }
    if (!results_take(c))
        return -E_STORE;
    while (results_next(c)) {
        id = get_guid(c, 0);
        released(c, &id, get_int(c, 1));
    }
    return 0;
}

/* A node whose lease has expired keeps its row until another node's heartbeat removes it. */
void postgres_send_recover(struct postgres_conn *c, struct store_recover *arg)
{
    call_run(c, PG_NODE_BURY);
    send_reap(c, arg->node);
    call_run(c, PG_WAITING_ADD);
}

int postgres_read_recover(struct postgres_conn *c, struct store_recover *arg)
{
    return read_reap(c, &arg->requeued) ?: results_take(c) ? 0 : -E_STORE;
}

void postgres_send_heartbeat(struct postgres_conn *c, struct store_heartbeat *arg)
{
    if (arg->begin) {
        call_run(c, PG_NODE_BEGIN, value_text(arg->node), value_text(arg->host),
                 value_int(arg->lease_ms), value_text(arg->offer), value_text(arg->was));
    }
    call_run(c, PG_NODE_BEAT, value_text(arg->node), value_int(arg->lease_ms),
             value_text(arg->offer));
    call_run(c, PG_NODE_BURY);
    send_reap(c, NULL);
    call_run(c, PG_STRAYS, value_text(arg->offer), value_int(arg->lease_ms), value_text(arg->node));
    call_run(c, PG_RUNNING, value_text(arg->node), value_int(STORE_RUNNING_MAX));
    call_run(c, PG_TRANSFERS_DELETED, value_text(arg->node));
}

/* The notifications of these deletions may have been lost. */
static int read_deleted(struct postgres_conn *c)
{
    if (!results_take(c))
        return -E_STORE;
    while (results_next(c))
        store_changed(&c->base, &(struct store_change){.id = get_guid(c, 0),
                                                       .user_id = get_int(c, 1),
                                                       .state = REPORT_DELETING,
                                                       .heard = true,
                                                       .transfer = get_guid(c, 2)});
    return 0;
}

int postgres_read_heartbeat(struct postgres_conn *c, struct store_heartbeat *arg)
{
    if (arg->begin && !results_take(c))
        return -E_STORE;
    arg->alive = results_next(c);
    if (arg->alive)
        postgres_record_time(c, get_int(c, 0));
    if (!results_take(c) || read_reap(c, &arg->requeued) < 0 || !results_take(c) ||
        !results_take(c))
        return -E_STORE;
    for (arg->count = 0; results_next(c); arg->count++)
        arg->running[arg->count] = (struct store_ref){
            .id = get_guid(c, 0), .attempt = (int)get_int(c, 1), .deleted = get_bool(c, 2)};
    return read_deleted(c);
}

/* ---- deletion ---- */

void postgres_send_tombstone(struct postgres_conn *c, struct store_tombstone *arg)
{
    if (!c->again)
        arg->token = guid_new();
    call_run(c, PG_TOMBSTONE, value_guid(&arg->id), value_int(arg->user_id), value_bool(c->again),
             value_access(arg->as), value_guid(&arg->token));
}

/* A node of an older version has not recorded the state: treated as if it may still run. */
static enum report_state state_before(int64_t noted)
{
    return noted >= 0 && noted < REPORT_DELETING ? (enum report_state)noted : REPORT_PROCESSING;
}

int postgres_read_tombstone(struct postgres_conn *c, struct store_tombstone *arg)
{
    arg->held = arg->in_row = false; /* after the commit it is known who holds it */
    arg->found = results_next(c);
    if (arg->found) {
        arg->was = state_before(get_int(c, 1));
        arg->attempt = (int)get_int(c, 2);
        arg->in_row = get_bool(c, 3);
        if (arg->name != NULL)
            get_name(c, 5, arg->name, REPORT_NAME_MAX + 1);
        postgres_changed(c, &arg->id, get_int(c, 0), 4, REPORT_DELETING);
    }
    /* An earlier try may have marked it, and another node may have finished that deletion. */
    return arg->found || !c->again ? 0 : store_doubt(&c->err);
}

void postgres_send_delete_row(struct postgres_conn *c, struct store_delete_row *arg)
{
    call_run(c, PG_DELETE_ROW, value_guid(&arg->id));
}

int postgres_read_delete_row(struct postgres_conn *c, struct store_delete_row *arg)
{
    if (arg->user != NULL)
        *arg->user = '\0';
    if (arg->user != NULL && results_next(c))
        get_name(c, 0, arg->user, USER_NAME_MAX + 1);
    return 0;
}

_Static_assert((int)STORE_MANY_MAX <= (int)PG_GUIDS_MAX, "an array has all of a batch");

static void fill_guids(struct pg_guids *ret, const struct store_marked *reports, size_t count)
{
    pg_guids_start(ret, count);
    for (size_t i = 0; i < count; i++)
        pg_guids_add(ret, &reports[i].id);
}

void postgres_send_tombstone_many(struct postgres_conn *c, struct store_tombstone_many *arg)
{
    struct pg_guids ids;

    fill_guids(&ids, arg->reports, arg->count);
    call_run(c, PG_TOMBSTONE_MANY, value_guids(&ids), value_int(arg->user_id),
             value_int(arg->state), value_guid(&arg->token), value_bool(c->again));
}

/* Rows mostly come in the order of the request: *next is where to look first. */
static struct store_marked *find_marked(struct store_marked *reports, size_t count,
                                        const struct guid *id, size_t *next)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = (*next + i) % count;

        if (guid_eq(&reports[at].id, id)) {
            *next = at + 1;
            return &reports[at];
        }
    }
    return NULL;
}

int postgres_read_tombstone_many(struct postgres_conn *c, struct store_tombstone_many *arg)
{
    size_t next = 0, found = 0;

    for (size_t i = 0; i < arg->count; i++)
        arg->reports[i] = (struct store_marked){.id = arg->reports[i].id};
    while (results_next(c)) {
        struct guid id = get_guid(c, 0);
        struct store_marked *marked = find_marked(arg->reports, arg->count, &id, &next);

        if (marked == NULL)
            continue;
        found++;
        marked->found = true;
        marked->was = state_before(get_int(c, 2));
        marked->attempt = (int)get_int(c, 3);
        marked->held = get_bool(c, 4);
        get_name(c, 6, marked->name, sizeof(marked->name));
        postgres_changed(c, &id, get_int(c, 1), 5, REPORT_DELETING);
    }
    return found == arg->count || !c->again ? 0 : store_doubt(&c->err); /* as for TOMBSTONE */
}

void postgres_send_held_many(struct postgres_conn *c, struct store_held_many *arg)
{
    struct pg_guids ids;

    fill_guids(&ids, arg->reports, arg->count);
    call_run(c, PG_HELD_MANY, value_guids(&ids));
}

int postgres_read_held_many(struct postgres_conn *c, struct store_held_many *arg)
{
    size_t next = 0;

    for (size_t i = 0; i < arg->count; i++)
        arg->reports[i].held = false;
    while (results_next(c)) {
        struct guid id = get_guid(c, 0);
        struct store_marked *marked = find_marked(arg->reports, arg->count, &id, &next);

        if (marked != NULL)
            marked->held = true;
    }
    return 0;
}

void postgres_send_delete_rows(struct postgres_conn *c, struct store_delete_rows *arg)
{
    struct pg_guids ids;

    fill_guids(&ids, arg->reports, arg->count);
    call_run(c, PG_DELETE_ROWS, value_guids(&ids));
}

int postgres_read_delete_rows(struct postgres_conn *c, struct store_delete_rows *arg)
{
    size_t next = 0;

    for (size_t i = 0; i < arg->count; i++)
        *arg->reports[i].user = '\0';
    while (results_next(c)) {
        struct guid id = get_guid(c, 0);
        struct store_marked *marked = find_marked(arg->reports, arg->count, &id, &next);

        if (marked != NULL)
            get_name(c, 1, marked->user, sizeof(marked->user));
    }
    return 0;
}

void postgres_send_deleting(struct postgres_conn *c, struct store_deleting *arg)
{
    call_run(c, PG_DELETING, value_int(STORE_BATCH_MAX), value_int(arg->recent_ms));
}

int postgres_read_deleting(struct postgres_conn *c, struct store_deleting *arg)
{
    for (arg->count = 0; results_next(c); arg->count++)
        arg->refs[arg->count] = (struct store_ref){
            .id = get_guid(c, 0), .attempt = (int)get_int(c, 1), .recent = get_bool(c, 2)};
    return 0;
}

void postgres_send_held(struct postgres_conn *c, struct store_held *arg)
{
    call_run(c, PG_HELD, value_guid(&arg->id));
}

int postgres_read_held(struct postgres_conn *c, struct store_held *arg)
{
    if (!results_next(c))
        return -E_STORE;
    arg->held = get_bool(c, 0);
    return 0;
}

POSTGRES_SENDS(nodes, PG_NODES)

int postgres_read_nodes(struct postgres_conn *c, struct store_nodes *arg)
{
    if (!results_next(c))
        return -E_STORE;
    arg->count = get_int(c, 0);
    arg->wait_ms = get_int(c, 1);
    return 0;
}

void postgres_send_sent(struct postgres_conn *c, struct store_sent *arg)
{
    call_run(c, PG_SENT, value_guid(&arg->id), value_guid(&arg->transfer));
}

int postgres_read_sent(struct postgres_conn *c, struct store_sent *arg)
{
    if (results_next(c))
        released(c, &arg->id, get_int(c, 0));
    return 0;
}
