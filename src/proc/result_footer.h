/* src/proc/result_footer.h -- what a run notes of its result while it writes it: the footer. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "core/definition.h"
#include "core/footer.h"
#include "render/json_rows.h"

struct result_footer {
    const struct definition *def; /* borrowed */
    struct footer footer;         /* its names and columns are owned */
    uint64_t *offsets;            /* little-endian; owned, as they are read */
    size_t room;                  /* of `offsets` */
};

/* Zeroed before. For results, the sets and the summary of `def`. -E_NOMEM */
int result_footer_init(struct result_footer *rf, const struct definition *def, struct err *err);
void result_footer_done(struct result_footer *rf); /* also if the init failed */

/* Does the index have an offset of that row? Inline, as every row is asked for. */
static inline bool result_footer_wants(const struct result_footer *rf, int64_t row)
{
    return row % FOOTER_STRIDE == 0 && row == rf->footer.index_count * rf->footer.stride;
}
/* Row number `row` of results, from 0 on, begins at this byte. Without memory the index stays as
 * coarse as it is, which costs readers time alone. */
void result_footer_row(struct result_footer *rf, int64_t row, int64_t at);

/* Part number `part` is written, from byte `at` to `end`; `rows` NULL: there is no summary. */
int result_footer_part(struct result_footer *rf, size_t part, int64_t at, int64_t end,
                       const struct json_rows *rows, struct err *err);

/* All of it; `at` is where readers will see it. */
int result_footer_write(struct result_footer *rf, int64_t at, struct buf *out, struct err *err);
