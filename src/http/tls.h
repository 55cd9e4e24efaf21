/* src/http/tls.h -- TLS of the server's connections, by GnuTLS: its certificate, which may be
 * replaced while it runs. */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* TLS 1.2 and 1.3, keys that are negotiated for each connection, AEAD ciphers (RFC 9325, 3.1.1
 * and 4.2). */
extern const char tls_priorities[];

struct tls;
/* Read the certificate with its chain, and its private key, from PEM files: both from `certificate`
 * if `key` is "". -E_CONFIG says what is wrong: they do not belong together, or others can read
 * the key. *ret is yours: tls_free(); NULL if both paths are "". */
int tls_open(const char *certificate, const char *key, struct tls **ret, struct err *err);
/* Read them again, for the connections from now on; if that fails, or the certificate is not valid
 * now, the old one stays: <0. 1: it was replaced; 0: it is the same. One thread at a time. */
int tls_reload(struct tls *tls, struct err *err);
void tls_free(struct tls *tls); /* when there is no connection; NULL is fine */

/* A connection's, while it lasts. */
struct tls_peer {
    gnutls_session_t session;
    int fd;
    bool seen; /* its first byte */
};
/* Call this before the first byte is read. A client that speaks plain HTTP gets a message. */
void tls_prepare(struct tls *tls, struct tls_peer *peer, gnutls_session_t session, int fd);
/* What MHD_OPTION_HTTPS_CERT_CALLBACK takes: the certificate of a session that was prepared. */
gnutls_certificate_retrieve_function2 tls_retrieve;

/* Bytes that were taken, as send(2) for a socket that does not block: at least one of `len`; after
 * -1 and EAGAIN, call it again with the same. */
ssize_t tls_send(gnutls_session_t session, const void *data, size_t len);
/* What a client of a full server is sent instead of an answer: an alert (RFC 8446, 6). */
extern const unsigned char tls_refusal[7];
