/* src/base/address.c -- addresses of clients, and networks of them. */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
enum { MAPPED_BITS = 8 * sizeof(mapped), ALL_BITS = 128, SITE_BITS = 64, WORD_TEXT = 80 };

static bool is_mapped(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

static struct address map_ipv4(const void *bytes)
{
    struct address address;

    memcpy(address.bytes, mapped, sizeof(mapped));
    memcpy(address.bytes + sizeof(mapped), bytes, 4);
    return address;
}

bool address_read(const char *text, struct address *ret)
{
    struct in_addr ipv4;

    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        *ret = map_ipv4(&ipv4);
        return true;
    }
    return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

void address_format(const struct address *address, char out[ADDRESS_TEXT])
{
    if (is_mapped(address))
        inet_ntop(AF_INET, address->bytes + sizeof(mapped), out, ADDRESS_TEXT);
    else
        inet_ntop(AF_INET6, address->bytes, out, ADDRESS_TEXT);
}

bool address_equals(const struct address *a, const struct address *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

struct address address_site(const struct address *address)
{
    struct network network = {*address, is_mapped(address) ? ALL_BITS : SITE_BITS};

    network_clear_host_bits(&network);
    return network.address;
}

bool address_is_loopback(const struct address *address)
{
    static const struct address one = {{[15] = 1}};

    return is_mapped(address) ? address->bytes[sizeof(mapped)] == 127
                              : address_equals(address, &one);
}

struct address address_of_peer(const struct sockaddr *peer)
{
    static const unsigned char here[4] = {127, 0, 0, 1};
    struct address address = {{0}};

    if (peer == NULL)
        return address;
    if (peer->sa_family == AF_UNIX)
        return map_ipv4(here);
    if (peer->sa_family == AF_INET)
        return map_ipv4(&((const struct sockaddr_in *)(const void *)peer)->sin_addr);
    if (peer->sa_family == AF_INET6)
        memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr,
               sizeof(address.bytes));
    return address;
}

bool network_read(const char *text, struct network *ret)
{
    char host[WORD_TEXT];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    int64_t most, bits;

    if (len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (!address_read(host, &ret->address))
        return false;
    most = strchr(host, ':') == NULL ? ALL_BITS - MAPPED_BITS : ALL_BITS;
    bits = most;
    if (slash != NULL && slash[1] == '0' && slash[2] != '\0')
        return false; /* some programs read a number with a leading zero as octal */
    if (slash != NULL && (!str_to_int64(slash + 1, &bits) || bits < 0 || bits > most))
        return false;
    ret->bits = (int)(ALL_BITS - most + bits);
    return true;
}

bool network_has(const struct network *network, const struct address *address)
{
    const unsigned char *own = network->address.bytes;
    int whole = network->bits / 8, rest = network->bits % 8;

    if (network->bits < MAPPED_BITS && is_mapped(address))
        return false;
    if (memcmp(address->bytes, own, (size_t)whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ own[whole]) >> (8 - rest)) == 0;
}

bool network_clear_host_bits(struct network *network)
{
    unsigned char *bytes = network->address.bytes;
    bool cleared = false;

    for (int bit = network->bits; bit < ALL_BITS; bit++) {
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);

        cleared = cleared || (bytes[bit / 8] & mask) != 0;
        bytes[bit / 8] &= (unsigned char)~mask;
    }
    return cleared;
}

void network_format(const struct network *network, char out[NETWORK_TEXT])
{
    bool ipv4 = network->bits >= MAPPED_BITS && is_mapped(&network->address);
    size_t len;

    address_format(&network->address, out);
    len = strlen(out);
    snprintf(out + len, NETWORK_TEXT - len, "/%d", network->bits - (ipv4 ? MAPPED_BITS : 0));
}

bool network_each_word(const char *list, network_word_fn *each, void *context)
{
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, " ");
        char word[WORD_TEXT];

        if (n > 0) {
            str_copy(word, n < sizeof(word) ? n + 1 : sizeof(word), n < sizeof(word) ? list : "…");
            if (!each(context, word))
                return false;
        }
        list += n + (list[n] == ' ');
    }
    return true;
}

static bool is_outside(void *context, const char *word)
{
    struct network network;

    return !network_read(word, &network) || !network_has(&network, context);
}

bool network_list_has(const char *list, const struct address *address)
{
    struct address copy = *address;

    return !network_each_word(list, is_outside, &copy);
}
