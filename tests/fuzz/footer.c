/* tests/fuzz/footer.c -- however a worker that was taken over describes its result: it is converted
 * or refused, and nothing outside of it is read. */
#include "fuzz.h"

#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "core/block_sums.h"
#include "core/footer.h"
#include "render/block_reader.h"
#include "render/form.h"
#include "render/form_rows.h"

enum {
    OUT_MAX = 64 << 20,
    TEXT_MAX = 64 << 10,
    OFFSETS = 3,
    INDEX = OFFSETS * 8,
    SUMS = 2 * 8, /* of the JSON, and of the index */
};

static const char json[] =
    "{\"result\":true,\"message\":\"\",\"data\":{\"reportName\":\"R\",\"generatedDate\":"
    "\"2024-01-01T00:00:00Z\",\"parameters\":{},\"results\":["
    "{\"a\":1,\"o\":{\"b\":\"x\"},\"i\":[{\"c\":null},{\"c\":2.5}]},"
    "{\"a\":2,\"o\":{\"b\":\"y\"},\"i\":[]},{\"a\":3,\"o\":{\"b\":\"z\"},\"i\":[]}"
    "],\"summary\":{}}}";

struct stored {
    char *data;
    size_t len;
};

/* As the server reads: outside of what is stored there is nothing. */
static int read_stored(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    const struct stored *stored = context;

    CHECK(at >= 0);
    if ((uint64_t)at > stored->len || len > stored->len - (size_t)at)
        return err_set(err, -E_INTERNAL, "it ends before");
    memcpy(out, stored->data + at, len);
    return 0;
}

static void convert(const struct form_spec *spec)
{
    struct form_writer *writer = NULL;
    struct err err = {0};
    struct buf out;
    int rc = form_new(spec, &writer, &err);

    buf_init(&out, OUT_MAX);
    while (rc == 0 && form_more(writer, &out, &err) > 0)
        ;
    form_free(writer);
    buf_done(&out);
}

static void take_windows(const struct form_spec *spec)
{
    const int64_t stride = spec->footer->stride, last = spec->footer->index_count;
    const int64_t from[] = {0, 1, stride, 2, last, last > 0 ? last - 1 : 0, INT64_MAX};

    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        const struct form_window window = {.from = from[i], .count = 2, .most = OUT_MAX};
        struct form_rows *rows = NULL;
        struct err err = {0};
        struct buf out;
        int64_t count;

        buf_init(&out, OUT_MAX);
        CHECK(form_rows_new(spec, &rows, &err) == 0);
        form_rows_window(rows, spec->footer, &window, &out, &count, &err);
        CHECK(count >= 0 && count <= 2);
        form_rows_free(rows);
        buf_done(&out);
    }
}

/* The index of every row, and the checksums: whoever describes a result can calculate them, too. */
static void add_index(struct stored *stored)
{
    uint64_t offsets[OFFSETS], sums[] = {block_sum(stored->data, stored->len), 0};
    const char *at = strstr(stored->data, "{\"a\":1");

    for (int i = 0; i < OFFSETS; i++, at = strstr(at + 1, "{\"a\":"))
        offsets[i] = htole64((uint64_t)(at - stored->data));
    sums[1] = block_sum(offsets, INDEX);
    memcpy(stored->data + stored->len, offsets, INDEX);
    memcpy(stored->data + stored->len + INDEX, sums, SUMS);
    stored->len += INDEX + SUMS;
}

/* The trailer, as core/footer.c has it: whoever describes a result can calculate its hash. */
static void add_trailer(struct stored *stored, const uint8_t *text, size_t len)
{
    uint64_t le = htole64(len);
    char *at = stored->data + stored->len;

    memcpy(at, "rdfoot1\n", 8);
    memcpy(at + 8, &le, 8);
    crypto_generichash((unsigned char *)at + 16, 16, text, len, NULL, 0);
    stored->len += FOOTER_TRAILER;
}

static void use(const struct stored *stored, const struct footer *footer)
{
    struct form_spec spec = {.options.delimiter = ',',
                             .footer = footer,
                             .bytes = sizeof(json) - 1,
                             .read = read_stored,
                             .context = (void *)stored};
    struct block_reader *reader;
    struct err err = {0};

    CHECK(block_reader_new(&spec, &reader, &err) == 0);
    spec.read = block_reader_read;
    spec.context = reader;
    for (int form = 0; form < FORM_COUNT; form++) {
        spec.form = (enum form)form;
        convert(&spec);
    }
    take_windows(&spec);
    block_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = size < TEXT_MAX ? size : TEXT_MAX;
    struct stored stored = {malloc(sizeof(json) + INDEX + SUMS + TEXT_MAX + FOOTER_TRAILER),
                            sizeof(json) - 1};
    const uint8_t *trailer;
    struct footer *footer = NULL;
    struct err err = {0};
    int64_t at;

    CHECK(stored.data != NULL);
    memcpy(stored.data, json, sizeof(json));
    add_index(&stored);
    memcpy(stored.data + stored.len, data, len);
    stored.len += len;
    add_trailer(&stored, data, len);
    trailer = (const uint8_t *)stored.data + stored.len - FOOTER_TRAILER;
    CHECK(footer_find(trailer, (int64_t)stored.len, &at, &len, &err) == 0);
    if (footer_read(stored.data + at, len, trailer, &footer, &err) == 0)
        use(&stored, footer);
    footer_free(footer);
    free(stored.data);
    return 0;
}
