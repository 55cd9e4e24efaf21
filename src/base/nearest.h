/* src/base/nearest.h -- which known name a mistyped one most probably means. */
#pragma once

#include <stddef.h>

/* Begin with {.typed = WORD}; `typed` and `name` are borrowed. */
struct nearest {
    const char *typed;
    const char *name; /* the best one so far; NULL: none is near */
    size_t distance;
};

enum { NEAREST_TEXT = 96 };

/* The element of a table that has the name as it was typed: `count` elements of `size` bytes, each
 * of which begins with a pointer to its name. NULL: none; all names were tried. */
const void *nearest_find(struct nearest *nearest, const void *table, size_t count, size_t size);

/* Take `name` if it is nearer than what was tried before: by letters put in, left out, changed or
 * swapped, of either case, and few for the length of the word. */
void nearest_try(struct nearest *nearest, const char *name);

/* Write " (did you mean PREFIXname?)", or nothing if none is near; returns `out`. */
const char *nearest_words(const struct nearest *nearest, const char *prefix,
                          char out[NEAREST_TEXT]);
