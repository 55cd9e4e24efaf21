/* src/http/token_keys.c -- the file with the keys of access tokens: reads it, replaces it, and
 * notices changes. */
#include "http/token_keys.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/key_file.h"

enum {
    ID_BYTES = 16,
    FILE_MAX = 16 << 10,
    SET_MAX = TOKEN_KEYS_MAX * 256, /* bytes of a set that we write */
    DAY_S = 24 * 3600,
    TRY_AGAIN_MS = 1000,
};

/* The keys of a file. */
struct set {
    size_t count;
    struct token_key keys[TOKEN_KEYS_MAX];
};

struct token_keys {
    struct lock lock;
    char *path;
    struct stat file; /* as it was before it was read */
    struct set set;
    struct stat changed; /* the same of `other`, a changed file none of whose keys has matched yet;
                          * no keys if the … */
    struct set other;    /* … file cannot be used, which is retried at: */
    int64_t try_ms;      /* monotonic */
};

_Static_assert((int)TOKEN_KEY_BYTES == (int)crypto_kdf_KEYBYTES, "the key derives others");
_Static_assert((int)TOKEN_KEY_BYTES == (int)KEY_FILE_RANDOM_BYTES, "a file is made with one key");
_Static_assert(sodium_base64_ENCODED_LEN(ID_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   TOKEN_KEY_ID_TEXT,
               "room for the id");

/* ---- one key ---- */

void token_key_derive(const struct token_key *key, const char purpose[8],
                      unsigned char out[TOKEN_DERIVED_BYTES])
{
    crypto_kdf_derive_from_key(out, TOKEN_DERIVED_BYTES, 1, purpose, key->bytes);
}

/* Fill in id and header of a key whose bytes are known; false: out of memory. */
static bool name_token_key(struct token_key *key)
{
    unsigned char id[ID_BYTES];
    struct buf json, header;
    char text[TOKEN_HEADER_TEXT];
    bool good;

    crypto_kdf_derive_from_key(id, sizeof(id), 1, "rd-keyid", key->bytes);
    sodium_bin2base64(key->id, sizeof(key->id), id, sizeof(id),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    buf_init_in(&json, text, sizeof(text));
    buf_init(&header, TOKEN_HEADER_TEXT - 1);
    buf_add_format(&json, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"typ\":\"JWT\"}", key->id);
    base64url_add(&header, buf_str(&json), json.len);
    buf_add_char(&header, '.');
    good = !buf_failed(&json) && !buf_failed(&header) &&
           str_copy(key->header, sizeof(key->header), buf_str(&header));
    buf_done(&header);
    return good;
}

/* ---- reading ---- */

static bool read_jwk(const json_t *jwk, bool is_first, struct token_key *ret)
{
    const char *text = json_string_value(json_object_get(jwk, "k"));
    json_int_t replaced_s = json_integer_value(json_object_get(jwk, "replaced"));

    ret->replaced_s = replaced_s;
    return str_eq(json_string_value(json_object_get(jwk, "kty")), "oct") && text != NULL &&
           base64url_read(text, strlen(text), ret->bytes, TOKEN_KEY_BYTES) == TOKEN_KEY_BYTES &&
           is_first == (replaced_s == 0) && replaced_s >= 0 && name_token_key(ret);
}

/* False: `text` is not such a set. */
static bool read_jwks(const struct buf *text, struct set *ret)
{
    json_t *root = json_loadb(buf_str(text), text->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(root, "keys"), *jwk;
    bool good = json_array_size(list) > 0 && json_array_size(list) <= TOKEN_KEYS_MAX;
    size_t i;

    json_array_foreach(list, i, jwk)
    {
        good = good && read_jwk(jwk, i == 0, &ret->keys[i]);
    }
    ret->count = json_array_size(list);
    json_decref(root);
    return good;
}

static int read_token_set(const char *path, const struct buf *content, struct set *ret,
                          struct err *err)
{
    *ret = (struct set){.count = 1};
    if (content->len == TOKEN_KEY_BYTES) {
        memcpy(ret->keys[0].bytes, content->data, TOKEN_KEY_BYTES);
        return name_token_key(&ret->keys[0]) ? 0 : err_set(err, -E_NOMEM, "out of memory");
    }
    if (read_jwks(content, ret))
        return 0;
    sodium_memzero(ret, sizeof(*ret));
    return err_set(err, -E_CONFIG,
                   "the key file '%s' is not a file of %d bytes or a set of such keys; put back a "
                   "copy of it, or remove it and a new one is made (all users must then log in "
                   "again)",
                   path, TOKEN_KEY_BYTES);
}

static struct key_file file_of(const char *path)
{
    return (struct key_file){.path = path, .what = "key file"};
}

static int open_token_set(const struct key_file *file, struct set *ret, struct err *err)
{
    struct buf content;
    int rc;

    buf_init(&content, FILE_MAX);
    rc = key_file_open(file, &content, err) ?: read_token_set(file->path, &content, ret, err);
    key_file_done(&content);
    return rc;
}

int token_keys_open(const char *path, struct token_keys **ret, struct err *err)
{
    struct key_file file = file_of(path);
    struct token_keys *keys = calloc(1, sizeof(*keys));
    int rc;

    if (keys == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    lock_init(&keys->lock);
    keys->path = strdup(path);
    file.make = key_file_random;
    rc = keys->path == NULL ? err_set(err, -E_NOMEM, "out of memory") : 0;
    if (rc == 0 && stat(path, &keys->file) != 0) {
        rc = open_token_set(&file, &keys->set, err); /* makes it */
        stat(path, &keys->file);
    }
    rc = rc ?: open_token_set(&file, &keys->set, err);
    if (rc < 0) {
        token_keys_free(keys);
        return rc;
    }
    *ret = keys;
    return 0;
}

void token_keys_free(struct token_keys *keys)
{
    if (keys == NULL)
        return;
    lock_done(&keys->lock);
    free(keys->path);
    sodium_memzero(keys, sizeof(*keys));
    free(keys);
}

/* ---- using ---- */

static bool is_same_token_set(const struct set *a, const struct set *b)
{
    bool same = a->count == b->count;

    for (size_t i = 0; i < a->count && same; i++)
        same = str_eq(a->keys[i].id, b->keys[i].id);
    return same;
}

bool token_keys_adopt(struct token_keys *keys, struct token_keys *now)
{
    bool same;

    lock_take(&keys->lock);
    same = is_same_token_set(&keys->set, &now->set);
    keys->set = now->set;
    keys->file = now->file;
    sodium_memzero(&keys->other, sizeof(keys->other));
    lock_release(&keys->lock);
    token_keys_free(now);
    return !same;
}

static int find_in(const struct set *set, token_fits_fn *fits, void *context)
{
    int rc = 0;

    for (size_t i = 0; i < set->count && rc == 0; i++)
        rc = fits(context, &set->keys[i]);
    return rc;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Made-up tokens and links cost a stat() each, a fiftieth of their request. To keep it at that
 * while a new file waits for its SIGHUP, or a broken one for its repair, the changed file is read
 * only once. */
static void read_changed_file(struct token_keys *keys, const struct stat *now)
{
    const struct key_file file = file_of(keys->path);
    struct err ignored;

    if (is_same_file(now, &keys->changed) &&
        (keys->other.count > 0 || clock_mono_ms() < keys->try_ms))
        return;
    keys->changed = *now;
    keys->try_ms = clock_mono_ms() + TRY_AGAIN_MS;
    if (open_token_set(&file, &keys->other, &ignored) < 0)
        sodium_memzero(&keys->other, sizeof(keys->other));
}

/* This node signs with the new keys only once one of them matches a token. So only a token from
 * another node can trigger this while the file is copied from node to node. */
static int find_in_file(struct token_keys *keys, token_fits_fn *fits, void *context)
{
    struct stat now;
    int rc;

    lock_check_held(&keys->lock);
    if (stat(keys->path, &now) != 0 || is_same_file(&now, &keys->file))
        return 0;
    read_changed_file(keys, &now);
    rc = find_in(&keys->other, fits, context);
    if (rc == 1) {
        keys->set = keys->other;
        keys->file = now;
    }
    return rc;
}

int token_keys_find(struct token_keys *keys, token_fits_fn *fits, void *context)
{
    int rc;

    lock_take(&keys->lock);
    rc = find_in(&keys->set, fits, context);
    if (rc == 0)
        rc = find_in_file(keys, fits, context);
    lock_release(&keys->lock);
    return rc;
}

int token_keys_sign(struct token_keys *keys, token_fits_fn *with, void *context)
{
    int rc;

    lock_take(&keys->lock);
    rc = with(context, &keys->set.keys[0]);
    lock_release(&keys->lock);
    return rc;
}

const char *token_keys_id_at(const struct token_keys *keys, size_t i)
{
    return i < keys->set.count ? keys->set.keys[i].id : NULL;
}

/* ---- replacing ---- */

static void write_token_set(const struct set *set, struct buf *out)
{
    buf_reserve(out, SET_MAX); /* growing would leave the keys in freed memory */
    buf_add_str(out, "{\"keys\":[\n");
    for (size_t i = 0; i < set->count; i++) {
        const struct token_key *key = &set->keys[i];

        buf_add_format(out, "%s{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"%s\",\"k\":\"",
                       i > 0 ? ",\n" : "", key->id);
        base64url_add(out, key->bytes, TOKEN_KEY_BYTES);
        buf_add_char(out, '"');
        if (key->replaced_s != 0)
            buf_add_format(out, ",\"replaced\":%lld", (long long)key->replaced_s);
        buf_add_char(out, '}');
    }
    buf_add_str(out, "\n]}\n");
}

static int add_token_key(struct set *set, const char *path, struct err *err)
{
    int64_t now_s = clock_now_ms() / 1000;

    while (set->count > 1 &&
           set->keys[set->count - 1].replaced_s + (int64_t)TOKEN_KEY_DAYS * DAY_S <= now_s)
        set->count--;
    if (set->count == TOKEN_KEYS_MAX)
        return err_set(err, -E_CONFIG,
                       "the key file '%s' has %d keys of the last %d days, which is the most: "
                       "tokens of all of them are still in use. Retire one, or wait",
                       path, TOKEN_KEYS_MAX, TOKEN_KEY_DAYS);
    memmove(&set->keys[1], &set->keys[0], set->count * sizeof(set->keys[0]));
    set->count++;
    set->keys[1].replaced_s = now_s;
    set->keys[0] = (struct token_key){0};
    randombytes_buf(set->keys[0].bytes, TOKEN_KEY_BYTES);
    return name_token_key(&set->keys[0]) ? 0 : err_set(err, -E_NOMEM, "out of memory");
}

static int take_out_token_key(struct set *set, const char *path, const char *id, struct err *err)
{
    size_t at = 0;

    while (at < set->count && !str_eq(set->keys[at].id, id))
        at++;
    if (at == set->count)
        return err_set(err, -E_CONFIG, "the key file '%s' has no key %s", path, id);
    if (at == 0)
        return err_set(err, -E_CONFIG, "the key %s signs: rotate first", id);
    memmove(&set->keys[at], &set->keys[at + 1], (set->count - at - 1) * sizeof(set->keys[0]));
    set->count--;
    return 0;
}

/* `context`: the id of the key to remove, or NULL for a new key. */
static int change_token_set(void *context, const struct key_file *file, const struct buf *before,
                            struct buf *after, struct err *err)
{
    struct set set;
    int rc = read_token_set(file->path, before, &set, err);

    if (rc == 0)
        rc = context != NULL ? take_out_token_key(&set, file->path, context, err)
                             : add_token_key(&set, file->path, err);
    if (rc == 0)
        write_token_set(&set, after);
    sodium_memzero(&set, sizeof(set));
    return rc;
}

int token_keys_rotate(const char *path, struct err *err)
{
    const struct key_file file = file_of(path);

    return key_file_change(&file, change_token_set, NULL, err);
}

int token_keys_retire(const char *path, const char *id, struct err *err)
{
    const struct key_file file = file_of(path);

    return key_file_change(&file, change_token_set, (void *)(uintptr_t)id, err);
}
