/* src/render/json_path.h -- the name of a column → where its value stands in the JSON object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { JSON_ARRAYS_MAX = 2 }; /* one within the other */

/* A key: a view, not terminated; without length: there is none. */
struct json_part {
    const char *at;
    size_t len;
};

/* "array[].array[].object.leaf", of which only the leaf must be there. */
struct json_path {
    struct json_part arrays[JSON_ARRAYS_MAX], object, leaf;
    size_t level; /* number of arrays */
};

/* Read `name` into `keys`, which has room for it with its NUL and lives as long as the path. Unless
 * it `nests` it is one key, whatever is in it; else "\." is a dot in a key. -E_SOURCE names a
 * column that makes no path. */
int json_path_parse(const char *name, bool nests, char *keys, struct json_path *ret,
                    struct err *err);

/* Whether both are the same key. */
bool json_part_eq(const struct json_part *a, const struct json_part *b);
