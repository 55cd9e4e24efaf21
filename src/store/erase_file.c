/* src/store/erase_file.c -- the file erase.key: three sectors, written in place. */
#include "store/erase_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/seam.h"
#include "core/key_file.h"

/* A disk writes a sector entirely or not at all. */
struct sector {
    char magic[24];
    uint64_t number; /* big-endian; 0: the secret */
    uint8_t bytes[ERASE_KEY_BYTES];
    uint8_t check[32]; /* of the fields before it */
    uint8_t rest[416];
};
_Static_assert(sizeof(struct sector) == 512, "a sector of a disk");

struct image {
    struct sector secret, key[ERASE_KEYS_MAX];
};

static const char magic[24] = "reportd erase key 1\n";

/* ---- sectors ---- */

static void check_of(const struct sector *sector, uint8_t out[32])
{
    crypto_generichash(out, 32, (const uint8_t *)sector, offsetof(struct sector, check), NULL, 0);
}

static void fill_sector(struct sector *sector, int64_t number, const uint8_t bytes[ERASE_KEY_BYTES])
{
    *sector = (struct sector){.number = htobe64((uint64_t)number)};
    memcpy(sector->magic, magic, sizeof(magic));
    memcpy(sector->bytes, bytes, ERASE_KEY_BYTES);
    check_of(sector, sector->check);
}

static bool is_whole(const struct sector *sector)
{
    uint8_t check[32];

    check_of(sector, check);
    return memcmp(sector->magic, magic, sizeof(magic)) == 0 &&
           memcmp(sector->check, check, sizeof(check)) == 0;
}

/* 0: this place has no key. */
static int64_t number_in(const struct sector *sector)
{
    return is_whole(sector) ? (int64_t)be64toh(sector->number) : 0;
}

static bool is_image(const struct image *image)
{
    return is_whole(&image->secret) &&
           (number_in(&image->key[0]) != 0 || number_in(&image->key[1]) != 0);
}

/* ---- reading and making ---- */

static int not_one(const char *path, struct err *err)
{
    return err_set(err, -E_CONFIG,
                   "the file '%s' is not an erase key, or is damaged: copy erase.key from another "
                   "node, or from where it was saved with the database",
                   path);
}

static void make_image(struct buf *out)
{
    struct image image = {0};
    uint8_t bytes[ERASE_KEY_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    fill_sector(&image.secret, 0, bytes);
    randombytes_buf(bytes, sizeof(bytes));
    fill_sector(&image.key[0], 1, bytes);
    buf_add(out, &image, sizeof(image));
    sodium_memzero(bytes, sizeof(bytes));
    sodium_memzero(&image, sizeof(image));
}

static void take_image(const struct image *image, struct erase_keys *ret)
{
    int newest = number_in(&image->key[1]) > number_in(&image->key[0]);

    *ret = (struct erase_keys){0};
    memcpy(ret->secret, image->secret.bytes, ERASE_KEY_BYTES);
    for (int i = 0; i < ERASE_KEYS_MAX; i++) {
        const struct sector *sector = &image->key[i == 0 ? newest : !newest];

        ret->key[i].number = number_in(sector);
        if (ret->key[i].number != 0)
            memcpy(ret->key[i].bytes, sector->bytes, ERASE_KEY_BYTES);
    }
}

int erase_file_read(const char *path, bool make, struct erase_keys *ret, struct err *err)
{
    const struct key_file file = {
        .path = path, .what = "erase key", .make = make ? make_image : NULL};
    struct buf content;
    struct image image;
    int rc;

    if (!make && access(path, F_OK) != 0 && errno == ENOENT)
        return err_set(err, -E_NOT_FOUND, "there is no erase key '%s'", path);
    buf_init(&content, sizeof(image));
    rc = key_file_open(&file, &content, err);
    if (rc == 0 && content.len == sizeof(image)) {
        memcpy(&image, content.data, sizeof(image));
        if (is_image(&image))
            take_image(&image, ret);
        else
            rc = not_one(path, err);
        sodium_memzero(&image, sizeof(image));
    } else if (rc == 0) {
        rc = not_one(path, err);
    }
    key_file_done(&content);
    return rc;
}

/* ---- replacing ---- */

static int put_sector(int fd, int place, const struct sector *sector)
{
    off_t at = (off_t)(offsetof(struct image, key) + (size_t)place * sizeof(*sector));

    if (SEAM_FAILS("erase.write"))
        return -1;
    return pwrite(fd, sector, sizeof(*sector), at) == (ssize_t)sizeof(*sector) && fsync(fd) == 0
               ? 0
               : -1;
}

/* The place with the same number, else the one with the lower number: a free place has 0. */
static int place_for(const struct image *image, int64_t number)
{
    int64_t first = number_in(&image->key[0]), second = number_in(&image->key[1]);

    if (number == first || number == second)
        return number == first ? 0 : 1;
    return first <= second ? 0 : 1;
}

/* Is the file newer than this key, which it does not contain? */
static bool is_past(const struct image *image, int place, int64_t number)
{
    int64_t there = number_in(&image->key[place]);

    return number < (there != 0 ? there : number_in(&image->key[!place]));
}

static int add_missing(int fd, struct image *image, const struct erase_keys *keys)
{
    for (int i = 0; i < ERASE_KEYS_MAX; i++) {
        const struct erase_key *key = &keys->key[i];
        int place = place_for(image, key->number);
        struct sector sector;
        int rc = 0;

        if (key->number == 0 || is_past(image, place, key->number))
            continue;
        fill_sector(&sector, key->number, key->bytes);
        if (memcmp(&sector, &image->key[place], sizeof(sector)) != 0) {
            rc = put_sector(fd, place, &sector);
            image->key[place] = sector;
            SEAM_STEP("erase", "file", "added");
        }
        sodium_memzero(&sector, sizeof(sector));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int overwrite_rest(int fd, struct image *image, const struct erase_keys *keys)
{
    static const struct sector nothing;

    for (int place = 0; place < ERASE_KEYS_MAX; place++) {
        int64_t number = number_in(&image->key[place]);

        if ((number != 0 && (number == keys->key[1].number || number >= keys->key[0].number)) ||
            memcmp(&image->key[place], &nothing, sizeof(nothing)) == 0)
            continue;
        if (put_sector(fd, place, &nothing) < 0)
            return -1;
        SEAM_STEP("erase", "file", "overwritten");
    }
    return 0;
}

int erase_file_write(const char *path, const struct erase_keys *keys, struct err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY), rc = 0;
    struct image image;

    if (fd < 0 || SEAM_FAILS("erase.lock") || flock(fd, LOCK_EX) < 0)
        rc = err_errno(err, -E_CONFIG, "open the erase key '%s'", path);
    else if (pread(fd, &image, sizeof(image), 0) != (ssize_t)sizeof(image) || !is_image(&image))
        rc = not_one(path, err);
    else if (add_missing(fd, &image, keys) < 0 || overwrite_rest(fd, &image, keys) < 0)
        rc = err_errno(err, -E_CONFIG, "write the erase key '%s'", path);
    sodium_memzero(&image, sizeof(image));
    if (fd >= 0)
        close(fd);
    return rc;
}
