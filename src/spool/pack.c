/* src/spool/pack.c -- compressed results: frames of Zstandard, and a table of their offsets. */
#include "spool/pack.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/seam.h"

enum {
    LEVEL = 1, /* with frames this short, level 3 is slower and no smaller: doc/decisions/0018 */
    FRAME_MAX = ZSTD_COMPRESSBOUND(PACK_FRAME), /* stored bytes of a frame */
    ENTRIES = 256,                              /* entries of the table that a reader keeps in
                                                 * memory */
};

static const char magic[8] = "rdpack1\n";

/* Numbers are little-endian. */
struct head { /* of a skippable frame, RFC 8878 3.1.2 */
    uint32_t magic, size;
};
struct tail {
    uint8_t digest[REPORT_DIGEST_BYTES]; /* of the frames */
    uint64_t end;                        /* where they end */
    char magic[sizeof(magic)];
};
_Static_assert(sizeof(struct tail) == PACK_TAIL, "without padding");

struct pack {
    seal_write_fn *write;
    void *context;
    ZSTD_CCtx *zstd;
    EVP_MD_CTX *hash;
    int64_t stored, end; /* bytes written; of those, bytes of frames */
    int64_t bytes;       /* of the JSON in them */
    uint64_t *places;    /* offsets of the frames, little-endian */
    size_t count, room;
    size_t frame_len;
    uint8_t frame[PACK_FRAME]; /* JSON that does not fill a frame yet */
    uint8_t out[FRAME_MAX];
};

struct unpack {
    unseal_source_fn *source;
    void *context;
    ZSTD_DCtx *zstd;
    int64_t bytes, stored;
    struct pack_frames frames; /* end 0: not known yet */
    int64_t at;                /* `out` has the JSON from this offset on */
    size_t len;                /* bytes in `out`; 0: none */
    int64_t first, count;      /* `places` has the offsets of `count` frames, from frame `first`
                                * on */
    uint64_t places[ENTRIES];
    uint8_t in[FRAME_MAX];
    uint8_t out[PACK_FRAME];
};

/* ---- writing ---- */

int pack_new(seal_write_fn *write, void *context, struct pack **ret, struct err *err)
{
    struct pack *pack = calloc(1, sizeof(*pack));

    if (pack == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    pack->write = write;
    pack->context = context;
    pack->zstd = ZSTD_createCCtx();
    pack->hash = EVP_MD_CTX_new();
    if (pack->zstd == NULL || pack->hash == NULL ||
        EVP_DigestInit_ex(pack->hash, EVP_sha256(), NULL) != 1) {
        pack_free(pack);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_checksumFlag, 1);
    *ret = pack;
    return 0;
}

void pack_free(struct pack *pack)
{
    if (pack == NULL)
        return;
    ZSTD_freeCCtx(pack->zstd);
    EVP_MD_CTX_free(pack->hash);
    free(pack->places);
    free(pack);
}

static int put_bytes(struct pack *pack, const void *data, size_t len)
{
    pack->stored += (int64_t)len;
    return len > 0 ? pack->write(pack->context, data, len) : 0;
}

static int record_place(struct pack *pack)
{
    if (!array_grow(&pack->places, pack->count, &pack->room, sizeof(pack->places[0])))
        return ENOMEM;
    pack->places[pack->count++] = htole64((uint64_t)pack->stored);
    return 0;
}

static int put_frame(struct pack *pack, const void *data, size_t len)
{
    size_t size = ZSTD_compress2(pack->zstd, pack->out, sizeof(pack->out), data, len);
    int rc = ZSTD_isError(size) ? ENOMEM : record_place(pack);

    if (rc != 0)
        return rc;
    SEAM_STEP("worker", "run", "packed");
    EVP_DigestUpdate(pack->hash, pack->out, size);
    pack->bytes += (int64_t)len;
    return put_bytes(pack, pack->out, size);
}

int pack_add(struct pack *pack, const void *data, size_t len)
{
    const uint8_t *from = data;
    int rc = 0;

    while (len > 0 && rc == 0) {
        size_t n = PACK_FRAME - pack->frame_len;

        n = len < n ? len : n;
        if (n == PACK_FRAME) {
            rc = put_frame(pack, from, n);
        } else {
            memcpy(pack->frame + pack->frame_len, from, n);
            pack->frame_len += n;
            if (pack->frame_len == PACK_FRAME) {
                rc = put_frame(pack, pack->frame, PACK_FRAME);
                pack->frame_len = 0;
            }
        }
        from += n;
        len -= n;
    }
    return rc;
}

int pack_end(struct pack *pack, int64_t *ret_at)
{
    int rc = pack->frame_len > 0 ? put_frame(pack, pack->frame, pack->frame_len) : 0;

    pack->frame_len = 0;
    pack->end = pack->stored;
    *ret_at = pack->bytes + pack->end +
              (int64_t)(sizeof(struct head) + pack->count * sizeof(pack->places[0]));
    return rc;
}

int pack_finish(struct pack *pack, const void *footer, size_t len)
{
    size_t table = pack->count * sizeof(pack->places[0]), size = table + len + PACK_TAIL;
    struct head head = {.magic = htole32(ZSTD_MAGIC_SKIPPABLE_START),
                        .size = htole32((uint32_t)size)};
    struct tail tail = {.end = htole64((uint64_t)pack->end)};

    if (size > UINT32_MAX)
        return EFBIG;
    memcpy(tail.magic, magic, sizeof(magic));
    EVP_DigestFinal_ex(pack->hash, tail.digest, NULL);
    return put_bytes(pack, &head, sizeof(head))
               ?: put_bytes(pack, pack->places, table) ?: put_bytes(pack, footer, len)
               ?: put_bytes(pack, &tail, sizeof(tail));
}

int64_t pack_stored(const struct pack *pack)
{
    return pack->stored;
}

/* ---- reading ---- */

int unpack_new(unseal_source_fn *source, void *context, int64_t bytes, int64_t stored,
               struct unpack **ret, struct err *err)
{
    struct unpack *unpack = calloc(1, sizeof(*unpack));

    if (unpack == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    unpack->source = source;
    unpack->context = context;
    unpack->bytes = bytes;
    unpack->stored = stored;
    unpack->zstd = ZSTD_createDCtx();
    if (unpack->zstd == NULL) {
        free(unpack);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    *ret = unpack;
    return 0;
}

void unpack_free(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    ZSTD_freeDCtx(unpack->zstd);
    free(unpack);
}

static int64_t frames_of(const struct unpack *unpack)
{
    return (unpack->bytes + PACK_FRAME - 1) / PACK_FRAME;
}

static int64_t table_at(const struct unpack *unpack)
{
    return unpack->frames.end + (int64_t)sizeof(struct head);
}

int unpack_frames(struct unpack *unpack, struct pack_frames *ret, struct err *err)
{
    int64_t table = frames_of(unpack) * (int64_t)sizeof(unpack->places[0]);
    int64_t most = unpack->stored - PACK_TAIL - table - (int64_t)sizeof(struct head);
    struct head head;
    struct tail tail;

    if (unpack->frames.end == 0) {
        int64_t end;
        int rc = most > 0 ? unpack->source(unpack->context, unpack->stored - PACK_TAIL, &tail,
                                           sizeof(tail), err)
                          : err_damaged(err, "a compressed result");

        if (rc < 0)
            return rc;
        if (memcmp(tail.magic, magic, sizeof(magic)) != 0 || tail.end == 0 ||
            le64toh(tail.end) > (uint64_t)most)
            return err_damaged(err, "a compressed result");
        end = (int64_t)le64toh(tail.end);
        rc = unpack->source(unpack->context, end, &head, sizeof(head), err);
        if (rc < 0)
            return rc;
        if (le32toh(head.magic) != ZSTD_MAGIC_SKIPPABLE_START ||
            le32toh(head.size) != unpack->stored - end - (int64_t)sizeof(head))
            return err_damaged(err, "a compressed result");
        unpack->frames.end = end;
        memcpy(unpack->frames.digest, tail.digest, sizeof(tail.digest));
    }
    if (ret != NULL)
        *ret = unpack->frames;
    return 0;
}

/* Load the offset of this frame, and of the next one, if there is one. */
static int load_places(struct unpack *unpack, int64_t number, struct err *err)
{
    int64_t have = unpack->first + unpack->count, all = frames_of(unpack), count = all - number;
    int rc;

    if (number >= unpack->first && (number + 1 < have || (number < have && have == all)))
        return 0;
    count = count < ENTRIES ? count : ENTRIES;
    unpack->count = 0;
    rc = unpack->source(unpack->context,
                        table_at(unpack) + number * (int64_t)sizeof(unpack->places[0]),
                        unpack->places, (size_t)count * sizeof(unpack->places[0]), err);
    if (rc < 0)
        return rc;
    unpack->first = number;
    unpack->count = count;
    return 0;
}

static int64_t frame_place(const struct unpack *unpack, int64_t number)
{
    return number == frames_of(unpack) ? unpack->frames.end
                                       : (int64_t)le64toh(unpack->places[number - unpack->first]);
}

static int load_frame(struct unpack *unpack, int64_t number, struct err *err)
{
    int64_t left = unpack->bytes - number * PACK_FRAME, from, to;
    size_t len = left < PACK_FRAME ? (size_t)left : PACK_FRAME;
    int rc = unpack_frames(unpack, NULL, err) ?: load_places(unpack, number, err);

    if (rc < 0)
        return rc;
    from = frame_place(unpack, number);
    to = frame_place(unpack, number + 1);
    if (from < 0 || from >= to || to > unpack->frames.end || to - from > FRAME_MAX)
        return err_damaged(err, "a compressed result");
    rc = unpack->source(unpack->context, from, unpack->in, (size_t)(to - from), err);
    if (rc < 0)
        return rc;
    if (ZSTD_decompressDCtx(unpack->zstd, unpack->out, len, unpack->in, (size_t)(to - from)) != len)
        return err_damaged(err, "a compressed result");
    unpack->at = number * PACK_FRAME;
    unpack->len = len;
    return 0;
}

static int load_stored(struct unpack *unpack, int64_t at, struct err *err)
{
    int64_t left = unpack->bytes + unpack->stored - at;
    size_t len = left < PACK_FRAME ? (size_t)left : PACK_FRAME;
    int rc = unpack_frames(unpack, NULL, err)
                 ?: unpack->source(unpack->context, at - unpack->bytes, unpack->out, len, err);

    if (rc < 0)
        return rc;
    unpack->at = at;
    unpack->len = len;
    return 0;
}

bool unpack_has(const struct unpack *unpack, int64_t at)
{
    return (at >= unpack->at && at < unpack->at + (int64_t)unpack->len) ||
           at >= unpack->bytes + unpack->stored;
}

ssize_t unpack_read(struct unpack *unpack, int64_t at, void *out, size_t max, struct err *err)
{
    size_t from, n;
    int rc = 0;

    if (at < 0 || at >= unpack->bytes + unpack->stored)
        return 0;
    if (!unpack_has(unpack, at)) {
        unpack->len = 0;
        rc = at < unpack->bytes ? load_frame(unpack, at / PACK_FRAME, err)
                                : load_stored(unpack, at, err);
    }
    if (rc < 0)
        return rc;
    from = (size_t)(at - unpack->at);
    n = unpack->len - from;
    n = n < max ? n : max;
    memcpy(out, unpack->out + from, n);
    return (ssize_t)n;
}
