/* src/pg/guids.c -- an array of references as a parameter in PostgreSQL's binary format. */
#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "pg/pg.h"

enum { OID_UUID = 2950 };

static void add_int32(struct pg_guids *guids, uint32_t value)
{
    value = htonl(value);
    memcpy(guids->bytes + guids->len, &value, sizeof(value));
    guids->len += sizeof(value);
}

/* Format of array_recv(): number of dimensions, whether there are NULLs, type of the elements;
 * length and first index of the one dimension; then each element after its length. */
void pg_guids_start(struct pg_guids *guids, size_t count)
{
    CHECK(count <= PG_GUIDS_MAX);
    guids->len = 0;
    add_int32(guids, 1);
    add_int32(guids, 0);
    add_int32(guids, OID_UUID);
    add_int32(guids, (uint32_t)count);
    add_int32(guids, 1);
}

void pg_guids_add(struct pg_guids *guids, const struct guid *id)
{
    CHECK(guids->len + 4 + GUID_BYTES <= sizeof(guids->bytes));
    add_int32(guids, GUID_BYTES);
    memcpy(guids->bytes + guids->len, id->bytes, GUID_BYTES);
    guids->len += GUID_BYTES;
}
