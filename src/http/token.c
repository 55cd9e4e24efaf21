/* src/http/token.c -- JWTs by libcrypto's HMAC, and the key file. */
#include "http/token.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

enum { MAC_BYTES = 32, SECRET_BYTES = 32 };

struct token_key {
    unsigned char bytes[TOKEN_KEY_BYTES];
};

/* base64url of {"alg":"HS256","typ":"JWT"} and the dot behind it: the only header there is. */
static const char header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.";

_Static_assert(sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   TOKEN_SECRET_TEXT,
               "room for the secret");

static int read_key(int fd, const char *path, struct token_key *key, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno(err, -E_CONFIG, "look at the key file '%s'", path);
    if (!S_ISREG(st.st_mode) || st.st_size != TOKEN_KEY_BYTES)
        return err_set(err, -E_CONFIG,
                       "the key file '%s' is not a file of %d bytes; remove it and a new one is "
                       "made (all users must then log in again)",
                       path, TOKEN_KEY_BYTES);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(err, -E_CONFIG,
                       "the key file '%s' is open to others (mode %04o): chmod 600 '%s'", path,
                       (unsigned)st.st_mode & 07777, path);
    if (read(fd, key->bytes, TOKEN_KEY_BYTES) != TOKEN_KEY_BYTES)
        return err_errno(err, -E_CONFIG, "read the key file '%s'", path);
    return 0;
}

static int sync_folder(const char *path, struct err *err)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int rc = fd >= 0 && fsync(fd) == 0
                 ? 0
                 : err_errno(err, -E_CONFIG, "write the folder of the key file '%s'", path);

    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

/* Fill the new file `temp` and give it its name, unless that exists by now. */
static int publish_key(int fd, const char *temp, const char *path, struct err *err)
{
    unsigned char bytes[TOKEN_KEY_BYTES];
    bool written;

    randombytes_buf(bytes, sizeof(bytes));
    written = write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) && fsync(fd) == 0;
    sodium_memzero(bytes, sizeof(bytes));
    /* link(), since rename() would put this key in the place of one that is already in use. */
    if (!written || (link(temp, path) != 0 && errno != EEXIST))
        return err_errno(err, -E_CONFIG, "make the key file '%s'", path);
    return sync_folder(path, err);
}

static int make_key(const char *path, struct err *err)
{
    struct buf temp;
    int fd, rc;

    buf_init(&temp, 4096);
    buf_add_format(&temp, "%s.XXXXXX", path);
    if (buf_failed(&temp)) {
        buf_done(&temp);
        return err_set(err, -E_CONFIG, "the path of the key file is too long");
    }
    fd = mkostemp(temp.data, O_CLOEXEC); /* O_EXCL, mode 0600 */
    if (fd < 0) {
        rc = err_errno(err, -E_CONFIG, "make the key file '%s'", path);
    } else {
        rc = publish_key(fd, temp.data, path, err);
        close(fd);
        unlink(temp.data);
    }
    buf_done(&temp);
    return rc;
}

int token_key_open(const char *path, struct token_key **ret, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct token_key *key;
    int rc;

    if (sodium_init() < 0)
        return err_set(err, -E_CONFIG, "libsodium can't be used on this machine");
    if (fd < 0 && errno == ENOENT) {
        rc = make_key(path, err);
        if (rc != 0)
            return rc;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    }
    if (fd < 0)
        return err_errno(err, -E_CONFIG, "open the key file '%s'", path);
    key = calloc(1, sizeof(*key));
    rc = key != NULL ? read_key(fd, path, key, err) : err_set(err, -E_NOMEM, "out of memory");
    close(fd);
    if (rc != 0) {
        token_key_free(key);
        return rc;
    }
    *ret = key;
    return 0;
}

void token_key_free(struct token_key *key)
{
    if (key == NULL)
        return;
    sodium_memzero(key, sizeof(*key));
    free(key);
}

static bool sign(const struct token_key *key, const char *text, size_t len,
                 unsigned char mac[MAC_BYTES])
{
    return HMAC(EVP_sha256(), key->bytes, TOKEN_KEY_BYTES, (const unsigned char *)text, len, mac,
                NULL) != NULL;
}

static void add_base64(struct buf *out, const void *data, size_t len)
{
    size_t need = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *place = buf_reserve(out, need - 1);

    if (place == NULL)
        return;
    sodium_bin2base64(place, need, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    out->len += need - 1;
}

void token_issue(const struct token_key *key, const char *user, const struct token_claims *claims,
                 struct buf *out)
{
    char session[GUID_TEXT], access[GUID_TEXT];
    unsigned char mac[MAC_BYTES];
    struct buf payload;
    size_t start = out->len;

    guid_format(&claims->session, session);
    guid_format(&claims->access, access);
    buf_init(&payload, TOKEN_TEXT_MAX / 2);
    buf_add_str(&payload, "{\"sub\":");
    json_add_string(&payload, user);
    buf_add_format(&payload, ",\"sid\":\"%s\",\"jti\":\"%s\",\"iat\":%lld,\"exp\":%lld}", session,
                   access, (long long)claims->issued_s, (long long)claims->expires_s);
    buf_add_str(out, header);
    add_base64(out, buf_str(&payload), payload.len);
    out->failed = out->failed || buf_failed(&payload);
    if (!buf_failed(out) && sign(key, out->data + start, out->len - start, mac)) {
        buf_add_char(out, '.');
        add_base64(out, mac, sizeof(mac));
    } else {
        out->failed = true;
    }
    buf_done(&payload);
}

/* Decode exactly `len` characters; -1 if they are not base64url as we write it. */
static int decode(const char *text, size_t len, void *out, size_t cap)
{
    size_t got;
    const char *end;

    if (sodium_base642bin(out, cap, text, len, NULL, &got, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != text + len)
        return -1;
    return (int)got;
}

static bool guid_claim(const json_t *payload, const char *name, struct guid *ret)
{
    const char *text = json_string_value(json_object_get(payload, name));

    return text != NULL && guid_parse(text, ret);
}

static bool time_claim(const json_t *payload, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(payload, name);

    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_claims(const char *text, size_t len, struct token_claims *ret)
{
    char payload[TOKEN_TEXT_MAX];
    struct token_claims claims;
    int got = decode(text, len, payload, sizeof(payload));
    json_t *root;
    bool good;

    if (got < 0)
        return false;
    root = json_loadb(payload, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    good = guid_claim(root, "sid", &claims.session) && guid_claim(root, "jti", &claims.access) &&
           time_claim(root, "iat", &claims.issued_s) && time_claim(root, "exp", &claims.expires_s);
    json_decref(root);
    if (good)
        *ret = claims;
    return good;
}

bool token_read(const struct token_key *key, const char *text, struct token_claims *ret)
{
    const size_t header_len = sizeof(header) - 1;
    unsigned char mac[MAC_BYTES], given[MAC_BYTES];
    size_t len = strnlen(text, TOKEN_TEXT_MAX + 1);
    const char *dot;

    if (len > TOKEN_TEXT_MAX || len <= header_len || memcmp(text, header, header_len) != 0)
        return false;
    dot = strrchr(text, '.');
    if (dot < text + header_len ||
        decode(dot + 1, len - (size_t)(dot + 1 - text), given, sizeof(given)) != MAC_BYTES ||
        !sign(key, text, (size_t)(dot - text), mac) || CRYPTO_memcmp(mac, given, MAC_BYTES) != 0)
        return false;
    return read_claims(text + header_len, (size_t)(dot - text) - header_len, ret);
}

void token_secret(char out[TOKEN_SECRET_TEXT])
{
    unsigned char bytes[SECRET_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2base64(out, TOKEN_SECRET_TEXT, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
}
