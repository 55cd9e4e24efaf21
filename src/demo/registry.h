/* src/demo/registry.h -- make the demo's registry: the same database for the same seed. */
#pragma once

#include <stdint.h>

#include "base/err.h"

enum { DEMO_ENTITIES = 10000, DEMO_ENTITIES_MAX = 1000000 };

struct demo_spec {
    const char *path; /* of the database file; there must be none */
    int64_t entities; /* 1 … DEMO_ENTITIES_MAX; 1.5 accounts and 100 transactions each */
    uint64_t seed;
};

struct demo_totals {
    int64_t entities, accounts, transactions, distributions;
};

/* Write the database, with progress on standard error. It appears under its name only when it is
 * complete. -E_IO if it cannot be written. */
int demo_generate(const struct demo_spec *spec, struct demo_totals *ret_totals, struct err *err);
