/* src/core/param_check.h -- one value of a parameter, or a list: is it one, and its one form. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/definition.h"

enum {
    PARAM_VALUE_MAX = 4096, /* bytes of one value … */
    PARAM_LIST_MAX = 10000, /* … of which a list has as many */
    PARAM_SHOWN_TEXT = 52,  /* of a caller's text, as a message repeats it */
    PARAM_NAMES_TEXT = 240, /* of the names or values that a message lists */
    PARAM_TAKES_TEXT = 448,
};

/* A value to bind: `text` is NULL for SQL NULL. */
struct param_value {
    const char *name; /* borrowed from the definition */
    enum param_type type;
    char *text;   /* owned */
    bool list;    /* `text` is NULL, or … */
    size_t count; /* … that many values one after the other, each ended by a NUL */
};

/* Append `count` values, each ended by a NUL, as a list: with commas, or, where these would not say
 * it, as a JSON array of strings. */
void param_list_add(struct buf *out, const char *items, size_t count);

/* Whether `text` is a value of the parameter's type (for enum: one of its allowed ones), or a list
 * of such values. */
bool param_accepts(const struct param *param, const char *text);

/* The same for one value, of a list too. */
bool param_accepts_value(const struct param *param, const char *text);
/* Whether values of the type have an order: they may have `min` and `max`. */
bool param_has_order(enum param_type type);
/* Compare two such values, in the order of the type: below 0, 0, above 0. */
int param_compare(const struct definition *def, enum param_type type, const char *a, const char *b);

/* What the parameter takes, for messages: "an integer such as 42". */
void param_takes(const struct param *param, char out[PARAM_TAKES_TEXT]);

/* Check a value of the parameter, or a list, and put it into `ret` in its normal form. -E_PARAM
 * with a message: it is not valid. The text is the caller's to free(). */
int param_take(const struct definition *def, const struct param *param, const char *text,
               struct param_value *ret, struct err *err);

/* Is a value of the parameter's type within its min, max and matching? */
bool param_is_within(const struct definition *def, const struct param *param, const char *text);

/* A caller's text, cut between two characters if it is long. */
void param_show(const char *text, char out[PARAM_SHOWN_TEXT]);
/* Add ", name" to a list that a message will show; what does not fit becomes one "...". */
void param_list_names(char list[PARAM_NAMES_TEXT], const char *name);
