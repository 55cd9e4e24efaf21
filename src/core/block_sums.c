/* src/core/block_sums.c -- checksums of the blocks of a result, while it is written. */
#include "core/block_sums.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"

uint64_t block_sum(const void *block, size_t len)
{
    return htole64(XXH3_64bits(block, len));
}

int block_sums_init(struct block_sums *sums)
{
    *sums = (struct block_sums){.state = XXH3_createState()};
    if (sums->state == NULL)
        return ENOMEM;
    XXH3_64bits_reset(sums->state);
    return 0;
}

void block_sums_done(struct block_sums *sums)
{
    XXH3_freeState(sums->state);
    free(sums->sums);
    *sums = (struct block_sums){0};
}

int block_sums_end(struct block_sums *sums)
{
    if (sums->len == 0)
        return 0;
    if (!array_grow(&sums->sums, sums->count, &sums->room, sizeof(sums->sums[0])))
        return ENOMEM;
    sums->sums[sums->count++] = htole64(XXH3_64bits_digest(sums->state));
    XXH3_64bits_reset(sums->state);
    sums->len = 0;
    return 0;
}

int block_sums_add(struct block_sums *sums, const void *data, size_t len)
{
    const char *from = data;
    int rc = 0;

    while (len > 0 && rc == 0) {
        size_t n = SUMMED_BLOCK - sums->len;

        n = len < n ? len : n;
        XXH3_64bits_update(sums->state, from, n);
        sums->len += n;
        from += n;
        len -= n;
        if (sums->len == SUMMED_BLOCK)
            rc = block_sums_end(sums);
    }
    return rc;
}
