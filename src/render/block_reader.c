/* src/render/block_reader.c -- blocks of a stored result, compared with their checksums. */
#include "render/block_reader.h"

#include <stdlib.h>
#include <string.h>

#include "core/block_sums.h"

enum { SUMS = 256 /* checksums in memory */ };

struct block {
    int64_t number, at; /* its checksum; its first byte */
    size_t len;
};

struct block_reader {
    form_read_fn *read;
    void *context;
    const struct footer *footer;
    int64_t bytes;        /* of the JSON */
    int64_t first, count; /* `sums` has those of `count` blocks, from block `first` on */
    uint64_t sums[SUMS];
    int64_t number; /* the block in `kept`; -1: none */
    char kept[SUMMED_BLOCK];
};

int block_reader_new(const struct form_spec *spec, struct block_reader **ret, struct err *err)
{
    struct block_reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    reader->read = spec->read;
    reader->context = spec->context;
    reader->footer = spec->footer;
    reader->bytes = spec->bytes;
    reader->number = -1;
    *ret = reader;
    return 0;
}

void block_reader_free(struct block_reader *reader)
{
    free(reader);
}

/* The block of this byte of a sequence that begins at place `begin`, of `bytes` bytes. */
static struct block block_in(int64_t at, int64_t begin, int64_t bytes)
{
    int64_t number = (at - begin) / SUMMED_BLOCK, left = bytes - number * SUMMED_BLOCK;

    return (struct block){.number = number,
                          .at = begin + number * SUMMED_BLOCK,
                          .len = left < SUMMED_BLOCK ? (size_t)left : SUMMED_BLOCK};
}

/* The checksums of the JSON come first, then those of the index. */
static int find_block(const struct block_reader *reader, int64_t at, struct block *ret,
                      struct err *err)
{
    const struct footer *footer = reader->footer;
    int64_t index = footer_index_bytes(footer);

    if (at >= 0 && at < reader->bytes) {
        *ret = block_in(at, 0, reader->bytes);
        return 0;
    }
    if (at < footer->index_at || at >= footer->index_at + index)
        return err_damaged(err, "the stored result");
    *ret = block_in(at, footer->index_at, index);
    ret->number += block_sums_count(reader->bytes);
    return 0;
}

static int load_sums(struct block_reader *reader, int64_t number, struct err *err)
{
    int64_t all =
        block_sums_count(reader->bytes) + block_sums_count(footer_index_bytes(reader->footer));
    int64_t count = all - number < SUMS ? all - number : SUMS;
    int rc;

    if (number >= reader->first && number < reader->first + reader->count)
        return 0;
    reader->count = 0;
    rc = reader->read(reader->context,
                      reader->footer->sums_at + number * (int64_t)sizeof(reader->sums[0]),
                      reader->sums, (size_t)count * sizeof(reader->sums[0]), err);
    if (rc < 0)
        return rc;
    reader->first = number;
    reader->count = count;
    return 0;
}

static int load_block(struct block_reader *reader, const struct block *block, void *out,
                      struct err *err)
{
    int rc = load_sums(reader, block->number, err)
                 ?: reader->read(reader->context, block->at, out, block->len, err);

    if (rc < 0)
        return rc;
    return block_sum(out, block->len) == reader->sums[block->number - reader->first]
               ? 0
               : err_damaged(err, "the stored result");
}

/* Have it in `kept`. */
static int keep_block(struct block_reader *reader, const struct block *block, struct err *err)
{
    int rc;

    if (reader->number == block->number)
        return 0;
    reader->number = -1;
    rc = load_block(reader, block, reader->kept, err);
    if (rc == 0)
        reader->number = block->number;
    return rc;
}

int block_reader_read(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    struct block_reader *reader = context;
    char *to = out;
    int rc = 0;

    if (reader->footer->sums_at == 0)
        return reader->read(reader->context, at, out, len, err);
    while (rc == 0 && len > 0) {
        struct block block;
        size_t from, n;

        rc = find_block(reader, at, &block, err);
        if (rc < 0)
            break;
        from = (size_t)(at - block.at);
        n = block.len - from < len ? block.len - from : len;
        if (n == block.len) {
            rc = load_block(reader, &block, to, err);
        } else {
            rc = keep_block(reader, &block, err);
            if (rc == 0)
                memcpy(to, reader->kept + from, n);
        }
        at += (int64_t)n;
        to += n;
        len -= n;
    }
    return rc;
}
