/* src/render/block_reader.h -- reads a stored result, and answers no byte of a block whose checksum
 * is not that of the footer. */
#pragma once

#include "render/form_spec.h"

struct block_reader;

/* Read by `spec`, which is borrowed with its footer; all but the JSON and the index cannot be read.
 * Without checksums, in results of older versions, nothing is compared. *ret is yours:
 * block_reader_free(). -E_NOMEM */
int block_reader_new(const struct form_spec *spec, struct block_reader **ret, struct err *err);
void block_reader_free(struct block_reader *reader); /* NULL is fine */

/* A form_read_fn, whose context is the reader. -E_INTERNAL: a block that it needs was changed. It
 * reads whole blocks: those that are wanted whole without a copy, and one is kept for parts. */
int block_reader_read(void *context, int64_t at, void *out, size_t len, struct err *err);
