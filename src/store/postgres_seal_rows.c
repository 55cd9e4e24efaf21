/* src/store/postgres_seal_rows.c -- upgrades a store that was in clear: seals every row, in the
 * transaction of the migration. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres_impl.h"

static const char pick[] =
    "SELECT seq::text, id, user_id::text, state = 4, parameters, message, digest, seal_key, key,"
    " key_hash FROM report WHERE seq > $1::bigint ORDER BY report.seq LIMIT 256"; /* the numeric
                                                                                   * seq, not the
                                                                                   * text of that
                                                                                   * name */
enum { SEQ, ID, USER, DELETING, PARAMETERS, MESSAGE, DIGEST, SEAL_KEY, KEY, KEY_HASH };

/* Texts get the value that they are read as, or sealed bytes; the rest of the row is emptied. */
static const char seal[] =
    "UPDATE report SET parameters = '', message = NULL, digest = NULL, seal_key = NULL, key = NULL,"
    " key_hash = NULL, result_sealed = seal_key IS NOT NULL, key_number = $2::bigint,"
    " wrapped_key = $3::bytea, sealed_parameters = $4::bytea, sealed_message = $5::bytea,"
    " sealed_digest = $6::bytea, key_mac = $7::bytea, request_mac = $8::bytea"
    " WHERE seq = $1::bigint";
enum { SEAL_PARAMS = 8 };

/* The next migration removes the columns in clear: nothing may be left in them. */
static const char check[] =
    "SELECT count(*)::text FROM report WHERE wrapped_key IS NULL AND state <> 4 OR parameters <> ''"
    " OR num_nonnulls(message, digest, seal_key, key, key_hash) > 0";

static const char first_key[] = "INSERT INTO erase_key (number, fingerprint) VALUES ($1::bigint, "
                                "$2::bytea)";

/* One row in progress: its columns in `from`, and its new values. */
struct row {
    const PGresult *from;
    int at;
    uint8_t key[REPORT_KEY_BYTES];
    const char *values[SEAL_PARAMS];
    int lengths[SEAL_PARAMS];
    void *owned[SEAL_PARAMS];
    bool no_memory;
};

static const void *field(const struct row *row, int column, size_t *ret_len)
{
    *ret_len = (size_t)PQgetlength(row->from, row->at, column);
    return PQgetvalue(row->from, row->at, column);
}

/* Memory for a parameter's value; NULL: out of memory. */
static uint8_t *room(struct row *row, int param, size_t len)
{
    uint8_t *out = malloc(len);

    row->no_memory = row->no_memory || out == NULL;
    row->owned[param] = out;
    row->values[param] = (const char *)out;
    row->lengths[param] = (int)len;
    return out;
}

static void seal_field(struct row *row, int param, int column, enum keyring_value what)
{
    size_t len;
    const void *data = field(row, column, &len);
    uint8_t *out;

    if (PQgetisnull(row->from, row->at, column))
        return;
    out = room(row, param, len + KEYRING_OVERHEAD);
    if (out != NULL)
        keyring_seal(row->key, what, data, len, out);
}

static void mac_field(struct row *row, int param, int column, struct keyring *ring)
{
    int64_t user_id = 0;
    size_t len;
    const void *data = field(row, column, &len);
    uint8_t *out;

    if (PQgetisnull(row->from, row->at, column))
        return;
    str_to_int64(PQgetvalue(row->from, row->at, USER), &user_id);
    out = room(row, param, KEYRING_MAC_BYTES);
    if (out != NULL)
        keyring_mac(ring, user_id, data, len, out);
}

/* A report that is being deleted has nothing left to seal. */
static void fill_row(struct row *row, struct keyring *ring, const struct erase_key *newest)
{
    struct guid id;
    size_t len;
    uint8_t *wrapped;

    if (*(const char *)field(row, DELETING, &len) != 0)
        return;
    memcpy(&id, field(row, ID, &len), sizeof(id));
    if (PQgetlength(row->from, row->at, SEAL_KEY) == REPORT_KEY_BYTES)
        memcpy(row->key, field(row, SEAL_KEY, &len), REPORT_KEY_BYTES);
    else
        randombytes_buf(row->key, sizeof(row->key));
    wrapped = room(row, 2, KEYRING_WRAPPED_BYTES);
    if (wrapped != NULL)
        keyring_wrap(newest, &id, row->key, wrapped);
    seal_field(row, 3, PARAMETERS, KEYRING_PARAMETERS);
    seal_field(row, 4, MESSAGE, KEYRING_MESSAGE);
    seal_field(row, 5, DIGEST, KEYRING_DIGEST);
    mac_field(row, 6, KEY, ring);
    mac_field(row, 7, KEY_HASH, ring);
}

static int seal_row(PGconn *pg, struct row *row, struct keyring *ring, struct err *err)
{
    static const int formats[SEAL_PARAMS] = {0, 0, 1, 1, 1, 1, 1, 1};
    struct erase_keys keys = keyring_keys(ring);
    PGresult *result = NULL;
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)keys.key[0].number);
    fill_row(row, ring, &keys.key[0]);
    row->values[0] = PQgetvalue(row->from, row->at, SEQ);
    row->values[1] = row->values[2] != NULL ? number : NULL;
    if (!row->no_memory)
        result = postgres_result(
            pg,
            PQsendQueryParams(pg, seal, SEAL_PARAMS, NULL, row->values, row->lengths, formats, 0),
            err);
    sodium_memzero(row->key, sizeof(row->key));
    sodium_memzero(&keys, sizeof(keys));
    for (int i = 0; i < SEAL_PARAMS; i++)
        free(row->owned[i]);
    if (row->no_memory)
        return err_set(err, -E_NOMEM, "Out of memory.");
    PQclear(result);
    return result != NULL ? 0 : -E_STORE;
}

/* Seal a page of rows after `seq`, which becomes the last of them; how many, or an error. */
static int seal_page(PGconn *pg, struct keyring *ring, char seq[24], struct err *err)
{
    const char *values[1] = {seq};
    PGresult *page =
        postgres_result(pg, PQsendQueryParams(pg, pick, 1, NULL, values, NULL, NULL, 1), err);
    int count = PQntuples(page), rc = page != NULL ? 0 : -E_STORE;

    for (int i = 0; rc == 0 && i < count; i++) {
        struct row row = {.from = page, .at = i};

        rc = seal_row(pg, &row, ring, err);
    }
    if (count > 0)
        str_copy(seq, 24, PQgetvalue(page, count - 1, SEQ));
    PQclear(page);
    return rc < 0 ? rc : count;
}

static int write_first_key(PGconn *pg, struct keyring *ring, struct err *err)
{
    static const int formats[2] = {0, 1};
    struct erase_keys keys = keyring_keys(ring);
    uint8_t print[KEYRING_PRINT_BYTES];
    char number[24];
    const char *values[2] = {number, (const char *)print};
    const int lengths[2] = {0, sizeof(print)};
    PGresult *result;

    snprintf(number, sizeof(number), "%lld", (long long)keys.key[0].number);
    keyring_print(keys.key[0].bytes, ERASE_KEY_BYTES, print);
    sodium_memzero(&keys, sizeof(keys));
    result = postgres_result(
        pg, PQsendQueryParams(pg, first_key, 2, NULL, values, lengths, formats, 0), err);
    PQclear(result);
    return result != NULL ? 0 : -E_STORE;
}

static int check_rows(PGconn *pg, struct err *err)
{
    PGresult *result = postgres_exec(pg, check, err);

    if (result == NULL)
        return -E_STORE;
    if (!str_eq(PQgetvalue(result, 0, 0), "0")) {
        PQclear(result);
        return postgres_unavailable("rows were left unsealed; nothing was changed", err);
    }
    PQclear(result);
    return 0;
}

int postgres_seal_rows(PGconn *pg, struct keyring *ring, struct err *err)
{
    char seq[24] = "0";
    int rc = write_first_key(pg, ring, err);

    do
        rc = rc < 0 ? rc : seal_page(pg, ring, seq, err);
    while (rc > 0);
    return rc < 0 ? rc : check_rows(pg, err);
}
