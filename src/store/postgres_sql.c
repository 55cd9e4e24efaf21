/* src/store/postgres_sql.c -- statements sent as a pipeline, and their results read. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres_impl.h"

/* ---- trouble ---- */

void results_note(struct postgres_conn *c, enum postgres_trouble trouble, const char *detail)
{
    if (c->trouble != PG_GOOD)
        return;
    c->trouble = trouble;
    postgres_unavailable(detail, &c->err);
}

/* A loser of a deadlock or of a lock wins the next time, and a server that has become a standby is
 * not ours. */
static void note_result(struct postgres_conn *c, const PGresult *result)
{
    char said[PG_WORDS];

    pg_said(c->pg, result, said);
    if (str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42704")) { /* by KEYS_CHECK */
        results_note(c, PG_STALE, said);
        return;
    }
    switch (pg_class_of(c->pg, result)) {
    case PG_BUSY:
        results_note(c, PG_CONFLICT, said);
        break;
    case PG_AWAY:
    case PG_READ_ONLY:
        results_note(c, PG_LOST, said);
        break;
    default:
        results_note(c, PG_REFUSED, said);
    }
}

/* Whatever libpq says, the connection is not to be used any more. */
static void note_lost(struct postgres_conn *c, enum pg_end end)
{
    char said[PG_WORDS];

    pg_said(c->pg, NULL, said);
    results_note(c, PG_LOST, end == PG_LATE ? "no answer in time" : said);
}

int results_no_memory(struct postgres_conn *c, struct err *err)
{
    results_note(c, PG_REFUSED, "out of memory");
    return results_trouble(c, err);
}

int results_trouble(struct postgres_conn *c, struct err *err)
{
    *err = c->err;
    return -E_STORE;
}

/* ---- out ---- */

struct call call_start(struct postgres_conn *c, enum postgres_statement which)
{
    return (struct call){.conn = c, .which = which};
}

static void add_value(struct call *call, const void *data, int len)
{
    CHECK(call->count < POSTGRES_PARAMETERS_MAX);
    call->values[call->count] = data;
    call->lengths[call->count++] = len;
}

void call_int(struct call *call, int64_t value)
{
    uint64_t *number = &call->numbers[call->count];

    add_value(call, number, sizeof(*number));
    *number = htobe64((uint64_t)value);
}

void call_bool(struct call *call, bool value)
{
    add_value(call, value ? "\1" : "\0", 1);
}

void call_text(struct call *call, const char *text)
{
    add_value(call, text, text != NULL ? (int)strlen(text) : 0);
}

void call_blob(struct call *call, const void *data, int len)
{
    add_value(call, data, len);
}

void call_guid(struct call *call, const struct guid *id)
{
    add_value(call, id != NULL ? id->bytes : NULL, GUID_BYTES);
}

void call_sealed(struct call *call, const uint8_t key[REPORT_KEY_BYTES], enum keyring_value what,
                 const void *data, size_t len)
{
    uint8_t *out = data != NULL ? malloc(len + KEYRING_OVERHEAD) : NULL;

    if (data != NULL && out == NULL)
        results_note(call->conn, PG_REFUSED, "out of memory");
    if (out != NULL) {
        CHECK(call->sealed_count < POSTGRES_SEALED_MAX);
        keyring_seal(key, what, data, len, out);
        call->sealed[call->sealed_count++] = out;
    }
    add_value(call, out, out != NULL ? (int)(len + KEYRING_OVERHEAD) : 0);
}

void call_guids(struct call *call, const struct pg_guids *guids)
{
    add_value(call, guids->bytes, (int)guids->len);
}

void call_null(struct call *call)
{
    add_value(call, NULL, 0);
}

void call_send(struct call *call)
{
    static const int binary[POSTGRES_PARAMETERS_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct postgres_conn *c = call->conn;
    char name[12];

    THREAD_CHECK(&c->base.user);
    snprintf(name, sizeof(name), "%d", call->which);
    if (c->trouble == PG_GOOD &&
        PQsendQueryPrepared(c->pg, name, call->count, call->values, call->lengths, binary, 1) == 0)
        note_lost(c, PG_GONE);
    while (call->sealed_count > 0)
        free(call->sealed[--call->sealed_count]);
}

void call_plain(struct postgres_conn *c, enum postgres_statement which)
{
    struct call call = call_start(c, which);

    call_send(&call);
}

void call_flush(struct postgres_conn *c)
{
    if (c->trouble == PG_GOOD && PQsendFlushRequest(c->pg) == 0)
        note_lost(c, PG_GONE);
}

void call_sync(struct postgres_conn *c)
{
    if (c->trouble == PG_GOOD && (PQpipelineSync(c->pg) == 0 || PQflush(c->pg) < 0))
        note_lost(c, PG_GONE);
}

/* ---- in ---- */

/* The next result of the pipeline, skipping the NULL after each statement's; NULL: lost. */
static PGresult *next_result(struct postgres_conn *c)
{
    for (int i = 0; i < 2; i++) {
        enum pg_end end = pg_wait(c->pg, c->deadline_ms, -1);
        PGresult *result = end == PG_READY ? PQgetResult(c->pg) : NULL;

        if (result != NULL)
            return result;
        if (end != PG_READY) {
            note_lost(c, end);
            return NULL;
        }
    }
    results_note(c, PG_LOST, "no answer");
    return NULL;
}

bool results_take(struct postgres_conn *c)
{
    ExecStatusType status;

    THREAD_CHECK(&c->base.user);
    PQclear(c->result);
    c->result = NULL;
    c->row = -1;
    if (c->trouble == PG_LOST)
        return false;
    c->result = next_result(c);
    if (c->result == NULL)
        return false;
    status = PQresultStatus(c->result);
    if (status == PGRES_FATAL_ERROR)
        note_result(c, c->result);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

void results_drain(struct postgres_conn *c)
{
    bool more = c->trouble != PG_LOST;

    PQclear(c->result);
    c->result = NULL;
    while (more) {
        PGresult *result = next_result(c);

        more = result != NULL && PQresultStatus(result) != PGRES_PIPELINE_SYNC;
        if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR)
            note_result(c, result);
        if (c->trouble == PG_LOST)
            more = false;
        PQclear(result);
    }
}

bool results_next(struct postgres_conn *c)
{
    return ++c->row < PQntuples(c->result);
}

size_t results_rows(struct postgres_conn *c)
{
    return (size_t)PQntuples(c->result);
}

int64_t results_changed(struct postgres_conn *c)
{
    int64_t count = 0;

    str_to_int64(PQcmdTuples(c->result), &count);
    return count;
}

bool get_null(struct postgres_conn *c, int column)
{
    return PQgetisnull(c->result, c->row, column) != 0;
}

int64_t get_int(struct postgres_conn *c, int column)
{
    uint64_t value;
    uint32_t small;

    switch (PQgetlength(c->result, c->row, column)) {
    case sizeof(value):
        memcpy(&value, PQgetvalue(c->result, c->row, column), sizeof(value));
        return (int64_t)be64toh(value);
    case sizeof(small):
        memcpy(&small, PQgetvalue(c->result, c->row, column), sizeof(small));
        return (int32_t)be32toh(small);
    default:
        return 0;
    }
}

bool get_bool(struct postgres_conn *c, int column)
{
    return !get_null(c, column) && *PQgetvalue(c->result, c->row, column) != 0;
}

char *get_text(struct postgres_conn *c, int column)
{
    char *copy;

    if (get_null(c, column))
        return NULL;
    copy = strdup(PQgetvalue(c->result, c->row, column));
    if (copy == NULL)
        results_note(c, PG_REFUSED, "out of memory");
    return copy;
}

void get_blob(struct postgres_conn *c, int column, void *out, int len)
{
    if (PQgetlength(c->result, c->row, column) == len)
        memcpy(out, PQgetvalue(c->result, c->row, column), (size_t)len);
    else
        memset(out, 0, (size_t)len);
}

char *get_sealed_text(struct postgres_conn *c, int column, const uint8_t key[REPORT_KEY_BYTES],
                      enum keyring_value what)
{
    size_t len = (size_t)PQgetlength(c->result, c->row, column);
    char *text;

    if (get_null(c, column) || len < KEYRING_OVERHEAD)
        return NULL;
    text = calloc(1, len - KEYRING_OVERHEAD + 1);
    if (text == NULL) {
        results_note(c, PG_REFUSED, "out of memory");
    } else if (!keyring_unseal(key, what, PQgetvalue(c->result, c->row, column), len, text)) {
        free(text);
        text = NULL;
    }
    return text;
}

struct guid get_guid(struct postgres_conn *c, int column)
{
    struct guid id;

    get_blob(c, column, id.bytes, GUID_BYTES);
    return id;
}
