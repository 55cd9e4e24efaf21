/* src/core/block_sums.h -- checksums (XXH3, which is as fast as memory) of the blocks of a stored
 * result: by them a byte that was changed on the disk is found where it is read. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

enum { SUMMED_BLOCK = 128 << 10 /* bytes of a block; the last one of a sequence may have fewer */ };

/* How many blocks that many bytes are. */
static inline int64_t block_sums_count(int64_t bytes)
{
    return bytes / SUMMED_BLOCK + (bytes % SUMMED_BLOCK > 0);
}

/* Of one block, as it is stored: little-endian. */
uint64_t block_sum(const void *block, size_t len);

/* The checksums of all blocks of bytes that come bit by bit. */
struct block_sums {
    uint64_t *sums; /* as they are stored, `count` of them */
    size_t count, room;
    XXH3_state_t *state; /* of the block that is not full yet … */
    size_t len;          /* … and how many bytes it has */
};

int block_sums_init(struct block_sums *sums);  /* 0 or ENOMEM */
void block_sums_done(struct block_sums *sums); /* zeroed, too */
/* Both: 0 or ENOMEM. */
int block_sums_add(struct block_sums *sums, const void *data, size_t len);
int block_sums_end(struct block_sums *sums); /* no more of it comes; another sequence may begin */
