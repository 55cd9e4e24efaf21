/* src/render/zip_stream.c -- a ZIP archive as a stream: entries are deflated as they are written,
 * and their sizes follow them. */
#include "render/zip_stream.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "render/coding.h"

/* Signatures, by section of APPNOTE.TXT. */
enum {
    LOCAL_HEADER = 0x04034b50, /* 4.3.7 */
    DESCRIPTOR = 0x08074b50,   /* 4.3.9 */
    CENTRAL_HEADER = 0x02014b50 /* 4.3.12 */,
    ZIP64_END = 0x06064b50,     /* 4.3.14 */
    ZIP64_LOCATOR = 0x07064b50, /* 4.3.15 */
    END = 0x06054b50,           /* 4.3.16 */
};

enum {
    VERSION_DEFLATE = 20, /* needed to extract: 4.4.3 */
    VERSION_ZIP64 = 45,
    FLAG_DESCRIPTOR = 1 << 3,
    METHOD_DEFLATE = 8,
    DAY = 1 << 5 | 1, /* 1980-01-01 00:00, so that the same result gives the same bytes */
    EXTRA_ZIP64 = 1,
    ZIP64_END_LEN = 44, /* of its record after the length field */
    LEVEL = 1,          /* a sheet's XML at 213 MB/s to 18 %; level 6: at 84 MB/s to 14 % */
    MEM_LEVEL = 8,
    ADD_LIMIT = 1 << 30, /* zlib counts in 32 bits */
};

static const uint32_t max32 = UINT32_MAX;

struct entry {
    char name[ZIP_STREAM_NAME];
    uint64_t at; /* offset of its local header */
    uint64_t packed, size;
    uint32_t crc;
};

struct zip_stream {
    z_stream deflate;
    uint64_t at;
    struct entry *entries;
    size_t count, room;
};

int zip_stream_new(struct zip_stream **ret, struct err *err)
{
    struct zip_stream *zip = calloc(1, sizeof(*zip));

    if (zip == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (deflateInit2(&zip->deflate, LEVEL, Z_DEFLATED, -MAX_WBITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(zip);
        return err_set(err, -E_NOMEM, "Out of memory.");
    }
    *ret = zip;
    return 0;
}

void zip_stream_free(struct zip_stream *zip)
{
    if (zip == NULL)
        return;
    deflateEnd(&zip->deflate);
    free(zip->entries);
    free(zip);
}

/* Append the lowest `bytes` bytes of a number, little-endian. */
static void add_little_endian(struct buf *out, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_add_char(out, (char)(number >> 8 * i & 0xff));
}

/* Count what was appended to `out` after `before` as part of the archive. */
static int count_archive(struct zip_stream *zip, const struct buf *out, size_t before,
                         struct err *err)
{
    zip->at += out->len - before;
    return buf_failed(out) ? err_set(err, -E_NOMEM, "Out of memory.") : 0;
}

/* The part that local and central headers share: from the version to the lengths of the sizes. */
static void add_entry_header(struct buf *out, const struct entry *entry, uint64_t version)
{
    add_little_endian(out, version, 2);
    add_little_endian(out, FLAG_DESCRIPTOR, 2);
    add_little_endian(out, METHOD_DEFLATE, 2);
    add_little_endian(out, 0, 2);
    add_little_endian(out, DAY, 2);
    add_little_endian(out, entry->crc, 4);
    add_little_endian(out, entry->packed, 4);
    add_little_endian(out, entry->size, 4);
    add_little_endian(out, strlen(entry->name), 2);
}

int zip_stream_open(struct zip_stream *zip, const char *name, struct buf *out, struct err *err)
{
    size_t before = out->len;
    struct entry *entry;

    if (!array_grow(&zip->entries, zip->count, &zip->room, sizeof(*entry)))
        return err_set(err, -E_NOMEM, "Out of memory.");
    entry = &zip->entries[zip->count++];
    *entry = (struct entry){.at = zip->at};
    CHECK(strlen(name) < sizeof(entry->name));
    memcpy(entry->name, name, strlen(name) + 1);
    add_little_endian(out, LOCAL_HEADER, 4);
    add_entry_header(out, entry, VERSION_DEFLATE);
    add_little_endian(out, 0, 2);
    buf_add_str(out, name);
    deflateReset(&zip->deflate);
    return count_archive(zip, out, before, err);
}

/* Compress the input of the deflate stream. */
static int pump(struct zip_stream *zip, int flush, struct buf *out, struct err *err)
{
    struct entry *entry = &zip->entries[zip->count - 1];
    size_t before = out->len;

    deflate_pump(&zip->deflate, flush, out);
    entry->packed += out->len - before;
    return count_archive(zip, out, before, err);
}

int zip_stream_add(struct zip_stream *zip, const void *data, size_t len, struct buf *out,
                   struct err *err)
{
    struct entry *entry = &zip->entries[zip->count - 1];

    CHECK(len <= ADD_LIMIT);
    entry->crc = (uint32_t)crc32_z(entry->crc, data, len);
    entry->size += len;
    zip->deflate.next_in = (unsigned char *)data;
    zip->deflate.avail_in = (unsigned)len;
    return pump(zip, Z_NO_FLUSH, out, err);
}

int zip_stream_close(struct zip_stream *zip, struct buf *out, struct err *err)
{
    struct entry *entry = &zip->entries[zip->count - 1];
    int rc = pump(zip, Z_FINISH, out, err);
    size_t before = out->len;

    if (rc < 0)
        return rc;
    if (entry->size > max32 || entry->packed > max32)
        return err_set(err, -E_INTERNAL, "An entry of the archive has more than 4 GiB.");
    add_little_endian(out, DESCRIPTOR, 4);
    add_little_endian(out, entry->crc, 4);
    add_little_endian(out, entry->packed, 4);
    add_little_endian(out, entry->size, 4);
    return count_archive(zip, out, before, err);
}

static void add_central(struct buf *out, const struct entry *entry)
{
    bool is_far = entry->at >= max32;

    add_little_endian(out, CENTRAL_HEADER, 4);
    add_little_endian(out, VERSION_ZIP64, 2);
    add_entry_header(out, entry, is_far ? VERSION_ZIP64 : VERSION_DEFLATE);
    add_little_endian(out, is_far ? 12 : 0, 2);
    add_little_endian(out, 0, 6); /* no comment, disk, … */
    add_little_endian(out, 0, 4); /* … attributes */
    add_little_endian(out, is_far ? max32 : entry->at, 4);
    buf_add_str(out, entry->name);
    if (is_far) { /* 4.5.3: only what does not fit above */
        add_little_endian(out, EXTRA_ZIP64, 2);
        add_little_endian(out, 8, 2);
        add_little_endian(out, entry->at, 8);
    }
}

int zip_stream_end(struct zip_stream *zip, struct buf *out, struct err *err)
{
    size_t before = out->len, len;
    bool is_zip64;

    for (size_t i = 0; i < zip->count; i++)
        add_central(out, &zip->entries[i]);
    len = out->len - before;
    is_zip64 = zip->at >= max32 || len >= max32 || zip->count >= UINT16_MAX;
    if (is_zip64) {
        add_little_endian(out, ZIP64_END, 4);
        add_little_endian(out, ZIP64_END_LEN, 8);
        add_little_endian(out, VERSION_ZIP64, 2);
        add_little_endian(out, VERSION_ZIP64, 2);
        add_little_endian(out, 0, 8); /* disks */
        add_little_endian(out, zip->count, 8);
        add_little_endian(out, zip->count, 8);
        add_little_endian(out, len, 8);
        add_little_endian(out, zip->at, 8);
        add_little_endian(out, ZIP64_LOCATOR, 4);
        add_little_endian(out, 0, 4);
        add_little_endian(out, zip->at + len, 8);
        add_little_endian(out, 1, 4);
    }
    add_little_endian(out, END, 4);
    add_little_endian(out, 0, 4); /* disks */
    add_little_endian(out, is_zip64 ? UINT16_MAX : zip->count, 2);
    add_little_endian(out, is_zip64 ? UINT16_MAX : zip->count, 2);
    add_little_endian(out, is_zip64 ? max32 : len, 4);
    add_little_endian(out, is_zip64 ? max32 : zip->at, 4);
    add_little_endian(out, 0, 2);
    return count_archive(zip, out, before, err);
}
