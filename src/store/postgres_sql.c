/* src/store/postgres_sql.c -- sends statements as a pipeline, and reads their results. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres_impl.h"

/* ---- trouble ---- */

void results_record(struct postgres_conn *c, enum postgres_trouble trouble, const char *detail)
{
    if (c->trouble != PG_GOOD)
        return;
    c->trouble = trouble;
    postgres_unavailable(detail, &c->err);
}

/* A transaction in which the server reports an error, before it says that it is committed, is
 * rolled back; so is that of a session which it has been told to end. Other fatal errors may be
 * those of a proxy that has lost the server. */
static bool rolls_back(const PGresult *result)
{
    return str_eq(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED), "ERROR") ||
           str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57P01");
}

/* The loser of a deadlock or of a lock wins the next time. A server that has become a standby is
 * treated as lost. */
static void record_result_trouble(struct postgres_conn *c, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char said[PG_MESSAGE];

    pg_said(c->pg, result, said);
    c->waited = str_eq(state, "55P03"); /* lock_timeout */
    if (c->trouble == PG_GOOD && !c->committed && rolls_back(result))
        c->sent = false;
    if (str_eq(state, "42704")) { /* raised by WRITER_BATCH */
        results_record(c, PG_STALE, said);
        return;
    }
    switch (pg_class_of(c->pg, result)) {
    case PG_BUSY:
        results_record(c, PG_CONFLICT, said);
        break;
    case PG_AWAY:
    case PG_READ_ONLY:
        results_record(c, PG_LOST, said);
        break;
    default:
        results_record(c, PG_REFUSED, said);
    }
}

/* Whatever libpq says, the connection must not be used any more. */
static void record_lost(struct postgres_conn *c, enum pg_end end)
{
    char said[PG_MESSAGE];

    pg_said(c->pg, NULL, said);
    results_record(c, PG_LOST, end == PG_LATE ? "no answer in time" : said);
}

int results_no_memory(struct postgres_conn *c)
{
    results_record(c, PG_REFUSED, "out of memory");
    return -E_STORE;
}

void *results_array(struct postgres_conn *c, size_t size)
{
    void *array = calloc(results_rows(c) + 1, size); /* there may be no rows */

    if (array == NULL)
        results_no_memory(c);
    return array;
}

int results_trouble(struct postgres_conn *c, struct err *err)
{
    *err = c->err;
    return -E_STORE;
}

/* ---- sending ---- */

struct store_value value_sealed(struct postgres_conn *c, const uint8_t key[REPORT_KEY_BYTES],
                                enum keyring_value what, const void *data, size_t len)
{
    struct store_value value = {.kind = VALUE_NULL};
    uint8_t *out = data != NULL ? malloc(len + KEYRING_OVERHEAD) : NULL;

    if (data != NULL && out == NULL)
        results_record(c, PG_REFUSED, "out of memory");
    if (out != NULL) {
        keyring_seal(key, what, data, len, out);
        value = value_blob(out, (int)(len + KEYRING_OVERHEAD));
        value.kind = VALUE_OWNED;
    }
    return value;
}

void call_values(struct postgres_conn *c, enum postgres_statement which,
                 const struct store_value *values)
{
    const char *data[POSTGRES_PARAMETERS_MAX];
    int lengths[POSTGRES_PARAMETERS_MAX], binary[POSTGRES_PARAMETERS_MAX], count = 0;
    uint64_t numbers[POSTGRES_PARAMETERS_MAX]; /* in network order */
    char name[12];

    THREAD_CHECK(&c->base.user);
    for (; values[count].kind != VALUE_END; count++) {
        const struct store_value *value = &values[count];

        CHECK(count < POSTGRES_PARAMETERS_MAX);
        data[count] = value->data;
        lengths[count] = value->len;
        binary[count] = 1;
        if (value->kind == VALUE_INT) {
            numbers[count] = htobe64((uint64_t)value->number);
            data[count] = (const char *)&numbers[count];
            lengths[count] = sizeof(numbers[count]);
        } else if (value->kind == VALUE_BOOL) {
            data[count] = value->number != 0 ? "\1" : "\0";
            lengths[count] = 1;
        }
    }
    snprintf(name, sizeof(name), "%d", which);
    if (c->trouble == PG_GOOD &&
        PQsendQueryPrepared(c->pg, name, count, data, lengths, binary, 1) == 0)
        record_lost(c, PG_GONE);
    while (count-- > 0) {
        if (values[count].kind == VALUE_OWNED)
            free((void *)values[count].data);
    }
}

void call_flush(struct postgres_conn *c)
{
    if (c->trouble == PG_GOOD && PQsendFlushRequest(c->pg) == 0)
        record_lost(c, PG_GONE);
}

void call_sync(struct postgres_conn *c)
{
    if (c->trouble == PG_GOOD && (PQpipelineSync(c->pg) == 0 || PQflush(c->pg) < 0))
        record_lost(c, PG_GONE);
}

/* ---- reading ---- */

/* The next result of the pipeline, without the NULL after each statement; NULL: connection lost. */
static PGresult *next_result(struct postgres_conn *c)
{
    for (int i = 0; i < 2; i++) {
        enum pg_end end = pg_wait(c->pg, c->deadline_ms, -1);
        PGresult *result = end == PG_READY ? PQgetResult(c->pg) : NULL;

        if (result != NULL)
            return result;
        if (end != PG_READY) {
            record_lost(c, end);
            return NULL;
        }
    }
    results_record(c, PG_LOST, "no answer");
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
        record_result_trouble(c, c->result);
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
            record_result_trouble(c, result);
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
        results_record(c, PG_REFUSED, "out of memory");
    return copy;
}

void get_name(struct postgres_conn *c, int column, char *out, size_t size)
{
    str_copy(out, size, get_null(c, column) ? "" : PQgetvalue(c->result, c->row, column));
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
        results_record(c, PG_REFUSED, "out of memory");
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
