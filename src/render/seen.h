/* src/render/seen.h -- what the values of a column have turned out to be, for the footer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/definition.h"
#include "core/footer.h"
#include "source/source.h"

/* Zeroed: nothing was seen. */
struct seen {
    unsigned kinds; /* a bit for each enum source_kind */
    bool not_dates, not_timestamps;
    int64_t longest; /* text, in UTF-16 units; number, as it is printed */
};

/* seen_add() of a text that may say something new. */
void seen_add_text(struct seen *seen, const struct source_value *value);

/* The maximum of the characters that the text or blob is printed with, which is in base64. */
static inline int64_t seen_length_max(const struct source_value *value)
{
    size_t len = value->text.len;

    return (int64_t)(value->kind == SOURCE_BLOB ? (len + 2) / 3 * 4 : len);
}

/* Inline, because every value of a report passes through it. */
static inline void seen_add(struct seen *seen, const struct source_value *value)
{
    if ((seen->kinds & 1u << value->kind) == 0)
        seen->kinds |= 1u << value->kind;
    if (value->kind >= SOURCE_TEXT &&
        (!seen->not_dates || !seen->not_timestamps || seen_length_max(value) > seen->longest))
        seen_add_text(seen, value);
}

/* Instead, of a value that was printed as a number with `len` characters. */
static inline void seen_add_number(struct seen *seen, enum source_kind kind, size_t len)
{
    seen->kinds |= 1u << kind;
    if ((int64_t)len > seen->longest)
        seen->longest = (int64_t)len;
}

/* The type of the column, declared so (NULL: not) or as it was seen. *ret_scale: -1 if it varies.
 */
enum footer_type seen_type(const struct seen *seen, const struct column *declared, int *ret_scale);
