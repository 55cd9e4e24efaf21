/* src/http/tls.c -- TLS of the server's connections: certificate, key, first byte. */
#include "http/tls.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "http/refusal.h"

const char tls_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-GROUP-DH-ALL:"
    "-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE";

const unsigned char tls_refusal[7] = {21, 3, 3, 0, 2, 2, 80}; /* fatal, internal_error */

enum { CHAIN_MAX = 16, FILE_MAX = 1 << 20 };

/* Both are used by connections that have begun, so replaced ones are kept. */
struct pair {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
    struct buf certificate_text, key_text; /* of the files */
    SLIST_ENTRY(pair) entry;
};

struct tls {
    char *certificate, *key;
    _Atomic(struct pair *) current;
    SLIST_HEAD(, pair) all;
};

static void free_pair(struct pair *pair)
{
    for (unsigned i = 0; i < pair->count; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    if (pair->key != NULL)
        gnutls_privkey_deinit(pair->key);
    buf_done(&pair->certificate_text);
    if (pair->key_text.data != NULL)
        gnutls_memset(pair->key_text.data, 0, pair->key_text.len);
    buf_done(&pair->key_text);
    free(pair);
}

/* ---- reading ---- */

static int read_pem(int fd, const char *path, struct buf *text, struct err *err)
{
    if (file_append(fd, text) < 0)
        return err_errno(err, -E_CONFIG, "read '%s'", path);
    if (buf_failed(text))
        return err_set(err, -E_CONFIG, "'%s' is too long for a certificate or a key", path);
    return 0;
}

static int read_pem_file(const char *path, bool secret, struct buf *text, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
    struct stat st;

    if (fd < 0)
        return err_errno(err, -E_CONFIG, "open '%s'", path);
    buf_init(text, FILE_MAX);
    if (fstat(fd, &st) < 0)
        rc = err_errno(err, -E_CONFIG, "look at '%s'", path);
    else if (secret && (st.st_mode & S_IRWXO) != 0)
        rc = err_set(err, -E_CONFIG,
                     "'%s' has a private key, and every user of this machine may open it: run "
                     "chmod o= '%s'",
                     path, path);
    else
        rc = read_pem(fd, path, text, err);
    close(fd);
    return rc;
}

static gnutls_datum_t datum_of(const struct buf *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->len};
}

static int pem_fail(const char *path, const char *what, int code, struct err *err)
{
    return err_set(err, -E_CONFIG, "'%s' has no %s in PEM: %s", path, what, gnutls_strerror(code));
}

static bool belong_together(const struct pair *pair)
{
    unsigned char of_chain[64], of_key[64];
    size_t chain_len = sizeof(of_chain), key_len = sizeof(of_key);
    gnutls_pubkey_t public;
    bool good;

    if (gnutls_pubkey_init(&public) < 0)
        return false;
    good = gnutls_pubkey_import_privkey(public, pair->key, 0, 0) >= 0 &&
           gnutls_pubkey_get_key_id(public, 0, of_key, &key_len) >= 0 &&
           gnutls_pubkey_get_key_id(pair->chain[0].pubkey, 0, of_chain, &chain_len) >= 0 &&
           chain_len == key_len && memcmp(of_chain, of_key, key_len) == 0;
    gnutls_pubkey_deinit(public);
    return good;
}

/* Parse the texts. */
static int parse(const struct tls *tls, struct pair *pair, struct err *err)
{
    const char *key_file = *tls->key != '\0' ? tls->key : tls->certificate;
    gnutls_datum_t chain = datum_of(&pair->certificate_text), key = datum_of(&pair->key_text);
    unsigned count = CHAIN_MAX;
    int rc = gnutls_pcert_list_import_x509_raw(pair->chain, &count, &chain, GNUTLS_X509_FMT_PEM, 0);

    if (rc < 0)
        return pem_fail(tls->certificate, "certificate", rc, err);
    pair->count = count;
    rc = gnutls_privkey_init(&pair->key);
    if (rc >= 0)
        rc = gnutls_privkey_import_x509_raw(pair->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc < 0)
        return pem_fail(key_file, "private key without a password", rc, err);
    if (!belong_together(pair))
        return err_set(err, -E_CONFIG, "the key in '%s' is not that of the certificate in '%s'",
                       key_file, tls->certificate);
    return 0;
}

static int read_pair(const struct tls *tls, struct pair **ret, struct err *err)
{
    bool one_file = *tls->key == '\0';
    struct pair *pair = calloc(1, sizeof(*pair));
    int rc;

    if (pair == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    rc = read_pem_file(tls->certificate, one_file, &pair->certificate_text, err)
             ?: read_pem_file(one_file ? tls->certificate : tls->key, true, &pair->key_text, err)
             ?: parse(tls, pair, err);
    if (rc < 0) {
        free_pair(pair);
        return rc;
    }
    *ret = pair;
    return 0;
}

/* When the certificate is valid; false: unknown. */
static bool read_validity(const struct pair *pair, time_t *ret_from, time_t *ret_until)
{
    gnutls_x509_crt_t certificate;
    bool good;

    if (gnutls_x509_crt_init(&certificate) < 0)
        return false;
    good = gnutls_x509_crt_import(certificate, &pair->chain[0].cert, GNUTLS_X509_FMT_DER) >= 0;
    if (good) {
        *ret_from = gnutls_x509_crt_get_activation_time(certificate);
        *ret_until = gnutls_x509_crt_get_expiration_time(certificate);
    }
    gnutls_x509_crt_deinit(certificate);
    return good;
}

/* What is wrong with its dates now; NULL: nothing. */
static const char *time_problem(const struct pair *pair)
{
    time_t now = time(NULL), from = 0, until = 0;

    if (!read_validity(pair, &from, &until))
        return "the certificate cannot be read";
    return from > now    ? "the certificate is not valid yet"
           : until < now ? "the certificate has expired"
                         : NULL;
}

static void use(struct tls *tls, struct pair *pair)
{
    SLIST_INSERT_HEAD(&tls->all, pair, entry);
    atomic_store(&tls->current, pair);
}

int tls_open(const char *certificate, const char *key, struct tls **ret, struct err *err)
{
    struct tls *tls;
    struct pair *pair;
    const char *problem;
    int rc;

    if (*certificate == '\0' && *key != '\0')
        return err_set(err, -E_CONFIG,
                       "tls_key is set without tls_certificate: set both, or neither");
    if (*certificate == '\0') {
        *ret = NULL;
        return 0;
    }
    tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    SLIST_INIT(&tls->all);
    tls->certificate = strdup(certificate);
    tls->key = strdup(key);
    if (tls->certificate == NULL || tls->key == NULL)
        rc = err_set(err, -E_NOMEM, "out of memory");
    else
        rc = read_pair(tls, &pair, err);
    if (rc < 0) {
        tls_free(tls);
        return rc;
    }
    problem = time_problem(pair);
    if (problem != NULL) /* it is served all the same: clients may accept it */
        log_warn("tls.certificate", "problem=%s", problem);
    use(tls, pair);
    *ret = tls;
    return 0;
}

static bool is_same_text(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

int tls_reload(struct tls *tls, struct err *err)
{
    const struct pair *current = atomic_load(&tls->current);
    struct pair *pair;
    const char *problem;
    int rc = read_pair(tls, &pair, err);

    if (rc < 0)
        return rc;
    if (is_same_text(&current->certificate_text, &pair->certificate_text) &&
        is_same_text(&current->key_text, &pair->key_text)) {
        free_pair(pair);
        return 0;
    }
    problem = time_problem(pair);
    if (problem != NULL) {
        free_pair(pair);
        return err_set(err, -E_CONFIG, "'%s': %s", tls->certificate, problem);
    }
    use(tls, pair);
    return 1;
}

void tls_free(struct tls *tls)
{
    struct pair *pair;

    if (tls == NULL)
        return;
    while ((pair = SLIST_FIRST(&tls->all)) != NULL) {
        SLIST_REMOVE_HEAD(&tls->all, entry);
        free_pair(pair);
    }
    free(tls->certificate);
    free(tls->key);
    free(tls);
}

/* ---- connections ---- */

int tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                 const gnutls_pk_algorithm_t *algorithms, int algorithm_count,
                 gnutls_pcert_st **ret_chain, unsigned *ret_count, gnutls_privkey_t *ret_key)
{
    const struct tls *tls = gnutls_session_get_ptr(session);
    struct pair *pair = atomic_load(&tls->current);

    (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    *ret_chain = pair->chain;
    *ret_count = pair->count;
    *ret_key = pair->key;
    return 0;
}

/* TLS begins with the byte 22 (RFC 8446, 5.1), HTTP with a letter. */
static void refuse_plain(int fd)
{
    char text[REFUSAL_TEXT];
    size_t len = refusal_write(REFUSAL_PLAIN, text);

    refusal_send(fd, text, len);
}

static ssize_t pull(gnutls_transport_ptr_t context, void *data, size_t len)
{
    struct tls_peer *peer = context;
    ssize_t n = recv(peer->fd, data, len, 0);

    if (n <= 0 || peer->seen)
        return n;
    peer->seen = true;
    if (!isalpha(*(const unsigned char *)data))
        return n;
    refuse_plain(peer->fd);
    return 0;
}

void tls_prepare(struct tls *tls, struct tls_peer *peer, gnutls_session_t session, int fd)
{
    *peer = (struct tls_peer){.session = session, .fd = fd};
    gnutls_session_set_ptr(session, tls);
    gnutls_transport_set_ptr2(session, peer, (gnutls_transport_ptr_t)(intptr_t)fd);
    gnutls_transport_set_pull_function(session, pull);
}

ssize_t tls_send(gnutls_session_t session, const void *data, size_t len)
{
    ssize_t n = gnutls_record_send(session, data, len);

    if (n >= 0)
        return n;
    errno = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? EAGAIN : EPIPE;
    return -1;
}
