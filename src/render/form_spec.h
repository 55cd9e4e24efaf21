/* src/render/form_spec.h -- which form of which stored result is asked for, and the values it has.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/forms.h"
#include "core/footer.h"

enum form {
#define X(name, word, type) FORM_##name,
    FORMS(X)
#undef X
        FORM_COUNT
};

struct form_options {
    char delimiter;     /* CSV; ',' by default */
    bool bom;           /* CSV: begin with a byte order mark */
    bool formulas_text; /* CSV: put ' before a text that begins with = + - @ */
    bool labels;        /* CSV, XLSX: the header row has the labels of columns that have one */
};

/* Reads `len` bytes, all of them, from a place of the stored object; blocks. A negative code if it
 * cannot. */
typedef int form_read_fn(void *context, int64_t at, void *out, size_t len, struct err *err);

struct form_spec {
    enum form form;
    struct form_options options;
    const struct footer *footer; /* borrowed until form_free(); JSON needs none */
    int64_t bytes;               /* of the JSON, without the footer */
    form_read_fn *read;
    void *context;
};

/* One value as the JSON has it. */
enum form_kind { FORM_NULL, FORM_NUMBER, FORM_TEXT, FORM_TRUE, FORM_FALSE, FORM_VALUE };
struct form_value {
    enum form_kind kind;
    const char *at; /* NUMBER, VALUE (an array or an object): as it is; TEXT: between its quotes, */
    size_t len;     /* with its escapes. Borrowed until the next row */
};
