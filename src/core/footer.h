/* src/core/footer.h -- what is stored after the JSON of a result: where its parts are, what their
 * columns contain, and where every n-th row begins. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* A stored object is the JSON as clients get it, then its footer: the index (offsets of rows), the
 * checksums of the blocks of the JSON and then of the index (core/block_sums.h), both 64 bits each,
 * little-endian; the description (JSON), and the trailer of FOOTER_TRAILER bytes, whose magic has
 * the version. */
enum {
    FOOTER_TRAILER = 32,
    FOOTER_ARRAYS_MAX = 2,       /* one within the other */
    FOOTER_STRIDE = 64,          /* rows between two offsets, until there are too many … */
    FOOTER_INDEX_MAX = 64 << 10, /* … offsets: then every second one is dropped */
    FOOTER_TEXT_MAX = 16 << 20,  /* bytes of the description */
};

/* What the values of a column are: the word in the description and in GET /Report/Rows. */
#define FOOTER_TYPES(X)                                                                            \
    X(INTEGER, "integer")                                                                          \
    X(DECIMAL, "decimal") /* exact, with `scale` digits after the point if that is known */        \
    X(NUMBER, "number")   /* some are binary floating point */                                     \
    X(STRING, "string")                                                                            \
    X(DATE, "date") /* all are texts YYYY-MM-DD */                                                 \
    X(TIMESTAMP,                                                                                   \
      "timestamp") /* all are texts YYYY-MM-DDTHH:MM:SS[.fff][Z], or with a space for T */         \
    X(BOOLEAN, "boolean")                                                                          \
    X(JSON, "json") /* a JSON text as it is, an array of PostgreSQL too */

enum footer_type {
#define X(name, word) FOOTER_##name,
    FOOTER_TYPES(X)
#undef X
        FOOTER_TYPE_COUNT
};
const char *footer_type_name(enum footer_type type); /* static */

/* One column of the query. In the JSON its value is arrays[0][].arrays[1][].object.leaf, of which
 * only the leaf must be there. */
struct footer_column {
    char *name;         /* the alias, without `[]` and `\`: "accounts.balance" */
    char *label, *unit; /* for people; NULL: none */
    char *object;       /* NULL: it is in none */
    char *leaf;
    int level; /* arrays around it: 0 … FOOTER_ARRAYS_MAX */
    enum footer_type type;
    int scale;       /* of DECIMAL; -1: it varies */
    int64_t longest; /* of its texts and JSON values, in UTF-16 units, and decimals; 0: none */
};

/* The rows of results or of a set, or the one object of the summary. */
struct footer_part {
    char *name;      /* "results", the name of a set, "summary" */
    int64_t at, end; /* bytes of the stored JSON: after '[' and at ']'; for an object, all of it */
    int64_t rows;    /* elements; of the summary: 1, or 0 without a section for it */
    char *arrays[FOOTER_ARRAYS_MAX]; /* their keys, from the outer one inwards; NULL: there is
                                      * none */
    struct footer_column *columns;   /* level by level */
    size_t column_count;
};

struct footer {
    struct footer_part *parts; /* results, the sets, the summary */
    size_t part_count;
    int64_t stride;      /* offset number n of the index is of row n * stride of results */
    int64_t index_at;    /* where the index is in the stored object … */
    int64_t index_count; /* … and how many offsets it has */
    int64_t sums_at;     /* where the checksums are; 0: written before there were any */
};

static inline int64_t footer_index_bytes(const struct footer *footer)
{
    return footer->index_count * (int64_t)sizeof(uint64_t);
}

/* Append description and trailer of `footer`, whose index (`index_count` offsets at `index_at`) and
 * checksums have been written before; at most FOOTER_TEXT_MAX bytes. -E_NOMEM; -E_SOURCE: too many
 * columns. */
int footer_write(const struct footer *footer, struct buf *out, struct err *err);

/* Read the trailer of a stored object of `size` bytes: where the description is. -E_INTERNAL: it is
 * not a trailer. */
int footer_find(const uint8_t trailer[FOOTER_TRAILER], int64_t size, int64_t *ret_at,
                size_t *ret_len, struct err *err);
/* Read the description; its checksum is in the trailer. *ret is yours: footer_free(). -E_INTERNAL:
 * it is not what was written. */
int footer_read(const char *text, size_t len, const uint8_t trailer[FOOTER_TRAILER],
                struct footer **ret, struct err *err);
void footer_free(struct footer *footer); /* NULL is fine */
void footer_done(struct footer *footer); /* what it owns, but not itself */

/* Borrowed. */
const struct footer_part *footer_results(const struct footer *footer);
