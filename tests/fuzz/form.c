/* tests/fuzz/form.c -- a stored result, whatever has become of it, is converted or refused. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "render/form.h"

enum { OUT_MAX = 64 << 20 };

struct stored {
    const char *text;
    size_t len;
};

static int read_stored(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    const struct stored *stored = context;

    (void)err;
    CHECK(at >= 0 && (size_t)at + len <= stored->len);
    memcpy(out, stored->text + at, len);
    return 0;
}

/* The columns id, obj.a, obj.j (JSON), items[].n and items[].subs[].m. */
static struct footer_column columns[] = {
    {.name = (char *)"id", .leaf = (char *)"id", .type = FOOTER_INTEGER},
    {.name = (char *)"obj.a", .object = (char *)"obj", .leaf = (char *)"a", .type = FOOTER_STRING},
    {.name = (char *)"obj.j", .object = (char *)"obj", .leaf = (char *)"j", .type = FOOTER_JSON},
    {.name = (char *)"items.n", .leaf = (char *)"n", .level = 1, .type = FOOTER_DATE},
    {.name = (char *)"items.subs.m", .leaf = (char *)"m", .level = 2, .type = FOOTER_NUMBER},
};

static int convert(struct stored *stored, enum form form, size_t column_count, struct buf *out)
{
    struct footer_part part = {.name = (char *)"results",
                               .end = (int64_t)stored->len,
                               .rows = 1,
                               .arrays = {(char *)"items", (char *)"subs"},
                               .columns = columns,
                               .column_count = column_count};
    const struct footer footer = {.parts = &part, .part_count = 1};
    const struct form_spec spec = {.form = form,
                                   .options = {.delimiter = ',', .formulas_text = true},
                                   .footer = &footer,
                                   .bytes = (int64_t)stored->len,
                                   .read = read_stored,
                                   .context = stored};
    struct form_writer *writer = NULL;
    struct err err = {0};
    int rc = form_new(&spec, &writer, &err);

    CHECK(rc == 0);
    do
        rc = form_more(writer, out, &err);
    while (rc > 0);
    CHECK(rc == err.code && (rc == 0 || rc == -E_INTERNAL));
    form_free(writer);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stored stored = {(const char *)data, size};

    for (size_t count = 1; count <= sizeof(columns) / sizeof(columns[0]); count++) {
        struct buf lines, csv;
        int rc;

        buf_init(&lines, OUT_MAX);
        buf_init(&csv, OUT_MAX);
        rc = convert(&stored, FORM_NDJSON, count, &lines);
        CHECK(convert(&stored, FORM_CSV, count, &csv) == rc);
        /* A line has as many bytes as the element and the comma behind it. */
        CHECK(rc < 0 || lines.len == (size > 0 ? size + 1 : 0));
        buf_done(&lines);
        buf_done(&csv);
    }
    return 0;
}
