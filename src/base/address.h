/* src/base/address.h -- addresses of clients, and networks of them (RFC 4632, RFC 4291, 2.3). */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT = 48, NETWORK_TEXT = 64 }; /* with the NUL */

struct address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d, so that a mapped address is the same one */
};

/* Read a numeric IPv4 or IPv6 address, without port, brackets or zone; false: it is not one. */
bool address_read(const char *text, struct address *ret);
void address_format(const struct address *address, char out[ADDRESS_TEXT]);
bool address_equals(const struct address *a, const struct address *b);
/* The address that represents all addresses of one client: for IPv6 its /64 network (RFC 6177),
 * within which privacy extensions choose a new address every day (RFC 8981); else the address
 * itself. */
struct address address_site(const struct address *address);
/* 127.0.0.0/8 or ::1. */
bool address_is_loopback(const struct address *address);
/* Of a peer; one of a Unix socket, which is on this machine, counts as 127.0.0.1. NULL does not. */
struct address address_of_peer(const struct sockaddr *peer);

struct network {
    struct address address;
    int bits; /* of the prefix, of all 128 */
};

/* Read "ADDRESS" or "ADDRESS/BITS"; false: it is neither. */
bool network_read(const char *text, struct network *ret);
/* A mapped address is an IPv4 address: other blocks of IPv6 do not hold it, not even ::/0. */
bool network_has(const struct network *network, const struct address *address);
/* Leave only what the prefix covers. False: nothing else was set; 10.1.2.3/8 may be a mistake. */
bool network_clear_host_bits(struct network *network);
/* As network_read() takes it, with its bits. */
void network_format(const struct network *network, char out[NETWORK_TEXT]);

/* Call `each` for every word of a list separated by spaces, until it returns false: that is then
 * the result. A word that is too long for an address ends in "…". */
typedef bool network_word_fn(void *context, const char *word);
bool network_each_word(const char *list, network_word_fn *each, void *context);
/* Is the address in one of the networks of the list? Words that are no networks are passed over. */
bool network_list_has(const char *list, const struct address *address);
