/* tests/fuzz/pack.c -- a result that is stored compressed, whatever has become of it, is read or
 * refused: nothing is asked of the source that is not there. */
#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "spool/pack.h"

enum {
    RAW = 1,    /* the input is what is stored, otherwise changes of a good one */
    HEADER = 6, /* that flag, and the size of the JSON in units of 1 and of 2^24 bytes */
    CHANGE = 5, /* bytes of one: its place, what to do, and a value */
    JSON_LEN = 2 * PACK_FRAME + 5000,
    STORED_MAX = 1 << 20,
    READS_MAX = 64,
};

struct stored {
    uint8_t *data;
    size_t len;
};

static int append(void *context, const void *data, size_t len)
{
    struct stored *stored = context;

    CHECK(stored->len + len <= STORED_MAX);
    memcpy(stored->data + stored->len, data, len);
    stored->len += len;
    return 0;
}

/* An unseal_source_fn. */
static int read_stored(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    const struct stored *stored = context;

    (void)err;
    CHECK(at >= 0 && (uint64_t)at + len <= stored->len);
    memcpy(out, stored->data + at, len);
    return 0;
}

static char json[JSON_LEN];
static int64_t good_end; /* of its frames */

/* Made once. */
static const struct stored *good(void)
{
    static struct stored stored;
    struct pack *pack = NULL;
    int64_t at;

    if (stored.data != NULL)
        return &stored;
    stored.data = malloc(STORED_MAX);
    CHECK(stored.data != NULL);
    for (size_t i = 0, x = 1; i < JSON_LEN; i++, x = x * 1664525 + 1013904223)
        json[i] = (char)(i % 50 < 7 ? x >> 24 : i / 50);
    CHECK(pack_new(append, &stored, &pack, NULL) == 0);
    CHECK(pack_add(pack, json, JSON_LEN) == 0 && pack_end(pack, &at) == 0);
    good_end = pack_stored(pack);
    CHECK(pack_finish(pack, "footer", 6) == 0);
    pack_free(pack);
    return &stored;
}

/* Flip, set, cut off, or count a byte up; a place counts from the end if it is negative. */
static void change(struct stored *stored, const uint8_t *how)
{
    int32_t where = (int32_t)(int16_t)(how[0] | how[1] << 8) * (1 + (how[2] & 15));
    size_t at = (size_t)(where + (where < 0 ? (int64_t)stored->len : 0)) % (stored->len + 1);

    if (at == stored->len)
        return;
    switch (how[3] & 3) {
    case 0:
        stored->data[at] ^= how[4];
        break;
    case 1:
        stored->data[at] = how[4];
        break;
    case 2:
        stored->data[at] = (uint8_t)(stored->data[at] + how[4]);
        break;
    default:
        if (how[4] > 128)
            stored->len = at;
    }
}

/* All of it if that is not too much, or some places of it, as far as it can be read. `changes` to
 * the good one; -1: it is another one. */
static void read_all(struct stored *stored, int64_t bytes, int changes)
{
    static char out[PACK_FRAME];
    struct unpack *unpack = NULL;
    struct pack_frames frames;
    struct err err = {0};
    int64_t end = bytes + (int64_t)stored->len, step = 1 + end / READS_MAX;
    ssize_t n = 0;
    bool whole = changes == 0;
    int rc;

    CHECK(unpack_new(read_stored, stored, bytes, (int64_t)stored->len, &unpack, &err) == 0);
    rc = unpack_frames(unpack, &frames, &err);
    CHECK(rc == 0 || rc == -E_INTERNAL);
    CHECK(rc < 0 || (frames.end > 0 && frames.end <= (int64_t)stored->len));
    CHECK(rc < 0 || changes != 1 || frames.end == good_end);
    for (int64_t at = 0; at<end; at += n> 0 && end < 4 * JSON_LEN ? n : step) {
        n = unpack_read(unpack, at, out, sizeof(out), &err);
        CHECK(n == -E_INTERNAL || (n > 0 && n <= (ssize_t)sizeof(out)));
        CHECK(n < 0 || unpack_has(unpack, at));
        CHECK(!whole || (n > 0 && (at >= bytes || memcmp(out, json + at, (size_t)n) == 0)));
    }
    CHECK(unpack_read(unpack, end, out, 1, &err) == 0);
    unpack_free(unpack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stored stored = {malloc(STORED_MAX), 0};
    const struct stored *from = good();
    int64_t bytes = JSON_LEN;
    int changes = 0;

    CHECK(stored.data != NULL);
    if (size >= HEADER && (data[0] & RAW) != 0) {
        bytes = 0;
        for (int i = HEADER - 1; i > 0; i--)
            bytes = bytes << 8 | data[i];
        append(&stored, data + HEADER, size - HEADER);
        changes = -1;
    } else {
        append(&stored, from->data, from->len);
        for (size_t at = HEADER; at + CHANGE <= size; at += CHANGE, changes++)
            change(&stored, data + at);
    }
    /* What is behind the end is not to be read. */
    stored.data = realloc(stored.data, stored.len + 1);
    CHECK(stored.data != NULL);
    if (bytes > 0 && stored.len > 0)
        read_all(&stored, bytes, changes);
    free(stored.data);
    return 0;
}
