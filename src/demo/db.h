/* src/demo/db.h -- the registry's database while it is filled: one bulk load of whole rows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Table and number of columns, as in demo/schema.sql. */
#define DEMO_TABLES(X)                                                                             \
    X(product, 3)                                                                                  \
    X(investment, 4)                                                                               \
    X(price, 3)                                                                                    \
    X(biz_entity, 4)                                                                               \
    X(account, 8)                                                                                  \
    X(biz_transaction, 12)                                                                         \
    X(distribution, 8)                                                                             \
    X(distribution_component, 4)                                                                   \
    X(distribution_account, 6)

enum demo_table {
#define X(name, columns) DEMO_##name,
    DEMO_TABLES(X)
#undef X
        DEMO_TABLE_COUNT
};

/* A value to insert: a text, or an integer, or NULL. */
struct demo_cell {
    enum { DEMO_NULL, DEMO_INTEGER, DEMO_TEXT } kind;
    int64_t integer;
    const char *text;
};
#define DEMO_INT(value) ((struct demo_cell){.kind = DEMO_INTEGER, .integer = (value)})
#define DEMO_STR(value) ((struct demo_cell){.kind = DEMO_TEXT, .text = (value)})
/* A text that may be missing. */
#define DEMO_STR_OR_NULL(value)                                                                    \
    ((struct demo_cell){.kind = (value) != NULL ? DEMO_TEXT : DEMO_NULL, .text = (value)})
/* An integer that is missing when it is 0. */
#define DEMO_INT_OR_NULL(value)                                                                    \
    ((struct demo_cell){.kind = (value) != 0 ? DEMO_INTEGER : DEMO_NULL, .integer = (value)})

struct demo_db;

/* Create the file with the tables of the schema, which must not exist. -E_IO. *ret is yours:
 * demo_db_close(). */
int demo_db_create(const char *path, struct demo_db **ret, struct err *err);

/* Insert a row: one cell a column. The first failure is kept, and later inserts do nothing. */
void demo_db_insert(struct demo_db *db, enum demo_table table, const struct demo_cell *cells,
                    size_t count);

/* Add the indexes, analyze, commit: the file is whole. */
int demo_db_finish(struct demo_db *db, struct err *err);
void demo_db_close(struct demo_db *db); /* NULL is fine */
